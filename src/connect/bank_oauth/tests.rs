use std::collections::BTreeMap;

use crypto::{Algorithm, Jwks, SigningKey};
use domain::SystemEntropy;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::ExposeSecret;

use super::*;
use crate::{AuthorizationServer, BankRequest, BankResponse, Quirk, QuirkName, Quirks, ResponseType};

const ISSUER: &str = "https://as.bank.example";

fn profile() -> Profile {
    let mut profile = Profile::blank(
        "gb-examplebank".parse().unwrap(),
        "Example Bank",
        "uk".parse().unwrap(),
        "uk-open-banking",
    );
    profile.client_id = Some("client-1".into());
    profile.client_auth = ClientAuth::PrivateKeyJwt;
    profile.authorization_server = Some(AuthorizationServer {
        issuer: Some(ISSUER.into()),
        signed_request_object: true,
        pushed_requests: true,
        ..AuthorizationServer::default()
    });
    profile
}

fn metadata() -> Metadata {
    Metadata {
        issuer: ISSUER.into(),
        authorization_endpoint: "https://as.bank.example/authorize".parse().unwrap(),
        token_endpoint: "https://as.bank.example/token".parse().unwrap(),
        pushed_authorization_request_endpoint: Some("https://as.bank.example/par".parse().unwrap()),
        jwks_uri: Some("https://as.bank.example/jwks".parse().unwrap()),
        registration_endpoint: None,
        iss_parameter_supported: true,
    }
}

fn key(kid: &str) -> SigningKey {
    SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), kid).unwrap()
}

fn client<'a>(profile: &'a Profile, metadata: &'a Metadata, key: Option<&'a SigningKey>) -> OAuthClient<'a> {
    let now = "2026-06-01T10:00:00Z".parse().unwrap();
    OAuthClient { profile, metadata, signing_key: key, now, entropy: &SystemEntropy }
}

fn authorization(role: Role) -> AuthorizationRequest {
    let redirect = "https://gateway.example/callback".parse().unwrap();
    AuthorizationRequest::new(&SystemEntropy, role, redirect, "openid accounts", Some("intent-1".into()))
}

fn json_answer(status: u16, body: &Value) -> BankResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json;charset=UTF-8"));
    BankResponse { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_string().into() }
}

fn form(request: &BankRequest) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(request.body.as_deref().unwrap()).into_owned().collect()
}

#[test]
fn metadata_of_another_issuer_is_refused_and_so_are_foreign_endpoints() {
    let profile = profile();
    let request = metadata_request(&profile, None).unwrap();
    assert_eq!(request.url.as_str(), "https://as.bank.example/.well-known/openid-configuration");
    let read = |change: (&str, Value)| {
        let mut body = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.bank.example/authorize",
            "token_endpoint": "https://as.bank.example/token",
            "jwks_uri": "https://as.bank.example/jwks",
            "some_future_member": [1],
        });
        body[change.0] = change.1;
        metadata_read(&profile, &request.url, &json_answer(200, &body)).map_err(|error| error.field)
    };
    assert!(read(("x", json!(1))).is_ok());
    let aliased =
        read(("mtls_endpoint_aliases", json!({ "token_endpoint": "https://as.bank.example/mtls" })));
    assert_eq!(aliased.unwrap().token_endpoint.path(), "/mtls");
    for (member, value, field) in [
        ("issuer", json!("https://as.bank.example/"), "/issuer"),
        ("issuer", json!("https://evil.example"), "/issuer"),
        ("token_endpoint", json!("https://evil.example/token"), "/token_endpoint"),
        ("jwks_uri", json!("http://as.bank.example/jwks"), "/jwks_uri"),
        ("authorization_endpoint", json!("http://login.bank.example/"), "/authorization_endpoint"),
        ("token_endpoint", json!(7), "/token_endpoint"),
    ] {
        assert_eq!(read((member, value)).unwrap_err().as_deref(), Some(field));
    }
}

#[test]
fn a_pushed_request_is_a_signed_object_that_ties_consent_state_and_verifier() {
    let (profile, metadata, key) = (profile(), metadata(), key("sig-1"));
    let client = client(&profile, &metadata, Some(&key));
    let request = authorization(Role::Accounts);
    let pushed = form(&client.push(&request).unwrap().unwrap());
    let keys = Jwks::from_value(&json!({ "keys": [key.public_jwk()] })).unwrap();
    let claims = |name: &str| {
        jws::verify_compact(&pushed[name], &keys, &[Algorithm::Ps256]).unwrap().claims().unwrap()
    };
    let object = claims("request");
    for (name, value) in [
        ("iss", json!("client-1")),
        ("aud", json!(ISSUER)),
        ("response_type", json!("code")),
        ("state", json!(request.state)),
        ("nonce", json!(request.nonce)),
        ("code_challenge_method", json!("S256")),
        ("redirect_uri", json!("https://gateway.example/callback")),
    ] {
        assert_eq!(object[name], value, "{name}");
    }
    assert_eq!(object["claims"]["id_token"]["openbanking_intent_id"]["value"], "intent-1");
    assert_eq!(object["exp"].as_i64().unwrap() - object["nbf"].as_i64().unwrap(), 300);
    let assertion = claims("client_assertion");
    assert_eq!((&assertion["sub"], &assertion["aud"]), (&json!("client-1"), &json!(ISSUER)));
    assert_ne!(assertion["jti"], object["jti"]);

    let answer = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:x", "expires_in": 60 });
    let uri = client.pushed(&json_answer(201, &answer)).unwrap();
    let url = client.authorize_url(&request, Some(&uri)).unwrap();
    let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query.keys().collect::<Vec<_>>(), ["client_id", "request_uri"]);
}

