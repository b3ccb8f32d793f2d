//! A client's own keys and certificates: self-signed ones, and their rotation.

use std::sync::Arc;

use consentry::demo::{Answer, Client, Tpp, bearer};
use crypto::pki::{Authority, Issued};
use crypto::{Certificate, SigningKey};
use domain::{Clock, SystemClock};
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::fintech::{assert_error, ec_key, metadata, own_token_of, registered, subject, tokens, with};
use crate::support::{TestGateway, assert_problem};

/// A certificate that no authority trusted here issued.
fn self_made() -> Issued {
    let authority = Authority::new("fintech.consentry.example", SystemClock.now()).unwrap();
    Issued { certificate_pem: authority.certificate_pem().to_owned(), key_pem: authority.key_pem() }
}

/// Its key with the certificate, as it is registered (RFC 8705 §2.2.2).
fn with_x5c(shown: &Issued, kid: &str) -> Value {
    let certificate = Certificate::from_pem(&shown.certificate_pem).unwrap();
    let mut jwk = certificate.public_key().jwk();
    let lines = shown.certificate_pem.lines().filter(|line| !line.starts_with("-----"));
    jwk["x5c"] = json!([lines.collect::<String>()]);
    jwk["kid"] = json!(kid);
    jwk
}

/// A client that authenticates by this certificate of its own.
async fn self_signed(gw: &TestGateway, shown: &Issued) -> (Tpp, String) {
    let tpp = gw.tpp().await;
    let changes = json!({
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "tls_client_auth_san_dns": null,
        "jwks": { "keys": [with_x5c(shown, "tls-1")] },
    });
    let id = registered(&tpp.http, &tpp, &metadata(&changes)).await;
    (tpp, id)
}

async fn token_over(http: &Client, tpp: &Tpp, id: &str) -> Answer {
    own_token_of(http, tpp, id, "accounts").await
}

/// RFC 8705 §2.2 (M3, M4): the registered certificate authenticates and its tokens
/// are bound to it; the same key in another certificate, another certificate, the
/// trusted one it registered with, and none do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_signed_certificate_authenticates_by_being_registered() {
    let gw = TestGateway::start().await;
    let shown = self_made();
    let (tpp, id) = self_signed(&gw, &shown).await;
    let own = with(&gw, &shown);
    let answer = token_over(&own, &tpp, &id).await.expect(200).unwrap();
    let authority = Authority::from_pem(&shown.certificate_pem, &shown.key_pem, SystemClock.now()).unwrap();
    let same_issuer = authority.issue_qwac(&subject()).unwrap();
    for refused in [with(&gw, &same_issuer), with(&gw, &self_made()), tpp.http.clone(), gw.anybody()] {
        assert_error(&token_over(&refused, &tpp, &id).await, 401, "invalid_client");
    }
    let mut holder = tpp.clone();
    holder.http = own;
    let token = SecretString::from(answer.text("/access_token"));
    assert_eq!(holder.get(&token, "/v1/accounts").await.unwrap().status, 200);
    holder.http = with(&gw, &self_made());
    assert_problem(&holder.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.certificate_mismatch");
    assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.certificate_mismatch");
    gw.sandbox.stop().await;
}

