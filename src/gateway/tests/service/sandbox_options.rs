//! What lets an outside client or suite be pointed at the sandbox.

use crate::support::{TestGateway, UK, parameter};
use consentry::demo::{Client, RETURN, verifier};
use consentry::sandbox::{Sandbox, SandboxOptions};
use crypto::Psd2Role;
use crypto::pki::{Authority, Psd2Subject};
use domain::{Clock, SystemClock};
use serde_json::json;

fn options(folder: &std::path::Path) -> SandboxOptions {
    SandboxOptions { auto_approve: true, ..SandboxOptions::at(folder.join("data")) }
}

/// `--clients` with `--trust-ca`: a client of somebody else's CA is at home.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preloaded_client_of_another_ca_gets_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("Another CA", SystemClock.now()).unwrap();
    let stranger = authority
        .issue_qwac(&Psd2Subject {
            common_name: "stranger.example".into(),
            organization: "Stranger".into(),
            country: "FR".into(),
            organization_identifier: "PSDFR-ACPR-100002".into(),
            roles: vec![Psd2Role::AccountInformation],
            nca_name: "ACPR".into(),
            nca_id: "FR-ACPR".into(),
            san_dns: vec!["stranger.example".into()],
            san_uri: Vec::new(),
        })
        .unwrap();
    let (ca, clients) = (folder.path().join("ca.pem"), folder.path().join("clients.json"));
    std::fs::write(&ca, authority.certificate_pem()).unwrap();
    let metadata = json!([{
        "client_id": "stranger",
        "redirect_uris": [RETURN],
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "stranger.example",
        "scope": "accounts offline_access",
    }]);
    std::fs::write(&clients, metadata.to_string()).unwrap();
    let token = async |sandbox: &Sandbox| {
        let access = sandbox.access();
        let identity = (stranger.certificate_pem.as_str(), stranger.key_pem.as_str());
        let http = Client::new(&access.pki.root, Some(identity)).unwrap();
        let form = [("grant_type", "client_credentials"), ("scope", "accounts"), ("client_id", "stranger")];
        http.post_form(&format!("{}/oauth/token", access.api), &form).await.unwrap()
    };

    let untrusting = SandboxOptions { clients: Some(clients.clone()), ..options(folder.path()) };
    let sandbox = Sandbox::start(untrusting).await.unwrap();
    let refused = token(&sandbox).await;
    assert_eq!((refused.status.as_u16(), refused.text("/error").as_str()), (401, "invalid_client"));
    sandbox.stop().await;

    let trusting = SandboxOptions { clients: Some(clients), trust_ca: vec![ca], ..options(folder.path()) };
    let sandbox = Sandbox::start(trusting).await.unwrap();
    let answer = token(&sandbox).await.expect(200).unwrap();
    assert_eq!(answer.text("/token_type"), "Bearer");
    sandbox.stop().await;
}

/// Files that cannot be used are refused at the start, with the reason.
#[tokio::test]
async fn unusable_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let start = async |options: SandboxOptions| {
        let Err(error) = Sandbox::start(options).await else { panic!("it started") };
        format!("{error:#}")
    };
    let data = |name: &str| folder.path().join(name);
    let with = |name: &str| SandboxOptions { data_dir: data(name), ..options(folder.path()) };
    std::fs::write(&file, "no JSON").unwrap();
    let said = start(SandboxOptions { clients: Some(file.clone()), ..with("a") }).await;
    assert!(said.contains("no JSON array of client metadata"), "{said}");
    std::fs::write(&file, r#"[{"client_id":"x","redirect_uris":["http://a.example/"]}]"#).unwrap();
    let said = start(SandboxOptions { clients: Some(file.clone()), ..with("b") }).await;
    assert!(said.contains("client x of --clients"), "{said}");
    let said = start(SandboxOptions { trust_ca: vec![file.clone()], ..with("c") }).await;
    assert!(said.contains("file holds no certificate of an authority"), "{said}");
    let said = start(SandboxOptions { banks: vec![file.clone()], ..with("d") }).await;
    assert!(said.contains("not TOML"), "{said}");
    let said = start(SandboxOptions { banks: vec![data("missing")], ..with("e") }).await;
    assert!(said.contains("cannot be read"), "{said}");
}

/// `x-sandbox-psu: deny` declines where `--auto-approve` would approve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_declines_for_the_person() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    person.headers = vec![("x-sandbox-psu", "deny")];
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "error"), "access_denied");
    assert_eq!(parameter(&visit, "code"), "");
    let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
    assert_eq!(consent.text("/status_reason"), "psu-declined");
    gw.sandbox.stop().await;
}

/// A consent that names only a region: the PSU searches for a bank and chooses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_searches_for_a_bank_and_chooses_it() {
    let gw = TestGateway::wanted(crate::support::Wanted { auto_approve: false, ..Default::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let body = json!({ "type": "ACCOUNT_INFORMATION", "region": "uk", "permissions": ["READ_BALANCES"] });
    let consent = tpp.post(&own, "/v1/consents", &body).await.unwrap().expect(201).unwrap().text("/id");
    let pushed = tpp.push(std::slice::from_ref(&consent), &verifier()).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    let start = url::Url::parse(&tpp.start_of(&pushed).unwrap()).unwrap();
    let page = person.request(http::Method::GET, &start, None).await.unwrap();
    let mut page_url = start.join(page.header("location").unwrap()).unwrap();
    page_url.set_query(Some("q=nothing-of-the-kind"));
    let none = person.request(http::Method::GET, &page_url, None).await.unwrap();
    assert!(String::from_utf8_lossy(&none.body).contains("No bank matches"));
    page_url.set_query(Some("q=albion"));
    let found = person.request(http::Method::GET, &page_url, None).await.unwrap();
    let html = String::from_utf8_lossy(&found.body).into_owned();
    assert!(html.contains("Albion Bank") && !html.contains("Rheinbank"), "only banks of the region");
    assert!(!html.contains("value=\"approve\""), "nothing to approve before a bank is chosen");
    let token = html.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    page_url.set_query(None);
    let choice = page_url.join(&format!("{}/bank", page_url.path())).unwrap();
    let form = format!("form_token={token}&consent={consent}&bank={UK}");
    let chosen = person.request(http::Method::POST, &choice, Some(form)).await.unwrap();
    assert_eq!(chosen.status, 303);
    let consent = tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap();
    assert_eq!(consent.text("/institution_id"), UK);
    gw.sandbox.stop().await;
}
