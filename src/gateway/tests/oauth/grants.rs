//! Grant management (FAPI Grant Management for OAuth 2.0).

use std::collections::BTreeSet;

use consentry::demo::{Answer, RETURN, Tpp, bearer, verifier};
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::fintech::{TOKEN, assert_error, authorise, push, tokens, tpp_as};
use crate::support::{EU, TestGateway, UK, assert_problem, parameter, rows};

async fn client(gw: &TestGateway) -> Tpp {
    let grants = ["authorization_code", "client_credentials", "refresh_token"];
    tpp_as(gw, &json!({ "grant_types": grants })).await
}

/// `authorization_details` of fresh consents at these banks, with their ids.
async fn details(tpp: &Tpp, banks: &[&str]) -> (Vec<String>, String) {
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, banks).await.unwrap();
    let details: Vec<Value> =
        consents.iter().map(|id| json!({ "type": "account_access", "consent_id": id })).collect();
    (consents, json!(details).to_string())
}

/// What a grant at these banks gave, which may change an earlier one.
async fn granted(
    gw: &TestGateway,
    tpp: &Tpp,
    banks: &[&str],
    action: Option<(&str, &str)>,
) -> (Vec<String>, Answer) {
    let (consents, details) = details(tpp, banks).await;
    let mut changes = vec![("authorization_details", Some(details.as_str()))];
    if let Some((action, id)) = action {
        changes.push(("grant_management_action", Some(action)));
        changes.push(("grant_id", Some(id)));
    }
    (consents, tokens(gw, tpp, &changes).await)
}

/// Banks whose accounts a token reads; none if it is not valid.
async fn banks_of(tpp: &Tpp, token: &str) -> BTreeSet<String> {
    let answer = tpp.get(&SecretString::from(token.to_owned()), "/v1/accounts").await.unwrap();
    rows(&answer).iter().map(|row| row["institution_id"].as_str().unwrap().to_owned()).collect()
}

async fn managed(tpp: &Tpp, method: Method, token: &SecretString, id: &str) -> Answer {
    let url = format!("{}/{id}", tpp.endpoint("grant_management_endpoint").unwrap());
    tpp.http.send(method, &url, &[("authorization", &bearer(token))], "").await.unwrap()
}

fn set(banks: &[&str]) -> BTreeSet<String> {
    banks.iter().map(|bank| (*bank).to_owned()).collect()
}

/// FAPI Grant Management §6.3, §6.4 (AS28, C6): a client looks at its grants and gives
/// them back, each with a token of its own that says so; another client's, a revoked
/// and an unknown grant are not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_manages_its_own_grants_only() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (client(&gw).await, client(&gw).await);
    let (consents, answer) = granted(&gw, &tpp, &[UK], None).await;
    let id = answer.text("/grant_id");
    let look = tpp.own_token("grant_management_query").await.unwrap();
    let end = tpp.own_token("grant_management_revoke").await.unwrap();
    let shown = managed(&tpp, Method::GET, &look, &id).await.expect(200).unwrap();
    let details = json!([{ "type": "account_access", "consent_id": consents[0] }]);
    assert_eq!(shown.json()["authorization_details"], details);
    assert_eq!(shown.json()["scopes"], json!([{ "scope": "accounts" }]));
    assert_problem(&managed(&tpp, Method::GET, &end, &id).await, 403, "auth.scope");
    assert_problem(&managed(&tpp, Method::DELETE, &look, &id).await, 403, "auth.scope");
    let granted = SecretString::from(answer.text("/access_token"));
    assert_problem(&managed(&tpp, Method::GET, &granted, &id).await, 403, "auth.scope");
    for (scope, method) in
        [("grant_management_query", Method::GET), ("grant_management_revoke", Method::DELETE)]
    {
        let theirs = other.own_token(scope).await.unwrap();
        assert_problem(&managed(&other, method.clone(), &theirs, &id).await, 404, "resource.not_found");
        let own = tpp.own_token(scope).await.unwrap();
        for unknown in ["nonsense", "grt_00000000000000000000000000000000"] {
            assert_problem(&managed(&tpp, method.clone(), &own, unknown).await, 404, "resource.not_found");
        }
    }
    // The scopes are about the client's own tokens: no PSU gives them.
    let asked = push(&tpp, &verifier(), &[("scope", Some("grant_management_query"))]).await;
    assert_error(&asked, 400, "invalid_scope");
    gw.sandbox.stop().await;
}

