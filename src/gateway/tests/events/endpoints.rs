//! What a client does with its webhook endpoints.

use crate::support::webhooks::{Hooked, PATIENCE, body, until};
use crate::support::{EU, TestGateway, UK, Wanted, assert_problem, rows};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry::demo::{Answer, Delivery, Receiver};
use crypto::webhook;
use domain::Clock;
use http::StatusCode;
use serde_json::{Value, json};

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

fn signatures(delivery: &Delivery) -> Vec<&str> {
    delivery.signature.split(' ').collect()
}

fn verifies(delivery: &Delivery, secret: &str) -> bool {
    let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let verifier = webhook::Verifier::Secret(&secret);
    webhook::verify(verifier, &delivery.id, delivery.timestamp, &delivery.body, &delivery.signature)
}

/// Standard Webhooks 1.0: a shared secret on request, and its successor beside it for a day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_its_own_signs_for_an_endpoint_and_its_successor_with_it_for_a_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let mut hooked = Hooked::with(&gw, json!({ "signature": "v1" })).await;
    let first = hooked.endpoint["secret"].as_str().unwrap().to_owned();
    let listed = rows(&hooked.tpp.get(&hooked.own, "/v1/webhook-endpoints").await.unwrap()).remove(0);
    assert_eq!((listed.get("secret"), &listed["signature"]), (None, &json!("v1")), "it is shown once");
    let delivery = hooked.tested().await;
    assert_eq!(signatures(&delivery).len(), 1);
    assert!(delivery.signature.starts_with("v1,") && verifies(&delivery, &first));

    let rotated = hooked.post("/rotate-secret").await.expect(200).unwrap();
    let second = rotated.text("/secret");
    assert_ne!(first, second);
    let until: domain::Timestamp = rotated.text("/former_secret_until").parse().unwrap();
    assert!((until.as_second() - clock.now().as_second() - 86_400).abs() < 10);
    let both = hooked.tested().await;
    assert_eq!(signatures(&both).len(), 2);
    assert!(verifies(&both, &first) && verifies(&both, &second));

    clock.advance(86_401);
    hooked.own = hooked.tpp.own_token("accounts").await.unwrap();
    let after = hooked.tested().await;
    assert_eq!(signatures(&after).len(), 1);
    assert!(verifies(&after, &second) && !verifies(&after, &first));
    gw.sandbox.stop().await;
}

/// Two rotations in a day: the oldest secret, which somebody may know, is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_ends_with_the_second_rotation_after_it() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({ "signature": "v1" })).await;
    let first = hooked.endpoint["secret"].as_str().unwrap();
    let second = hooked.post("/rotate-secret").await.text("/secret");
    let third = hooked.post("/rotate-secret").await.text("/secret");
    let delivery = hooked.tested().await;
    assert_eq!(signatures(&delivery).len(), 2);
    assert!(!verifies(&delivery, first) && verifies(&delivery, &second) && verifies(&delivery, &third));
    gw.sandbox.stop().await;
}

/// The gateway's key signs unless a secret was asked for, and then there is none; nobody
/// rotates what is another's, and no two endpoints have the same secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_there_is_nothing_to_rotate() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    assert_eq!((hooked.endpoint.get("secret"), &hooked.endpoint["signature"]), (None, &json!("v1a")));
    assert!(hooked.tested().await.signature.starts_with("v1a,"));
    assert_problem(&hooked.post("/rotate-secret").await, 422, "webhook.refused");
    let unknown = json!({ "url": hooked.receiver.url, "signature": "v2" });
    let refused = hooked.tpp.post(&hooked.own, "/v1/webhook-endpoints", &unknown).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    let other = Hooked::with(&gw, json!({ "signature": "v1" })).await;
    let others = hooked.tpp.post(&hooked.own, &other.path("/rotate-secret"), &json!({})).await.unwrap();
    assert_problem(&others, 404, "resource.not_found");
    let third = Hooked::with(&gw, json!({ "signature": "v1" })).await;
    assert_ne!(other.endpoint["secret"], third.endpoint["secret"]);
    gw.sandbox.stop().await;
}

async fn challenging() -> TestGateway {
    TestGateway::wanted(Wanted { webhook_challenge: true, ..Wanted::default() }).await
}

