//! The UK bank takes clients by request, as strictly as a certified one: a TPP
//! that writes its requests itself, over real TLS.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{
    BankKind, Directory, Fact, ModelBank, RegistrationDesk, RegistrationWay, RunningBank,
};
use crypto::{Jwks, SigningKey, jws};
use domain::Clock;
use serde_json::{Map, Value, json};
use world::{Answer, REDIRECT, Tpp, World};

const SOFTWARE: &str = "4fTyqzTlw2KbxPzH7K3jvq";

struct Desk {
    world: World,
    tpp: Tpp,
    directory: SigningKey,
    bank: RunningBank,
}

impl Desk {
    async fn open(ways: &[RegistrationWay]) -> Self {
        let world = World::new();
        let tpp = world.both();
        let directory = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "directory").unwrap();
        let (mut config, _) = world.config("bank", BankKind::UkOpenBanking, true, &[]);
        config.registration = Some(RegistrationDesk {
            directories: vec![Directory { issuer: "Directory".into(), keys: Jwks::of([&directory]) }],
            financial_id: "0015800".into(),
            ways: ways.to_vec(),
        });
        let bank = ModelBank::start(config).await.unwrap();
        Self { world, tpp, directory, bank }
    }

    fn now(&self) -> i64 {
        self.world.clock.now().as_second()
    }

    fn statement(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = json!({
            "iss": "Directory", "iat": self.now(), "software_id": SOFTWARE,
            "org_id": self.tpp.organisation, "software_roles": ["AISP", "PISP"],
            "software_redirect_uris": [REDIRECT], "jwks": Jwks::of([&self.tpp.key]).to_value(),
        });
        change(&mut claims);
        jws::sign_compact(&self.directory, &Map::new(), claims.to_string().as_bytes()).unwrap()
    }

    /// A right request, which a test spoils.
    fn request(&self, jti: &str, change: impl FnOnce(&mut Value)) -> String {
        let subject = self.tpp.subject_in_hex();
        let mut claims = json!({
            "iss": SOFTWARE, "iat": self.now(), "exp": self.now() + 300, "aud": "0015800", "jti": jti,
            "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": subject,
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types": ["code"], "application_type": "web", "scope": "openid accounts payments",
            "id_token_signed_response_alg": "PS256", "request_object_signing_alg": "PS256",
            "software_id": SOFTWARE, "software_statement": self.statement(|_| {}),
        });
        change(&mut claims);
        jws::sign_compact(&self.tpp.key, &Map::new(), claims.to_string().as_bytes()).unwrap()
    }

    async fn send(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/jwt"), ("authorization", bearer.as_str())];
        self.tpp.http.send(method, &format!("{}/register{path}", self.bank.api_url), &headers, body).await
    }

    async fn register(&self, body: &str) -> Answer {
        self.send("POST", "", "", body).await
    }

    async fn token(&self, client: &str, scope: Option<&str>) -> Answer {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", client)];
        form.extend(scope.map(|scope| ("scope", scope)));
        self.tpp.http.form(&format!("{}/token", self.bank.api_url), &form).await
    }
}

/// UK DCR 3.2: register, read, replace, delete; a deleted client has no tokens.
#[tokio::test]
async fn a_registration_lives_from_its_request_to_its_deletion() {
    let desk = Desk::open(&[]).await;
    let made = desk.register(&desk.request("1", |_| {})).await.expect(201);
    let client = made.at("/client_id");
    assert_eq!(made.at("/client_id_issued_at"), desk.now().to_string());
    assert_eq!(made.at("/scope"), "openid accounts payments");
    let entry = desk.bank.journal().entries().pop().unwrap();
    assert_eq!(entry.facts, [Fact::Role, Fact::Signature]);

    desk.token(&client, Some("accounts")).await.expect(200);
    assert_eq!(
        desk.token(&client, Some("fundsconfirmations")).await.expect(400).at("/error"),
        "invalid_scope"
    );
    let token = desk.token(&client, None).await.expect(200).at("/access_token");
    let path = format!("/{client}");
    assert_eq!(desk.send("GET", &path, &token, "").await.expect(200).at("/client_id"), client);
    let narrower = desk.request("2", |claims| claims["scope"] = json!("openid accounts"));
    assert_eq!(desk.send("PUT", &path, &token, &narrower).await.expect(200).at("/scope"), "openid accounts");
    assert_eq!(desk.token(&client, Some("payments")).await.expect(400).at("/error"), "invalid_scope");

    // Another client's token, and a client that there is not, look the same.
    let other = desk.register(&desk.request("3", |_| {})).await.expect(201).at("/client_id");
    let foreign = desk.token(&other, None).await.expect(200).at("/access_token");
    assert_eq!(desk.send("GET", &path, &foreign, "").await.expect(401).at("/error"), "invalid_token");
    desk.send("PUT", "/nobody", &token, &desk.request("4", |_| {})).await.expect(401);
    desk.send("DELETE", &path, &token, "").await.expect(204);
    desk.send("GET", &path, &token, "").await.expect(401);
    desk.token(&client, None).await.expect(401);
}

