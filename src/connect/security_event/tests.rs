use crypto::SigningKey;
use serde_json::json;

use super::*;
use crate::bank_oauth::Role;
use crate::{AuthorizationServer, Notifications};

const NOW: i64 = 1_780_000_000;
const OURS: &str = "our-client";

fn profile() -> Profile {
    let mut profile =
        Profile::blank("gb-examplebank".parse().unwrap(), "B", "uk".parse().unwrap(), "uk-open-banking");
    let issuer = Some("https://auth.bank.example".to_owned());
    profile.authorization_server = Some(AuthorizationServer { issuer, ..AuthorizationServer::default() });
    profile.client_id = Some(OURS.to_owned());
    profile.notifications = Some(Notifications::default());
    profile
}

fn rsa(kid: &str) -> SigningKey {
    SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), kid).unwrap()
}

fn ed25519(kid: &str) -> SigningKey {
    SigningKey::from_pem(&crypto::pki::generate_ed25519().unwrap(), kid).unwrap()
}

fn keys(key: &SigningKey) -> Jwks {
    Jwks::of([key])
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": "https://auth.bank.example",
        "iat": NOW,
        "jti": "b460a07c-4962-43d1-85ee-9dc10fbb8f6c",
        "sub": "https://api.bank.example/pisp/domestic-payments/pmt-7290-003",
        "aud": OURS,
        "txn": "dfc51628-3479-4b81-ad60-210b43d02306",
        "toe": NOW - 1,
        "events": { "urn:uk:org:openbanking:events:resource-update": { "subject": {} } },
    });
    claims.as_object().unwrap().clone()
}

fn signed(key: &SigningKey, header: Value, claims: &Map<String, Value>) -> String {
    let payload = Value::Object(claims.clone()).to_string();
    jws::sign_compact(key, header.as_object().unwrap(), payload.as_bytes()).unwrap()
}

fn judged(profile: &Profile, key: &SigningKey, claims: &Map<String, Value>) -> Result<String, EventRefused> {
    let token = signed(key, json!({ "typ": "JWT" }), claims);
    let now = Timestamp::from_second(NOW).unwrap();
    verify_event(profile, now, &token, &keys(key)).map(|event| event.jti)
}

fn with(name: &str, value: Value) -> Map<String, Value> {
    let mut claims = claims();
    claims.insert(name.to_owned(), value);
    claims
}

#[test]
fn a_token_counts_if_it_is_the_banks_for_us_and_of_now() {
    let (key, profile) = (rsa("k1"), profile());
    let jti = Ok("b460a07c-4962-43d1-85ee-9dc10fbb8f6c".to_owned());
    assert_eq!(judged(&profile, &key, &claims()), jti);
    for fine in [
        with("aud", json!(["another", OURS])),
        with("iat", json!(NOW + EVENT_SKEW)),
        with("iat", json!(NOW - OLDEST_EVENT)),
    ] {
        assert_eq!(judged(&profile, &key, &fine), jti);
    }
    for (claim, refused) in [
        (with("iss", json!("https://auth.other.example")), EventRefused::InvalidIssuer),
        (with("iss", json!(null)), EventRefused::InvalidIssuer),
        (with("aud", json!("another")), EventRefused::InvalidAudience),
        (with("aud", json!([])), EventRefused::InvalidAudience),
        (with("iat", json!(NOW + EVENT_SKEW + 1)), EventRefused::InvalidRequest("iat is not of now")),
        (with("iat", json!(NOW - OLDEST_EVENT - 1)), EventRefused::InvalidRequest("iat is not of now")),
        (
            with("toe", json!(NOW + EVENT_SKEW + 1)),
            EventRefused::InvalidRequest("toe is missing, or to come"),
        ),
        (with("jti", json!("")), EventRefused::InvalidRequest("jti is missing")),
        (with("jti", json!("j".repeat(129))), EventRefused::InvalidRequest("jti is missing")),
        (with("events", json!({})), EventRefused::InvalidRequest("events are missing")),
    ] {
        assert_eq!(judged(&profile, &key, &claim), Err(refused), "{claim:?}");
    }
    for missing in ["iss", "aud", "iat", "toe", "txn", "jti", "events"] {
        let mut claims = claims();
        claims.remove(missing);
        assert!(judged(&profile, &key, &claims).is_err(), "{missing}");
    }
}

#[test]
fn the_issuer_is_that_of_the_profile_and_our_name_any_of_ours() {
    let (key, mut profile) = (rsa("k1"), profile());
    profile.notifications = Some(Notifications {
        issuer: Some("https://events.bank.example".to_owned()),
        ..Notifications::default()
    });
    assert_eq!(judged(&profile, &key, &claims()), Err(EventRefused::InvalidIssuer));
    assert!(judged(&profile, &key, &with("iss", json!("https://events.bank.example"))).is_ok());
    profile.notifications = None;
    profile.client_ids.insert(Role::Payments, "our-payments".to_owned());
    assert!(judged(&profile, &key, &with("aud", json!("our-payments"))).is_ok());
    profile.authorization_server = None;
    assert_eq!(judged(&profile, &key, &claims()), Err(EventRefused::InvalidIssuer));
}

#[test]
fn a_token_counts_by_a_named_key_that_the_bank_publishes() {
    let (ours, other, profile) = (rsa("k1"), rsa("k1"), profile());
    let now = Timestamp::from_second(NOW).unwrap();
    let judge = |token: &str, keys: &Jwks| verify_event(&profile, now, token, keys).map(|event| event.jti);
    let forged = signed(&other, json!({}), &claims());
    assert_eq!(judge(&forged, &keys(&ours)), Err(EventRefused::AuthenticationFailed));
    assert_eq!(judge(&signed(&ours, json!({}), &claims()), &keys(&rsa("k2"))), Err(EventRefused::InvalidKey));
    let elliptic = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "k3").unwrap();
    assert!(judge(&signed(&elliptic, json!({}), &claims()), &keys(&elliptic)).is_ok());
    let edwards = ed25519("k4");
    let refused = EventRefused::InvalidRequest("the algorithm is not PS256 or ES256");
    assert_eq!(judge(&signed(&edwards, json!({}), &claims()), &keys(&edwards)), Err(refused));
    for (header, fine) in [
        (json!({ "typ": "secevent+jwt" }), true),
        (json!({ "typ": "JOSE" }), true),
        (json!({ "typ": "at+jwt" }), false),
        (json!({ "crit": ["x"], "x": 1 }), false),
    ] {
        assert_eq!(judge(&signed(&ours, header.clone(), &claims()), &keys(&ours)).is_ok(), fine, "{header}");
    }
    let unnamed = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "").unwrap();
    assert!(judge(&signed(&unnamed, json!({}), &claims()), &keys(&ours)).is_err());
    let mut long = claims();
    long.insert("x".to_owned(), json!("x".repeat(LARGEST_EVENT)));
    for broken in [String::new(), "a.b".to_owned(), "a.b.c".to_owned(), signed(&ours, json!({}), &long)] {
        assert!(matches!(judge(&broken, &keys(&ours)), Err(EventRefused::InvalidRequest(_))));
    }
}
