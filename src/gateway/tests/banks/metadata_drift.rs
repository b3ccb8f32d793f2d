//! A bank that publishes other metadata than before does so in sight: its clients'
//! TPPs are told once, and an address that the profile does not know is not used.

use std::time::Duration;

use crate::support::{TestGateway, UK, parameter};
use consentry::demo::{Delivery, RETURN, Receiver, verifier};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn event(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bank_changes_in_its_metadata_is_told_once_and_a_foreign_host_is_not_called() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let endpoint = json!({ "url": receiver.url, "events": ["institution.metadata_changed"] });
    tpp.post(&granted.own, "/v1/webhook-endpoints", &endpoint).await.unwrap().expect(201).unwrap();
    let (faults, journal) = gw.sandbox.bank(UK).unwrap();
    let hour = || clock.advance(3_660);

    faults.restate("token_endpoint_auth_signing_alg_values_supported", json!(["PS256", "ES256", "RS256"]));
    hour();
    let first = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    let told = event(&first);
    assert_eq!(told["type"], "institution.metadata_changed");
    assert_eq!(told["resource"]["id"], UK);
    assert_eq!(told["data"]["status"], "token_endpoint_auth_signing_alg_values_supported");

    // Our certificate and tokens go to no host that the profile does not know.
    faults.restate("mtls_endpoint_aliases", json!({ "token_endpoint": "https://evil.example/token" }));
    hour();
    let moved = |delivery: &Delivery| {
        let told = event(delivery)["data"]["status"].to_string();
        told.contains("mtls_endpoint_aliases/token_endpoint")
    };
    receiver.wait_for(moved, PATIENCE).await.unwrap();
    let before = journal.entries().len();
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let ended = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await;
    let code = ended.is_ok_and(|visit| !parameter(&visit, "code").is_empty());
    assert_eq!((code, journal.entries().len()), (false, before), "nothing was sent to the bank");
    assert_eq!(receiver.told().len(), 2);
    gw.sandbox.stop().await;
}
