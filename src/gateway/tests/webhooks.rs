//! Webhooks: signed, repeated until they arrive, stopped where they are not wanted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::time::Duration;

use consentry::demo::{Delivery, Receiver, Tpp};
use crypto::{Jwks, webhook};
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use support::{TestGateway, UK, assert_problem, rows};

const PATIENCE: Duration = Duration::from_secs(10);

fn body(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

async fn subscribed(gw: &TestGateway, events: &[&str]) -> (Tpp, SecretString, Receiver) {
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let endpoint = json!({ "url": receiver.url, "events": events });
    tpp.post(&own, "/v1/webhook-endpoints", &endpoint).await.unwrap().expect(201).unwrap();
    (tpp, own, receiver)
}

/// Standard Webhooks 1.0: id, timestamp and signature; thin, without personal data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_arrives_signed_and_thin() {
    let gw = TestGateway::start().await;
    let (tpp, own, receiver) = subscribed(&gw, &[]).await;
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let delivery = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    let event = body(&delivery);
    assert_eq!(event["id"], delivery.id);
    assert_eq!((&event["type"], &event["resource"]["id"]), (&"consent.created".into(), &consent.into()));
    assert_eq!((&event["region"], &event["sequence"]), (&"uk".into(), &1.into()));
    let issuer = gw.sandbox.access().issuer;
    let keys = tpp.http.get(&format!("{issuer}/.well-known/webhook-keys.json"), &[]).await.unwrap();
    let keys = Jwks::parse(&keys.body).unwrap();
    let key = keys.iter().next().unwrap().key();
    let verifies = |body: &[u8], timestamp: i64| {
        webhook::verify(webhook::Verifier::Key(key), &delivery.id, timestamp, body, &delivery.signature)
    };
    assert!(verifies(&delivery.body, delivery.timestamp));
    assert!(!verifies(b"{}", delivery.timestamp) && !verifies(&delivery.body, delivery.timestamp + 1));
    gw.sandbox.stop().await;
}

/// What came later in the life of a resource is told later: it waits for what came
/// before, however often that fails to arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_is_told_of_in_the_order_of_its_life() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let (tpp, own, receiver) = subscribed(&gw, &[]).await;
    receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    tpp.delete(&own, &format!("/v1/consents/{consent}")).await.unwrap();
    let sequences = || receiver.arrived().iter().map(|it| body(it)["sequence"].clone()).collect::<Vec<_>>();
    let arrived = async |count: usize| {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while receiver.arrived().len() < count {
            beat.tick().await;
        }
    };
    clock.advance(6);
    tokio::time::timeout(PATIENCE, arrived(2)).await.unwrap();
    assert_eq!(sequences(), [1, 1]);
    // Others are not held up.
    tpp.lodge(&own, &[UK]).await.unwrap();
    tokio::time::timeout(PATIENCE, arrived(3)).await.unwrap();
    receiver.answer_with(StatusCode::NO_CONTENT);
    clock.advance(301);
    let told = |it: &Delivery| body(it)["resource"]["id"] == json!(consent) && body(it)["sequence"] == 2;
    receiver.wait_for(told, PATIENCE).await.unwrap();
    let of_it: Vec<_> = receiver
        .arrived()
        .iter()
        .filter(|it| body(it)["resource"]["id"] == json!(consent))
        .map(|it| body(it)["sequence"].clone())
        .collect();
    assert_eq!(of_it, [1, 1, 1, 2]);
}

/// An endpoint that fails is tried again, with the same id; one that is gone is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_delivery_is_repeated_and_a_gone_endpoint_is_left_alone() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let (tpp, own, receiver) = subscribed(&gw, &["consent.created"]).await;
    receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    tpp.lodge(&own, &[UK]).await.unwrap();
    let first = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    receiver.answer_with(StatusCode::GONE);
    // The second attempt is due five seconds later. The clock is moved on until
    // it comes: when the first one was noted is the gateway's to say.
    let again = async {
        while receiver.arrived().len() < 2 {
            clock.advance(6);
            let _ = receiver.wait_for(|delivery| delivery.timestamp > first.timestamp, PATIENCE / 50).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a second attempt");
    assert_eq!(receiver.arrived()[1].id, first.id);
    let disabled = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let fresh = tpp.own_token("accounts").await.unwrap();
            let list = tpp.get(&fresh, "/v1/webhook-endpoints").await.unwrap();
            if rows(&list)[0]["status"] == "disabled" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, disabled).await.expect("410 disables the endpoint");
    gw.sandbox.stop().await;
}

/// Only what was asked for, only to its own client; an endpoint can be removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_are_the_clients_own_and_hear_what_they_asked_for() {
    let gw = TestGateway::start().await;
    let (tpp, own, receiver) = subscribed(&gw, &["consent.revoked"]).await;
    let (other, others_token, others) = subscribed(&gw, &[]).await;
    let consent = tpp.lodge(&own, &[UK]).await.unwrap().remove(0);
    let bearer = consentry::demo::bearer(&own);
    let headers = [("authorization", bearer.as_str())];
    let url = format!("{}/v1/consents/{consent}", tpp.api);
    tpp.http.send(http::Method::DELETE, &url, &headers, "").await.unwrap().expect(204).unwrap();
    let delivery = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    assert_eq!(body(&delivery)["type"], "consent.revoked");
    assert_eq!(receiver.arrived().len(), 1);
    assert!(others.arrived().is_empty());

    let mine = rows(&tpp.get(&own, "/v1/webhook-endpoints").await.unwrap()).remove(0);
    let url = format!("{}/v1/webhook-endpoints/{}", tpp.api, mine["id"].as_str().unwrap());
    let theirs = consentry::demo::bearer(&others_token);
    let refused =
        other.http.send(http::Method::DELETE, &url, &[("authorization", &theirs)], "").await.unwrap();
    assert_problem(&refused, 404, "resource.not_found");
    tpp.http.send(http::Method::DELETE, &url, &headers, "").await.unwrap().expect(204).unwrap();
    assert!(rows(&tpp.get(&own, "/v1/webhook-endpoints").await.unwrap()).is_empty());
    gw.sandbox.stop().await;
}

/// Addresses and event types that make no sense are refused at registration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_cannot_work_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    for (url, events) in [
        ("http://fintech.example/h", json!([])),
        ("https://10.0.0.1/h", json!([])),
        ("https://user@fintech.example/h", json!([])),
        ("nonsense", json!([])),
        ("https://fintech.example/h", json!(["payment"])),
        ("https://fintech.example/h", json!(["weather.changed"])),
    ] {
        let body = json!({ "url": url, "events": events });
        let refused = tpp.post(&own, "/v1/webhook-endpoints", &body).await.unwrap();
        assert_problem(&refused, 422, "webhook.refused");
    }
    gw.sandbox.stop().await;
}