/// FAPI Grant Management §5.2, §6.4 (RS3, R4): with a grant go its tokens, of both
/// kinds, and its consents, here and at their banks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_grant_takes_tokens_and_consents_along() {
    let gw = TestGateway::start().await;
    let tpp = client(&gw).await;
    let (consents, answer) = granted(&gw, &tpp, &[UK, EU], None).await;
    let (_, kept) = granted(&gw, &tpp, &[UK], None).await;
    let (id, token) = (answer.text("/grant_id"), answer.text("/access_token"));
    assert_eq!(banks_of(&tpp, &token).await, set(&[UK, EU]));
    let end = tpp.own_token("grant_management_revoke").await.unwrap();
    assert_eq!(managed(&tpp, Method::DELETE, &end, &id).await.status, 204);
    let gone = tpp.get(&SecretString::from(token), "/v1/accounts").await.unwrap();
    assert_problem(&gone, 401, "auth.token_invalid");
    let refresh = answer.text("/refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, "invalid_grant");
    for consent in &consents {
        gw.until_status(&tpp, consent, "REVOKED_BY_CLIENT").await;
    }
    assert_problem(&managed(&tpp, Method::DELETE, &end, &id).await, 404, "resource.not_found");
    assert_eq!(banks_of(&tpp, &kept.text("/access_token")).await, set(&[UK]));
    gw.sandbox.stop().await;
}

/// FAPI Grant Management §5.1 (AS28): merge adds a second bank to a grant: the same id,
/// and the token from before reads both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_bank_is_merged_into_a_grant() {
    let gw = TestGateway::start().await;
    let tpp = client(&gw).await;
    let (_, first) = granted(&gw, &tpp, &[UK], None).await;
    let id = first.text("/grant_id");
    assert_eq!(banks_of(&tpp, &first.text("/access_token")).await, set(&[UK]));
    let (_, second) = granted(&gw, &tpp, &[EU], Some(("merge", &id))).await;
    assert_eq!(second.text("/grant_id"), id);
    assert_eq!(second.json()["authorization_details"].as_array().unwrap().len(), 2);
    for token in [first.text("/access_token"), second.text("/access_token")] {
        assert_eq!(banks_of(&tpp, &token).await, set(&[UK, EU]));
    }
    let look = tpp.own_token("grant_management_query").await.unwrap();
    let shown = managed(&tpp, Method::GET, &look, &id).await.expect(200).unwrap();
    assert_eq!(shown.json()["authorization_details"].as_array().unwrap().len(), 2);
    gw.sandbox.stop().await;
}

/// FAPI Grant Management §5.1 (AS16, RS3): replace keeps the id and nothing else: tokens
/// of what was replaced open and refresh nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replaced_opens_nothing_any_more() {
    let gw = TestGateway::start().await;
    let tpp = client(&gw).await;
    let (_, details) = details(&tpp, &[UK]).await;
    let changes = [
        ("authorization_details", Some(details.as_str())),
        ("scope", Some("accounts payments")),
        ("grant_management_action", Some("create")),
    ];
    let first = tokens(&gw, &tpp, &changes).await;
    let id = first.text("/grant_id");
    let (_, second) = granted(&gw, &tpp, &[EU], Some(("replace", &id))).await;
    assert_eq!((second.text("/grant_id"), second.text("/scope")), (id, "accounts".to_owned()));
    assert_eq!(banks_of(&tpp, &second.text("/access_token")).await, set(&[EU]));
    let old = SecretString::from(first.text("/access_token"));
    assert_problem(&tpp.get(&old, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    let refresh = first.text("/refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, "invalid_grant");
    gw.sandbox.stop().await;
}

/// FAPI Grant Management §5.1, §5.3 (AS28): an action and an id that do not fit, or a
/// grant that is not the client's, are refused when pushed; one that was revoked
/// meanwhile when the PSU comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_own_grant_that_lives_can_be_changed() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (client(&gw).await, client(&gw).await);
    let (_, first) = granted(&gw, &tpp, &[UK], None).await;
    let id = first.text("/grant_id");
    let (_, theirs) = granted(&gw, &other, &[UK], None).await;
    let theirs = theirs.text("/grant_id");
    for (action, id, error) in [
        (Some("create"), Some(id.as_str()), "invalid_request"),
        (Some("destroy"), Some(&id), "invalid_request"),
        (Some("merge"), None, "invalid_request"),
        (Some("replace"), None, "invalid_request"),
        (None, Some(&id), "invalid_request"),
        (Some("merge"), Some(&theirs), "invalid_grant_id"),
        (Some("replace"), Some(&theirs), "invalid_grant_id"),
        (Some("merge"), Some("nonsense"), "invalid_grant_id"),
    ] {
        let changes = [("grant_management_action", action), ("grant_id", id)];
        assert_error(&push(&tpp, &verifier(), &changes).await, 400, error);
    }
    let merge = [("grant_management_action", Some("merge")), ("grant_id", Some(id.as_str()))];
    let pushed = push(&tpp, &verifier(), &merge).await.expect(201).unwrap();
    let end = tpp.own_token("grant_management_revoke").await.unwrap();
    assert_eq!(managed(&tpp, Method::DELETE, &end, &id).await.status, 204);
    let visit = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "invalid_grant_id");
    assert_error(&push(&tpp, &verifier(), &merge).await, 400, "invalid_grant_id");
    // A grant of its own is not touched by any of it.
    assert!(!parameter(&authorise(&gw, &tpp, &verifier(), &[]).await, "code").is_empty());
    gw.sandbox.stop().await;
}
