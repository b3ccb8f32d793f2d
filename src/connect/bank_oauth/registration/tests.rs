use crypto::pki::{Authority, Psd2Subject};
use crypto::{Algorithm, OrganizationIdSpelling, Psd2Role, jws};
use domain::SystemEntropy;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::{AuthorizationServer, Quirks};

const NOW: &str = "2026-06-01T10:00:00Z";
const BACK: &str = "https://gateway.example/callback/gb-bank";

struct Us {
    key: SigningKey,
    certificate: Certificate,
    metadata: Metadata,
}

fn us() -> Us {
    let now = NOW.parse().unwrap();
    let subject = Psd2Subject {
        common_name: "gateway.example".into(),
        organization: "Us".into(),
        country: "GB".into(),
        organization_identifier: "PSDGB-FCA-1".into(),
        roles: vec![Psd2Role::AccountInformation],
        nca_name: "FCA".into(),
        nca_id: "GB-FCA".into(),
        san_dns: Vec::new(),
        san_uri: Vec::new(),
    };
    let qwac = Authority::new("Root", now).unwrap().issue_qwac(&subject).unwrap();
    let endpoint = |path: &str| Url::parse(&format!("https://as.bank.example/{path}")).unwrap();
    Us {
        key: SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "sig").unwrap(),
        certificate: Certificate::from_pem(&qwac.certificate_pem).unwrap(),
        metadata: Metadata {
            issuer: "https://as.bank.example".into(),
            authorization_endpoint: endpoint("authorize"),
            token_endpoint: endpoint("token"),
            pushed_authorization_request_endpoint: None,
            jwks_uri: None,
            registration_endpoint: Some(endpoint("register")),
            iss_parameter_supported: true,
        },
    }
}

fn profile() -> Profile {
    let mut profile =
        Profile::blank("gb-bank".parse().unwrap(), "Bank", "uk".parse().unwrap(), "uk-open-banking");
    profile.financial_id = Some("0015800".into());
    profile.authorization_server = Some(AuthorizationServer {
        issuer: Some("https://as.bank.example".into()),
        ..AuthorizationServer::default()
    });
    profile.registration =
        Some(Registration { automatic: true, read: true, delete: true, ..Registration::default() });
    profile
}

fn statement(claims: &Value) -> SoftwareStatement {
    let key = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "directory").unwrap();
    let text = jws::sign_compact(&key, &Map::new(), claims.to_string().as_bytes()).unwrap();
    SoftwareStatement::parse(&format!("{text}\n")).unwrap()
}

fn ours() -> SoftwareStatement {
    statement(&json!({
        "software_id": "4fTyqzTlw2KbxPzH7K3jvq",
        "software_roles": ["AISP"],
        "software_redirect_uris": [BACK],
    }))
}

fn registrar<'a>(us: &'a Us, profile: &'a Profile) -> Registrar<'a> {
    Registrar {
        profile,
        metadata: &us.metadata,
        signing_key: &us.key,
        certificate: &us.certificate,
        now: NOW.parse().unwrap(),
        entropy: &SystemEntropy,
    }
}

fn answer(status: u16, body: &Value) -> BankResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    BankResponse { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_string().into() }
}

