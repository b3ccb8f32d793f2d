//! A fintech that can also be wrong: spoilt requests, assertions, certificates.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::demo::{Answer, Client, RETURN, Tpp, Visit};
use crypto::pki::{Authority, Issued, Psd2Subject};
use crypto::{Psd2Role, SigningKey};
use domain::{Clock, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::support::{TestGateway, parameter};

pub const PAR: &str = "pushed_authorization_request_endpoint";
pub const TOKEN: &str = "token_endpoint";
pub const REVOKE: &str = "revocation_endpoint";
pub const INTROSPECT: &str = "introspection_endpoint";
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A change to a form: a parameter with its new value, or without.
pub type Change<'a> = (&'a str, Option<&'a str>);

/// A request that is in order but for `changes`.
pub fn request(verifier: &SecretString, changes: &[Change<'_>]) -> Vec<(String, String)> {
    let challenge = crypto::digest::pkce_challenge(verifier.expose_secret());
    let mut form: Vec<(String, String)> = [
        ("response_type", "code"),
        ("redirect_uri", RETURN),
        ("scope", "accounts"),
        ("state", "s"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.extend(value.map(|value| ((*name).to_owned(), value.to_owned())));
    }
    form
}

/// Pushes a request that is in order but for `changes`.
pub async fn push(tpp: &Tpp, verifier: &SecretString, changes: &[Change<'_>]) -> Answer {
    let form = request(verifier, changes);
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    tpp.authenticated(PAR, &form).await.unwrap()
}

/// Pushes, and lets a person walk to the end.
pub async fn authorise(
    gw: &TestGateway,
    tpp: &Tpp,
    verifier: &SecretString,
    changes: &[Change<'_>],
) -> Visit {
    let pushed = push(tpp, verifier, changes).await.expect(201).unwrap();
    gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap()
}

/// Holds an answer to RFC 6749 §5.2: a registered code, an ASCII description
/// in one line, not to be cached.
#[track_caller]
pub fn assert_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.text("/error").as_str()),
        (status, error),
        "{}",
        answer.json()
    );
    let description = answer.text("/error_description");
    assert!(!description.is_empty() && description.bytes().all(|b| (b' '..=b'~').contains(&b)));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// The claims of an assertion that is in order.
pub fn claims(tpp: &Tpp) -> Value {
    let mut kept = Value::Null;
    tpp.assertion(|claims| kept = claims.clone()).unwrap();
    kept
}

/// A compact JWS by another key than the fintech's.
pub fn signed(key: &SigningKey, claims: &Value) -> String {
    crypto::jws::sign_compact(key, &Map::new(), claims.to_string().as_bytes()).unwrap()
}

/// A compact JWS with exactly this header, whatever it says.
pub fn raw_jws(key: &SigningKey, header: &Value, payload: &[u8]) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url(signature))
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A fresh P-256 key.
pub fn ec_key(kid: &str) -> SigningKey {
    SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), kid).unwrap()
}

/// A fintech that registers with some metadata changed.
pub async fn tpp_as(gw: &TestGateway, changes: &Value) -> Tpp {
    let mut tpp = Tpp::discover(&gw.sandbox.access(), Arc::clone(&gw.clock)).await.unwrap();
    tpp.register_as(changes).await.unwrap();
    tpp
}

/// A code for a request that is in order but for `changes`, redeemed: the answer.
pub async fn tokens(gw: &TestGateway, tpp: &Tpp, changes: &[Change<'_>]) -> Answer {
    let verifier = consentry::demo::verifier();
    let visit = authorise(gw, tpp, &verifier, changes).await;
    tpp.redeem(&parameter(&visit, "code"), &verifier).await.unwrap().expect(200).unwrap()
}

/// What introspection says about a token to this client.
pub async fn introspected(tpp: &Tpp, token: &str) -> Value {
    tpp.authenticated(INTROSPECT, &[("token", token)]).await.unwrap().expect(200).unwrap().json()
}

/// Asks for a token of the client's own with this assertion.
pub async fn own_token_by(tpp: &Tpp, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "accounts"),
        ("client_id", tpp.client_id.as_str()),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    tpp.http.post_form(tpp.endpoint(TOKEN).unwrap(), &form).await.unwrap()
}

/// Asks for a token of the client's own with nothing but its id: what a
/// `tls_client_auth` client does.
pub async fn own_token_of(http: &Client, tpp: &Tpp, client_id: &str, scope: &str) -> Answer {
    let form = [("grant_type", "client_credentials"), ("scope", scope), ("client_id", client_id)];
    http.post_form(tpp.endpoint(TOKEN).unwrap(), &form).await.unwrap()
}

/// Metadata that registers, but for `changes`.
pub fn metadata(changes: &Value) -> Value {
    let mut metadata = json!({
        "client_name": "Another Fintech",
        "redirect_uris": [RETURN],
        "grant_types": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "fintech.consentry.example",
        "scope": "openid accounts payments",
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        metadata[name] = value.clone();
    }
    metadata
}

/// Registers with another certificate or other metadata; the client's id.
pub async fn registered(http: &Client, tpp: &Tpp, metadata: &Value) -> String {
    let endpoint = tpp.endpoint("registration_endpoint").unwrap();
    http.post_json(endpoint, &[], metadata).await.unwrap().expect(201).unwrap().text("/client_id")
}

/// The sandbox's certificate authority.
pub fn authority(gw: &TestGateway) -> Authority {
    let read = |name: &str| std::fs::read_to_string(gw.folder().join("data/pki").join(name)).unwrap();
    Authority::from_pem(&read("root.pem"), &read("root.key"), SystemClock.now()).unwrap()
}

/// What the demo fintech's certificate says.
pub fn subject() -> Psd2Subject {
    Psd2Subject {
        common_name: "fintech.consentry.example".to_owned(),
        organization: "Demo Fintech".to_owned(),
        country: "DE".to_owned(),
        organization_identifier: "PSDDE-BAFIN-900200".to_owned(),
        roles: vec![Psd2Role::PaymentInitiation, Psd2Role::AccountInformation],
        nca_name: "Federal Financial Supervisory Authority".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        san_dns: vec!["fintech.consentry.example".to_owned()],
        san_uri: Vec::new(),
    }
}

/// A client that shows this certificate.
pub fn with(gw: &TestGateway, shown: &Issued) -> Client {
    let identity = (shown.certificate_pem.as_str(), shown.key_pem.as_str());
    Client::new(&gw.sandbox.access().pki.root, Some(identity)).unwrap()
}

/// The same client with a certificate of these roles.
pub fn tpp_with(gw: &TestGateway, tpp: &Tpp, shown: &Issued) -> Tpp {
    let mut other = tpp.clone();
    other.http = with(gw, shown);
    other
}
