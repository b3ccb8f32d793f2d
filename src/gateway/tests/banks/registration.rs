//! Our registration client at the UK model bank, over real TLS: strict by default,
//! and loosened only where the profile names a quirk. Each quirk is met twice: the
//! strict client fails at a bank that has it, the profiled one does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect::bank_oauth::{
    Metadata, OAuthClient, Registered, Registrar, RegistrationError, RegistrationOrder, Role,
    SoftwareStatement,
};
use connect::{
    AuthorizationServer, Profile, Quirk, QuirkName, Quirks, Registration, TlsIdentity, Transport,
    TransportConfig,
};
use crypto::pki::{Authority, Psd2Subject};
use crypto::{Certificate, Jwks, OrganizationIdSpelling, Psd2Role, SigningKey, jws};
use domain::{Clock, SystemClock, SystemEntropy};
use limits::{Limiter, Policies};
use modelbank::{BankConfig, BankKind, Directory, ModelBank, RegistrationDesk, RegistrationWay};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;
use toml::toml;
use url::Url;

/// RFC 7591 §3.2.2.
const METADATA: &str = "invalid_client_metadata";
const BACK: &str = "https://gateway.example/callback/gb-bank";

/// A bank with its ways, and us.
struct Meeting {
    profile: Profile,
    metadata: Metadata,
    transport: Transport,
    key: SigningKey,
    certificate: Certificate,
    statement: SoftwareStatement,
}

impl Meeting {
    async fn with(ways: &[RegistrationWay]) -> Self {
        let now = SystemClock.now();
        let authority = Authority::new("Root", now).unwrap();
        let server = authority.issue_server(&["localhost"], &["127.0.0.1".parse().unwrap()]).unwrap();
        let qwac = authority.issue_qwac(&us()).unwrap();
        let key = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "sig").unwrap();
        let directory = SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "directory").unwrap();
        let statement = json!({
            "iss": "Directory", "iat": now.as_second(), "software_id": "4fTyqzTlw2KbxPzH7K3jvq",
            "org_id": us().organization_identifier, "software_roles": ["AISP", "PISP", "CBPII"],
            "software_redirect_uris": [BACK], "jwks": Jwks::of([&key]).to_value(),
        });
        let statement = jws::sign_compact(&directory, &Map::new(), statement.to_string().as_bytes()).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bank = ModelBank::start(BankConfig {
            kind: BankKind::UkOpenBanking,
            id: "bank".into(),
            name: "Bank".into(),
            api_addr: any,
            pages_addr: any,
            host: "localhost".into(),
            server_certificate_pem: server.certificate_pem,
            server_key_pem: server.key_pem,
            client_ca_pem: authority.certificate_pem().into(),
            signing_key_pem: None,
            clients: Vec::new(),
            registration: Some(RegistrationDesk {
                directories: vec![Directory { issuer: "Directory".into(), keys: Jwks::of([&directory]) }],
                financial_id: "0015800".into(),
                ways: ways.to_vec(),
            }),
            auto_approve: true,
            state_dir: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            shutdown: CancellationToken::new(),
        })
        .await
        .unwrap();
        let transport = Transport::new(TransportConfig {
            roots_pem: authority.certificate_pem().into(),
            identity: Some(TlsIdentity {
                certificate_chain_pem: qwac.certificate_pem.clone(),
                private_key_pem: qwac.key_pem.into(),
            }),
            seal: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            limiter: Arc::new(Limiter::new(Policies::unlimited())),
        })
        .unwrap();
        let profile = profile(&bank.issuer, &bank.api_url);
        let metadata = transport.server_metadata(&profile, None).await.unwrap();
        Self {
            profile,
            metadata,
            transport,
            key,
            certificate: Certificate::from_pem(&qwac.certificate_pem).unwrap(),
            statement: SoftwareStatement::parse(&statement).unwrap(),
        }
    }

    /// The profile with this quirk.
    fn profiled(&self, name: QuirkName, at: &str, parameters: toml::Table) -> Profile {
        let parameters: BTreeMap<_, _> = parameters.into_iter().collect();
        let quirk = Quirk { name, at: vec![at.into()], versions: Vec::new(), parameters };
        Profile { quirks: Quirks::new(vec![quirk]), ..self.profile.clone() }
    }

    fn registrar<'a>(&'a self, profile: &'a Profile) -> Registrar<'a> {
        Registrar {
            profile,
            metadata: &self.metadata,
            signing_key: &self.key,
            certificate: &self.certificate,
            now: SystemClock.now(),
            entropy: &SystemEntropy,
        }
    }

    async fn register(&self, profile: &Profile, roles: &[Role]) -> Result<Registered, RegistrationError> {
        let order = RegistrationOrder {
            statement: Some(&self.statement),
            roles,
            redirect_uris: &[Url::parse(BACK).unwrap()],
        };
        self.transport.register(&self.registrar(profile), &order).await
    }

    /// What the bank answers to a registration of both services, in one word.
    async fn refusal(&self, profile: &Profile) -> String {
        let error = self.register(profile, &Role::ALL).await.unwrap_err();
        if let RegistrationError::Different { source, .. } = error {
            return source.field.unwrap();
        }
        let RegistrationError::Bank(error) = error else { panic!("{error}") };
        error.bank_code.clone().unwrap_or_else(|| error.to_string())
    }
}