/// UK Dynamic Client Registration 3.2: who asks, of whom, for what, as a signed JWT.
#[test]
fn a_request_is_a_signed_jwt_that_carries_the_software_statement() {
    let (us, profile, statement) = (us(), profile(), ours());
    let back = [Url::parse(BACK).unwrap()];
    let order =
        RegistrationOrder { statement: Some(&statement), roles: &[Role::Accounts], redirect_uris: &back };
    let request = registrar(&us, &profile).register(&order).unwrap();
    assert_eq!((request.method.as_str(), request.url.path()), ("POST", "/register"));
    assert_eq!(request.header_text("content-type"), Some("application/jwt"));
    let token = std::str::from_utf8(request.body.as_deref().unwrap()).unwrap();
    let claims =
        jws::verify_compact(token, &Jwks::of([&us.key]), &[Algorithm::Ps256]).unwrap().claims().unwrap();
    let dn = us.certificate.subject_dn_spelt(OrganizationIdSpelling::DottedHex);
    for (name, value) in [
        ("iss", json!("4fTyqzTlw2KbxPzH7K3jvq")),
        ("aud", json!("0015800")),
        ("iat", json!(1_780_308_000)),
        ("exp", json!(1_780_308_300)),
        ("redirect_uris", json!([BACK])),
        ("token_endpoint_auth_method", json!("tls_client_auth")),
        ("tls_client_auth_subject_dn", json!(dn)),
        ("grant_types", json!(["authorization_code", "refresh_token", "client_credentials"])),
        ("response_types", json!(["code"])),
        ("software_id", json!("4fTyqzTlw2KbxPzH7K3jvq")),
        ("software_statement", json!(statement.as_str())),
        ("scope", json!("openid accounts")),
        ("application_type", json!("web")),
        ("id_token_signed_response_alg", json!("PS256")),
        ("request_object_signing_alg", json!("PS256")),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert!(claims["jti"].as_str().unwrap().len() >= 32);
    assert!(!claims.contains_key("subject_type") && !claims.contains_key("jwks"));
}

/// RFC 7591: without a directory, JSON with our keys in it.
#[test]
fn a_request_is_json_with_our_keys_where_the_profile_says_so() {
    let (us, mut profile) = (us(), profile());
    profile.registration.as_mut().unwrap().request = RegistrationForm::Json;
    profile.client_auth = ClientAuth::PrivateKeyJwt;
    let back = [Url::parse(BACK).unwrap()];
    let order = RegistrationOrder { statement: None, roles: &Role::ALL, redirect_uris: &back };
    let request = registrar(&us, &profile).register(&order).unwrap();
    assert_eq!(request.header_text("content-type"), Some("application/json"));
    let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["jwks"], Jwks::of([&us.key]).to_value());
    assert_eq!(body["scope"], "openid accounts payments fundsconfirmations");
    assert_eq!(body["token_endpoint_auth_method"], "private_key_jwt");
    assert!(body.get("iss").is_none() && body.get("software_statement").is_none());
}

#[test]
fn what_the_statement_does_not_cover_and_what_is_missing_is_not_asked_for() {
    let (us, profile, statement) = (us(), profile(), ours());
    let (back, other) = ([Url::parse(BACK).unwrap()], [Url::parse("https://else.example/").unwrap()]);
    let refusal = |profile: &Profile, statement, roles: &[Role], redirect_uris: &[Url]| {
        let order = RegistrationOrder { statement, roles, redirect_uris };
        registrar(&us, profile).register(&order).unwrap_err().to_string()
    };
    let ours = Some(&statement);
    let said = refusal(&profile, ours, &[Role::Payments], &back);
    assert_eq!(said, "the software statement does not cover the service pisp");
    let said = refusal(&profile, ours, &[Role::Accounts], &other);
    assert_eq!(said, "the software statement does not cover the redirect address https://else.example/");
    assert_eq!(refusal(&profile, None, &[Role::Accounts], &back), "the bank wants a software statement");
    let nameless = Profile { financial_id: None, ..profile.clone() };
    let said = refusal(&nameless, ours, &[Role::Accounts], &back);
    assert!(said.contains("profile is not complete, at financial_id"), "{said}");
    let by_hand = Profile { registration: Some(Registration::default()), ..profile };
    let said = refusal(&by_hand, ours, &[Role::Accounts], &back);
    assert_eq!(said, "the bank's profile does not say that a registration can be made by a request");
}

/// Our certificate goes nowhere that the profile does not know.
#[test]
fn a_registration_endpoint_on_a_foreign_host_is_refused() {
    let (mut us, profile, statement) = (us(), profile(), ours());
    us.metadata.registration_endpoint = Some("https://evil.example/register".parse().unwrap());
    let back = [Url::parse(BACK).unwrap()];
    let order =
        RegistrationOrder { statement: Some(&statement), roles: &[Role::Accounts], redirect_uris: &back };
    let RegistrationError::Bank(error) = registrar(&us, &profile).register(&order).unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(error.field.as_deref(), Some("/registration_endpoint"));
}

