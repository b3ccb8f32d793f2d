//! A bank that is down is left alone, and whoever has a consent there is told.

use std::time::Duration;

use crate::support::{EU, TestGateway, UK, assert_problem};
use consentry::demo::{Receiver, Tpp};
use modelbank::Fault;
use secrecy::SecretString;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

async fn health(tpp: &Tpp, token: &SecretString, bank: &str) -> Value {
    tpp.get(token, &format!("/v1/institutions/{bank}/health")).await.unwrap().expect(200).unwrap().json()
}

/// Reads until the bank's health is so; at most [`PATIENCE`].
async fn read_until(tpp: &Tpp, token: &SecretString, done: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            tpp.get(token, "/v1/accounts").await.unwrap();
            let seen = health(tpp, token, EU).await;
            if done(&seen) {
                return seen;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the bank's health changes")
}

/// RTS Art. 33(1): "five consecutive requests … are not replied to within 30 seconds".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_never_answers_is_called_no_more_and_clients_are_told_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let endpoint = json!({ "url": receiver.url, "events": ["institution.down", "institution.recovered"] });
    tpp.post(&granted.own, "/v1/webhook-endpoints", &endpoint).await.unwrap().expect(201).unwrap();
    let before = health(&tpp, &granted.token, EU).await;
    assert_eq!(
        (&before["accounts"]["status"], &before["payments"]["status"]),
        (&json!("HEALTHY"), &json!("UNKNOWN"))
    );
    assert!(before["accounts"]["p95_ms"].is_u64());

    let (faults, journal) = gw.sandbox.bank(EU).unwrap();
    faults.arm("GET", "/accounts", Fault::Disconnect, 1_000);
    let down = read_until(&tpp, &granted.token, |seen| seen["accounts"]["status"] == "DOWN").await;
    assert!(down["accounts"]["unanswered"].as_u64().unwrap() >= 5, "{down}");
    assert!(down["accounts"]["presumed_unavailable_since"].is_string(), "{down}");
    let calls = journal.entries().len();
    let refused = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    assert_problem(&refused, 502, "institution.unavailable");
    assert!(refused.header("retry-after").is_some());
    assert!(journal.entries().len() <= calls + 1, "at most a probe");
    let told = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    let event: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((&event["type"], &event["resource"]["id"]), (&json!("institution.down"), &json!(EU)));

    faults.clear();
    read_until(&tpp, &granted.token, |seen| seen["accounts"]["status"] == "HEALTHY").await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let recovered = |delivery: &consentry::demo::Delivery| {
        let event: Value = serde_json::from_slice(&delivery.body).unwrap();
        event["type"] == "institution.recovered"
    };
    receiver.wait_for(recovered, PATIENCE).await.unwrap();
    assert_eq!(receiver.told().len(), 2);
    gw.sandbox.stop().await;
}

/// Nobody has called the one, and there is no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_nobody_knows_has_no_health() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let unknown = tpp.get(&own, "/v1/institutions/xx-nobody/health").await.unwrap();
    assert_problem(&unknown, 404, "resource.not_found");
    let never = health(&tpp, &own, UK).await;
    assert_eq!(never["accounts"]["status"], "UNKNOWN");
    assert_eq!(never["accounts"].get("success_rate"), None);
    gw.sandbox.stop().await;
}
