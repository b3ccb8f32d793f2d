//! The guard of the API (FAPI 2.0 SP §5.3.4, RFC 8705 §3) and revocation
//! (RFC 7009).

use consentry::demo::{Answer, Tpp, verifier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::fintech::{
    REVOKE, assert_error, authorise, authority, metadata, own_token_of, registered, subject, tpp_with,
};
use crate::support::{TestGateway, UK, assert_problem, parameter};

const PATH: &str = "/v1/accounts";

async fn get(tpp: &Tpp, path: &str, headers: &[(&str, &str)]) -> Answer {
    tpp.http.get(&format!("{}{path}", tpp.api), headers).await.unwrap()
}

/// RFC 6750 §2.1, FAPI 2.0 SP §5.3.4-2 (RS2): a token is in the header, once;
/// not in the address, not in a form; the scheme's case does not matter.
/// [module: access-token-type-header-case-sensitivity]
/// [module: happy-flow]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_from_the_authorization_header_only() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let token = granted.token.expose_secret();
    for scheme in ["Bearer", "bearer", "bEaReR"] {
        let answer = get(&tpp, PATH, &[("authorization", &format!("{scheme} {token}"))]).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    let in_address = get(&tpp, &format!("{PATH}?access_token={token}"), &[]).await;
    assert_problem(&in_address, 401, "auth.token_missing");
    let url = format!("{}/v1/consents", tpp.api);
    let in_form = tpp.http.post_form(&url, &[("access_token", token)]).await.unwrap();
    assert_problem(&in_form, 401, "auth.token_missing");
    for value in [format!("Basic {token}"), token.to_owned(), "Bearer".to_owned()] {
        assert_problem(&get(&tpp, PATH, &[("authorization", &value)]).await, 401, "auth.token_missing");
    }
    let value = format!("Bearer {token}");
    let twice = get(&tpp, PATH, &[("authorization", &value), ("authorization", &value)]).await;
    assert_problem(&twice, 401, "auth.token_missing");
    gw.sandbox.stop().await;
}

/// RFC 9110 §12.5.1 (RS2): whatever a client says it accepts, the API answers JSON, as the
/// token endpoint does.
/// [module: happy-flow]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_json_whatever_is_accepted() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let bearer = consentry::demo::bearer(&own);
    for accept in ["application/json", "application/json;charset=utf-8", "*/*", "text/html, */*;q=0.8", ""] {
        let headers = [("authorization", bearer.as_str()), ("accept", accept)];
        let answer = get(&tpp, PATH, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
        let form = [("grant_type", "client_credentials"), ("scope", "accounts")];
        let answer =
            tpp.authenticated_with(crate::fintech::TOKEN, &[("accept", accept)], &form).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    }
    gw.sandbox.stop().await;
}

/// RFC 6750 §3 (RS3, RS7): an unknown token is refused with a challenge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_token_is_refused_with_a_challenge() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for token in ["x", "", &"y".repeat(43), "' or 1=1 --"] {
        let answer = tpp.get(&SecretString::from(token), PATH).await.unwrap();
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.4 (RS3): a token ends when it said it would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_refused() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let path = format!("/v1/consents/{}", granted.consents[0]);
    assert_eq!(tpp.get(&granted.token, &path).await.unwrap().status, 200);
    clock.advance(901);
    assert_problem(&tpp.get(&granted.token, &path).await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// RFC 8705 §3 (RS4, M4): a token works on connections with its certificate
/// only; not with a renewed one, not with another client's, not without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_bound_to_the_certificate_it_was_issued_over() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let renewed = tpp_with(&gw, &tpp, &authority(&gw).issue_qwac(&subject()).unwrap());
    let answer = renewed.get(&granted.token, PATH).await.unwrap();
    assert_problem(&answer, 401, "auth.certificate_mismatch");
    let mut bare = tpp.clone();
    bare.http = gw.anybody();
    let answer = bare.get(&granted.token, PATH).await.unwrap();
    assert_problem(&answer, 401, "auth.certificate_missing");
    assert_eq!(tpp.get(&granted.token, PATH).await.unwrap().status, 200);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (RS6): one's own token and a grant without consents read nothing, a token for
/// payments no consents, and one for accounts orders no payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_and_consent_are_both_needed() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts payments").await.unwrap();
    assert_eq!(tpp.get(&own, PATH).await.unwrap().json()["data"], json!([]));
    let pays = tpp.own_token("payments").await.unwrap();
    assert_problem(&tpp.get(&pays, PATH).await.unwrap(), 403, "auth.scope");
    let body =
        json!({ "type": "ACCOUNT_INFORMATION", "institution_id": UK, "permissions": ["READ_BALANCES"] });
    assert_problem(&tpp.post(&pays, "/v1/consents", &body).await.unwrap(), 403, "auth.scope");
    let reads = tpp.own_token("accounts").await.unwrap();
    let order = Tpp::small_payment(UK);
    assert_problem(&tpp.post(&reads, "/v1/payments", &order).await.unwrap(), 403, "auth.scope");
    let verifier = verifier();
    let code = parameter(&authorise(&gw, &tpp, &verifier, &[]).await, "code");
    let empty = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap().text("/access_token");
    assert_eq!(tpp.get(&empty.into(), PATH).await.unwrap().json()["data"], json!([]));
    gw.sandbox.stop().await;
}

/// Invariant 2 (RS6): what belongs to one client is not there for another, not even
/// one of the same organisation with the same certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_clients_consents_and_payments_are_not_there() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let own = tpp.own_token("accounts payments").await.unwrap();
    let theirs = other.own_token("accounts payments").await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let payment = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    for path in [format!("/v1/consents/{consent}"), format!("/v1/payments/{}", payment.text("/id"))] {
        assert_eq!(tpp.get(&own, &path).await.unwrap().status, 200);
        assert_problem(&other.get(&theirs, &path).await.unwrap(), 404, "resource.not_found");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP (RS8, RS11): account data is not cached, and every answer can be named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_data_is_not_cached_and_every_answer_has_an_id_and_a_date() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let answer = tpp.get(&granted.token, PATH).await.unwrap().expect(200).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("date").is_some());
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    gw.sandbox.stop().await;
}

