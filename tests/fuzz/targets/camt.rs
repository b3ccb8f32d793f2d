//! Account reports and payment states in ISO 20022 XML (camt.052 to 054, pain.002).

#![no_main]

use dialects::recorded::{ReadOutcome, read_exchange};
use fuzz::{assert_sound, entries};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let read = entries("application/xml", data);
    if let Ok(read) = &read {
        assert_sound(read);
        assert!(read.len() <= data.iter().filter(|byte| **byte == b'<').count());
        let spaced = [data, b"\n<!-- the end -->\n"].concat();
        assert_eq!(
            entries("application/xml", &spaced).as_ref().ok(),
            Some(read),
            "what follows means nothing"
        );
    }
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(read.is_err(), "only UTF-8 is read");
        return;
    };
    let exchange = json!({
        "bank": "xx-fuzz", "method": "GET", "url": "https://bank.example/v1/payments/x/1/status", "status": 200,
        "resp_headers": {"content-type": "application/xml"}, "body": text,
    });
    let state = read_exchange(&exchange.to_string(), None);
    assert!(!matches!(state, ReadOutcome::Unread), "it is a state or an error that says where");
});
