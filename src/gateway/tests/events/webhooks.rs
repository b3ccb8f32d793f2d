//! Webhooks: signed, repeated until they arrive, stopped where they are not wanted.

use std::time::Duration;

use crate::support::webhooks::{Hooked, PATIENCE, body};
use crate::support::{EU, TestGateway, UK, assert_problem, rows};
use consentry::demo::{Delivery, Receiver, Tpp};
use crypto::{Jwks, webhook};
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};

async fn subscribed(gw: &TestGateway, events: &[&str]) -> (Tpp, SecretString, Receiver) {
    let Hooked { tpp, own, receiver, .. } = Hooked::with(gw, json!({ "events": events })).await;
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
    clock.advance(331);
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

/// A client that asks gets the same events, of all regions, each once, and nothing behind
/// a cursor that it was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_pulled_in_order_and_none_is_missed() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[UK, EU, UK]).await.unwrap();
    tpp.delete(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
    let page = async |path: String| tpp.get(&own, &path).await.unwrap().expect(200).unwrap().json();
    let all = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let seen = page("/v1/events".to_owned()).await;
            if seen["data"].as_array().unwrap().len() == 4 {
                return seen;
            }
        }
    };
    let all = tokio::time::timeout(PATIENCE, all).await.expect("four events");
    assert_eq!(all["has_more"], json!(false));
    let (mut pulled, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?limit=1{cursor}");
        let one = page(path.clone()).await;
        assert_eq!(one, page(path).await, "the same cursor says the same");
        pulled.extend(one["data"].as_array().unwrap().clone());
        cursor = format!("&cursor={}", one["next_cursor"].as_str().unwrap());
        if one["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(json!(pulled), all["data"]);
    let of_first: Vec<_> = pulled.iter().filter(|it| it["resource"]["id"] == json!(consents[0])).collect();
    let types: Vec<_> = of_first.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["consent.created", "consent.revoked"]);
    // Later ones are behind the last cursor, and those alone.
    tpp.lodge(&own, &[EU]).await.unwrap();
    let later = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let seen = page(format!("/v1/events?limit=9{cursor}")).await;
            if seen["data"] != json!([]) {
                return seen;
            }
        }
    };
    let later = tokio::time::timeout(PATIENCE, later).await.expect("a fifth event");
    assert_eq!(later["data"].as_array().unwrap().len(), 1);
    let stranger = gw.tpp().await;
    let strangers = stranger.own_token("accounts").await.unwrap();
    let refused = stranger.get(&strangers, &format!("/v1/events?limit=9{cursor}")).await.unwrap();
    assert_problem(&refused, 400, "request.cursor");
    let none = stranger.get(&strangers, "/v1/events").await.unwrap().expect(200).unwrap().json();
    assert_eq!(none["data"], json!([]));
    gw.sandbox.stop().await;
}

/// An endpoint that takes nothing for three days is switched off; its client is told where
/// it asks, and can switch it on again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_never_answers_is_switched_off_and_on_again() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let (tpp, own, receiver) = subscribed(&gw, &["consent.created"]).await;
    receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    tpp.lodge(&own, &[UK]).await.unwrap();
    let endpoint = rows(&tpp.get(&own, "/v1/webhook-endpoints").await.unwrap())[0]["id"].clone();
    let endpoint = endpoint.as_str().unwrap().to_owned();
    let given_up = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        let mut noted = 0;
        loop {
            beat.tick().await;
            let own = tpp.own_token("accounts").await.unwrap();
            let path = format!("/v1/webhook-endpoints/{endpoint}/deliveries");
            let log = rows(&tpp.get(&own, &path).await.unwrap());
            let attempts = log.first().and_then(|one| one["attempts"].as_u64()).unwrap_or(0);
            if attempts > noted && log[0]["status"] == "given_up" {
                return attempts;
            }
            // Longer than any pause between two attempts, once each was noted.
            if attempts > noted {
                noted = attempts;
                clock.advance(96_000);
            }
        }
    };
    let attempts = tokio::time::timeout(PATIENCE * 2, given_up).await.expect("it is given up");
    assert_eq!((attempts, receiver.arrived().len()), (10, 10), "every attempt of the schedule");
    let told = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let own = tpp.own_token("accounts").await.unwrap();
            let events = tpp.get(&own, "/v1/events").await.unwrap().expect(200).unwrap().json();
            let told = events["data"].as_array().unwrap().iter().find(|it| it["type"] == "webhook.disabled");
            if let Some(told) = told {
                return told["resource"]["id"].clone();
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, told).await.expect("it is told"), json!(endpoint));
    let own = tpp.own_token("accounts").await.unwrap();
    let listed = rows(&tpp.get(&own, "/v1/webhook-endpoints").await.unwrap());
    assert_eq!(listed[0]["status"], "disabled");

    receiver.answer_with(StatusCode::NO_CONTENT);
    let on = format!("/v1/webhook-endpoints/{endpoint}/enable");
    let enabled = tpp.post(&own, &on, &json!({})).await.unwrap().expect(200).unwrap();
    assert_eq!(enabled.json()["status"], "enabled");
    tpp.lodge(&own, &[UK]).await.unwrap();
    let first = receiver.arrived()[0].id.clone();
    receiver.wait_for(|it| it.id != first, PATIENCE).await.expect("it hears of what comes");
    gw.sandbox.stop().await;
}