#[test]
fn a_callback_is_ours_this_banks_and_unambiguous() {
    let (profile, metadata) = (profile(), metadata());
    let client = client(&profile, &metadata, None);
    let request = authorization(Role::Accounts);
    let state = &request.state;
    let iss = "iss=https%3A%2F%2Fas.bank.example";
    let check = |parameters: String| {
        client
            .callback_check(&parameters, &request)
            .map(|callback| callback.code.expose_secret().to_owned())
            .map_err(|error| (error.kind, error.field))
    };
    assert_eq!(check(format!("code=c1&state={state}&{iss}")).unwrap(), "c1");
    let invalid = |field: &str| (BankErrorKind::AuthorizationInvalid, Some(field.to_owned()));
    for (parameters, field) in [
        (format!("code=c1&state={state}"), "iss"),
        (format!("code=c1&state={state}&iss=https%3A%2F%2Fevil.example"), "iss"),
        (format!("code=c1&state=other&{iss}"), "state"),
        (format!("code=c1&{iss}"), "state"),
        (format!("code=c1&code=c2&state={state}&{iss}"), "code"),
        (format!("code=c1&state={state}&state={state}&{iss}"), "state"),
        (format!("state={state}&{iss}"), "code"),
        (format!("error=access_denied&state=other&{iss}"), "state"),
    ] {
        assert_eq!(check(parameters.clone()).unwrap_err(), invalid(field), "{parameters}");
    }
    let refused = check(format!("error=access_denied&state={state}&{iss}")).unwrap_err();
    assert_eq!(refused.0, BankErrorKind::PsuCancelled);
}

#[test]
fn a_code_is_exchanged_with_its_verifier_and_tokens_are_read_with_care() {
    let (mut profile, metadata) = (profile(), metadata());
    profile.client_auth = ClientAuth::TlsClientAuth;
    let client = client(&profile, &metadata, None);
    let request = authorization(Role::Payments);
    let exchange = client.exchange_code(&request, &"c1".into()).unwrap();
    assert_eq!(exchange.effect, crate::Effect::Write);
    let sent = form(&exchange);
    assert_eq!(sent["code_verifier"], request.code_verifier.expose_secret());
    assert_eq!((sent["client_id"].as_str(), sent.get("client_assertion")), ("client-1", None));

    let read = |body: Value| client.token_read(&json_answer(200, &body));
    let tokens = read(json!({
        "access_token": "at", "token_type": "bEARER", "expires_in": "300", "scope": "", "refresh_token": "rt",
    }))
    .ok()
    .unwrap();
    assert_eq!(tokens.expires_in, Some(std::time::Duration::from_secs(300)));
    assert!(tokens.refresh_token.is_some());
    // RFC 6749 §3.3: a scope has a word; an empty one is not taken for none.
    let judged = |scope: &str| {
        let tokens =
            read(json!({ "access_token": "at", "token_type": "Bearer", "scope": scope })).ok().unwrap();
        client.check_scope(&tokens, TokenAsked::Code(&request)).map_err(|error| error.field)
    };
    let refused = Err(Some("/scope".to_owned()));
    assert_eq!(judged("openid accounts"), Ok(()));
    assert_eq!(judged("accounts"), Ok(()));
    for scope in ["", "openid", "openid accounts payments", "payments"] {
        assert_eq!(judged(scope), refused, "{scope:?}");
    }
    assert!(client.check_scope(&tokens, TokenAsked::Own("accounts")).is_err());
    assert!(read(json!({ "access_token": "at", "token_type": "Bearer" })).is_ok());
    for (body, field) in [
        (json!({ "access_token": "at", "token_type": "DPoP" }), "/token_type"),
        (json!({ "access_token": "a t\r\n", "token_type": "Bearer" }), "/access_token"),
        (json!({ "access_token": "", "token_type": "Bearer" }), "/access_token"),
    ] {
        assert_eq!(read(body).err().unwrap().field.as_deref(), Some(field));
    }
    let mut page = json_answer(200, &json!({ "access_token": "at", "token_type": "Bearer" }));
    page.headers.insert("content-type", HeaderValue::from_static("text/html"));
    assert!(client.token_read(&page).is_err());
    for (status, error, kind) in [
        (400, "invalid_grant", BankErrorKind::TokenInvalid),
        (401, "invalid_client", BankErrorKind::RegistrationMissing),
        (302, "", BankErrorKind::BankFailed),
    ] {
        let response = json_answer(status, &json!({ "error": error, "error_description": "Jane Doe" }));
        let failure = client.token_read(&response).err().unwrap();
        assert_eq!(failure.kind, kind);
        assert!(!failure.to_string().contains("Jane"));
    }
}

