//! What a client does with its webhook endpoints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use http::StatusCode;
use serde_json::json;
use support::webhooks::{Hooked, PATIENCE, body, until};
use support::{TestGateway, assert_problem, rows};

/// A test goes to one endpoint, whatever that asked for, and is in its log alone; one that
/// failed does not hold up the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_event_reaches_one_endpoint_and_is_in_its_log() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({ "events": ["payment.settled"] })).await;
    let second = json!({ "url": "https://localhost:9/hooks" });
    hooked.tpp.post(&hooked.own, "/v1/webhook-endpoints", &second).await.unwrap().expect(201).unwrap();
    hooked.receiver.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    let failed = hooked.tested().await;
    hooked.receiver.answer_with(StatusCode::NO_CONTENT);
    let arrived = hooked.tested().await;
    let told = body(&arrived);
    assert_eq!((&told["type"], &told["id"]), (&json!("webhook.test"), &json!(arrived.id)));
    assert_eq!(told["resource"]["id"], hooked.endpoint["id"]);
    let log = until("both are in the log", async || {
        let log = hooked.log().await;
        let noted = log.iter().all(|one| one["attempts"] == 1);
        (log.len() == 2 && noted).then_some(log)
    });
    let log = log.await;
    let of = |id: &str| log.iter().find(|one| one["event_id"] == id).unwrap();
    assert_eq!(of(&arrived.id)["status"], "delivered");
    assert_eq!((&of(&failed.id)["status"], &of(&failed.id)["last_status"]), (&json!("pending"), &json!(500)));
    assert_eq!(log[0]["event_type"], "webhook.test");

    let listed = hooked.tpp.get(&hooked.own, "/v1/webhook-endpoints").await.unwrap();
    let other = rows(&listed).into_iter().find(|one| one["id"] != hooked.endpoint["id"]).unwrap();
    let others = format!("/v1/webhook-endpoints/{}/deliveries", other["id"].as_str().unwrap());
    assert!(rows(&hooked.tpp.get(&hooked.own, &others).await.unwrap()).is_empty());
    assert!(rows(&hooked.tpp.get(&hooked.own, "/v1/events").await.unwrap()).is_empty(), "it is no event");
    gw.sandbox.stop().await;
}

/// Only its own client tests an endpoint, and only one that is told of events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_off_or_anothers_is_not_tested() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    let stranger = gw.tpp().await;
    let theirs = stranger.own_token("accounts").await.unwrap();
    let refused = stranger.post(&theirs, &hooked.path("/test"), &json!({})).await.unwrap();
    assert_problem(&refused, 404, "resource.not_found");
    hooked.receiver.answer_with(StatusCode::GONE);
    hooked.tested().await;
    let off = until("the endpoint is off", async || {
        let answer = hooked.post("/test").await;
        (answer.status == StatusCode::CONFLICT).then_some(answer)
    });
    assert_problem(&off.await, 409, "webhook.not_enabled");
    hooked.receiver.answer_with(StatusCode::NO_CONTENT);
    hooked.post("/enable").await.expect(200).unwrap();
    let again = hooked.tested().await;
    hooked.receiver.wait_for(|it| it.id == again.id, PATIENCE).await.unwrap();
    gw.sandbox.stop().await;
}