fn us() -> Psd2Subject {
    Psd2Subject {
        common_name: "gateway.example".into(),
        organization: "Us".into(),
        country: "GB".into(),
        organization_identifier: "PSDGB-FCA-900100".into(),
        roles: vec![Psd2Role::PaymentInitiation, Psd2Role::AccountInformation, Psd2Role::CardIssuing],
        nca_name: "Financial Conduct Authority".into(),
        nca_id: "GB-FCA".into(),
        san_dns: Vec::new(),
        san_uri: Vec::new(),
    }
}

fn profile(issuer: &str, api: &str) -> Profile {
    let mut profile =
        Profile::blank("gb-bank".parse().unwrap(), "Bank", "uk".parse().unwrap(), "uk-open-banking");
    profile.financial_id = Some("0015800".into());
    profile.authorization_server = Some(AuthorizationServer {
        issuer: Some(issuer.into()),
        // The interface is at another port than the pages.
        token_endpoint: Some(format!("{api}/token").parse().unwrap()),
        ..AuthorizationServer::default()
    });
    profile.registration = Some(Registration {
        automatic: true,
        read: true,
        update: true,
        delete: true,
        ..Registration::default()
    });
    profile
}

/// RFC 7592, by a token of our own as UK Dynamic Client Registration has it.
#[tokio::test]
async fn we_register_use_the_client_read_replace_and_delete_it() {
    let meeting = Meeting::with(&[]).await;
    let made = meeting.register(&meeting.profile, &Role::ALL).await.unwrap();
    assert_eq!(made.metadata["scope"], "openid accounts payments fundsconfirmations");
    let known = Profile { client_id: Some(made.client.client_id.clone()), ..meeting.profile.clone() };
    let client = OAuthClient {
        profile: &known,
        metadata: &meeting.metadata,
        signing_key: Some(&meeting.key),
        now: SystemClock.now(),
        entropy: &SystemEntropy,
    };
    let request = client.client_credentials("accounts").unwrap();
    client.token_read(&meeting.transport.call(&known, request).await.unwrap()).unwrap();

    let registrar = meeting.registrar(&known);
    let read = meeting.transport.registration(&registrar, &made.client, None).await.unwrap();
    assert_eq!((read.client.client_id, read.issued_at), (made.client.client_id.clone(), made.issued_at));
    let order = RegistrationOrder {
        statement: Some(&meeting.statement),
        roles: &[Role::Accounts],
        redirect_uris: &[Url::parse(BACK).unwrap()],
    };
    let changed =
        meeting.transport.update_registration(&registrar, &made.client, None, &order).await.unwrap();
    assert_eq!(changed.metadata["scope"], "openid accounts");
    meeting.transport.delete_registration(&registrar, &made.client, None).await.unwrap();
    let gone = meeting.transport.registration(&registrar, &made.client, None).await.unwrap_err();
    assert!(gone.to_string().contains("does not accept us as its client"), "{gone}");
}

