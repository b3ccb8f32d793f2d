use crypto::SigningKey;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, json};

use super::*;
use crate::BankErrorKind;

fn profile(verify_answers: bool) -> Profile {
    let mut profile =
        Profile::blank("gb-examplebank".parse().unwrap(), "B", "uk".parse().unwrap(), "uk-open-banking");
    profile.signing = Signing::DetachedJws { iss: None, tan: "openbanking.org.uk".into(), verify_answers };
    profile
}

fn key(kid: &str) -> SigningKey {
    SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), kid).unwrap()
}

fn keys(key: &SigningKey) -> Jwks {
    Jwks::parse(json!({ "keys": [key.public_jwk()] }).to_string().as_bytes()).unwrap()
}

fn header() -> Map<String, Value> {
    let header = json!({
        IAT: 1_780_000_000, ISS: "CN=Example Bank", TAN: "openbanking.org.uk", "crit": [IAT, ISS, TAN],
    });
    header.as_object().unwrap().clone()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_780_000_000).unwrap()
}

fn answer(key: &SigningKey, header: &Map<String, Value>) -> BankResponse {
    let body = r#"{"Data":{}}"#;
    let mut headers = HeaderMap::new();
    let signature = jws::sign_detached(key, header, body.as_bytes()).unwrap();
    headers.insert(HEADER, signature.parse().unwrap());
    BankResponse { status: StatusCode::CREATED, headers, body: body.into() }
}

/// The bank's key, its bytes, and claims that make sense.
#[test]
fn an_answer_counts_by_the_signature_of_the_bank_alone() {
    let (ours, other) = (key("k1"), key("k1"));
    let profile = profile(true);
    let right = answer(&ours, &header());
    assert!(verify_answer(&profile, now(), &right, &keys(&ours)).is_ok());

    let mut changed = right.clone();
    changed.body = r#"{"Data":{ }}"#.into();
    let mut bare = right.clone();
    bare.headers.clear();
    let without = |name: &str| {
        let mut header = header();
        header.remove(name);
        let critical: Vec<_> = [IAT, ISS, TAN].into_iter().filter(|claim| *claim != name).collect();
        header.insert("crit".into(), json!(critical));
        answer(&ours, &header)
    };
    let mut ahead = header();
    ahead.insert(IAT.into(), json!(1_780_000_061));
    let wrong = [
        changed,
        bare,
        answer(&other, &header()),
        without(IAT),
        without(ISS),
        without(TAN),
        answer(&ours, &ahead),
    ];
    for (place, answer) in wrong.iter().enumerate() {
        let Err(AnswerRefused::Invalid(error)) = verify_answer(&profile, now(), answer, &keys(&ours)) else {
            panic!("number {place} is believed");
        };
        assert_eq!(error.kind, BankErrorKind::MalformedResponse);
    }
}

/// A key that is not known may be a new one: whoever has the keys reads them again.
#[test]
fn a_key_that_is_not_known_is_told_apart() {
    let answer = answer(&key("k2"), &header());
    let refused = verify_answer(&profile(true), now(), &answer, &keys(&key("k1")));
    assert!(matches!(refused, Err(AnswerRefused::UnknownKey(_))));
}

/// Only where the profile demands it, and where there is something to sign.
#[test]
fn a_profile_says_whether_answers_are_signed() {
    let mut answer = answer(&key("k1"), &header());
    assert!(answer_is_signed(&profile(true), &answer));
    assert!(!answer_is_signed(&profile(false), &answer));
    answer.status = StatusCode::BAD_REQUEST;
    assert!(!answer_is_signed(&profile(true), &answer));
    (answer.status, answer.body) = (StatusCode::NO_CONTENT, bytes::Bytes::new());
    assert!(!answer_is_signed(&profile(true), &answer));
}
