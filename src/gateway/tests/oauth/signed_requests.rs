//! Signed requests (JAR, RFC 9101; FAPI 2.0 Message Signing §5.3).

use std::sync::Arc;

use consentry::demo::{Answer, RETURN, Tpp, verifier};
use crypto::SigningKey;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fintech::{PAR, TOKEN, assert_error, metadata, push, raw_jws, registered, signed, tpp_as};
use crate::forgeries::forgeries;
use crate::support::{TestGateway, parameter};

/// Claims of a request that is in order.
fn claims(tpp: &Tpp, verifier: &SecretString) -> Value {
    let now = tpp.clock.now().as_second();
    json!({
        "iss": tpp.client_id,
        "client_id": tpp.client_id,
        "aud": tpp.server["issuer"],
        "nbf": now,
        "exp": now + 300,
        "response_type": "code",
        "redirect_uri": RETURN,
        "scope": "accounts",
        "state": "inside",
        "code_challenge": crypto::digest::pkce_challenge(verifier.expose_secret()),
        "code_challenge_method": "S256",
    })
}

/// The same, changed; null takes a claim away.
fn changed(tpp: &Tpp, verifier: &SecretString, changes: &Value) -> Value {
    let mut claims = claims(tpp, verifier);
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// Pushes a request object, with parameters outside it.
async fn pushed(tpp: &Tpp, request: &str, outside: &[(&str, &str)]) -> Answer {
    let mut form = vec![("request", request)];
    form.extend(outside);
    tpp.authenticated(PAR, &form).await.unwrap()
}

async fn pushed_with(tpp: &Tpp, changes: &Value) -> Answer {
    pushed(tpp, &signed(&tpp.key, &changed(tpp, &verifier(), changes)), &[]).await
}

/// RFC 9101 §10.5, FAPI 2.0 MS §5.3.1 (MS1): a client that is registered to sign
/// pushes nothing unsigned.
/// [module: ensure-unsigned-request-at-par-endpoint-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_signs_pushes_nothing_unsigned() {
    let gw = TestGateway::start().await;
    let tpp = tpp_as(&gw, &json!({ "require_signed_request_object": true })).await;
    assert_error(&push(&tpp, &verifier(), &[]).await, 400, "invalid_request");
    assert_error(&push(&tpp, &verifier(), &[("request", Some(""))]).await, 400, "invalid_request");
    assert_eq!(pushed_with(&tpp, &json!({})).await.status, 201);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 MS §5.3.1 (MS2, MS3, MS4): what may differ is let through: an audience of
/// several, eight seconds ahead, an hour, no client_id or state inside, either typ.
/// [module: ensure-request-object-with-multiple-aud-succeeds]
/// [module: ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_object_in_order_is_taken() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let now = gw.clock.now().as_second();
    let issuer = gw.sandbox.access().issuer;
    for changes in [
        json!({}),
        json!({ "aud": [issuer, "https://elsewhere.example"] }),
        json!({ "nbf": now + 8 }),
        json!({ "nbf": now - 3_560, "exp": now + 40 }),
        json!({ "exp": now + 3_600 }),
        json!({ "client_id": null, "state": null }),
        json!({ "jti": "once", "iat": now, "unheard_of": { "a": 1 } }),
        json!({ "claims": { "id_token": { "acr": null } } }),
    ] {
        let answer = pushed_with(&tpp, &changes).await;
        assert_eq!(answer.status, 201, "{changes}: {}", answer.json());
    }
    for typ in ["oauth-authz-req+jwt", "application/oauth-authz-req+jwt", "JWT"] {
        let header = json!({ "alg": "ES256", "kid": tpp.key.kid(), "typ": typ });
        let claims = claims(&tpp, &verifier()).to_string();
        let request = raw_jws(&tpp.key, &header, claims.as_bytes());
        assert_eq!(pushed(&tpp, &request, &[]).await.status, 201, "{typ}");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 MS §5.3.1, RFC 9101 §6.3 (MS2, MS3, MS4, MS5): one claim that is wrong, and
/// the request is invalid_request_object.
/// [module: ensure-request-object-without-exp-fails]
/// [module: ensure-request-object-without-nbf-fails]
/// [module: ensure-expired-request-object-fails]
/// [module: ensure-request-object-with-bad-aud-fails]
/// [module: ensure-request-object-with-exp-over-60-fails]
/// [module: ensure-request-object-with-nbf-over-60-fails]
/// [module: par-authorization-request-containing-request_uri]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_object_with_one_wrong_claim_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let now = gw.clock.now().as_second();
    for changes in [
        json!({ "exp": null }),
        json!({ "exp": now - 1 }),
        json!({ "exp": "soon" }),
        json!({ "exp": now + 3_700 }),
        json!({ "nbf": null }),
        json!({ "nbf": now + 70 }),
        json!({ "nbf": now - 3_700 }),
        json!({ "nbf": now - 1_800, "exp": now + 1_900 }),
        json!({ "aud": null }),
        json!({ "aud": "https://elsewhere.example" }),
        json!({ "aud": ["https://elsewhere.example"] }),
        json!({ "aud": tpp.endpoint(PAR).unwrap() }),
        json!({ "iss": null }),
        json!({ "iss": "demo-fintech" }),
        json!({ "client_id": "demo-fintech" }),
        json!({ "client_id": 7 }),
        json!({ "request": "a.b.c" }),
        json!({ "request_uri": "urn:ietf:params:oauth:request_uri:x" }),
    ] {
        let answer = pushed_with(&tpp, &changes).await;
        assert_eq!(answer.status, 400, "{changes}");
        assert_error(&answer, 400, "invalid_request_object");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.4, RFC 8725 §2, §3, RFC 7515 §4 (MS5, AS18): a signature that is none,
/// weak, of another key or over other bytes; a key that the header brings; text that
/// two readers may read as two requests; another kind of JWT.
/// [module: ensure-signed-request-object-with-RS256-fails]
/// [module: ensure-request-object-signature-algorithm-is-not-none]
/// [module: ensure-request-object-with-invalid-signature-fails]
/// [module: ensure-matching-key-in-authorization-request]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_object_that_the_client_did_not_sign_is_refused() {
    let gw = TestGateway::start().await;
    let rsa = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "rsa-1").unwrap();
    let mut tpp = gw.tpp().await;
    tpp.key = Arc::new(rsa);
    tpp.register().await.unwrap();
    let other = gw.tpp().await;
    let good = claims(&tpp, &verifier());
    let mut refused = forgeries(&tpp.key, &good);
    let by_other = json!({ "alg": other.key.algorithm().as_str(), "kid": other.key.kid() });
    refused.push(("another client's key", raw_jws(&other.key, &by_other, good.to_string().as_bytes())));
    let proof = json!({ "alg": "PS256", "kid": "rsa-1", "typ": "dpop+jwt" });
    refused.push(("another kind of JWT", raw_jws(&tpp.key, &proof, good.to_string().as_bytes())));
    for (case, request) in refused {
        let answer = pushed(&tpp, &request, &[]).await;
        assert_eq!(answer.status, 400, "{case}");
        assert_error(&answer, 400, "invalid_request_object");
    }
    let large = json!({ "x": "x".repeat(70_000) });
    let answer = pushed(&tpp, &signed(&tpp.key, &large), &[]).await;
    assert_error(&answer, 400, "invalid_request");
    let whole = signed(&tpp.key, &good);
    assert_eq!(pushed(&tpp, &whole, &[]).await.status, 201);
    gw.sandbox.stop().await;
}

/// RFC 9101 §6.3, RFC 9126 §3 (MS6, AS22): only what is inside counts: nothing outside
/// completes the request, and nothing outside changes it.
/// [module: ensure-request-object-without-redirect-uri-fails]
/// [module: state-only-outside-request-object-not-used]
/// [module: ensure-different-state-inside-and-outside-request-object]
/// [module: ensure-different-nonce-inside-and-outside-request-object]
/// [module: par-without-duplicate-parameters]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_inside_a_request_object_counts() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for (name, error) in [
        ("redirect_uri", "invalid_request"),
        ("response_type", "invalid_request"),
        ("scope", "invalid_request"),
        ("code_challenge", "invalid_request"),
        ("code_challenge_method", "invalid_request"),
    ] {
        let claims = claims(&tpp, &verifier());
        let outside = claims[name].as_str().unwrap();
        let lacking = changed(&tpp, &verifier(), &json!({ name: null }));
        let answer = pushed(&tpp, &signed(&tpp.key, &lacking), &[(name, outside)]).await;
        assert_error(&answer, 400, error);
    }
    for (inside, expected) in [(json!("inside"), "inside"), (Value::Null, "")] {
        let verifier = verifier();
        let changes = json!({ "state": inside, "nonce": "inside", "scope": "openid accounts" });
        let request = signed(&tpp.key, &changed(&tpp, &verifier, &changes));
        let outside = [("state", "outside"), ("nonce", "outside"), ("scope", "payments")];
        let answer = pushed(&tpp, &request, &outside).await.expect(201).unwrap();
        // The link holds client_id and request_uri only; what is added does not count.
        let start = format!("{}&state=link&scope=payments", tpp.start_of(&answer).unwrap());
        let visit = gw.person().walk(&start, RETURN).await.unwrap();
        assert_eq!(parameter(&visit, "state"), expected);
        let answer = tpp.redeem(&parameter(&visit, "code"), &verifier).await.unwrap().expect(200).unwrap();
        assert_eq!(answer.text("/scope"), "openid accounts");
        let payload = answer.text("/id_token").split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload);
        assert_eq!(serde_json::from_slice::<Value>(&claims.unwrap()).unwrap()["nonce"], "inside");
    }
    gw.sandbox.stop().await;
}

