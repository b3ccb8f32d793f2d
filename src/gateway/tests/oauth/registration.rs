//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use consentry::demo::{Answer, RETURN, Tpp, verifier};
use crypto::Psd2Role;
use flows::Invalidated;
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fintech::{
    TOKEN, assert_error, authority, introspected, metadata, own_token_of, push, subject, tokens, with,
};
use crate::support::consents::PATIENCE;
use crate::support::{TestGateway, UK, assert_problem};

const REGISTER: &str = "registration_endpoint";

/// Metadata of a client with every grant.
fn full() -> Value {
    let grants = ["authorization_code", "client_credentials", "refresh_token"];
    json!({ "grant_types": grants })
}

/// A fintech and what its registration was answered with.
async fn registered(gw: &TestGateway) -> (Tpp, Value) {
    let mut tpp = gw.tpp().await;
    let answer = tpp.register_as(&full()).await.unwrap();
    (tpp, answer)
}

/// Registers at an address; the client's id.
async fn registered_at(tpp: &Tpp, url: &str) -> String {
    let answer = tpp.http.post_json(url, &[], &metadata(&json!({}))).await.unwrap();
    answer.expect(201).unwrap().text("/client_id")
}

/// Manages a registration.
async fn managed(tpp: &Tpp, registration: &Value, method: Method, token: &str, body: &Value) -> Answer {
    let url = registration["registration_client_uri"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    tpp.http.send(method, url, &headers, body).await.unwrap()
}

fn management(registration: &Value) -> &str {
    registration["registration_access_token"].as_str().unwrap()
}

/// RFC 7591 §3.2.1 (C1): 201 with an id, the metadata as it is in effect, and how to
/// manage it; never a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_answered_with_what_is_in_effect() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let asked =
        metadata(&json!({ "software_id": "s-1", "unheard_of": [1], "client_id": "mine", "scope": null }));
    let mut asked = asked;
    asked.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let answer = tpp.http.post_json(tpp.endpoint(REGISTER).unwrap(), &[], &asked).await.unwrap();
    let answer = answer.expect(201).unwrap();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let id = body["client_id"].as_str().unwrap();
    assert!(id.starts_with("tpp-") && id.len() > 22, "not the one it asked for, and unguessable: {id}");
    for (name, value) in [
        ("client_name", json!("Another Fintech")),
        ("redirect_uris", json!([RETURN])),
        // What the certificate's roles allow, as it asked for nothing.
        ("scope", json!("openid accounts payments fundsconfirmations")),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("tls_client_auth")),
        ("id_token_signed_response_alg", json!("PS256")),
        ("require_pushed_authorization_requests", json!(true)),
        ("tls_client_certificate_bound_access_tokens", json!(true)),
        ("dpop_bound_access_tokens", json!(false)),
        ("organization_identifier", json!("PSDDE-BAFIN-900200")),
        ("software_id", json!("s-1")),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert!(body["client_secret"].is_null());
    assert!(body["client_id_issued_at"].as_i64().is_some_and(|at| at <= gw.clock.now().as_second()));
    assert_eq!(management(&body).len(), 43);
    let uri = body["registration_client_uri"].as_str().unwrap();
    assert!(uri.starts_with(&tpp.api) && uri.ends_with(id));
    gw.sandbox.stop().await;
}

