//! From the PSU's answer to a token: codes, and the requests they answer.

use std::sync::Arc;

use consentry::demo::{RETURN, verifier};
use crypto::{Algorithm, Jwks, jws};
use domain::{Clock, ManualClock, SystemClock};
use http::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::fintech::{TOKEN, assert_error, authorise, push};
use crate::support::{TestGateway, UK, Wanted, assert_problem, parameter};

/// RFC 9207 §2, RFC 6749 §4.1.2 (AS7, AS19, AS22): code, state and iss, and nothing else.
/// [module: happy-flow]
/// [module: ensure-authorization-request-without-state-success]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_answers_with_code_state_and_iss() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let visit = authorise(&gw, &tpp, &verifier(), &[("state", Some("abc"))]).await;
    assert!(visit.url.as_str().starts_with(&format!("{RETURN}?")));
    assert_eq!(parameter(&visit, "iss"), gw.sandbox.access().issuer);
    assert_eq!(parameter(&visit, "state"), "abc");
    // AS19: 256 bits in base64url.
    assert_eq!(parameter(&visit, "code").len(), 43);
    assert_eq!(visit.url.query_pairs().count(), 3);
    let without = authorise(&gw, &tpp, &verifier(), &[("state", None)]).await;
    assert!(without.url.query_pairs().all(|(name, _)| name != "state"));
    gw.sandbox.stop().await;
}

/// RFC 6749 §4.1.2.1, RFC 9207 §2 (AS7, AS23): a refusal is access_denied with
/// state and iss, and ends the consent.
/// [module: user-rejects-authentication]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_answers_with_access_denied_state_and_iss() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap();
    let mut person = gw.person();
    person.decision = "decline";
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "access_denied");
    assert_eq!(parameter(&visit, "state"), "demo-state");
    assert_eq!(parameter(&visit, "iss"), gw.sandbox.access().issuer);
    assert_eq!(parameter(&visit, "code"), "");
    let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
    assert_eq!(consent.text("/status"), "REJECTED");
    // The request is over: the link works no more.
    let again = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(again.page.unwrap().status, 400);
    gw.sandbox.stop().await;
}

/// RFC 6749 §4.1.2 (AS9): a code used twice revokes what the first use gave.
/// [module: attempt-reuse-authorization-code-after-one-second]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_code_revokes_the_token_it_gave() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    // Long after the code itself would have expired, and been forgotten.
    clock.advance(300);
    gw.sandbox.gateway().stores().global().forget_expired(gw.clock.now()).await.unwrap();
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let replay = tpp.redeem(&granted.code, &granted.verifier).await.unwrap();
    assert_error(&replay, 400, "invalid_grant");
    assert_problem(&tpp.get(&granted.token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (AS9): of many who redeem one code at the same time at most one gets a token,
/// and whatever was given is revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_redeemed_many_times_at_once_leaves_no_token() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let verifier = verifier();
    let code = parameter(&authorise(&gw, &tpp, &verifier, &[]).await, "code");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, code, verifier) = (tpp.clone(), code.clone(), verifier.clone());
        tries.spawn(async move { tpp.redeem(&code, &verifier).await.unwrap() });
    }
    let answers = tries.join_all().await;
    let given: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(given.len(), 1);
    let token = SecretString::from(given[0].text("/access_token"));
    assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.1-11 (AS9): a code lives 60 seconds at most.
/// [module: ensure-token-endpoint-fails-with-expired-auth-code]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_older_than_a_minute_is_refused() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let (one, other) = (verifier(), verifier());
    let fresh = parameter(&authorise(&gw, &tpp, &one, &[]).await, "code");
    clock.advance(55);
    assert_eq!(tpp.redeem(&fresh, &one).await.unwrap().status, 200);
    let stale = parameter(&authorise(&gw, &tpp, &other, &[]).await, "code");
    clock.advance(61);
    assert_error(&tpp.redeem(&stale, &other).await.unwrap(), 400, "invalid_grant");
    gw.sandbox.stop().await;
}

/// RFC 6749 §4.1.3, RFC 7636 §4.6 (AS5, AS9): bound to client, redirect_uri and verifier.
/// A wrong try does not use the code up, so nobody can burn another's.
/// [module: ensure-authorization-code-is-bound-to-client]
/// [module: ensure-pkce-code-verifier-required]
/// [module: incorrect-pkce-code-verifier-rejected]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_bound_to_client_redirect_uri_and_verifier() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let verifier = verifier();
    let code = parameter(&authorise(&gw, &tpp, &verifier, &[]).await, "code");
    assert_error(&other.redeem(&code, &verifier).await.unwrap(), 400, "invalid_grant");
    let wrong = consentry::demo::verifier();
    assert_error(&tpp.redeem(&code, &wrong).await.unwrap(), 400, "invalid_grant");
    let grant = ("grant_type", "authorization_code");
    let secret = secrecy::ExposeSecret::expose_secret(&verifier);
    for (rest, error) in [
        (vec![("code", code.as_str()), ("redirect_uri", RETURN)], "invalid_grant"),
        (vec![("code", code.as_str()), ("code_verifier", secret)], "invalid_request"),
        (vec![("redirect_uri", RETURN), ("code_verifier", secret)], "invalid_request"),
        (
            vec![("code", &code), ("redirect_uri", "https://evil.example"), ("code_verifier", secret)],
            "invalid_grant",
        ),
        (vec![("code", "nonsense"), ("redirect_uri", RETURN), ("code_verifier", secret)], "invalid_grant"),
    ] {
        let mut form = vec![grant];
        form.extend(rest);
        assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, error);
    }
    assert_eq!(tpp.redeem(&code, &verifier).await.unwrap().status, 200);
    gw.sandbox.stop().await;
}

