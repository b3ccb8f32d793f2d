//! Certificates of fintechs that are revoked while the gateway runs.

use std::sync::Arc;

use consentry::demo::{Tpp, bearer};
use consentry::sandbox::{Sandbox, SandboxOptions};
use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use edge::Revocation;

use crate::support::assert_problem;

fn options(folder: &std::path::Path, revocation: Revocation) -> SandboxOptions {
    SandboxOptions {
        revocation,
        revocation_lists: vec![folder.join("lists")],
        ..SandboxOptions::at(folder.join("data"))
    }
}

fn root(folder: &std::path::Path) -> Authority {
    let read = |name: &str| std::fs::read_to_string(folder.join("data/pki").join(name)).unwrap();
    Authority::from_pem(&read("root.pem"), &read("root.key"), SystemClock.now()).unwrap()
}

/// Tokens end with the certificate that they are bound to, and no more are issued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_certificate_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lists")).unwrap();
    let sandbox = Sandbox::start(options(folder.path(), Revocation::Soft)).await.unwrap();
    let access = sandbox.access();
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await.unwrap();
    tpp.register().await.unwrap();
    let token = tpp.own_token("accounts").await.unwrap();
    assert_eq!(tpp.get(&token, "/v1/webhook-endpoints").await.unwrap().status, 200);

    let list = root(folder.path()).revocation_list(&[&access.pki.fintech], 7).unwrap();
    std::fs::write(folder.path().join("lists/root.crl"), list).unwrap();
    sandbox.reload().await;
    assert_problem(&tpp.get(&token, "/v1/webhook-endpoints").await.unwrap(), 401, "auth.certificate_revoked");
    // Of the scheme, the same is said where the certificate does not matter.
    let bearer = bearer(&token).replace("Bearer", "DPoP");
    let url = format!("{}/v1/webhook-endpoints", access.api);
    let answer = tpp.http.get(&url, &[("authorization", &bearer)]).await.unwrap();
    assert_problem(&answer, 401, "auth.certificate_revoked");
    let refused = tpp.own_token("accounts").await.unwrap_err().to_string();
    assert!(refused.contains("revoked"), "{refused}");
    assert!(sandbox.edge().counters.accepted() > 0);
    sandbox.stop().await;
}

/// Where it has to be known, not knowing is told as what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_which_nothing_is_known_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lists")).unwrap();
    let sandbox = Sandbox::start(options(folder.path(), Revocation::Off)).await.unwrap();
    let mut tpp = Tpp::discover(&sandbox.access(), Arc::new(SystemClock)).await.unwrap();
    tpp.register().await.unwrap();
    let token = tpp.own_token("accounts").await.unwrap();
    sandbox.stop().await;

    let sandbox = Sandbox::start(options(folder.path(), Revocation::Hard)).await.unwrap();
    let url = format!("{}/v1/webhook-endpoints", sandbox.access().api);
    let bearer = bearer(&token);
    let ask = async || tpp.http.get(&url, &[("authorization", bearer.as_str())]).await.unwrap();
    assert_problem(&ask().await, 401, "auth.revocation_unknown");
    let list = root(folder.path()).revocation_list(&[], 7).unwrap();
    std::fs::write(folder.path().join("lists/root.crl"), list).unwrap();
    sandbox.reload().await;
    assert_eq!(ask().await.status, 200);
    sandbox.stop().await;
}
