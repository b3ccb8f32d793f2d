//! Pushed authorization requests (RFC 9126): the only way to ask a PSU.

use consentry::demo::{RETURN, verifier};
use crypto::Psd2Role;
use serde_json::json;

use crate::fintech::{PAR, assert_error, authority, push, registered, request, subject, tpp_with};
use crate::support::{EU, TestGateway, UK, parameter};

/// FAPI 2.0 SP §5.3.2.2-3 (AS4, AS22): whatever the address holds, a request that was not
/// pushed is refused, and nobody is sent anywhere.
/// [module: ensure-unsigned-authorization-request-without-using-par-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_not_pushed_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let mut url = url::Url::parse(tpp.endpoint("authorization_endpoint").unwrap()).unwrap();
    url.query_pairs_mut().append_pair("client_id", &tpp.client_id).extend_pairs(request(&verifier(), &[]));
    let answer = tpp.http.get(url.as_str(), &[]).await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.header("location").is_none());
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.2-5 (AS5): PKCE, S256 only.
/// [module: par-ensure-pkce-required]
/// [module: par-plain-pkce-rejected]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_without_pkce_or_with_another_method_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let plain = "x".repeat(43);
    for changes in [
        vec![("code_challenge", None), ("code_challenge_method", None)],
        vec![("code_challenge", None)],
        vec![("code_challenge_method", None)],
        vec![("code_challenge_method", Some("plain")), ("code_challenge", Some(plain.as_str()))],
        vec![("code_challenge_method", Some("s256"))],
        vec![("code_challenge", Some("too-short"))],
    ] {
        assert_error(&push(&tpp, &verifier(), &changes).await, 400, "invalid_request");
    }
    assert_eq!(push(&tpp, &verifier(), &[]).await.status, 201);
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.2-6, RFC 9700 §2.1 (AS6): a redirect_uri is there, registered,
/// and compared byte by byte.
/// [module: ensure-registered-redirect-uri]
/// [module: plain-fapi-tolerate-unregistered-redirect-uri]
/// [module: ensure-redirect-uri-in-authorization-request]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_uri_that_is_not_exactly_registered_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let altered = [
        format!("{RETURN}/"),
        format!("{RETURN}?x=1"),
        format!("{RETURN}#f"),
        RETURN.to_uppercase(),
        RETURN.replace("https", "http"),
        RETURN.replace("/return", ":443/return"),
        "https://evil.example/return".to_owned(),
    ];
    for uri in &altered {
        let answer = push(&tpp, &verifier(), &[("redirect_uri", Some(uri))]).await;
        assert_error(&answer, 400, "invalid_request");
    }
    assert_error(&push(&tpp, &verifier(), &[("redirect_uri", None)]).await, 400, "invalid_request");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.2.2-1 (AS3, AS17): code, in the query; nothing else.
/// [module: ensure-response-type-code-idtoken-fails]
/// [module: ensure-response-type-token-fails]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_response_types_and_modes_are_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for kind in ["token", "id_token", "code id_token", "code token", "none", "CODE"] {
        let answer = push(&tpp, &verifier(), &[("response_type", Some(kind))]).await;
        assert_error(&answer, 400, "unsupported_response_type");
    }
    assert_error(&push(&tpp, &verifier(), &[("response_type", None)]).await, 400, "invalid_request");
    for mode in ["fragment", "form_post", "fragment.jwt", "JWT"] {
        let answer = push(&tpp, &verifier(), &[("response_mode", Some(mode))]).await;
        assert_error(&answer, 400, "invalid_request");
    }
    gw.sandbox.stop().await;
}

/// RFC 9126 §2.1 (AS4, MS5): a pushed request is whole, and refers to nothing.
/// [module: par-authorization-request-containing-request_uri-form-param]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_inside_a_push_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let urn = "urn:ietf:params:oauth:request_uri:abc";
    assert_error(&push(&tpp, &verifier(), &[("request_uri", Some(urn))]).await, 400, "invalid_request");
    let answer = push(&tpp, &verifier(), &[("request", Some("e30.e30.x"))]).await;
    assert_error(&answer, 400, "invalid_request_object");
    gw.sandbox.stop().await;
}

