//! DPoP at the authorization server (RFC 9449 §5, §8, §10).

use consentry::demo::{RETURN, Tpp, verifier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fintech::{PAR, TOKEN, assert_error, introspected, push, request, tpp_as};
use crate::prover::{Prover, right};
use crate::support::{TestGateway, Wanted, assert_problem, parameter};

const OWN: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", "accounts")];

fn redeeming<'a>(code: &'a str, verifier: &'a SecretString) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", RETURN),
        ("code_verifier", verifier.expose_secret()),
    ]
}

/// RFC 9449 §5, §6 (AS14, AS15, N3): a token for a proof is of type DPoP, bound
/// to its key, and introspection says to which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_a_proof_is_bound_to_the_key_of_the_proof() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let prover = Prover::new(&gw);
    let token = prover.own_token(&tpp, "accounts").await;
    let described = introspected(&tpp, token.expose_secret()).await;
    assert_eq!(described["token_type"], "DPoP");
    assert_eq!(described["cnf"], json!({ "jkt": prover.jkt() }));
    assert_eq!(prover.get(&tpp, &token, "/v1/accounts", right).await.status, 200);
    assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.dpop_proof");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.1-4, RFC 9449 §5.2 (AS14): a client of DPoP tokens needs no
/// certificate and always a proof; any other one needs one of the two.
/// [module: ensure-holder-of-key-required]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_or_a_proof_there_is_no_token() {
    let gw = TestGateway::start().await;
    let mut bound = tpp_as(&gw, &json!({ "dpop_bound_access_tokens": true })).await;
    assert_error(&bound.authenticated(TOKEN, &OWN).await.unwrap(), 400, "invalid_dpop_proof");
    bound.http = gw.anybody();
    assert_error(&bound.authenticated(TOKEN, &OWN).await.unwrap(), 400, "invalid_dpop_proof");
    let prover = Prover::new(&gw);
    assert_eq!(prover.post(&bound, TOKEN, &OWN, right).await.status, 200);
    let mut free = gw.tpp().await;
    assert_eq!(free.authenticated(TOKEN, &OWN).await.unwrap().text("/token_type"), "Bearer");
    free.http = gw.anybody();
    assert_error(&free.authenticated(TOKEN, &OWN).await.unwrap(), 401, "invalid_client");
    assert_eq!(prover.post(&free, TOKEN, &OWN, right).await.text("/token_type"), "DPoP");
    gw.sandbox.stop().await;
}

/// RFC 9449 §4.3, §5 (AS15): a proof at the token endpoint and at PAR is about that
/// request; a wrong one is invalid_dpop_proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_proof_at_the_token_endpoint_or_at_par_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let prover = Prover::new(&gw);
    let now = gw.clock.now().as_second();
    let form = request(&verifier(), &[]);
    let pushed: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (endpoint, elsewhere, form, status) in [(TOKEN, PAR, &OWN[..], 200), (PAR, TOKEN, &pushed, 201)] {
        let elsewhere = tpp.endpoint(elsewhere).unwrap();
        for (name, value) in [
            ("htu", json!(elsewhere)),
            ("htm", json!("GET")),
            ("iat", json!(now - 3_600)),
            ("iat", json!(now + 3_600)),
            ("jti", Value::Null),
        ] {
            let answer = prover.post(&tpp, endpoint, form, |_, claims| claims[name] = value.clone()).await;
            assert_error(&answer, 400, "invalid_dpop_proof");
        }
        for (name, value) in [("typ", json!("JWT")), ("alg", json!("none")), ("jwk", Value::Null)] {
            let answer = prover.post(&tpp, endpoint, form, |header, _| header[name] = value.clone()).await;
            assert_error(&answer, 400, "invalid_dpop_proof");
        }
        let (one, two) = ("a.b.c", "a.b.c");
        let answer = tpp.authenticated_with(endpoint, &[("dpop", one), ("dpop", two)], form).await.unwrap();
        assert_error(&answer, 400, "invalid_dpop_proof");
        let proof = prover.proof("POST", tpp.endpoint(endpoint).unwrap(), None, right);
        let once = tpp.authenticated_with(endpoint, &[("dpop", &proof)], form).await.unwrap();
        assert_eq!(once.status, status);
        let again = tpp.authenticated_with(endpoint, &[("dpop", &proof)], form).await.unwrap();
        assert_error(&again, 400, "invalid_dpop_proof");
    }
    gw.sandbox.stop().await;
}

/// A code of a request that was bound, and its verifier.
async fn bound_code(gw: &TestGateway, tpp: &Tpp, prover: &Prover, by_proof: bool) -> (String, SecretString) {
    let verifier = verifier();
    let pushed = if by_proof {
        let form = request(&verifier, &[]);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prover.post(tpp, PAR, &form, right).await
    } else {
        push(tpp, &verifier, &[("dpop_jkt", Some(&prover.jkt()))]).await
    };
    let start = tpp.start_of(&pushed.expect(201).unwrap()).unwrap();
    let visit = gw.person().walk(&start, RETURN).await.unwrap();
    (parameter(&visit, "code"), verifier)
}

