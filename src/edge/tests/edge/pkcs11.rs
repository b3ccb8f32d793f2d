//! Server keys on a PKCS#11 token.

use std::process::Command;
use std::sync::Arc;

use consentry_edge::{Revocation, ServerIdentity, ServerKey, ServerTls, TlsFiles, TlsWatch};
use crypto::SigningKey;
use crypto::pkcs11::{Place, TokenKey};
use crypto::pki::{Issued, Psd2Subject};

use crate::rotation::Folder;
use crate::softhsm::{PIN, TOKEN, import, module, with_token};
use crate::support::{GET_AND_CLOSE, Gate, Plan, TestClient, ask};

/// Puts a key on the token, as an operator would.
fn on_token(issued: &Issued, label: &str) -> Arc<SigningKey> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, &issued.key_pem).unwrap();
    let id = hex_of(label);
    import(&file, label, &id);
    let place = Place { module: module().unwrap(), token: TOKEN.into(), key: label.into() };
    Arc::new(SigningKey::on_token(TokenKey::open(place, PIN.into()).unwrap(), label))
}

fn hex_of(label: &str) -> String {
    label.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A P-256 and an RSA certificate for this machine.
fn certificates(folder: &Folder) -> [(&'static str, Issued); 2] {
    let subject = Psd2Subject {
        common_name: "localhost".into(),
        organization: "Us".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-1".into(),
        roles: Vec::new(),
        nca_name: "BaFin".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: vec!["localhost".into()],
        san_uri: Vec::new(),
    };
    [
        ("ec", folder.ca.issue_server(&["localhost"], &[]).unwrap()),
        ("rsa", folder.ca.issue_qseal(&subject, true).unwrap()),
    ]
}

#[test]
fn a_server_key_on_a_token_signs_handshakes() {
    with_token("pkcs11::serves_from_the_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the token that the test above makes"]
async fn serves_from_the_token() {
    let folder = Folder::new();
    let fintech = folder.ca.issue_client_plain("fintech").unwrap();
    for (label, issued) in certificates(&folder) {
        let key = on_token(&issued, label);
        folder.put("server.pem", &issued.certificate_pem);
        let files = TlsFiles { key: ServerKey::Held(Arc::clone(&key)), ..folder.files(Revocation::Off) };
        let watch = TlsWatch::open(files).unwrap();
        let gate = Plan { tls: watch.tls(), ..Plan::new() }.start().await;
        let mut client = folder.client(&fintech);
        client.0.resumption = rustls::client::Resumption::disabled();
        // Not every signature has integers of the same length.
        for _ in 0..50 {
            let mut stream = client.connect(gate.address).await.unwrap();
            assert!(ask(&mut stream, GET_AND_CLOSE).await.ends_with("Some(Trusted)"));
        }
        assert_older_clients_are_served(&gate, label);
        gate.stop().await;
        // A key without its certificate.
        let other = folder.ca.issue_server(&["localhost"], &[]).unwrap();
        assert!(ServerIdentity::with_key(&other.certificate_pem, key).is_err());
    }
}

/// TLS 1.2, for RSA with the older padding.
fn assert_older_clients_are_served(gate: &Gate, label: &str) {
    let algorithm = if label == "rsa" { "RSA+SHA256" } else { "ECDSA+SHA256" };
    let at = gate.address.to_string();
    let arguments = ["s_client", "-connect", &at, "-tls1_2", "-sigalgs", algorithm];
    let Ok(said) = Command::new("openssl").args(arguments).stdin(std::process::Stdio::null()).output() else {
        eprintln!("SKIPPED: openssl is not here");
        return;
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("Peer signing digest: SHA256") && said.contains("Cipher    : ECDHE"), "{said}");
}

/// Keys in memory of every kind serve in the same way.
#[tokio::test]
async fn a_key_that_is_held_serves() {
    let folder = Folder::new();
    for (kid, issued) in certificates(&folder) {
        let key = Arc::new(SigningKey::from_pem(&issued.key_pem, kid).unwrap());
        let tls = ServerTls::new(ServerIdentity::with_key(&issued.certificate_pem, key).unwrap(), None);
        let gate = Plan { tls: tls.unwrap(), ..Plan::new() }.start().await;
        let client =
            TestClient::of(folder.ca.certificate_pem(), rustls::crypto::aws_lc_rs::default_provider());
        let mut stream = client.connect(gate.address).await.unwrap();
        assert!(ask(&mut stream, GET_AND_CLOSE).await.ends_with("None"));
        gate.stop().await;
    }
}