/// A listener that answers like `answering` does from its first request on.
async fn pending(gw: &TestGateway, answering: (StatusCode, &str)) -> Hooked {
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    receiver.answer_with_body(answering.0, answering.1);
    Hooked::at(gw, receiver, json!({})).await
}

async fn stands(hooked: &Hooked) -> String {
    hooked.tpp.get(&hooked.own, &hooked.path("")).await.unwrap().expect(200).unwrap().text("/status")
}

async fn enabled(hooked: &Hooked) {
    until("the endpoint is enabled", async || (stands(hooked).await == "enabled").then_some(())).await;
}

/// Where endpoints are challenged, a signed challenge is the first that a new one gets; it
/// says it back and is told of events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_says_its_challenge_back_and_is_told_of_events() {
    let gw = challenging().await;
    for signature in ["v1a", "v1"] {
        let hooked = Hooked::with(&gw, json!({ "signature": signature })).await;
        assert_eq!(hooked.endpoint["status"], "pending");
        enabled(&hooked).await;
        let asked = hooked.receiver.arrived().remove(0);
        assert_eq!(
            (&body(&asked)["type"], &body(&asked)["id"]),
            (&json!("webhook.challenge"), &json!(asked.id))
        );
        assert!(body(&asked)["data"]["challenge"].as_str().unwrap().len() > 40);
        match hooked.endpoint["secret"].as_str() {
            Some(secret) => assert!(verifies(&asked, secret)),
            None => assert!(asked.signature.starts_with("v1a,")),
        }
        let other = hooked.tested().await;
        assert_eq!(body(&other)["type"], "webhook.test");
        assert_eq!(hooked.post("/verify").await.expect(200).unwrap().text("/status"), "enabled");
        assert_eq!(hooked.receiver.arrived().len(), 2, "what has answered is not asked again");
    }
    gw.sandbox.stop().await;
}

/// Challenges at the same time do not stand in each other's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_may_be_challenged_by_many_at_once() {
    let gw = challenging().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    let asked = futures_util::future::join_all((0..8).map(|_| hooked.post("/verify"))).await;
    for answer in asked {
        assert_eq!(answer.expect(200).unwrap().text("/status"), "enabled");
    }
    gw.sandbox.stop().await;
}

/// Nothing but challenges goes to an endpoint that did not answer, or answered something
/// else, and only an answer changes that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_does_not_answer_is_told_of_nothing() {
    let gw = challenging().await;
    let wrong = (StatusCode::OK, r#"{"challenge":"guessed"}"#);
    let hooked = pending(&gw, wrong).await;
    hooked.receiver.wait_for(|_| true, PATIENCE).await.unwrap();
    for (status, answer) in
        [wrong, (StatusCode::OK, "well"), (StatusCode::NO_CONTENT, ""), (StatusCode::BAD_GATEWAY, "")]
    {
        hooked.receiver.answer_with_body(status, answer);
        assert_problem(&hooked.post("/verify").await, 422, "webhook.challenge");
    }
    hooked.receiver.answer_with_body(StatusCode::OK, &"x".repeat(5_000));
    assert_problem(&hooked.post("/verify").await, 422, "webhook.challenge");
    assert_problem(&hooked.post("/test").await, 409, "webhook.not_enabled");
    assert_problem(&hooked.post("/enable").await, 409, "webhook.not_enabled");
    let consent = hooked.tpp.lodge(&hooked.own, &[UK]).await.unwrap().remove(0);
    until("the event is told to those who ask", async || {
        let events = rows(&hooked.tpp.get(&hooked.own, "/v1/events").await.unwrap());
        events.iter().any(|one| one["resource"]["id"] == json!(consent)).then_some(())
    })
    .await;
    assert_eq!(stands(&hooked).await, "pending");
    hooked.receiver.answer_well();
    assert_eq!(hooked.post("/verify").await.expect(200).unwrap().text("/status"), "enabled");
    hooked.tpp.delete(&hooked.own, &format!("/v1/consents/{consent}")).await.unwrap();
    hooked.receiver.wait_for(|it| body(it)["type"] == "consent.revoked", PATIENCE).await.unwrap();
    let types: Vec<_> = hooked.receiver.arrived().iter().map(|it| body(it)["type"].clone()).collect();
    assert_eq!(types.iter().filter(|one| *one != "webhook.challenge").count(), 1, "{types:?}");
    let stranger = gw.tpp().await;
    let theirs = stranger.own_token("accounts").await.unwrap();
    let refused = stranger.post(&theirs, &hooked.path("/verify"), &json!({})).await.unwrap();
    assert_problem(&refused, 404, "resource.not_found");
    gw.sandbox.stop().await;
}

