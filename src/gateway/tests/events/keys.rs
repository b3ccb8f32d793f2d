//! The keys that sign webhooks, which change while the gateway runs.

use std::process::{Command, Output};

use crate::support::TestGateway;
use crate::support::webhooks::{Hooked, until};
use consentry::demo::Delivery;
use crypto::{Jwks, webhook};
use serde_json::{Value, json};

fn keys(gw: &TestGateway, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("keys")
        .args(arguments)
        .args(["--use", "webhooks", "--data-dir"])
        .arg(gw.folder().join("data"))
        .output()
        .unwrap()
}

fn rotated(gw: &TestGateway, arguments: &[&str]) -> String {
    let run = keys(gw, &[&["rotate", "--json"], arguments].concat());
    assert!(run.status.success(), "{run:?}");
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["key"]["alg"], "EdDSA");
    report["key"]["kid"].as_str().unwrap().to_owned()
}

/// The key set at the well-known address, once its keys are these.
async fn published(gw: &TestGateway, wanted: &[&str]) -> Jwks {
    let url = format!("{}/.well-known/webhook-keys.json", gw.sandbox.access().issuer);
    let client = gw.anybody();
    until(&format!("the keys {wanted:?}"), async || {
        let set = client.get(&url, &[]).await.unwrap().expect(200).unwrap().json();
        (kids(&set) == wanted).then(|| Jwks::from_value(&set).unwrap())
    })
    .await
}

fn kids(set: &Value) -> Vec<&str> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

async fn first_kid(gw: &TestGateway) -> String {
    let url = format!("{}/.well-known/webhook-keys.json", gw.sandbox.access().issuer);
    let set = gw.anybody().get(&url, &[]).await.unwrap().json();
    assert_eq!(kids(&set).len(), 1);
    kids(&set)[0].to_owned()
}

/// How many signatures a delivery has, and how many keys of a set verify one of them.
fn signed(delivery: &Delivery, set: &Jwks) -> (usize, usize) {
    let verifies = |key| {
        let verifier = webhook::Verifier::Key(key);
        webhook::verify(verifier, &delivery.id, delivery.timestamp, &delivery.body, &delivery.signature)
    };
    let verified = set.iter().filter(|key| verifies(key.key())).count();
    (delivery.signature.split(' ').count(), verified)
}

/// Standard Webhooks 1.0: a rotation without a gap. Whichever key set a receiver kept, it
/// knows a key of every delivery while the two overlap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_sign_while_they_overlap() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let mut hooked = Hooked::with(&gw, json!({})).await;
    let old = first_kid(&gw).await;
    let before = published(&gw, &[&old]).await;
    assert_eq!(signed(&hooked.tested().await, &before), (1, 1));

    let new = rotated(&gw, &[]);
    let both = published(&gw, &[&old, &new]).await;
    let delivery = hooked.tested().await;
    assert_eq!((signed(&delivery, &before), signed(&delivery, &both)), ((2, 1), (2, 2)));
    clock.advance(301);
    published(&gw, &[&new, &old]).await;
    hooked.own = hooked.tpp.own_token("accounts").await.unwrap();
    let delivery = hooked.tested().await;
    assert_eq!((signed(&delivery, &before), signed(&delivery, &both)), ((2, 1), (2, 2)));

    clock.advance(86_400);
    let after = published(&gw, &[&new]).await;
    hooked.own = hooked.tpp.own_token("accounts").await.unwrap();
    let delivery = hooked.tested().await;
    assert_eq!((signed(&delivery, &before), signed(&delivery, &after)), ((1, 0), (1, 1)));
    gw.sandbox.stop().await;
}

/// A key that others may know goes at once; the keys of id_tokens stay as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_others_know_goes_at_once() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    let old = first_kid(&gw).await;
    let known = published(&gw, &[&old]).await;
    let id_tokens = || std::fs::read(gw.folder().join("data/keys/signing.toml")).unwrap();
    let untouched = id_tokens();
    let new = rotated(&gw, &["--publish-first", "0", "--overlap", "0"]);
    published(&gw, &[&new]).await;
    assert_eq!(signed(&hooked.tested().await, &known), (1, 0));
    assert_eq!(id_tokens(), untouched);
    let refused = keys(&gw, &["rotate", "--alg", "PS256"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("receivers verify"), "{refused:?}");
    gw.sandbox.stop().await;
}

/// A folder with one key and no list keeps the key and its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_keeps_its_webhook_key() {
    let gw = TestGateway::start().await;
    let home = gw.folder().join("data/keys");
    let aged = || {
        let pem = std::fs::read_dir(home.join("webhook")).unwrap().next().unwrap().unwrap().path();
        std::fs::rename(pem, home.join("webhook.pem")).unwrap();
        std::fs::remove_dir(home.join("webhook")).unwrap();
        std::fs::remove_file(home.join("webhook.toml")).unwrap();
    };
    let gw = gw.restarted_after(aged).await;
    let pem = std::fs::read_to_string(home.join("webhook.pem")).unwrap();
    assert_eq!(first_kid(&gw).await, crypto::digest::sha256_b64url(pem.as_bytes())[..16]);
    gw.sandbox.stop().await;
}