/// RFC 7591 §3.2.1: what the bank registered is what counts, so it is compared.
#[test]
fn an_answer_that_is_not_what_was_asked_for_is_refused_and_names_the_client() {
    let (us, profile, statement) = (us(), profile(), ours());
    let back = [Url::parse(BACK).unwrap()];
    let order =
        RegistrationOrder { statement: Some(&statement), roles: &[Role::Accounts], redirect_uris: &back };
    let registrar = registrar(&us, &profile);
    let read = |change: (&str, Value)| {
        let mut body = json!({
            "client_id": "c-1",
            "client_id_issued_at": 1_780_308_000,
            "redirect_uris": [BACK],
            "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
            "scope": "accounts openid",
            "token_endpoint_auth_method": "tls_client_auth",
            "client_secret": "s", "registration_access_token": "t",
        });
        body[change.0] = change.1;
        registrar.registered(&order, &answer(201, &body))
    };
    let fine = read(("software_client_name", json!("x"))).unwrap();
    assert_eq!((fine.client.client_id.as_str(), fine.client.access_token.is_some()), ("c-1", true));
    assert_eq!(fine.issued_at.unwrap().to_string(), NOW);
    assert!(!Value::Object(fine.metadata.clone()).to_string().contains("\"s\""));
    assert!(!fine.metadata.contains_key("registration_access_token"));
    for (member, value) in [
        ("redirect_uris", json!([BACK, "https://evil.example/"])),
        ("redirect_uris", json!([])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("id_token_signed_response_alg", json!("none")),
        ("grant_types", json!(["client_credentials"])),
        ("scope", json!("openid")),
        ("scope", json!(["openid", "accounts"])),
        ("client_id_issued_at", json!(1_780_308_000_000_i64)),
        ("client_id_issued_at", json!("today")),
        ("registration_client_uri", json!("https://evil.example/c-1")),
    ] {
        let RegistrationError::Different { client_id, source } = read((member, value)).unwrap_err() else {
            panic!("{member}")
        };
        assert_eq!((client_id.as_str(), source.field.unwrap()), ("c-1", format!("/{member}")));
    }
    for id in [json!(""), json!(7), json!("sm\u{f8}rrebr\u{f8}d")] {
        assert!(matches!(read(("client_id", id)), Err(RegistrationError::Bank(_))));
    }
    let unread = registrar.registered(&order, &answer(200, &json!({ "client_id": "c-1" }))).unwrap_err();
    let RegistrationError::Bank(error) = unread else { panic!("{unread}") };
    assert_eq!((error.outcome, error.http_status), (crate::Outcome::Unknown, Some(200)));
}

/// RFC 7592 §2: the address that the bank gave, and its token; else below the endpoint.
#[test]
fn a_registration_is_managed_where_and_by_what_the_bank_gave() {
    let (us, mut profile) = (us(), profile());
    let registered = RegisteredClient {
        client_id: "a/b".into(),
        client_uri: None,
        access_token: Some("its-token".to_owned().into()),
    };
    let token = SecretString::from("t".to_owned());
    let request = registrar(&us, &profile).read(&registered, &token).unwrap();
    assert_eq!(request.url.as_str(), "https://as.bank.example/register/a%2Fb");
    assert_eq!(request.header_text("authorization"), Some("Bearer t"));
    let elsewhere = RegisteredClient {
        client_uri: Some("https://as.bank.example/clients?id=1".parse().unwrap()),
        ..registered.clone()
    };
    assert_eq!(registrar(&us, &profile).delete(&elsewhere, &token).unwrap().url.query(), Some("id=1"));
    let refused = registrar(&us, &profile).update(
        &registered,
        &token,
        &RegistrationOrder { statement: None, roles: &[], redirect_uris: &[] },
    );
    assert!(matches!(refused, Err(RegistrationError::NotOffered("replaced"))));

    profile.client_id = Some("c-1".into());
    let own = registrar(&us, &profile).managed_by(&registered, None).unwrap();
    let ManagedBy::OwnToken(request) = own else { panic!("its own token") };
    let body = std::str::from_utf8(request.body.as_deref().unwrap()).unwrap();
    assert_eq!(body, "grant_type=client_credentials&client_id=c-1");
    profile.quirks = Quirks::new(vec![Quirk {
        name: QuirkName::RegistrationAccessToken,
        at: vec!["dcr.manage".into()],
        versions: Vec::new(),
        parameters: std::collections::BTreeMap::new(),
    }]);
    let ManagedBy::ItsToken(token) = registrar(&us, &profile).managed_by(&registered, None).unwrap() else {
        panic!("a token of our own")
    };
    assert_eq!(token.expose_secret(), "its-token");
    let bare = RegisteredClient::known_as("c-1");
    let missing = registrar(&us, &profile).managed_by(&bare, None);
    assert!(matches!(missing, Err(RegistrationError::NoToken)));
}

#[test]
fn a_text_that_is_no_software_statement_is_told_apart() {
    assert_eq!(SoftwareStatement::parse("no jwt").unwrap_err(), InvalidStatement::Malformed);
    let key = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "k").unwrap();
    let parse = |claims: Value| {
        let text = jws::sign_compact(&key, &Map::new(), claims.to_string().as_bytes()).unwrap();
        SoftwareStatement::parse(&text)
    };
    assert_eq!(parse(json!({})).unwrap_err(), InvalidStatement::Claim("software_id"));
    let wrong = parse(json!({ "software_id": "s", "software_roles": "AISP" }));
    assert_eq!(wrong.unwrap_err(), InvalidStatement::Claim("software_roles"));
    assert_eq!(parse(json!({ "software_id": "s" })).unwrap().roles(), Role::ALL);
}
