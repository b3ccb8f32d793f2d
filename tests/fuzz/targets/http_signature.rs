//! `Digest` and `Signature` headers (draft-cavage-http-signatures). The first line is the header of
//! a stranger; those after it, `name: value`, are what we sign.

#![no_main]

use std::sync::LazyLock;

use crypto::http_signature::{CavageHeader, digest, sign_cavage, verify_cavage, verify_digest};
use crypto::{SigningKey, pki};
use fuzz::line;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(&pki::generate_rsa().expect("a key"), "fuzz").expect("a key"));

fuzz_target!(|data: &[u8]| {
    let (first, rest) = line(data);
    let (Ok(header), Ok(rest)) = (std::str::from_utf8(first), std::str::from_utf8(rest)) else { return };
    a_strangers(header);
    let headers: Vec<(&str, &str)> = rest.lines().filter_map(|line| line.split_once(": ")).take(40).collect();
    if !headers.is_empty() {
        ours(&headers);
    }
    if verify_digest(header, rest.as_bytes()).is_ok() {
        assert!(header.to_ascii_uppercase().contains("SHA-256="));
        assert!(header.contains(&digest(rest.as_bytes())["SHA-256=".len()..]), "another digest");
    }
    assert_eq!(verify_digest(&digest(rest.as_bytes()), rest.as_bytes()), Ok(()));
});

fn a_strangers(header: &str) {
    let Ok(parsed) = CavageHeader::parse(header) else { return };
    assert!(!parsed.headers.is_empty() && !parsed.key_id.is_empty());
    let sent = |_: &str| Some("value".to_owned());
    assert!(verify_cavage(header, KEY.public_key(), sent, &[]).is_err(), "nobody else has the key");
    if !parsed.key_id.contains('"') {
        assert_eq!(CavageHeader::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "written and read again");
    }
}

fn ours(headers: &[(&str, &str)]) {
    let signed = sign_cavage(&KEY, "SN=1,CA=CN=Fuzz", headers).expect("an RSA key signs");
    let value = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| (*value).to_owned())
    };
    let Ok(verified) = verify_cavage(&signed, KEY.public_key(), value, &[]) else {
        // Names with spaces and quotes, or twice, make a header that cannot be read.
        let odd = |name: &str| name.is_empty() || name.contains(|it: char| it.is_whitespace() || it == '"');
        let twice = headers.iter().enumerate().any(|(at, (name, _))| {
            headers.iter().take(at).any(|(other, _)| other.eq_ignore_ascii_case(name))
        });
        let length: usize = headers.iter().map(|(name, _)| name.len() + 1).sum();
        assert!(twice || headers.len() > 32 || length > 7_000 || headers.iter().any(|(name, _)| odd(name)));
        return;
    };
    assert_eq!(verified.headers.len(), headers.len());
    let (changed, _) = headers[0];
    let other = |name: &str| {
        let value = value(name)?;
        Some(if name.eq_ignore_ascii_case(changed) { format!("{value}x") } else { value })
    };
    assert!(verify_cavage(&signed, KEY.public_key(), other, &[]).is_err(), "another value of {changed}");
}
