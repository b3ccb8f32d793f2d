//! DPoP proofs (RFC 9449 §4.3), in both directions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry_crypto::SigningKey;
use consentry_crypto::digest::sha256_b64url;
use consentry_crypto::dpop::{InvalidProof, MAX_AGE, Proof, Proven, check};
use serde_json::{Map, Value, json};

const NOW: i64 = 1_800_000_000;
const URI: &str = "https://gateway.example/oauth/token";

const SKEW: i64 = 15;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    SigningKey::from_pem(&consentry_crypto::pki::generate_p256().unwrap(), "ignored").unwrap()
});

fn made(header: impl FnOnce(&mut Map<String, Value>), claims: impl FnOnce(&mut Value)) -> String {
    let mut head = Map::new();
    head.insert("typ".into(), "dpop+jwt".into());
    head.insert("alg".into(), "ES256".into());
    head.insert("jwk".into(), KEY.public_key().jwk());
    header(&mut head);
    let mut body = json!({ "jti": "1", "htm": "POST", "htu": URI, "iat": NOW });
    claims(&mut body);
    let signed = [Value::Object(head).to_string(), body.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()).unwrap()))
}

fn verdict(proof: &str) -> Result<Proof, InvalidProof> {
    check(proof, Proven { method: "POST", uri: URI, access_token: None, now: NOW })
}

#[test]
fn a_proof_in_order_names_its_key() {
    let proof = verdict(&made(|_| {}, |_| {})).unwrap();
    assert_eq!(proof.key.to_string(), KEY.public_key().thumbprint());
    assert_eq!((proof.jti.as_str(), proof.nonce), ("1", None));
}

/// RFC 9449 §4.3 (4), (5), (6), (7).
#[test]
fn a_header_that_is_not_in_order_is_refused() {
    for typ in [json!("JWT"), json!(null), json!(7)] {
        assert_eq!(verdict(&made(|head| head["typ"] = typ, |_| {})), Err(InvalidProof::Type));
    }
    for alg in ["none", "RS256", "HS256", "es256"] {
        assert_eq!(
            verdict(&made(|head| head["alg"] = alg.into(), |_| {})),
            Err(InvalidProof::Algorithm),
            "{alg}"
        );
    }
    let other = SigningKey::from_pem(&consentry_crypto::pki::generate_ed25519().unwrap(), "x").unwrap();
    let private = |head: &mut Map<String, Value>| head["jwk"]["d"] = "AA".into();
    let foreign = |head: &mut Map<String, Value>| head["jwk"] = other.public_key().jwk();
    let none = |head: &mut Map<String, Value>| drop(head.remove("jwk"));
    for proof in [made(private, |_| {}), made(foreign, |_| {}), made(none, |_| {})] {
        assert_eq!(verdict(&proof), Err(InvalidProof::Signature));
    }
    assert_eq!(verdict("a.b"), Err(InvalidProof::Malformed));
}

/// RFC 9449 §4.3 (3), (8), (9), (11).
#[test]
fn claims_about_another_request_are_refused() {
    for name in ["jti", "htm", "htu", "iat"] {
        assert_eq!(
            verdict(&made(|_| {}, |claims| claims[name] = Value::Null)),
            Err(InvalidProof::Malformed),
            "{name}"
        );
    }
    assert_eq!(verdict(&made(|_| {}, |claims| claims["htm"] = "GET".into())), Err(InvalidProof::Method));
    for htu in ["https://gateway.example/oauth/par", "http://gateway.example/oauth/token", "oauth/token"] {
        assert_eq!(
            verdict(&made(|_| {}, |claims| claims["htu"] = htu.into())),
            Err(InvalidProof::Uri),
            "{htu}"
        );
    }
    for iat in [NOW - MAX_AGE - 1, NOW + SKEW + 1] {
        assert_eq!(verdict(&made(|_| {}, |claims| claims["iat"] = iat.into())), Err(InvalidProof::Time));
    }
}

/// RFC 9449 §4.3: scheme and host in any case, the default port spelled
/// out or not; a clock ten seconds off either way.
#[test]
fn the_address_is_compared_normalised_and_the_clock_with_tolerance() {
    for htu in ["HTTPS://Gateway.EXAMPLE:443/oauth/token", "https://gateway.example/oauth/token?a=b#c"] {
        verdict(&made(|_| {}, |claims| claims["htu"] = htu.into())).unwrap();
    }
    for iat in [NOW - 10, NOW + 10] {
        verdict(&made(|_| {}, |claims| claims["iat"] = iat.into())).unwrap();
    }
}

/// RFC 9449 §4.3 (12).
#[test]
fn at_a_resource_the_proof_names_the_token() {
    let at = |proof: &str, token| {
        check(proof, Proven { method: "POST", uri: URI, access_token: Some(token), now: NOW })
    };
    let proof = made(|_| {}, |claims| claims["ath"] = sha256_b64url(b"token").into());
    at(&proof, "token").unwrap();
    assert_eq!(at(&proof, "other"), Err(InvalidProof::Token));
    assert_eq!(at(&made(|_| {}, |_| {}), "token"), Err(InvalidProof::Token));
}