/// RFC 9126 §2.2, FAPI 2.0 SP §5.3.2.2 (AS10, AS21, AS27): 5 s ≤ expires_in < 600 s, an integer;
/// the reference cannot be guessed; nothing is cached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_answers_with_a_short_lived_unguessable_reference() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (one, other) = (push(&tpp, &verifier(), &[]).await, push(&tpp, &verifier(), &[]).await);
    assert_eq!(one.status, 201);
    assert_eq!(one.header("cache-control"), Some("no-store"));
    assert!((5..600).contains(&one.json()["expires_in"].as_u64().unwrap()));
    let reference = one.text("/request_uri");
    // 256 bits in base64url are 43 characters.
    assert_eq!(reference.strip_prefix("urn:ietf:params:oauth:request_uri:").unwrap().len(), 43);
    assert_ne!(reference, other.text("/request_uri"));
    gw.sandbox.stop().await;
}

/// RFC 6749 §3.1 (AS21): a parameter is not repeated, not even with the same value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_parameter_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for name in ["scope", "redirect_uri", "client_id", "client_assertion", "state"] {
        let form = request(&verifier(), &[]);
        let mut form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let value = form.iter().find(|(known, _)| *known == name).map_or("x", |(_, value)| *value);
        form.push((name, value));
        if value == "x" {
            form.push((name, value));
        }
        assert_error(&tpp.authenticated(PAR, &form).await.unwrap(), 400, "invalid_request");
    }
    // At the front channel, too.
    let pushed = push(&tpp, &verifier(), &[]).await;
    let start = format!("{}&client_id={}", tpp.start_of(&pushed).unwrap(), tpp.client_id);
    assert_eq!(tpp.http.get(&start, &[]).await.unwrap().status, 400);
    gw.sandbox.stop().await;
}

/// RFC 6749 §3.3 (AS24): the order of scopes means nothing; one that the
/// client is not registered for is refused.
/// [module: ensure-other-scope-order-succeeds]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_have_no_order_and_unknown_ones_are_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for scope in ["openid accounts payments", "payments accounts openid", "accounts  openid accounts"] {
        assert_eq!(push(&tpp, &verifier(), &[("scope", Some(scope))]).await.status, 201, "{scope}");
    }
    for scope in ["accounts admin", "Accounts", "accounts,payments"] {
        assert_error(&push(&tpp, &verifier(), &[("scope", Some(scope))]).await, 400, "invalid_scope");
    }
    gw.sandbox.stop().await;
}

/// RFC 6749 §4.1.2 (AS22): state comes back as it went, or the request is refused.
/// [module: ensure-authorization-request-with-long-state]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_state_comes_back_intact_or_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let odd = "äö ü&=?#%+\"<>'\\/;".to_owned();
    for state in ["x".repeat(384), "y".repeat(1_024), odd] {
        let verifier = verifier();
        let visit = crate::fintech::authorise(&gw, &tpp, &verifier, &[("state", Some(&state))]).await;
        assert_eq!(parameter(&visit, "state"), state);
    }
    let long = "z".repeat(1_025);
    assert_error(&push(&tpp, &verifier(), &[("state", Some(&long))]).await, 400, "invalid_request");
    gw.sandbox.stop().await;
}

/// RFC 9396 §5 (AS28): an array of objects of a known type, with known members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorization_details_that_break_the_schema_are_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let good = json!({ "type": "account_access", "consent_id": consent });
    for details in [
        json!("account_access"),
        good.clone(),
        json!([]),
        json!(["account_access"]),
        json!([{ "type": "payment_initiation", "consent_id": consent }]),
        json!([{ "consent_id": consent }]),
        json!([{ "type": "account_access" }]),
        json!([{ "type": "account_access", "consent_id": consent, "actions": ["write"] }]),
        json!([{ "type": "account_access", "consent_id": "con_uk_0" }]),
        json!([good, good]),
    ] {
        let answer = push(&tpp, &verifier(), &[("authorization_details", Some(&details.to_string()))]).await;
        assert_error(&answer, 400, "invalid_authorization_details");
    }
    for text in ["[", "[]]", "null"] {
        let answer = push(&tpp, &verifier(), &[("authorization_details", Some(text))]).await;
        assert_error(&answer, 400, "invalid_authorization_details");
    }
    gw.sandbox.stop().await;
}

