//! Project Wycheproof through the functions that the gateway verifies with.
//! Every vector gets the outcome it states. Where a valid one uses an algorithm
//! that we do not have, it is refused for that reason and counted apart.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod published;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry_crypto::jws::{self, InvalidJws};
use consentry_crypto::{Algorithm, InvalidJwks, Jwks, PublicKey};
use published::published;
use serde_json::{Value, json};

/// What became of the vectors of one file.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// Valid, by an algorithm that we deliberately do not have: refused too.
    not_ours: usize,
}

/// Runs `judge` over the vectors of one file: (group, vector) to tally.
fn run(file: &str, expected: Tally, judge: impl Fn(&Value, &Value, &mut Tally)) {
    let Some(document) = published(&format!("wycheproof/{file}")) else { return };
    let mut tally = Tally::default();
    for group in document["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            judge(group, test, &mut tally);
        }
    }
    eprintln!("{file}: {tally:?}");
    let judged = tally.accepted + tally.refused + tally.not_ours;
    assert_eq!(document["numberOfTests"].as_u64(), u64::try_from(judged).ok(), "every vector was judged");
    assert_eq!(tally, expected);
}

/// Signatures over bytes, by a key that comes as DER.
fn signatures(file: &str, expected: Tally, verify: impl Fn(&PublicKey, &[u8], &[u8]) -> bool) {
    run(file, expected, |group, test, tally| {
        let der = hex::decode(group["publicKeyDer"].as_str().unwrap()).unwrap();
        let key = PublicKey::from_spki(&der).unwrap();
        let bytes = |name: &str| hex::decode(test[name].as_str().unwrap()).unwrap();
        count(test, verify(&key, &bytes("msg"), &bytes("sig")), tally);
    });
}

/// Holds a vector of an algorithm of ours to its stated outcome.
fn count(test: &Value, accepted: bool, tally: &mut Tally) {
    match test["result"].as_str().unwrap() {
        "valid" => assert!(accepted, "{test}"),
        "invalid" => assert!(!accepted, "{test}"),
        // It leaves the choice to the implementation.
        "acceptable" => {}
        other => panic!("{other} is no outcome: {test}"),
    }
    if accepted { tally.accepted += 1 } else { tally.refused += 1 }
}

/// Tokens, by keys that come as a JWK or a set of them.
fn tokens(file: &str, expected: Tally) {
    run(file, expected, |group, test, tally| {
        let key = group.get("public").unwrap_or(&group["private"]);
        let set = if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) };
        // A set with a secret inside is refused; then there is no key to believe.
        let keys = Jwks::parse(set.to_string().as_bytes());
        assert!(matches!(keys, Ok(_) | Err(InvalidJwks::PrivateKey)), "{set}");
        let keys = keys.unwrap_or_default();

        // JSON serializations are objects; JWE have five parts.
        let token = test.get("jws").unwrap_or(&test["jwe"]);
        let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
        let verdict = jws::verify_compact(&token, &keys, &Algorithm::ALL).map(|_| ());
        match named_algorithm(&token) {
            Some(name) if Algorithm::from_name(&name).is_none() && test["result"] == "valid" => {
                assert_eq!(verdict, Err(reason(&token)), "{test}");
                tally.not_ours += 1;
            }
            _ => count(test, verdict.is_ok(), tally),
        }
    });
}

/// The `alg` that the first part names, however loosely it is encoded.
fn named_algorithm(token: &str) -> Option<String> {
    let base64url = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
    let header: String = token.split('.').next()?.chars().filter(base64url).collect();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    header["alg"].as_str().map(str::to_owned)
}

/// Why a token by an algorithm that we do not have is refused.
fn reason(token: &str) -> InvalidJws {
    let strict = token.split('.').all(|part| URL_SAFE_NO_PAD.decode(part).is_ok());
    if strict && token.split('.').count() == 3 { InvalidJws::Algorithm } else { InvalidJws::Malformed }
}

#[test]
fn json_web_signatures_get_the_outcome_they_state() {
    tokens("json_web_signature_test.json", Tally { accepted: 8, refused: 355, not_ours: 38 });
}

#[test]
fn json_web_keys_get_the_outcome_they_state() {
    tokens("json_web_key_test.json", Tally { accepted: 0, refused: 21, not_ours: 5 });
}

#[test]
fn json_web_cryptography_gets_the_outcome_it_states() {
    tokens("json_web_crypto_test.json", Tally { accepted: 1, refused: 77, not_ours: 5 });
}

#[test]
fn p256_signatures_get_the_outcome_they_state() {
    let expected = Tally { accepted: 173, refused: 89, not_ours: 0 };
    signatures("ecdsa_secp256r1_sha256_p1363_test.json", expected, PublicKey::verify);
}

#[test]
fn ed25519_signatures_get_the_outcome_they_state() {
    let expected = Tally { accepted: 88, refused: 63, not_ours: 0 };
    signatures("ed25519_test.json", expected, PublicKey::verify);
}

#[test]
fn rsa_pss_signatures_get_the_outcome_they_state() {
    let expected = Tally { accepted: 63, refused: 45, not_ours: 0 };
    signatures("rsa_pss_2048_sha256_mgf1_32_test.json", expected, PublicKey::verify);
}

#[test]
fn rsa_pkcs1_signatures_get_the_outcome_they_state() {
    let expected = Tally { accepted: 9, refused: 250, not_ours: 0 };
    signatures("rsa_signature_2048_sha256_test.json", expected, PublicKey::verify_rsa_sha256);
}
