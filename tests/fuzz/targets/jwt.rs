//! Signed tokens and key sets. A text is read as a token and as a key set; and its first line as
//! the header, the rest as the payload, of a token that we sign.

#![no_main]

use std::sync::LazyLock;

use crypto::jws::{
    InvalidJws, numeric_date, peek_claims, peek_header, sign_compact, sign_detached, verify_compact,
    verify_detached,
};
use crypto::{Algorithm, Jwks, SigningKey, pki};
use fuzz::line;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(&pki::generate_ed25519().expect("a key"), "fuzz").expect("a key"));
static KEYS: LazyLock<Jwks> = LazyLock::new(|| Jwks::of([&*KEY]));

fuzz_target!(|data: &[u8]| {
    key_set(data);
    if let Ok(token) = std::str::from_utf8(data) {
        a_strangers(token);
    }
    let (header, payload) = line(data);
    if let Ok(Value::Object(header)) = serde_json::from_slice(header) {
        ours(&header, payload);
    }
});

fn key_set(data: &[u8]) {
    let Ok(keys) = Jwks::parse(data) else { return };
    let published = keys.to_value();
    let again = Jwks::from_value(&published).expect("what we publish can be read");
    let thumbprints = |keys: &Jwks| {
        keys.iter().map(|jwk| (jwk.kid().map(str::to_owned), jwk.key().thumbprint())).collect::<Vec<_>>()
    };
    assert_eq!(thumbprints(&again), thumbprints(&keys));
    for secret in ["\"d\":", "\"k\":", "\"p\":", "\"q\":"] {
        assert!(!published.to_string().contains(secret), "a secret is published");
    }
}

/// Nobody else has the key.
fn a_strangers(token: &str) {
    assert!(verify_compact(token, &KEYS, &Algorithm::ALL).is_err());
    assert!(verify_detached(token, b"payload", &KEYS, &Algorithm::ALL, &["b64"]).is_err());
    if let Ok(claims) = peek_claims(token) {
        for time in ["exp", "iat", "nbf"] {
            let _ = numeric_date(claims.get(time));
        }
    }
    if let Ok(header) = peek_header(token) {
        assert!(token.len() >= header.len());
    }
}

fn ours(header: &Map<String, Value>, payload: &[u8]) {
    let token = sign_compact(&KEY, header, payload).expect("our key signs");
    match verify_compact(&token, &KEYS, &Algorithm::ALL) {
        Ok(verified) => {
            assert_eq!(verified.payload, payload);
            assert_eq!(verified.header["alg"], "EdDSA", "the header cannot choose");
            assert_eq!(verified.header["kid"], "fuzz", "the header cannot choose");
            assert!(!verified.header.contains_key("crit"), "what is critical is not left unread");
            assert_eq!(verified.claims().is_ok(), crypto::json::unique_object(payload).is_ok());
            changed(&token);
        }
        Err(InvalidJws::Critical) => assert!(header.contains_key("crit") || header.contains_key("b64")),
        Err(InvalidJws::Malformed | InvalidJws::TooLarge) => {}
        Err(error) => panic!("our own token: {error}"),
    }
    let token = sign_detached(&KEY, header, payload).expect("our key signs");
    if let Ok(verified) = verify_detached(&token, payload, &KEYS, &Algorithm::ALL, &["b64"]) {
        let more = [payload, b"x"].concat();
        assert_eq!(verified.payload, payload);
        assert!(verify_detached(&token, &more, &KEYS, &Algorithm::ALL, &["b64"]).is_err(), "another payload");
    }
}

/// No other text has the same signature, whichever character is another.
fn changed(token: &str) {
    let at = token.bytes().map(usize::from).sum::<usize>() % token.len();
    let mut other = token.as_bytes().to_vec();
    other[at] = if other[at] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("ASCII");
    assert!(verify_compact(&other, &KEYS, &Algorithm::ALL).is_err(), "changed at {at}: {other}");
}