/// RFC 8705 §2.2.2 (M3): trust comes from the registration, not from the calendar of
/// nobody: a registered certificate that has expired authenticates no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_certificate_that_has_expired_is_refused() {
    let gw = TestGateway::start().await;
    let authority = Authority::new("own", SystemClock.now()).unwrap();
    let expired = authority.issue_qwac_for(&subject(), -1).unwrap();
    let (tpp, id) = self_signed(&gw, &expired).await;
    assert_error(&token_over(&with(&gw, &expired), &tpp, &id).await, 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// RFC 8705 §2.2.2, RFC 7517 §4.7 (M3, C2): without a certificate that belongs to its
/// key, `self_signed_tls_client_auth` is not registered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_and_a_certificate_of_another_are_not_registered() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (one, other) = (self_made(), self_made());
    let mut mixed = with_x5c(&one, "x");
    mixed["x5c"] = with_x5c(&other, "x")["x5c"].clone();
    let mut bare = with_x5c(&one, "x");
    bare.as_object_mut().unwrap().remove("x5c");
    let mut broken = with_x5c(&one, "x");
    broken["x5c"] = json!(["AAAA"]);
    for key in [mixed, bare, broken] {
        let changes = json!({
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "tls_client_auth_san_dns": null,
            "jwks": { "keys": [key] },
        });
        let url = tpp.endpoint("registration_endpoint").unwrap();
        let answer = tpp.http.post_json(url, &[], &metadata(&changes)).await.unwrap();
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    gw.sandbox.stop().await;
}

async fn add(tpp: &Tpp, token: &SecretString, key: &Value) -> Answer {
    let headers = [("authorization", bearer(token))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    tpp.http.post_json(&format!("{}/v1/application/keys", tpp.api), &headers, key).await.unwrap()
}

async fn remove(tpp: &Tpp, token: &SecretString, kid: &str) -> Answer {
    let bearer = bearer(token);
    let url = format!("{}/v1/application/keys/{kid}", tpp.api);
    tpp.http.send(Method::DELETE, &url, &[("authorization", &bearer)], "").await.unwrap()
}

/// RFC 7517 §5 (AS11, C5): a client rotates its signing key without a gap: the new one
/// is added, both work, the old one is removed; the last one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_rotates_its_signing_key_with_an_overlap() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let mut renewed = tpp.clone();
    renewed.key = Arc::new(ec_key("demo-2"));
    renewed.own_token("accounts").await.unwrap_err();
    let key = renewed.key.public_jwk();
    let added = add(&tpp, &own, &key).await.expect(201).unwrap();
    assert_eq!(added.header("location"), Some("/v1/application/keys/demo-2"));
    for either in [&tpp, &renewed] {
        either.own_token("accounts").await.unwrap();
    }
    assert_eq!(remove(&tpp, &own, "demo-1").await.status, 204);
    tpp.own_token("accounts").await.unwrap_err();
    let own = renewed.own_token("accounts").await.unwrap();
    assert_problem(&remove(&renewed, &own, "demo-1").await, 404, "resource.not_found");
    assert_problem(&remove(&renewed, &own, "demo-2").await, 422, "request.invalid");
    let shown = renewed.get(&own, "/v1/application").await.unwrap().expect(200).unwrap();
    assert_eq!(shown.text("/client_id"), renewed.client_id);
    assert_eq!(shown.json()["jwks"]["keys"].as_array().unwrap().len(), 1);
    gw.sandbox.stop().await;
}

/// RFC 8705 §2.2.2, §6.3 (M3, M4): the same with certificates of its own; with the
/// removed one its tokens end, and with no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_rotates_its_own_certificate_with_an_overlap() {
    let gw = TestGateway::start().await;
    let (old, new) = (self_made(), self_made());
    let (mut tpp, id) = self_signed(&gw, &old).await;
    let (by_old, by_new) = (with(&gw, &old), with(&gw, &new));
    let own = SecretString::from(token_over(&by_old, &tpp, &id).await.text("/access_token"));
    tpp.http = by_old.clone();
    assert_error(&token_over(&by_new, &tpp, &id).await, 401, "invalid_client");
    add(&tpp, &own, &with_x5c(&new, "tls-2")).await.expect(201).unwrap();
    assert_eq!(token_over(&by_old, &tpp, &id).await.status, 200);
    let mut renewed = tpp.clone();
    renewed.http = by_new.clone();
    let kept = SecretString::from(token_over(&by_new, &tpp, &id).await.text("/access_token"));
    assert_eq!(tpp.get(&own, "/v1/accounts").await.unwrap().status, 200);
    assert_eq!(remove(&tpp, &own, "tls-1").await.status, 204);
    assert_eq!(tpp.get(&own, "/v1/accounts").await.unwrap().status, 401);
    assert_eq!(renewed.get(&kept, "/v1/accounts").await.unwrap().status, 200);
    assert_error(&token_over(&by_old, &tpp, &id).await, 401, "invalid_client");
    assert_eq!(token_over(&by_new, &tpp, &id).await.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 7517 §4.5, FAPI 2.0 SP §5.4 (AS18, AS20): a key that is private, weak, nameless
/// or named as another one is not added; nor does a PSU's token add one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_cannot_be_used_is_not_added() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let good = ec_key("k").public_jwk();
    let change = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    for (key, code) in [
        (change("d", json!("AAAA")), "key.unusable"),
        (change("kid", Value::Null), "key.kid"),
        (change("kid", json!("demo-1")), "key.kid_taken"),
        (change("use", json!("enc")), "key.unusable"),
        (change("alg", json!("RS256")), "key.unusable"),
        (change("crv", json!("P-521")), "key.unusable"),
        (json!({ "kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB" }), "key.unusable"),
        (json!({ "kty": "oct", "kid": "o", "k": "AAAA" }), "key.unusable"),
        (json!({ "kid": "x" }), "key.unusable"),
        (json!([]), "field.invalid"),
    ] {
        let answer = add(&tpp, &own, &key).await;
        assert_problem(&answer, 422, "request.invalid");
        assert_eq!(answer.text("/errors/0/code"), code, "{key}");
    }
    let granted = SecretString::from(tokens(&gw, &tpp, &[]).await.text("/access_token"));
    assert_problem(&add(&tpp, &granted, &good).await, 403, "auth.scope");
    assert_problem(&tpp.get(&granted, "/v1/application").await.unwrap(), 403, "auth.scope");
    for n in 2..=10 {
        add(&tpp, &own, &change("kid", json!(format!("k{n}")))).await.expect(201).unwrap();
    }
    let answer = add(&tpp, &own, &good).await;
    assert_eq!(answer.text("/errors/0/code"), "key.too_many");
    gw.sandbox.stop().await;
}

/// RFC 7592 §2.2 (AS12): keys that are added at the same time are all there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_added_at_the_same_time_do_not_undo_each_other() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let keys: Vec<SigningKey> = (0..6).map(|n| ec_key(&format!("k{n}"))).collect();
    let mut tries = tokio::task::JoinSet::new();
    for key in &keys {
        let (tpp, own, jwk) = (tpp.clone(), own.clone(), key.public_jwk());
        tries.spawn(async move { (jwk["kid"].clone(), add(&tpp, &own, &jwk).await) });
    }
    let mut there = vec![json!("demo-1")];
    for (kid, answer) in tries.join_all().await {
        match answer.status.as_u16() {
            201 => there.push(kid),
            _ => assert_problem(&answer, 503, "gateway.busy"),
        }
    }
    let shown = tpp.get(&own, "/v1/application").await.unwrap().json();
    let mut kept: Vec<Value> =
        shown["jwks"]["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    let by_text = |kid: &Value| kid.to_string();
    there.sort_by_key(by_text);
    kept.sort_by_key(by_text);
    assert_eq!(kept, there);
    gw.sandbox.stop().await;
}