async fn change(hooked: &Hooked, members: &Value) -> Answer {
    let bearer = consentry::demo::bearer(&hooked.own);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let url = format!("{}{}", hooked.tpp.api, hooked.path(""));
    hooked.tpp.http.send(http::Method::PATCH, &url, &headers, members.to_string()).await.unwrap()
}

/// A new address is told of nothing either until it has answered; the old one is, so that
/// no event is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_address_is_taken_when_it_has_answered() {
    let gw = challenging().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    enabled(&hooked).await;
    let pki = gw.sandbox.access().pki;
    let next = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    next.answer_with(StatusCode::OK);
    let refused = change(&hooked, &json!({ "url": next.url, "events": ["consent.created"] })).await;
    assert_problem(&refused, 422, "webhook.challenge");
    let kept = hooked.tpp.get(&hooked.own, &hooked.path("")).await.unwrap().json();
    assert_eq!((&kept["url"], &kept["events"]), (&json!(hooked.receiver.url), &json!([])));
    hooked.tested().await;

    next.answer_well();
    let changed = change(&hooked, &json!({ "url": next.url })).await.expect(200).unwrap().json();
    assert_eq!((&changed["url"], &changed["status"]), (&json!(next.url), &json!("enabled")));
    let sent = hooked.post("/test").await.expect(202).unwrap().text("/event_id");
    next.wait_for(|it| it.id == sent, PATIENCE).await.unwrap();
    assert!(hooked.receiver.arrived().iter().all(|it| it.id != sent));
    gw.sandbox.stop().await;
}

/// In a sandbox nobody is challenged unless it was started so; what is changed is checked
/// like what is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_asks_for_no_challenge() {
    let gw = TestGateway::that_reports().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    assert_eq!(hooked.endpoint["status"], "enabled");
    let elsewhere = json!({ "url": "https://localhost:9/hooks", "events": ["consent.created"] });
    let changed = change(&hooked, &elsewhere).await.expect(200).unwrap().json();
    assert_eq!((&changed["url"], &changed["events"]), (&elsewhere["url"], &elsewhere["events"]));
    for bad in [json!({ "url": "https://10.0.0.1/h" }), json!({ "events": ["webhook.challenge"] })] {
        assert_problem(&change(&hooked, &bad).await, 422, "webhook.refused");
    }
    assert_problem(&change(&hooked, &json!({ "status": "enabled" })).await, 422, "request.invalid");
    let back = change(&hooked, &json!({ "url": hooked.receiver.url, "events": [] })).await;
    assert_eq!(back.expect(200).unwrap().json(), hooked.endpoint);
    hooked.tested().await;
    let types: Vec<_> = hooked.receiver.arrived().iter().map(|it| body(it)["type"].clone()).collect();
    assert_eq!(types, ["webhook.test"]);
    gw.sandbox.stop().await;
}

/// The log is read in pages, over all regions, the newest first and each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_deliveries_is_read_in_pages() {
    let gw = TestGateway::start().await;
    let hooked = Hooked::with(&gw, json!({})).await;
    hooked.tpp.lodge(&hooked.own, &[UK, EU, UK]).await.unwrap();
    let noted = until("all are delivered", async || {
        let log = hooked.log().await;
        (log.iter().filter(|one| one["status"] == "delivered").count() == 3).then_some(log)
    });
    let noted = noted.await;
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = hooked.path(&format!("/deliveries?limit=1{cursor}"));
        let page = hooked.tpp.get(&hooked.own, &path).await.unwrap().expect(200).unwrap();
        read.extend(rows(&page));
        let Some(next) = page.json()["page"]["next_cursor"].as_str().map(str::to_owned) else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(read, noted);
    let other = Hooked::with(&gw, json!({})).await;
    let foreign = other.path(&format!("/deliveries?limit=1{cursor}"));
    assert_problem(&other.tpp.get(&other.own, &foreign).await.unwrap(), 400, "request.cursor");
    gw.sandbox.stop().await;
}