#[test]
fn an_id_token_is_believed_only_if_every_claim_holds() {
    let (mut profile, metadata, bank, stranger) = (profile(), metadata(), key("b1"), key("b1"));
    let request = authorization(Role::Accounts);
    let keys = Jwks::from_value(&json!({ "keys": [bank.public_jwk()] })).unwrap();
    let now = 1_780_308_000;
    let base = json!({
        "iss": ISSUER, "aud": "client-1", "sub": "user", "exp": now + 300, "iat": now,
        "nonce": request.nonce, "openbanking_intent_id": "intent-1",
        "acr": "urn:openbanking:psd2:sca", "auth_time": now - 30,
    });
    let token = |key: &SigningKey, change: Option<(&str, Value)>| {
        let mut claims = base.clone();
        if let Some((name, value)) = change {
            claims[name] = value;
        }
        jws::sign_compact(key, &Map::new(), claims.to_string().as_bytes()).unwrap()
    };
    let verify = |profile: &Profile, token: &str| {
        let expected = ExpectedIdToken { step: IdTokenStep::Code, request: &request, code: None };
        client(profile, &metadata, None).verify_id_token(token, &keys, &expected).map_err(|error| error.field)
    };
    assert_eq!(verify(&profile, &token(&bank, None)), Ok(()));
    assert!(verify(&profile, &token(&stranger, None)).is_err());
    assert_eq!(verify(&profile, &token(&bank, Some(("aud", json!(["client-1"]))))), Ok(()));
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("client-2")),
        ("aud", json!(["client-1", "client-2"])),
        ("azp", json!("client-2")),
        ("exp", json!(now - 61)),
        ("exp", json!("soon")),
        ("iat", json!(now + 3600)),
        ("sub", json!("")),
        ("nonce", json!("other")),
        ("nonce", Value::Null),
        ("openbanking_intent_id", json!("intent-2")),
        ("openbanking_intent_id", Value::Null),
        ("acr", json!("0")),
        ("acr", Value::Null),
        ("auth_time", json!(now + 3600)),
        ("auth_time", Value::Null),
    ] {
        let field = verify(&profile, &token(&bank, Some((claim, value)))).unwrap_err();
        assert_eq!(field, Some(format!("id_token/{claim}")));
    }
    // A quirk lets a claim be absent at its step, never be wrong.
    profile.quirks = Quirks::new(vec![Quirk {
        name: QuirkName::IdTokenNonceMissing,
        at: vec!["token.code.aisp".into()],
        versions: Vec::new(),
        parameters: BTreeMap::new(),
    }]);
    assert_eq!(verify(&profile, &token(&bank, Some(("nonce", Value::Null)))), Ok(()));
    assert!(verify(&profile, &token(&bank, Some(("nonce", json!("other"))))).is_err());
}

#[test]
fn a_hybrid_answer_must_bind_its_code() {
    let (mut profile, metadata, bank) = (profile(), metadata(), key("b1"));
    let server = profile.authorization_server.as_mut().unwrap();
    (server.response_type, server.pushed_requests) = (ResponseType::CodeIdToken, false);
    let client = client(&profile, &metadata, Some(&bank));
    let request = authorization(Role::Accounts);
    assert!(client.push(&request).is_none());
    let url = client.authorize_url(&request, None).unwrap();
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(names, ["client_id", "response_type", "scope", "request"]);

    let keys = Jwks::from_value(&json!({ "keys": [bank.public_jwk()] })).unwrap();
    let digest = crypto::digest::sha256(b"c1");
    let c_hash = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &digest[..16]);
    let claims = json!({
        "iss": ISSUER, "aud": "client-1", "sub": "intent-1", "exp": 1_780_308_300_i64,
        "nonce": request.nonce, "openbanking_intent_id": "intent-1", "c_hash": c_hash,
        "acr": "urn:openbanking:psd2:ca", "auth_time": 1_780_308_000_i64,
    });
    let token = jws::sign_compact(&bank, &Map::new(), claims.to_string().as_bytes()).unwrap();
    let verify = |code: &str| {
        let expected = ExpectedIdToken { step: IdTokenStep::Callback, request: &request, code: Some(code) };
        client.verify_id_token(&token, &keys, &expected)
    };
    assert!(verify("c1").is_ok());
    assert_eq!(verify("c2").unwrap_err().field.as_deref(), Some("id_token/c_hash"));
    let iss = "iss=https%3A%2F%2Fas.bank.example";
    let without = format!("code=c1&state={}&{iss}", request.state);
    assert_eq!(client.callback_check(&without, &request).err().unwrap().field.as_deref(), Some("id_token"));
}
