//! Certificates of fintechs where the gateway takes those of a scheme alone: which fit, and what
//! is said of those that almost do.

use std::path::Path;
use std::sync::Arc;

use consentry::demo::{Answer, Client, Tpp};
use consentry::sandbox::{Sandbox, SandboxOptions};
use crypto::pki::{Authority, Issued, Psd2Subject};
use crypto::{Psd2Role, Scheme};
use domain::{Clock, SystemClock};
use serde_json::Value;

use crate::support::assert_problem;

fn authority(name: &str) -> Authority {
    Authority::new(name, SystemClock.now()).unwrap()
}

/// The demo fintech, as an authority of its country knows it.
fn subject() -> Psd2Subject {
    Psd2Subject {
        common_name: "fintech.consentry.example".into(),
        organization: "TPP".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-100001".into(),
        roles: vec![Psd2Role::AccountInformation, Psd2Role::PaymentInitiation],
        nca_name: "BaFin".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: vec!["fintech.consentry.example".into()],
        san_uri: Vec::new(),
    }
}

async fn started(folder: &Path, scheme: Scheme, issuers: &str) -> Sandbox {
    let file = folder.join("issuers.pem");
    std::fs::write(&file, issuers).unwrap();
    let trust_profiles = vec![(scheme, file)];
    Sandbox::start(SandboxOptions { trust_profiles, ..SandboxOptions::at(folder.join("data")) })
        .await
        .unwrap()
}

/// What the token endpoint and the API say to who shows this certificate.
async fn asked(sandbox: &Sandbox, shown: &Issued) -> (Answer, Answer) {
    let access = sandbox.access();
    let identity = (shown.certificate_pem.as_str(), shown.key_pem.as_str());
    let client = Client::new(&access.pki.root, Some(identity)).unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "demo-fintech"), ("scope", "accounts")];
    let token = client.post_form(&format!("{}/oauth/token", access.api), &form).await.unwrap();
    let bearer = format!("Bearer {}", token.json()["access_token"].as_str().unwrap_or("none"));
    let url = format!("{}/v1/consents", access.api);
    (token, client.get(&url, &[("authorization", &bearer)]).await.unwrap())
}

fn assert_unfit((token, api): &(Answer, Answer), why: &[&str]) {
    assert_eq!(token.status, 401, "{}", token.json());
    assert_eq!(token.json()["error"], "invalid_client");
    let told = token.text("/error_description");
    assert_eq!(told, format!("the certificate is unfit for PSD2: {}", why[0]));
    assert_problem(api, 401, "auth.certificate_unfit");
    let body = api.json();
    let errors: Vec<_> = body["errors"].as_array().unwrap().iter().map(|one| &one["detail"]).collect();
    assert_eq!(
        errors,
        why.iter().map(|one| Value::from(*one)).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
}

/// ETSI TS 119 495 §5: what a certificate for PSD2 has to state, missed in one thing each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_almost_fits_is_told_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let qtsp = authority("QTSP of the test");
    let sandbox = started(folder.path(), Scheme::Eidas, qtsp.certificate_pem()).await;
    let (token, api) = asked(&sandbox, &qtsp.issue_qwac(&subject()).unwrap()).await;
    assert_eq!((token.status.as_u16(), api.status.as_u16()), (200, 200), "{}", token.json());

    let with = |change: fn(&mut Psd2Subject)| {
        let mut subject = subject();
        change(&mut subject);
        qtsp.issue_qwac(&subject).unwrap()
    };
    let alike = authority("QTSP of the test").issue_qwac(&subject()).unwrap();
    let stranger = authority("Another QTSP").issue_qwac(&subject()).unwrap();
    for (shown, why) in [
        (
            with(|subject| subject.nca_id = "FR-ACPR".into()),
            vec!["the PSD2 statement names FR-ACPR and the organizationIdentifier DE-BAFIN"],
        ),
        (with(|subject| subject.roles.clear()), vec!["the PSD2 statement grants no role"]),
        (
            with(|subject| subject.organization_identifier = "VATDE-123456789".into()),
            vec!["the organizationIdentifier is malformed: VATDE-123456789"],
        ),
        (
            qtsp.issue_transport("0014H00001", "software").unwrap(),
            vec![
                "the certificate does not state that it is qualified",
                "the certificate is qualified for nothing and has to be for web",
                "the subject has no organizationIdentifier",
                "the certificate has no PSD2 statement",
            ],
        ),
        (
            alike,
            vec![
                "it is signed by somebody else than the trusted authority whose name it bears: CN=QTSP of the test",
            ],
        ),
        (stranger, vec!["no authority that is trusted here has the name CN=Another QTSP"]),
    ] {
        assert_unfit(&asked(&sandbox, &shown).await, &why);
    }
    let over = asked(&sandbox, &qtsp.issue_qwac_for(&subject(), -1).unwrap()).await;
    assert!(over.0.text("/error_description").contains("the certificate ran out at 20"), "{}", over.0.json());
    assert_problem(&over.1, 401, "auth.certificate_out_of_date");
    sandbox.stop().await;
}

/// The role that it states decides which tokens it gets (PSD2 art. 66 and 67).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_gets_no_more_than_its_roles() {
    let folder = tempfile::tempdir().unwrap();
    let qtsp = authority("QTSP of the test");
    let sandbox = started(folder.path(), Scheme::Eidas, qtsp.certificate_pem()).await;
    let pays = Psd2Subject { roles: vec![Psd2Role::PaymentInitiation], ..subject() };
    let (token, _) = asked(&sandbox, &qtsp.issue_qwac(&pays).unwrap()).await;
    assert_eq!((token.status.as_u16(), token.text("/error").as_str()), (400, "invalid_scope"));
    assert_eq!(
        token.text("/error_description"),
        "the certificate does not state the PSD2 role PSP_AI, which the scope accounts needs"
    );
    sandbox.stop().await;
}

/// The issuers are a file, and what it says is taken up while the gateway runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuers_come_and_go_while_the_gateway_runs() {
    let folder = tempfile::tempdir().unwrap();
    let qtsp = authority("QTSP of the test");
    let sandbox = started(folder.path(), Scheme::Eidas, qtsp.certificate_pem()).await;
    let access = sandbox.access();
    // The demo fintech's is of the sandbox's own authority, which no list names so far.
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await.unwrap();
    let why = tpp.register().await.unwrap_err().to_string();
    assert!(why.contains("unfit") && why.contains("no authority that is trusted here"), "{why}");
    std::fs::write(folder.path().join("issuers.pem"), &access.pki.root).unwrap();
    sandbox.reload().await;
    tpp.register().await.unwrap();
    let gone = asked(&sandbox, &qtsp.issue_qwac(&subject()).unwrap()).await;
    assert_unfit(&gone, &["no authority that is trusted here has the name CN=QTSP of the test"]);
    sandbox.stop().await;
}

/// Open Banking's own transport certificates state no role: the directory knows them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_directory_needs_no_statement() {
    let folder = tempfile::tempdir().unwrap();
    let directory = authority("Directory of the test");
    let sandbox = started(folder.path(), Scheme::OpenBanking, directory.certificate_pem()).await;
    // Fit, and still not the one that the demo client is registered with.
    let (token, api) = asked(&sandbox, &directory.issue_transport("0014H00001", "software").unwrap()).await;
    assert_eq!(token.text("/error_description"), "the certificate is not the registered one");
    assert_problem(&api, 401, "auth.token_invalid");
    let nobody = asked(&sandbox, &directory.issue_client_plain("nobody").unwrap()).await;
    assert_unfit(&nobody, &["the subject names no organisation of the directory"]);
    sandbox.stop().await;
}
