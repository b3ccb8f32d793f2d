//! Headers of the PROXY protocol, as they arrive.

#![no_main]

use edge::proxy_protocol::{length, named};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Longer ones are refused long before.
    let data = &data[..data.len().min(4_096)];
    let whole = length(data);
    for end in 0..data.len() {
        match (length(&data[..end]), &whole) {
            // What is known of the beginning stays known.
            (Err(_), whole) => assert!(whole.is_err(), "refused at {end} bytes and taken at {}", data.len()),
            (Ok(Some(known)), Ok(Some(whole))) => assert_eq!(known, *whole),
            (Ok(Some(_)), Ok(None)) => panic!("a length that is known is forgotten"),
            (Ok(Some(_)), Err(_)) => panic!("a length that is known is refused later"),
            (Ok(None), _) => {}
        }
    }
    let read = named(data);
    if let Ok(Some(length)) = whole {
        assert!(length <= 2_048);
        if let Some(header) = data.get(..length) {
            // What follows the header is another's.
            assert_eq!(named(header), read, "the address depends on what follows");
        }
    } else {
        assert!(read.is_err(), "an address is read in what is no whole header");
    }
});