/// FAPI 2.0 Implementation Advice (RS8): on success and on error, and nothing else is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interaction_id_comes_back_as_it_was() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let id = "93bac548-d2de-4546-b106-880a5018460D";
    for (sent, back) in
        [(id, Some(id)), ("93bac548-d2de-4546-b106", None), ("<script>alert(1)</script>", None)]
    {
        for token in [granted.token.expose_secret(), "nonsense"] {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("x-fapi-interaction-id", sent)];
            let answer = get(&tpp, PATH, &headers).await;
            assert_eq!(answer.header("x-fapi-interaction-id"), back);
        }
    }
    gw.sandbox.stop().await;
}

/// RFC 7009 §2 (R1, R2, R3): authenticated; an unknown token is no error; a
/// client revokes its own tokens only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_revokes_its_own_tokens_only() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let granted = gw.granted(&tpp, &[UK]).await;
    let token = [("token", granted.token.expose_secret())];
    let revoke = tpp.endpoint(REVOKE).unwrap();
    assert_error(&tpp.http.post_form(revoke, &token).await.unwrap(), 401, "invalid_client");
    assert_eq!(other.authenticated(REVOKE, &token).await.unwrap().status, 200);
    assert_eq!(tpp.get(&granted.token, PATH).await.unwrap().status, 200);
    for hint in ["access_token", "refresh_token", "nonsense"] {
        let form = [("token", "unknown"), ("token_type_hint", hint)];
        assert_eq!(tpp.authenticated(REVOKE, &form).await.unwrap().status, 200);
    }
    assert_error(&tpp.authenticated(REVOKE, &[]).await.unwrap(), 400, "invalid_request");
    assert_eq!(tpp.authenticated(REVOKE, &token).await.unwrap().status, 200);
    assert_problem(&tpp.get(&granted.token, PATH).await.unwrap(), 401, "auth.token_invalid");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.1-4 (AS14, AS24): no certificate, no token; and openid is
/// about a person, which a client's own token is not.
/// [module: ensure-holder-of-key-required]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_token_needs_a_certificate_and_a_scope_of_its_own() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let mut bare = tpp.clone();
    bare.http = gw.anybody();
    bare.own_token("accounts").await.unwrap_err();
    let id = registered(&tpp.http, &tpp, &metadata(&json!({ "scope": "openid accounts" }))).await;
    for scope in ["openid", "payments", "admin"] {
        assert_error(&own_token_of(&tpp.http, &tpp, &id, scope).await, 400, "invalid_scope");
    }
    let answer = own_token_of(&tpp.http, &tpp, &id, "openid accounts").await;
    assert_eq!((answer.status.as_u16(), answer.text("/scope").as_str()), (200, "accounts"));
    gw.sandbox.stop().await;
}

/// Invariant 7 (AS19): tokens and codes are kept as digests; the files do not hold them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issued_tokens_and_codes_are_not_in_the_database() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let mut bytes = Vec::new();
    for suffix in ["", "-wal"] {
        let file = gw.folder().join(format!("data/global.sqlite{suffix}"));
        bytes.extend(std::fs::read(file).unwrap_or_default());
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let digest = crypto::digest::sha256_hex(granted.token.expose_secret().as_bytes());
    let (stores, now) = (gw.sandbox.gateway().stores().global().clone(), gw.clock.now());
    assert!(stores.live_token(&digest, now).await.unwrap().is_some());
    assert!(stores.live_token(granted.token.expose_secret(), now).await.unwrap().is_none());
    assert!(bytes.is_empty() || holds(&digest), "the search finds what is there");
    for secret in [granted.token.expose_secret(), granted.own.expose_secret(), &granted.code] {
        assert!(!holds(secret));
    }
    gw.sandbox.stop().await;
}