/// RFC 9396 §5 (AS28): a consent of another client, or one that has ended, is
/// not there to be asked for; both are answered like one that never was.
/// [module: ensure-server-handles-non-matching-intent-id]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_own_consent_that_still_lives_can_be_asked_for() {
    let gw = TestGateway::start().await;
    let (tpp, other) = (gw.tpp().await, gw.tpp().await);
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK, EU]).await.unwrap();
    let verifier = verifier();
    let foreign = other.push(&consents, &verifier).await.unwrap();
    assert_error(&foreign, 400, "invalid_authorization_details");
    let bearer = consentry::demo::bearer(&own);
    let url = format!("{}/v1/consents/{}", tpp.api, consents[0]);
    tpp.http.send(http::Method::DELETE, &url, &[("authorization", &bearer)], "").await.unwrap();
    assert_error(&tpp.push(&consents, &verifier).await.unwrap(), 400, "invalid_authorization_details");
    assert_eq!(tpp.push(&consents[1..], &verifier).await.unwrap().status, 201);
    gw.sandbox.stop().await;
}

/// ETSI TS 119 495 (C7): a certificate without PSP_PI asks for no payments, one
/// without PSP_AI for no accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_needs_the_role_in_the_certificate() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let authority = authority(&gw);
    let with_roles = |roles: &[Psd2Role]| {
        let mut subject = subject();
        subject.roles = roles.to_vec();
        tpp_with(&gw, &tpp, &authority.issue_qwac(&subject).unwrap())
    };
    let reader = with_roles(&[Psd2Role::AccountInformation]);
    let payer = with_roles(&[Psd2Role::PaymentInitiation]);
    let cases = [
        (&reader, "accounts", "payments", Psd2Role::PaymentInitiation),
        (&payer, "payments", "accounts", Psd2Role::AccountInformation),
    ];
    for (client, may, may_not, role) in cases {
        assert_eq!(push(client, &verifier(), &[("scope", Some(may))]).await.status, 201);
        let answer = push(client, &verifier(), &[("scope", Some(may_not))]).await;
        assert_error(&answer, 400, "invalid_scope");
        let why = answer.text("/error_description");
        assert!(why.contains(role.as_str()) && why.contains(may_not), "{why}");
        client.own_token(may).await.unwrap();
        client.own_token(may_not).await.unwrap_err();
    }
    // Nor can a code be turned into what the certificate at hand does not cover.
    let verifier = verifier();
    let visit = crate::fintech::authorise(&gw, &tpp, &verifier, &[("scope", Some("payments"))]).await;
    let code = parameter(&visit, "code");
    assert_error(&reader.redeem(&code, &verifier).await.unwrap(), 400, "invalid_scope");
    assert_eq!(payer.redeem(&code, &verifier).await.unwrap().status, 200);
    gw.sandbox.stop().await;
}

/// RFC 7591 §2 (C2): a client registered for its own tokens only asks no PSU.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_asks_only_by_the_grants_it_is_registered_for() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let only = |grant: &str| crate::fintech::metadata(&json!({ "grant_types": [grant] }));
    let quiet = registered(&tpp.http, &tpp, &only("client_credentials")).await;
    let mut form = request(&verifier(), &[]);
    form.push(("client_id".to_owned(), quiet));
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = tpp.http.post_form(tpp.endpoint(PAR).unwrap(), &form).await.unwrap();
    assert_error(&answer, 400, "unauthorized_client");
    let asking = registered(&tpp.http, &tpp, &only("authorization_code")).await;
    let answer = crate::fintech::own_token_of(&tpp.http, &tpp, &asking, "accounts").await;
    assert_error(&answer, 400, "unauthorized_client");
    gw.sandbox.stop().await;
}