/// RFC 9101 §10.5 (MS5, AS18): a client that pinned an algorithm uses no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_algorithm_is_the_only_one() {
    let gw = TestGateway::start().await;
    let pinned = |name: &str| json!({ "request_object_signing_alg": name, "token_endpoint_auth_signing_alg": "ES256" });
    let tpp = tpp_as(&gw, &pinned("PS256")).await;
    assert_error(&pushed_with(&tpp, &json!({})).await, 400, "invalid_request_object");
    let tpp = tpp_as(&gw, &pinned("ES256")).await;
    assert_eq!(pushed_with(&tpp, &json!({})).await.status, 201);
    let tpp = tpp_as(&gw, &json!({ "token_endpoint_auth_signing_alg": "EdDSA" })).await;
    let form = [("grant_type", "client_credentials"), ("scope", "accounts")];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// RFC 9126 §3 (MS4, AS11): a request object of one client, pushed by another, is
/// refused, whoever authenticates how.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_object_of_another_client_is_refused() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let theirs = signed(&other.key, &claims(&other, &verifier()));
    assert_error(&pushed(&tpp, &theirs, &[]).await, 400, "invalid_request_object");
    let keyless = registered(&tpp.http, &tpp, &metadata(&json!({}))).await;
    let form = [("request", theirs.as_str()), ("client_id", &keyless)];
    let answer = tpp.http.post_form(tpp.endpoint(PAR).unwrap(), &form).await.unwrap();
    assert_error(&answer, 400, "invalid_request_object");
    gw.sandbox.stop().await;
}
