//! Client assertions (RFC 7523, FAPI 2.0 SP §5.3.2.1), checked claim by claim.

use consentry::demo::Tpp;
use crypto::{Jwks, SigningKey};
use serde_json::{Value, json};

use crate::fintech::{
    JWT_BEARER, REVOKE, TOKEN, assert_error, claims, metadata, own_token_by, own_token_of, registered, signed,
};
use crate::forgeries::forgeries;
use crate::support::TestGateway;

/// An assertion with one claim changed is refused; the unchanged one is not.
async fn refused(tpp: &Tpp, change: impl FnOnce(&mut Value)) {
    assert_error(&own_token_by(tpp, &tpp.assertion(change).unwrap()).await, 401, "invalid_client");
}

/// RFC 7523 §3 (3), FAPI 2.0 SP §5.3.2.1-8 (AS12): aud is the issuer, one string.
/// [module: ensure-client-assertion-with-wrong-aud-fails]
/// [module: par-test-array-as-audience-fails]
/// [module: par-test-par-endpoint-url-as-audience-fails]
/// [module: par-test-token-endpoint-url-as-audience-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_for_another_audience_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let issuer = gw.sandbox.access().issuer;
    for aud in [
        json!([issuer]),
        json!(tpp.endpoint(TOKEN).unwrap()),
        json!(tpp.endpoint("pushed_authorization_request_endpoint").unwrap()),
        json!(format!("{issuer}/")),
        json!(gw.sandbox.access().api),
        Value::Null,
    ] {
        refused(&tpp, |claims| claims["aud"] = aud).await;
    }
    assert_eq!(own_token_by(&tpp, &tpp.assertion(|_| {}).unwrap()).await.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 7523 §3 (1), (2), (4), (7) (AS12): issuer, subject, end and id are there.
/// [module: ensure-client-assertion-with-no-sub-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_without_a_needed_claim_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        refused(&tpp, |claims| drop(claims.as_object_mut().unwrap().remove(name))).await;
    }
    refused(&tpp, |claims| claims["sub"] = json!("demo-fintech")).await;
    refused(&tpp, |claims| claims["iss"] = json!("demo-fintech")).await;
    refused(&tpp, |claims| claims["jti"] = json!("")).await;
    refused(&tpp, |claims| claims["exp"] = json!("2099-01-01")).await;
    gw.sandbox.stop().await;
}

/// RFC 7523 §3 (4) to (6), FAPI 2.0 SP §5.3.2.1 (AS12): neither from the past nor
/// from the future; a clock that is 8 seconds ahead is let through.
/// [module: ensure-client-assertion-with-exp-is-5-minutes-in-past-fails]
/// [module: par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted]
/// [module: par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_out_of_its_time_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let now = gw.clock.now().as_second();
    refused(&tpp, |claims| claims["exp"] = json!(now - 60)).await;
    refused(&tpp, |claims| claims["exp"] = json!(now + 86_400)).await;
    refused(&tpp, |claims| claims["exp"] = json!(1e300)).await;
    for name in ["iat", "nbf"] {
        refused(&tpp, |claims| claims[name] = json!(now + 90)).await;
        refused(&tpp, |claims| claims[name] = json!(1e300)).await;
        refused(&tpp, |claims| claims[name] = json!("tomorrow")).await;
        let ahead = tpp.assertion(|claims| claims[name] = json!(now + 8)).unwrap();
        assert_eq!(own_token_by(&tpp, &ahead).await.status, 200, "{name}");
    }
    gw.sandbox.stop().await;
}