/// RFC 7591 §3.2.2 (C2): a body that is none, and metadata that contradicts itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_cannot_be_read_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let url = tpp.endpoint(REGISTER).unwrap();
    let twice = metadata(&json!({})).to_string().replacen('{', "{\"client_name\":\"A\",", 1);
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    for (kind, body) in [
        ("application/json", String::new()),
        ("application/json", "[]".to_owned()),
        ("application/json", "{".to_owned()),
        ("application/json", twice),
        ("application/json", deep),
        ("text/plain", metadata(&json!({})).to_string()),
        ("application/jwt", metadata(&json!({})).to_string()),
        ("application/json", format!("{{\"x\":\"{}\"}}", "x".repeat(140_000))),
    ] {
        let headers = [("content-type", kind)];
        let answer = tpp.http.send(Method::POST, url, &headers, body).await.unwrap();
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    let private = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA" }] });
    for changes in [
        json!({ "dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": true }),
        json!({ "jwks": private }),
        json!({ "jwks_uri": "https://keys.example/jwks" }),
        json!({ "id_token_signed_response_alg": "RS256" }),
        json!({ "authorization_signed_response_alg": "none" }),
        json!({ "introspection_signed_response_alg": "HS256" }),
        json!({ "request_object_signing_alg": "RS256" }),
        json!({ "token_endpoint_auth_signing_alg": "none" }),
        json!({ "grant_types": ["password"] }),
        json!({ "grant_types": ["implicit"] }),
        json!({ "client_name": 7 }),
    ] {
        let answer = tpp.http.post_json(url, &[], &metadata(&changes)).await.unwrap();
        assert_eq!(answer.status, 400, "{changes}");
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    gw.sandbox.stop().await;
}

/// RFC 7592 §2.1, §3 (C4): a registration is read with its token, by its
/// organisation; with another token, or none, it is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_read_with_its_own_token_only() {
    let gw = TestGateway::start().await;
    let (tpp, registration) = registered(&gw).await;
    let (other, others) = registered(&gw).await;
    let read = managed(&tpp, &registration, Method::GET, management(&registration), &Value::Null).await;
    let read = read.expect(200).unwrap().json();
    assert_eq!(read, registration);
    // A token of the client's own will do, too (UK Open Banking DCR).
    let own = tpp.own_token("accounts").await.unwrap();
    let by_own = managed(&tpp, &registration, Method::GET, own.expose_secret(), &Value::Null).await;
    assert_eq!(by_own.status, 200);
    let theirs = other.own_token("accounts").await.unwrap();
    for token in ["", "nonsense", management(&others), theirs.expose_secret()] {
        let answer = managed(&tpp, &registration, Method::GET, token, &Value::Null).await;
        assert_error(&answer, 401, "invalid_token");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    // A grant's token is a PSU's, and manages nothing.
    let granted = tokens(&gw, &tpp, &[]).await.text("/access_token");
    let answer = managed(&tpp, &registration, Method::GET, &granted, &Value::Null).await;
    assert_error(&answer, 401, "invalid_token");
    let mut impostor = subject();
    impostor.organization_identifier = "PSDDE-BAFIN-999999".to_owned();
    let mut stolen = tpp.clone();
    stolen.http = with(&gw, &authority(&gw).issue_qwac(&impostor).unwrap());
    let answer = managed(&stolen, &registration, Method::GET, management(&registration), &Value::Null).await;
    assert_error(&answer, 401, "invalid_client");
    stolen.http = gw.anybody();
    let answer = managed(&stolen, &registration, Method::GET, management(&registration), &Value::Null).await;
    assert_error(&answer, 401, "invalid_client");
    let mut unknown = registration.clone();
    unknown["registration_client_uri"] = json!(format!("{}/oauth/register/tpp-unknown", tpp.api));
    let answer = managed(&tpp, &unknown, Method::GET, management(&registration), &Value::Null).await;
    assert_error(&answer, 401, "invalid_token");
    gw.sandbox.stop().await;
}

/// RFC 7592 §2.2 (C5): a PUT names the client and replaces everything, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_replaces_all_metadata() {
    let gw = TestGateway::start().await;
    let (tpp, registration) = registered(&gw).await;
    let token = management(&registration);
    assert_eq!(push(&tpp, &verifier(), &[]).await.status, 201);
    let next = "https://fintech.consentry.example/next";
    let wanted = json!({
        "client_id": tpp.client_id,
        "redirect_uris": [next],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": registration["jwks"],
        "scope": "accounts",
    });
    for change in [json!(null), json!("tpp-other"), json!(7)] {
        let mut bad = wanted.clone();
        bad["client_id"] = change;
        let answer = managed(&tpp, &registration, Method::PUT, token, &bad).await;
        assert_error(&answer, 400, "invalid_client_metadata");
    }
    let mut bad = wanted.clone();
    bad["redirect_uris"] = json!(["http://plain.example"]);
    let answer = managed(&tpp, &registration, Method::PUT, token, &bad).await;
    assert_error(&answer, 400, "invalid_redirect_uri");
    assert_error(&managed(&tpp, &registration, Method::PUT, "x", &wanted).await, 401, "invalid_token");
    let answer = managed(&tpp, &registration, Method::PUT, token, &wanted).await.expect(200).unwrap();
    assert_eq!(answer.text("/client_name"), tpp.client_id, "the old name is gone");
    assert_eq!(answer.json()["redirect_uris"], json!([next]));
    assert_eq!(answer.json()["client_id_issued_at"], registration["client_id_issued_at"]);
    assert_eq!(answer.text("/registration_access_token"), token);
    assert_error(&push(&tpp, &verifier(), &[]).await, 400, "invalid_request");
    assert_eq!(push(&tpp, &verifier(), &[("redirect_uri", Some(next))]).await.status, 201);
    let form = [("grant_type", "client_credentials"), ("scope", "accounts")];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 400, "unauthorized_client");
    gw.sandbox.stop().await;
}