/// RFC 6749 §5.2 (AS17): there is no other grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_grant_types_are_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for grant in ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"] {
        let answer = tpp.authenticated(TOKEN, &[("grant_type", grant)]).await.unwrap();
        assert_error(&answer, 400, "unsupported_grant_type");
    }
    assert_error(&tpp.authenticated(TOKEN, &[]).await.unwrap(), 400, "invalid_request");
    // One that exists, for a client that is not registered for it.
    let answer = tpp.authenticated(TOKEN, &[("grant_type", "refresh_token")]).await.unwrap();
    assert_error(&answer, 400, "unauthorized_client");
    gw.sandbox.stop().await;
}

/// RFC 6749 §5.1, RFC 9396 §7 (AS27, AS28): what is granted is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_answer_says_what_was_granted() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.unwrap();
    let visit = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let answer = tpp.redeem(&parameter(&visit, "code"), &verifier).await.unwrap().expect(200).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert!(body["expires_in"].as_u64().is_some_and(|seconds| seconds <= 900));
    assert_eq!(body["scope"], "accounts");
    assert_eq!(
        body["authorization_details"],
        json!([{ "type": "account_access", "consent_id": consents[0] }])
    );
    assert_eq!(body["access_token"].as_str().unwrap().len(), 43);
    assert!(body["refresh_token"].is_null() && body["id_token"].is_null());
    gw.sandbox.stop().await;
}

/// OpenID Connect Core §2, §3.1.3.7 (AS20, AS25, RS9): signed by a published key, for
/// this client, with its nonce whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_is_signed_for_this_client_and_nonce() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (verifier, nonce) = (verifier(), "n".repeat(64));
    let changes = [("scope", Some("openid accounts")), ("nonce", Some(nonce.as_str()))];
    let code = parameter(&authorise(&gw, &tpp, &verifier, &changes).await, "code");
    let answer = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
    let set = tpp.http.get(tpp.endpoint("jwks_uri").unwrap(), &[]).await.unwrap().json();
    let keys = Jwks::from_value(&set).unwrap();
    let verified = jws::verify_compact(&answer.text("/id_token"), &keys, &[Algorithm::Ps256]).unwrap();
    assert_eq!(verified.header["kid"], set["keys"][0]["kid"]);
    let claims = verified.claims().unwrap();
    assert_eq!(claims["iss"], gw.sandbox.access().issuer);
    assert_eq!(claims["aud"], tpp.client_id);
    assert_eq!(claims["nonce"], nonce);
    let now = gw.clock.now().as_second();
    assert!(claims["exp"].as_i64().unwrap() > now && claims["iat"].as_i64().unwrap() <= now);
    // RS9: it is no access token.
    let id_token = SecretString::from(answer.text("/id_token"));
    assert_problem(&tpp.get(&id_token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// RFC 9126 §4, FAPI 2.0 SP §5.3.2.2 note 3 (AS10): a reference belongs to its
/// client, expires, may be reloaded until it is answered, and not after.
/// [module: par-ensure-reused-request-uri-prior-to-auth-completion-succeeds]
/// [module: par-attempt-reuse-request_uri]
/// [module: par-attempt-to-use-expired-request_uri]
/// [module: par-attempt-to-use-request_uri-for-different-client]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_uri_is_reloaded_until_answered_and_then_over() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let pushed = push(&tpp, &verifier(), &[]).await;
    let start = url::Url::parse(&tpp.start_of(&pushed).unwrap()).unwrap();
    let stolen = other.start_of(&pushed).unwrap();
    assert_eq!(tpp.http.get(&stolen, &[]).await.unwrap().status, 400);
    // A first visit, in a browser that then goes away; also a reload in the one that stays.
    for _ in 0..2 {
        assert_eq!(gw.person().request(Method::GET, &start, None).await.unwrap().status, 303);
    }
    let visit = gw.person().walk(start.as_str(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "code").len(), 43);
    let again = gw.person().walk(start.as_str(), RETURN).await.unwrap();
    assert_eq!(again.page.unwrap().status, 400);

    let late = push(&tpp, &verifier(), &[]).await;
    clock.advance(late.json()["expires_in"].as_i64().unwrap());
    assert_eq!(tpp.http.get(&tpp.start_of(&late).unwrap(), &[]).await.unwrap().status, 400);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (AS10): two browsers on one request: one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_gives_one_code_in_however_many_browsers() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let start = tpp.start_of(&push(&tpp, &verifier(), &[]).await).unwrap();
    let mut walks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (mut person, start) = (gw.person(), start.clone());
        walks.spawn(async move { person.walk(&start, RETURN).await.unwrap() });
    }
    let ended = walks.join_all().await;
    let codes = ended.iter().filter(|visit| !parameter(visit, "code").is_empty()).count();
    assert_eq!(codes, 1);
    let refused = ended.iter().filter_map(|visit| visit.page.as_ref());
    assert!(refused.into_iter().all(|page| page.status == 400));
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (AS10): a PSU who takes longer to decide than the reference lives still ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_person_is_not_turned_away_at_the_end() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let wanted = Wanted { auto_approve: false, clock: clock.clone(), ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.unwrap();
    let start = url::Url::parse(&tpp.start_of(&pushed).unwrap()).unwrap();
    let mut person = gw.person();
    let opened = person.request(Method::GET, &start, None).await.unwrap();
    let page = start.join(opened.header("location").unwrap()).unwrap();
    clock.advance(600);
    gw.sandbox.gateway().stores().global().forget_expired(gw.clock.now()).await.unwrap();
    let visit = person.walk(page.as_str(), RETURN).await.unwrap();
    let code = parameter(&visit, "code");
    assert_eq!(tpp.redeem(&code, &verifier).await.unwrap().status, 200);
    gw.sandbox.stop().await;
}