/// What became of each delivery can be seen, and one be made again, with the id it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_listed_and_made_again() {
    let gw = TestGateway::start().await;
    let (tpp, own, receiver) = subscribed(&gw, &[]).await;
    let endpoint = rows(&tpp.get(&own, "/v1/webhook-endpoints").await.unwrap())[0]["id"].clone();
    let log = format!("/v1/webhook-endpoints/{}/deliveries", endpoint.as_str().unwrap());
    assert_eq!(rows(&tpp.get(&own, &log).await.unwrap()), Vec::<Value>::new());
    let consent = tpp.lodge(&own, &[EU]).await.unwrap().remove(0);
    let first = receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    let delivered = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            let seen = rows(&tpp.get(&own, &log).await.unwrap());
            if seen[0]["status"] == "delivered" {
                return seen;
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, delivered).await.expect("it is noted");
    assert_eq!(
        (&seen[0]["event_id"], &seen[0]["resource_id"], &seen[0]["attempts"], &seen[0]["last_status"]),
        (&json!(first.id), &json!(consent), &json!(1), &json!(204))
    );
    let again = format!("{log}/{}/redeliver", first.id);
    let stranger = gw.tpp().await;
    let strangers = stranger.own_token("accounts").await.unwrap();
    for path in [&log, &again] {
        let answer = if path == &log {
            stranger.get(&strangers, path).await
        } else {
            stranger.post(&strangers, path, &json!({})).await
        };
        assert_problem(&answer.unwrap(), 404, "resource.not_found");
    }
    let unknown = format!("{log}/evt_eu_00000000000070008000000000000000/redeliver");
    assert_problem(&tpp.post(&own, &unknown, &json!({})).await.unwrap(), 404, "resource.not_found");
    assert_eq!(tpp.post(&own, &again, &json!({})).await.unwrap().status, 202);
    let twice = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while receiver.arrived().len() < 2 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, twice).await.expect("it comes again");
    assert_eq!(receiver.arrived()[1].id, first.id);
    gw.sandbox.stop().await;
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
    let gw = TestGateway::that_reports().await;
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

/// An endpoint that takes connections and never says anything holds up what is for it, however much that is, and
/// nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_hangs_holds_up_nobody_else() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/hooks", silent.local_addr().unwrap().port());
    let added = hooked.tpp.post(&hooked.own, "/v1/webhook-endpoints", &json!({ "url": url })).await.unwrap();
    let path = format!("/v1/webhook-endpoints/{}/test", added.expect(201).unwrap().text("/id"));
    for _ in 0..40 {
        hooked.tpp.post(&hooked.own, &path, &json!({})).await.unwrap().expect(202).unwrap();
    }
    // Somebody is being waited for, for longer than the other endpoint waits.
    let (_waiting, _) = tokio::time::timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    hooked.tested().await;
    gw.sandbox.stop().await;
}