/// RFC 7591 §2: a client authenticates as it registered, and by nothing less.
#[tokio::test]
async fn a_client_that_registered_assertions_gets_no_token_by_its_certificate_alone() {
    let desk = Desk::open(&[]).await;
    let request = desk.request("1", |claims| {
        claims["token_endpoint_auth_method"] = json!("private_key_jwt");
        claims["token_endpoint_auth_signing_alg"] = json!("PS256");
    });
    let client = desk.register(&request).await.expect(201).at("/client_id");
    assert_eq!(desk.token(&client, Some("accounts")).await.expect(401).at("/error"), "invalid_client");
    let claims = json!({
        "iss": client, "sub": client, "aud": desk.bank.issuer, "exp": desk.now() + 60, "jti": "once",
    });
    let assertion = jws::sign_compact(&desk.tpp.key, &Map::new(), claims.to_string().as_bytes()).unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "accounts"),
        ("client_id", client.as_str()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    desk.tpp.http.form(&format!("{}/token", desk.bank.api_url), &form).await.expect(200);
    let plain = desk.register(&desk.request("2", |_| {})).await.expect(201).at("/client_id");
    desk.token(&plain, Some("accounts")).await.expect(200);
}

#[tokio::test]
async fn a_registration_outlives_a_restart_of_the_bank() {
    let desk = Desk::open(&[]).await;
    let client = desk.register(&desk.request("1", |_| {})).await.expect(201).at("/client_id");
    let (config, _) = desk.world.config("bank", BankKind::UkOpenBanking, true, &[]);
    let again = ModelBank::start(config).await.unwrap();
    let desk = Desk { bank: again, ..desk };
    desk.token(&client, Some("accounts")).await.expect(200);
}

/// DCR-004, DCR-011 and what a certified bank looks at beyond them.
#[tokio::test]
async fn a_request_with_anything_wrong_is_refused_by_name() {
    let desk = Desk::open(&[]).await;
    let now = desk.now();
    let set = |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value;
    let metadata = "invalid_client_metadata";
    for (name, value, error) in [
        ("exp", json!(now - 1), metadata),
        ("exp", json!(now + 3_600), metadata),
        ("iat", json!(now + 120), metadata),
        ("iss", json!("another"), metadata),
        ("iss", json!(""), metadata),
        ("iss", json!("a-name-that-is-much-too-long"), metadata),
        ("aud", json!("another bank"), metadata),
        ("jti", Value::Null, metadata),
        ("redirect_uris", json!(["https://evil.example/"]), "invalid_redirect_uri"),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        ("token_endpoint_auth_method", json!("client_secret_basic"), metadata),
        ("tls_client_auth_subject_dn", json!("CN=another"), metadata),
        ("grant_types", json!(["implicit"]), metadata),
        ("grant_types", json!(["client_credentials", "authorization_code"]), metadata),
        ("response_types", json!(["id_token"]), metadata),
        ("application_type", json!("mobile"), metadata),
        ("scope", json!("openid fundsconfirmations"), metadata),
        ("scope", json!("openid"), metadata),
        ("id_token_signed_response_alg", json!("RS256"), metadata),
        ("request_object_signing_alg", json!("none"), metadata),
        ("software_id", json!("another"), metadata),
        ("subject_type", json!("public"), metadata),
        ("software_statement", Value::Null, "invalid_software_statement"),
        ("software_statement", json!("x.y.z"), "invalid_software_statement"),
    ] {
        let refused = desk.register(&desk.request("1", set(name, value.clone()))).await.expect(400);
        assert_eq!(refused.at("/error"), error, "{name}: {value}");
    }
    for (name, value, error) in [
        ("iss", json!("Nobody"), "unapproved_software_statement"),
        ("org_id", json!("PSDGB-FCA-1"), "invalid_software_statement"),
        ("exp", json!(1), "invalid_software_statement"),
        ("jwks", json!({ "keys": [] }), metadata),
        ("software_roles", json!(["AISP"]), metadata),
    ] {
        let statement = desk.statement(set(name, value));
        let body = desk.request("1", |claims| claims["software_statement"] = json!(statement));
        assert_eq!(desk.register(&body).await.expect(400).at("/error"), error);
    }
    let other = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "seal").unwrap();
    let claims = jws::peek_claims(&desk.request("1", |_| {})).unwrap();
    let forged =
        jws::sign_compact(&other, &Map::new(), Value::Object(claims).to_string().as_bytes()).unwrap();
    assert_eq!(desk.register(&forged).await.expect(400).at("/error"), metadata);
    // None of these used it up; the right one does.
    let right = desk.request("1", |_| {});
    desk.register(&right).await.expect(201);
    assert_eq!(desk.register(&right).await.expect(400).at("/error"), metadata);
}

/// RFC 7592 §2: its own token, another one after each change.
#[tokio::test]
async fn a_registration_with_a_token_of_its_own_is_managed_by_that_alone() {
    let desk = Desk::open(&[RegistrationWay::OwnToken]).await;
    let made = desk.register(&desk.request("1", |_| {})).await.expect(201);
    let (client, first) = (made.at("/client_id"), made.at("/registration_access_token"));
    assert!(made.at("/registration_client_uri").ends_with(&format!("/register/{client}")));
    let path = format!("/{client}");
    let own = desk.token(&client, None).await.expect(200).at("/access_token");
    desk.send("GET", &path, &own, "").await.expect(401);
    desk.send("GET", &path, &first, "").await.expect(200);
    let second = desk.send("PUT", &path, &first, &desk.request("2", |_| {})).await.expect(200);
    desk.send("GET", &path, &first, "").await.expect(401);
    desk.send("DELETE", &path, &second.at("/registration_access_token"), "").await.expect(204);
}