/// The strict client is refused so by a bank with this way; the profiled one registers.
async fn loosened(way: RegistrationWay, refused: &str, name: QuirkName, parameters: toml::Table) {
    let meeting = Meeting::with(&[way]).await;
    assert_eq!(meeting.refusal(&meeting.profile).await, refused);
    let profile = meeting.profiled(name, "dcr.post", parameters);
    meeting.register(&profile, &Role::ALL).await.unwrap();
}

#[tokio::test]
async fn a_bank_that_wants_application_jose_gets_it_by_profile_only() {
    let name = QuirkName::RegistrationMediaType;
    loosened(RegistrationWay::Jose, "invalid_request", name, toml::Table::new()).await;
}

#[tokio::test]
async fn a_bank_that_is_another_audience_is_addressed_so_by_profile_only() {
    let (name, audience) = (QuirkName::RegistrationAudience, toml! { audience = "issuer" });
    loosened(RegistrationWay::AudienceIsIssuer, METADATA, name, audience).await;
}

#[tokio::test]
async fn a_bank_without_the_refresh_grant_is_not_asked_for_it_by_profile_only() {
    let grants = toml! { grant_types = ["client_credentials", "authorization_code"] };
    loosened(RegistrationWay::NoRefreshGrant, METADATA, QuirkName::RegistrationGrants, grants).await;
}

#[tokio::test]
async fn a_bank_that_wants_the_subject_type_named_is_told_by_profile_only() {
    let (name, value) = (QuirkName::RegistrationSubjectType, toml! { value = "pairwise" });
    loosened(RegistrationWay::SubjectTypeNamed, METADATA, name, value).await;
}

#[tokio::test]
async fn a_bank_that_gives_a_list_of_scopes_is_read_by_profile_only() {
    let name = QuirkName::RegistrationScopeList;
    loosened(RegistrationWay::ScopeList, "/scope", name, toml::Table::new()).await;
}

#[tokio::test]
async fn a_bank_that_counts_milliseconds_is_read_by_profile_only() {
    for (names, first) in
        [(&["client_id_issued_at"][..], "/client_id_issued_at"), (&["iat", "exp"][..], "/iat")]
    {
        let meeting = Meeting::with(&[RegistrationWay::Millis(names)]).await;
        assert_eq!(meeting.refusal(&meeting.profile).await, first);
        let claims: toml::Table = [("claims".to_owned(), names.to_vec().into())].into_iter().collect();
        let profile = meeting.profiled(QuirkName::RegistrationTimesInMillis, "dcr.post", claims);
        let made = meeting.register(&profile, &Role::ALL).await.unwrap();
        let age = SystemClock.now().as_second() - made.issued_at.unwrap().as_second();
        assert!((0..60).contains(&age), "{age} s");
    }
}

/// The scope that a client credentials token must have to manage a registration.
#[tokio::test]
async fn a_bank_that_wants_a_scope_to_manage_registrations_gets_it_by_profile_only() {
    let by_role = toml! { scope_by_role = { aisp = "accounts", pisp = "payments" } };
    for (way, parameters, roles, role) in [
        ("openid", toml! { scope = "openid" }, &Role::ALL[..], None),
        ("accounts", by_role.clone(), &[Role::Accounts][..], Some(Role::Accounts)),
        ("payments", by_role, &[Role::Payments][..], Some(Role::Payments)),
    ] {
        let meeting = Meeting::with(&[RegistrationWay::TokenScope(way)]).await;
        let made = meeting.register(&meeting.profile, roles).await.unwrap().client;
        let client_id = Some(made.client_id.clone());
        let strict = Profile { client_id: client_id.clone(), ..meeting.profile.clone() };
        let refused = meeting.transport.registration(&meeting.registrar(&strict), &made, role).await;
        let RegistrationError::Bank(error) = refused.unwrap_err() else { panic!("another error") };
        assert_eq!((error.http_status, error.bank_code.as_deref()), (Some(401), Some("invalid_token")));
        let profile = meeting.profiled(QuirkName::RegistrationTokenScope, "dcr.manage", parameters);
        let profile = Profile { client_id, ..profile };
        meeting.transport.registration(&meeting.registrar(&profile), &made, role).await.unwrap();
    }
}

