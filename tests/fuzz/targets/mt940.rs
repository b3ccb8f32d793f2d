//! Statements in MT940.

#![no_main]

use fuzz::{assert_sound, entries};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // What looks like XML is read as such.
    if data.trim_ascii_start().starts_with(b"<?xml") {
        return;
    }
    let Ok(read) = entries("text/plain", data) else { return };
    assert_sound(&read);
    let fields = data.windows(4).filter(|window| window == b":61:").count();
    assert!(read.len() <= fields, "{} entries of {fields} fields", read.len());
    if let Ok(text) = std::str::from_utf8(data)
        && !text.contains('\r')
    {
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(entries("text/plain", crlf.as_bytes()).ok(), Some(read), "ends of lines mean nothing");
    }
});