/// RFC 7523 §3 (7) (AS12): an id is used once, at whichever endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_is_used_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let assertion = tpp.assertion(|_| {}).unwrap();
    assert_eq!(own_token_by(&tpp, &assertion).await.status, 200);
    assert_error(&own_token_by(&tpp, &assertion).await, 401, "invalid_client");
    let form = [
        ("token", "x"),
        ("client_id", tpp.client_id.as_str()),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    let elsewhere = tpp.http.post_form(tpp.endpoint(REVOKE).unwrap(), &form).await.unwrap();
    assert_error(&elsewhere, 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (AS12): of many who use one assertion at the same time, one gets a token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_sent_many_times_at_once_is_used_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let assertion = tpp.assertion(|_| {}).unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, assertion) = (tpp.clone(), assertion.clone());
        tries.spawn(async move { own_token_by(&tpp, &assertion).await.status.as_u16() });
    }
    let mut statuses = tries.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200], vec![401; 49]].concat());
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.4, RFC 8725 §2, §3, RFC 7515 §4 (AS12, AS18): no signature, a weak one
/// even by the right key, another key however it is brought, and text of two meanings
/// are refused; PS256 by the right key is not.
/// [module: ensure-signed-client-assertion-with-RS256-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_assertion_is_refused() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    let key = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "rsa-1").unwrap();
    let changes = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": Jwks::of([&key]).to_value(),
        "tls_client_auth_san_dns": null,
    });
    tpp.client_id = registered(&tpp.http, &tpp, &metadata(&changes)).await;
    for (case, assertion) in forgeries(&key, &claims(&tpp)) {
        let answer = own_token_by(&tpp, &assertion).await;
        assert_eq!(answer.status, 401, "{case}");
        assert_error(&answer, 401, "invalid_client");
    }
    assert_eq!(own_token_by(&tpp, &signed(&key, &claims(&tpp))).await.status, 200);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (AS12): the key of another client, a tampered signature, and another
/// client's name in the form.
/// [module: ensure-client-id-in-token-endpoint]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_by_another_key_or_for_another_client_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let key = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "demo-1").unwrap();
    let changes = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": Jwks::of([&key]).to_value(),
        "tls_client_auth_san_dns": null,
    });
    let other = registered(&tpp.http, &tpp, &metadata(&changes)).await;
    let stolen = signed(&key, &claims(&tpp));
    assert_error(&own_token_by(&tpp, &stolen).await, 401, "invalid_client");
    let good = tpp.assertion(|_| {}).unwrap();
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    assert_error(&own_token_by(&tpp, &format!("{signed_part}.{swapped}")).await, 401, "invalid_client");
    let mut as_other = tpp.clone();
    as_other.client_id = other;
    assert_error(&own_token_by(&as_other, &good).await, 401, "invalid_client");
    // All that time the assertion itself was good.
    assert_eq!(own_token_by(&tpp, &good).await.status, 200);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.1 (AS11): by the registered method only.
/// [module: ensure-client-assertion-in-token-endpoint]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_authenticates_by_its_registered_method_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    // Its certificate alone is not enough for a private_key_jwt client ...
    let answer = own_token_of(&tpp.http, &tpp, &tpp.client_id, "accounts").await;
    assert_error(&answer, 401, "invalid_client");
    // ... an assertion is nothing a tls_client_auth client can bring ...
    let mut by_certificate = tpp.clone();
    by_certificate.client_id = registered(&tpp.http, &tpp, &metadata(&json!({}))).await;
    let assertion = by_certificate.assertion(|_| {}).unwrap();
    assert_error(&own_token_by(&by_certificate, &assertion).await, 401, "invalid_client");
    // ... and a secret is nobody's.
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "accounts"),
        ("client_id", by_certificate.client_id.as_str()),
        ("client_secret", "s3cret"),
    ];
    let answer = tpp.http.post_form(tpp.endpoint(TOKEN).unwrap(), &form).await.unwrap();
    assert_error(&answer, 401, "invalid_client");
    let answer = own_token_of(&tpp.http, &tpp, &by_certificate.client_id, "accounts").await;
    assert_eq!(answer.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 7521 §4.2 (AS12): the assertion says what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_of_another_type_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for kind in [None, Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer")] {
        let assertion = tpp.assertion(|_| {}).unwrap();
        let mut form = vec![("grant_type", "client_credentials"), ("scope", "accounts")];
        form.extend(kind.map(|kind| ("client_assertion_type", kind)));
        form.push(("client_assertion", &assertion));
        let answer = tpp.http.post_form(tpp.endpoint(TOKEN).unwrap(), &form).await.unwrap();
        assert_error(&answer, 401, "invalid_client");
    }
    gw.sandbox.stop().await;
}