/// RFC 7592 §2.3 (C4, C6): a deleted client is gone, with its tokens, grants and consents.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_client_is_gone_with_all_it_held() {
    let gw = TestGateway::start().await;
    let (tpp, registration) = registered(&gw).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let details = json!([{ "type": "account_access", "consent_id": consent }]).to_string();
    let answer = tokens(&gw, &tpp, &[("authorization_details", Some(&details))]).await;
    let token = SecretString::from(answer.text("/access_token"));
    assert_eq!(tpp.get(&token, "/v1/accounts").await.unwrap().status, 200);
    let manage = |method| managed(&tpp, &registration, method, management(&registration), &Value::Null);
    assert_error(
        &managed(&tpp, &registration, Method::DELETE, "x", &Value::Null).await,
        401,
        "invalid_token",
    );
    let gone = manage(Method::DELETE).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (204, 0));
    for method in [Method::GET, Method::DELETE] {
        assert_error(&manage(method).await, 401, "invalid_token");
    }
    for token in [&own, &token] {
        assert_problem(&tpp.get(token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    }
    let refresh = answer.text("/refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_error(&tpp.authenticated(TOKEN, &form).await.unwrap(), 401, "invalid_client");
    assert_error(&push(&tpp, &verifier(), &[]).await, 401, "invalid_client");
    let withdrawn = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            beat.tick().await;
            let every = store::consents::ConsentFilter::default();
            let all = gw.sandbox.gateway().consents_of_client(&tpp.client_id, &every, 10).await.unwrap();
            assert_eq!(all.len(), 1);
            if all[0].status == domain::ConsentStatus::RevokedByClient {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, withdrawn).await.expect("its consents are withdrawn");
    gw.sandbox.stop().await;
}

/// ETSI TS 119 495 (C7): the scopes of a client are within the roles of the
/// certificate that registers it, at registration and at every change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_registers_no_scope_without_its_role() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    let url = tpp.endpoint(REGISTER).unwrap().to_owned();
    let mut reader = subject();
    reader.roles = vec![Psd2Role::AccountInformation];
    tpp.http = with(&gw, &authority(&gw).issue_qwac(&reader).unwrap());
    for (scope, role) in
        [("payments", "PSP_PI"), ("accounts payments", "PSP_PI"), ("accounts fundsconfirmations", "PSP_IC")]
    {
        let answer = tpp.http.post_json(&url, &[], &metadata(&json!({ "scope": scope }))).await.unwrap();
        assert_error(&answer, 400, "invalid_client_metadata");
        assert!(answer.text("/error_description").contains(role), "{answer:?}");
    }
    // Nor by saying that it has the role.
    let claimed = metadata(&json!({ "psd2_roles": ["PSP_PI", "PSP_AI"] }));
    assert_error(&tpp.http.post_json(&url, &[], &claimed).await.unwrap(), 400, "invalid_client_metadata");
    let mut silent = metadata(&json!({}));
    silent.as_object_mut().unwrap().remove("scope");
    let registration = tpp.http.post_json(&url, &[], &silent).await.unwrap().expect(201).unwrap().json();
    assert_eq!(registration["scope"], "openid accounts");
    let mut wider = silent.clone();
    wider["client_id"] = registration["client_id"].clone();
    wider["scope"] = json!("accounts payments");
    let answer = managed(&tpp, &registration, Method::PUT, management(&registration), &wider).await;
    assert_error(&answer, 400, "invalid_client_metadata");
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.4, RFC 7592 §2.3 (RS3, C6): a client that the operator suspends is stopped at once, with
/// every token; when it is let in again, what was not revoked works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_client_is_stopped_at_once() {
    let gw = TestGateway::start().await;
    let (tpp, registration) = registered(&gw).await;
    let own = tpp.own_token("accounts").await.unwrap();
    let token = SecretString::from(tokens(&gw, &tpp, &[]).await.text("/access_token"));
    let set = async |status: &str| {
        let gateway = gw.sandbox.gateway();
        let set = store::transaction!(gateway.stores().global(), tx => {
            tx.set_client_status(&tpp.client_id, status).await?;
            gateway.invalidate(tx, Invalidated::Client(&tpp.client_id)).await
        });
        gateway.until_dropped(&set.unwrap()).await.unwrap();
    };
    for token in [&own, &token] {
        assert_eq!(tpp.get(token, "/v1/accounts").await.unwrap().status, 200);
    }
    set("suspended").await;
    for token in [&own, &token] {
        assert_problem(&tpp.get(token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    }
    assert_error(&push(&tpp, &verifier(), &[]).await, 401, "invalid_client");
    tpp.own_token("accounts").await.unwrap_err();
    let answer = managed(&tpp, &registration, Method::GET, management(&registration), &Value::Null).await;
    assert_error(&answer, 401, "invalid_token");
    set("active").await;
    assert_eq!(tpp.get(&token, "/v1/accounts").await.unwrap().status, 200);
    assert_eq!(introspected(&tpp, token.expose_secret()).await["active"], true);
    gw.sandbox.stop().await;
}

/// RFC 8705 §5 (M1, M2): the aliases for mutual TLS serve, and metadata says that
/// tokens are bound to certificates.
/// [module: discovery-end-point-verification]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aliases_for_mutual_tls_give_bound_tokens() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    assert_eq!(tpp.server["tls_client_certificate_bound_access_tokens"], true);
    let aliases = tpp.server["mtls_endpoint_aliases"].clone();
    for name in ["token_endpoint", "introspection_endpoint", "registration_endpoint"] {
        tpp.server[name] = aliases[name].clone();
    }
    tpp.register().await.unwrap();
    let token = tpp.own_token("accounts").await.unwrap();
    let shown = crypto::Certificate::from_pem(&gw.sandbox.access().pki.fintech.certificate_pem).unwrap();
    let described = introspected(&tpp, token.expose_secret()).await;
    assert_eq!(described["cnf"], json!({ "x5t#S256": shown.thumbprint.to_string() }));
    let id = registered_at(&tpp, aliases["registration_endpoint"].as_str().unwrap()).await;
    assert_eq!(own_token_of(&tpp.http, &tpp, &id, "accounts").await.status, 200);
    gw.sandbox.stop().await;
}
