//! Near misses of QWACs and of the Open Banking directory's certificates, and
//! what is said of each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use consentry_crypto::pki::{Authority, Issued, Psd2Subject};
use consentry_crypto::{Certificate, Psd2Role, Scheme, TrustProfile};
use domain::{Clock, SystemClock, Timestamp};

use Psd2Role::{AccountInformation, AccountServicing, CardIssuing, PaymentInitiation};

fn now() -> Timestamp {
    SystemClock.now()
}

fn authority() -> Authority {
    Authority::new("QTSP of the test", now()).unwrap()
}

fn subject() -> Psd2Subject {
    Psd2Subject {
        common_name: "tpp.example".into(),
        organization: "TPP".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-100001".into(),
        roles: vec![AccountInformation, PaymentInitiation],
        nca_name: "BaFin".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: vec!["tpp.example".into()],
        san_uri: Vec::new(),
    }
}

fn profile(scheme: Scheme, authority: &Authority) -> TrustProfile {
    TrustProfile::new(scheme, authority.certificate_pem()).unwrap()
}

/// What is wrong with a certificate for account information.
fn said(profile: &TrustProfile, issued: &Issued) -> Vec<String> {
    let certificate = Certificate::from_pem(&issued.certificate_pem).unwrap();
    match profile.judge(&certificate.der, &[AccountInformation], now()) {
        Ok(identity) => vec![format!("{identity:?}")],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_qwac_says_who_its_holder_is() {
    let authority = authority();
    let profile = profile(Scheme::Eidas, &authority);
    let issued = authority.issue_qwac(&subject()).unwrap();
    let certificate = Certificate::from_pem(&issued.certificate_pem).unwrap();
    let identity = certificate.judge_psd2(&profile, &[AccountInformation, PaymentInitiation], now()).unwrap();
    assert_eq!(identity.organisation, "PSDDE-BAFIN-100001");
    assert_eq!(identity.roles.unwrap(), [AccountInformation, PaymentInitiation]);
    assert_eq!(identity.authority.as_deref(), Some("DE-BAFIN"));
}

/// ETSI TS 119 495 §5, each clause missed once and nothing else.
#[test]
fn each_near_miss_is_named() {
    let authority = authority();
    let profile = profile(Scheme::Eidas, &authority);
    let changed = |change: fn(&mut Psd2Subject)| {
        let mut subject = subject();
        change(&mut subject);
        said(&profile, &authority.issue_qwac(&subject).unwrap())
    };
    assert_eq!(
        changed(|subject| subject.nca_id = "FR-ACPR".into()),
        ["the PSD2 statement names FR-ACPR and the organizationIdentifier DE-BAFIN"]
    );
    assert_eq!(
        changed(|subject| subject.roles = vec![PaymentInitiation]),
        ["the PSD2 statement does not grant PSP_AI"]
    );
    assert_eq!(
        changed(|subject| subject.roles.clear()),
        ["the PSD2 statement grants no role", "the PSD2 statement does not grant PSP_AI"]
    );
    assert_eq!(
        changed(|subject| subject.organization_identifier = "VATDE-123456789".into()),
        ["the organizationIdentifier is malformed: VATDE-123456789"]
    );
    assert_eq!(
        changed(|subject| {
            subject.nca_id = "BAFIN".into();
            subject.organization_identifier = "PSDDE-BAFIN-1".into();
        }),
        [
            "the identifier of the competent authority is malformed: BAFIN",
            "the PSD2 statement names BAFIN and the organizationIdentifier DE-BAFIN"
        ]
    );
    let over = said(&profile, &authority.issue_qwac_for(&subject(), -1).unwrap());
    assert!(over.len() == 1 && over[0].starts_with("the certificate ran out at 20"), "{over:?}");
    let seal = said(&profile, &authority.issue_qseal(&subject(), false).unwrap());
    assert_eq!(seal, ["the certificate is qualified for eseal and has to be for web"]);
    let plain = said(&profile, &authority.issue_client_plain("nobody").unwrap());
    assert_eq!(
        plain,
        [
            "the certificate does not state that it is qualified",
            "the certificate is qualified for nothing and has to be for web",
            "the subject has no organizationIdentifier",
            "the certificate has no PSD2 statement",
        ]
    );
    let early = authority.issue_qwac(&subject()).unwrap();
    let early = Certificate::from_pem(&early.certificate_pem).unwrap();
    let problems = early.judge_psd2(&profile, &[], Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(problems.len() == 1 && problems[0].to_string().starts_with("the certificate begins at 20"));
}

/// The same name with another key, and a name that nobody has.
#[test]
fn an_issuer_is_known_by_its_key() {
    let profile = profile(Scheme::Eidas, &authority());
    let alike = said(&profile, &authority().issue_qwac(&subject()).unwrap());
    assert_eq!(
        alike,
        ["it is signed by somebody else than the trusted authority whose name it bears: CN=QTSP of the test"]
    );
    let other = Authority::new("Another QTSP", now()).unwrap();
    let unknown = said(&profile, &other.issue_qwac(&subject()).unwrap());
    assert_eq!(unknown, ["no authority that is trusted here has the name CN=Another QTSP"]);
    // An authority may have several keys.
    let (first, second) = (authority(), authority());
    let both = format!("{}{}", first.certificate_pem(), second.certificate_pem());
    let both = TrustProfile::new(Scheme::Eidas, &both).unwrap();
    for known in [first, second] {
        assert!(said(&both, &known.issue_qwac(&subject()).unwrap())[0].starts_with("Psd2Identity"));
    }
}

#[test]
fn what_is_no_certificate_is_said_to_be_none() {
    let authority = authority();
    let profile = profile(Scheme::Eidas, &authority);
    let issued = authority.issue_qwac(&subject()).unwrap();
    let der = Certificate::from_pem(&issued.certificate_pem).unwrap().der;
    for malformed in [&der[..der.len() - 1], &[der.as_slice(), &[0]].concat(), b"", b"\x30\x03abc"] {
        let problems = profile.judge(malformed, &[], now()).unwrap_err();
        let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["the certificate is malformed"]);
    }
    // One bit of what is signed.
    let mut changed = der.clone();
    let place = changed.windows(5).position(|window| window == b"BAFIN").unwrap();
    changed[place] = b'C';
    let problems = profile.judge(&changed, &[], now()).unwrap_err();
    assert!(problems.iter().any(|problem| problem.to_string().starts_with("it is signed by somebody else")));
    assert!(TrustProfile::new(Scheme::Eidas, "").is_err());
    assert!(
        TrustProfile::new(Scheme::Eidas, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
            .is_err()
    );
}

/// A directory's certificate may leave the roles to the directory; what it
/// states itself has to be right.
#[test]
fn a_directory_vouches_for_certificates_without_a_statement() {
    let authority = authority();
    let profile = profile(Scheme::OpenBanking, &authority);
    let transport = authority.issue_transport("0014H00001", "software").unwrap();
    let certificate = Certificate::from_pem(&transport.certificate_pem).unwrap();
    let identity = certificate.judge_psd2(&profile, &[PaymentInitiation], now()).unwrap();
    assert_eq!((identity.organisation.as_str(), identity.roles), ("0014H00001", None));
    let mut british = subject();
    british.organization_identifier = "PSDGB-OB-Unknown0014H00001".into();
    british.nca_id = "GB-OB".into();
    let obwac = said(&profile, &authority.issue_qwac(&british).unwrap());
    assert!(obwac[0].contains("PSDGB-OB-Unknown0014H00001"), "{obwac:?}");
    british.nca_id = "GB-FCA".into();
    let wrong = said(&profile, &authority.issue_qwac(&british).unwrap());
    assert_eq!(wrong, ["the PSD2 statement names GB-FCA and the organizationIdentifier GB-OB"]);
    let nobody = said(&profile, &authority.issue_client_plain("nobody").unwrap());
    assert_eq!(nobody, ["the subject names no organisation of the directory"]);
    let foreign = Authority::new("QTSP of the test", now()).unwrap();
    let foreign = said(&profile, &foreign.issue_transport("0014H00001", "software").unwrap());
    assert!(foreign[0].starts_with("it is signed by somebody else"), "{foreign:?}");
}

/// PSD2 art. 65 to 67.
#[test]
fn a_role_allows_one_scope_and_a_scope_needs_one_role() {
    let scopes = Psd2Role::ALL.map(|role| (role, role.scope()));
    assert_eq!(
        scopes,
        [
            (AccountServicing, None),
            (PaymentInitiation, Some("payments")),
            (AccountInformation, Some("accounts")),
            (CardIssuing, Some("fundsconfirmations")),
        ]
    );
    for (role, scope) in scopes {
        assert_eq!(scope.and_then(Psd2Role::for_scope), scope.map(|_| role));
    }
    assert_eq!(Psd2Role::for_scope("openid"), None);
}