/// RFC 9449 §10, §10.1 (AS15): a code is bound to the key of `dpop_jkt`, or of the
/// proof at PAR; no other key, and no certificate, redeems it.
/// [module: ensure-dpop-auth-code-binding-success]
/// [module: ensure-dpopproof-at-par-endpoint-binding-success]
/// [module: ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt]
/// [module: ensure-token-endpoint-fails-with-mismatched-dpop-jkt]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_redeemed_by_the_key_it_was_bound_to_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (prover, other) = (Prover::new(&gw), Prover::new(&gw));
    for by_proof in [true, false] {
        let (code, verifier) = bound_code(&gw, &tpp, &prover, by_proof).await;
        let form = redeeming(&code, &verifier);
        assert_error(&other.post(&tpp, TOKEN, &form, right).await, 400, "invalid_grant");
        assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, "invalid_grant");
        let answer = prover.post(&tpp, TOKEN, &form, right).await.expect(200).unwrap();
        assert_eq!(answer.text("/token_type"), "DPoP");
        let token = SecretString::from(answer.text("/access_token"));
        assert_eq!(prover.get(&tpp, &token, "/v1/accounts", right).await.status, 200);
    }
    gw.sandbox.stop().await;
}

/// RFC 9449 §10.1 (AS15): `dpop_jkt` that is not the key of the proof beside it, or
/// no thumbprint, is invalid_request.
/// [module: ensure-mismatched-dpop-jkt-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dpop_jkt_that_is_not_the_key_of_the_proof_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (prover, other) = (Prover::new(&gw), Prover::new(&gw));
    let (own, foreign) = (prover.jkt(), other.jkt());
    for (jkt, status) in [(own.as_str(), 201), (foreign.as_str(), 400), ("nonsense", 400)] {
        let form = request(&verifier(), &[("dpop_jkt", Some(jkt))]);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = prover.post(&tpp, PAR, &form, right).await;
        assert_eq!(answer.status, status);
        if status == 400 {
            assert_error(&answer, 400, "invalid_request");
        }
    }
    gw.sandbox.stop().await;
}

/// RFC 9449 §5 (AS14, AS16): a refreshed token is bound to the key of that request.
/// [module: refresh-token]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_token_is_bound_to_the_key_that_proves() {
    let gw = TestGateway::start().await;
    let grants = json!(["authorization_code", "refresh_token", "client_credentials"]);
    let mut tpp = tpp_as(&gw, &json!({ "grant_types": grants, "dpop_bound_access_tokens": true })).await;
    tpp.http = gw.anybody();
    let (prover, next) = (Prover::new(&gw), Prover::new(&gw));
    let (code, verifier) = bound_code(&gw, &tpp, &prover, false).await;
    let answer = prover.post(&tpp, TOKEN, &redeeming(&code, &verifier), right).await.expect(200).unwrap();
    let refresh = answer.text("/refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh)];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, "invalid_dpop_proof");
    let answer = next.post(&tpp, TOKEN, &form, right).await.expect(200).unwrap();
    let token = SecretString::from(answer.text("/access_token"));
    assert_eq!(next.get(&tpp, &token, "/v1/accounts", right).await.status, 200);
    assert_problem(&prover.get(&tpp, &token, "/v1/accounts", right).await, 401, "auth.dpop_proof");
    gw.sandbox.stop().await;
}

/// RFC 9449 §8 (AS15): use_dpop_nonce tells the nonce, uses nothing up, and the same
/// request with it is answered; at PAR as at the token endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_wants_its_nonce_and_a_retry_with_it_succeeds() {
    let gw = TestGateway::wanted(Wanted { require_dpop_nonce: true, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let prover = Prover::new(&gw);
    let form = request(&verifier(), &[]);
    let pushed: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (endpoint, form, status) in [(TOKEN, &OWN[..], 200), (PAR, &pushed, 201)] {
        let told = prover.post(&tpp, endpoint, form, right).await;
        assert_error(&told, 400, "use_dpop_nonce");
        let nonce = told.header("dpop-nonce").unwrap().to_owned();
        assert!(nonce.len() >= 22, "128 bits and more");
        let wrong = prover.post(&tpp, endpoint, form, |_, claims| claims["nonce"] = json!("x")).await;
        assert_error(&wrong, 400, "use_dpop_nonce");
        let retried = prover.post(&tpp, endpoint, form, |_, claims| claims["nonce"] = json!(nonce)).await;
        assert_eq!(retried.status, status);
        assert!(retried.header("dpop-nonce").is_some(), "the next nonce is offered");
    }
    // The assertion beside a proof without nonce was not used up.
    let assertion = tpp.assertion(|_| {}).unwrap();
    let url = tpp.endpoint(TOKEN).unwrap();
    let mut nonce = None;
    for status in [400, 200] {
        let given = nonce.clone();
        let proof = prover.proof("POST", url, None, |_, claims| {
            claims.as_object_mut().unwrap().extend(given.map(|nonce| ("nonce".to_owned(), nonce)));
        });
        let mut form = OWN.to_vec();
        form.push(("client_assertion_type", crate::fintech::JWT_BEARER));
        form.push(("client_assertion", &assertion));
        let answer = tpp.http.post_form_with(url, &[("dpop", &proof)], &form).await.unwrap();
        assert_eq!(answer.status, status);
        nonce = answer.header("dpop-nonce").map(|nonce| json!(nonce));
    }
    // Tokens of a certificate need no nonce.
    tpp.own_token("accounts").await.unwrap();
    gw.sandbox.stop().await;
}