/// RFC 7592: the token that came with the registration, and the next one after a change.
#[tokio::test]
async fn a_bank_that_manages_by_registration_access_token_is_managed_so_by_profile_only() {
    let meeting = Meeting::with(&[RegistrationWay::OwnToken]).await;
    let made = meeting.register(&meeting.profile, &Role::ALL).await.unwrap().client;
    let client_id = Some(made.client_id.clone());
    let strict = Profile { client_id: client_id.clone(), ..meeting.profile.clone() };
    let refused = meeting.transport.registration(&meeting.registrar(&strict), &made, None).await;
    assert!(matches!(refused, Err(RegistrationError::Bank(error)) if error.http_status == Some(401)));
    let profile = meeting.profiled(QuirkName::RegistrationAccessToken, "dcr.manage", toml::Table::new());
    let profile = Profile { client_id, ..profile };
    let registrar = meeting.registrar(&profile);
    let order = RegistrationOrder {
        statement: Some(&meeting.statement),
        roles: &Role::ALL,
        redirect_uris: &[Url::parse(BACK).unwrap()],
    };
    let next = meeting.transport.update_registration(&registrar, &made, None, &order).await.unwrap().client;
    let old = meeting.transport.registration(&registrar, &made, None).await;
    assert!(matches!(old, Err(RegistrationError::Bank(error)) if error.http_status == Some(401)));
    meeting.transport.delete_registration(&registrar, &next, None).await.unwrap();
}

/// One client for each service, each good for that service only.
#[tokio::test]
async fn a_bank_that_registers_services_apart_is_asked_apart_by_profile_only() {
    let meeting = Meeting::with(&[RegistrationWay::PerRole]).await;
    assert_eq!(meeting.profile.roles_registered_apart(), None);
    assert_eq!(meeting.refusal(&meeting.profile).await, METADATA);
    let roles = toml! { roles = ["aisp", "pisp"] };
    let mut profile = meeting.profiled(QuirkName::RegistrationPerRole, "dcr.post", roles);
    for role in profile.roles_registered_apart().unwrap() {
        let made = meeting.register(&profile, &[role]).await.unwrap();
        profile.client_ids.insert(role, made.client.client_id);
    }
    assert_ne!(profile.client_of(Role::Accounts), profile.client_of(Role::Payments));
    let client = OAuthClient {
        profile: &profile,
        metadata: &meeting.metadata,
        signing_key: Some(&meeting.key),
        now: SystemClock.now(),
        entropy: &SystemEntropy,
    };
    for scope in ["accounts", "payments"] {
        let request = client.client_credentials(scope).unwrap();
        let answer = meeting.transport.call(&profile, request).await.unwrap();
        assert_eq!(client.token_read(&answer).unwrap().scope.as_deref(), Some(scope));
    }
}

/// One certificate has three spellings, and a bank knows one of them.
#[tokio::test]
async fn the_subject_of_our_certificate_is_spelt_as_the_profile_says() {
    for spelling in OrganizationIdSpelling::ALL {
        let meeting = Meeting::with(&[RegistrationWay::Subject(spelling)]).await;
        for written in OrganizationIdSpelling::ALL {
            let mut profile = meeting.profile.clone();
            profile.registration.as_mut().unwrap().organisation_id_in_subject = written;
            let made = meeting.register(&profile, &Role::ALL).await;
            assert_eq!(made.is_ok(), written == spelling, "{written:?} at a bank of {spelling:?}");
        }
    }
}
