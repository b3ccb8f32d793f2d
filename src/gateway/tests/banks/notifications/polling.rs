//! Events that a bank has waiting (UK aggregated polling).

use std::sync::Arc;
use std::time::Duration;

use domain::ShiftedClock;
use modelbank::Fault;

use super::{asked, notified, state, subscribed};
use crate::support::consents::event;
use crate::support::customer::Customer;
use crate::support::webhooks::until;
use crate::support::{TestGateway, UK};

/// A sandbox whose UK bank is asked for events every second, and pushes none.
async fn polled() -> (TestGateway, Arc<ShiftedClock>) {
    let (gw, clock) = notified().await;
    state(&gw, UK, |stated| (stated.push, stated.poll) = (false, Some(Duration::from_secs(1))));
    subscribed(&gw, 2).await;
    (gw, clock)
}

fn polls(gw: &TestGateway) -> usize {
    asked(gw, UK, "POST", "/v4.0/events")
}

async fn polled_again(gw: &TestGateway) {
    let before = polls(gw);
    until("the bank is asked for events", async || (polls(gw) > before).then_some(())).await;
}

/// As long as the bank cannot be asked what an event is about, it keeps the event.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_acknowledged_once_the_bank_was_asked_about_it() {
    let (gw, clock) = polled().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    let granted = gw.granted(&tpp, &[UK]).await;
    until("what came before is acknowledged", async || (gw.sandbox.untold(UK) == 0).then_some(())).await;
    let faults = gw.sandbox.bank(UK).unwrap().0;
    faults.arm("GET", "/account-access-consents/", Fault::Failed, 3);
    Customer::of(&gw, UK, "anna").withdraw().await;
    until("the event waits", async || (gw.sandbox.untold(UK) > 0).then_some(())).await;
    let failed = asked(&gw, UK, "GET", "/account-access-consents/");
    until("the bank was asked in vain", async || {
        (asked(&gw, UK, "GET", "/account-access-consents/") > failed).then_some(())
    })
    .await;
    polled_again(&gw).await;
    assert!(gw.sandbox.untold(UK) > 0, "not acknowledged");
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
    faults.clear();
    until("the bank is asked again", async || {
        // After a failure it is left alone for a while.
        clock.advance(1);
        (gw.shown(&tpp, &granted.consents[0]).await["status"] != "AUTHORIZED").then_some(())
    })
    .await;
    event(&receiver, &granted.consents[0], "consent.revoked").await;
    until("the event is acknowledged", async || (gw.sandbox.untold(UK) == 0).then_some(())).await;
    gw.sandbox.stop().await;
}

/// A token that does not verify is reported, so that the bank does not send it for ever.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_does_not_verify_is_reported_and_changes_nothing() {
    let (gw, _) = polled().await;
    let faults = gw.sandbox.bank(UK).unwrap().0;
    faults.arm("", "", Fault::NoticeForged, 1_000);
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let before = asked(&gw, UK, "GET", "/account-access-consents/");
    let struck = || faults.armed()[0].calls;
    until("the bank has told of the consent", async || (struck() < 1_000).then_some(())).await;
    let told = struck();
    Customer::of(&gw, UK, "anna").withdraw().await;
    until("the bank has told of its end", async || (struck() < told).then_some(())).await;
    until("the event is reported", async || (gw.sandbox.untold(UK) == 0).then_some(())).await;
    assert_eq!(asked(&gw, UK, "GET", "/account-access-consents/"), before);
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["status"], "AUTHORIZED");
    gw.sandbox.stop().await;
}

/// Of several gateways one asks.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_is_asked_for_events_by_one_process_at_a_time() {
    let (gw, _) = notified().await;
    state(&gw, UK, |stated| (stated.push, stated.poll) = (false, Some(Duration::from_secs(3_600))));
    until("the bank is asked for events", async || (polls(&gw) > 0).then_some(())).await;
    let gateway = gw.sandbox.gateway();
    assert_eq!(gateway.beside().poll_events().await.unwrap(), 0);
    assert_eq!(gateway.poll_events().await.unwrap(), 0);
    assert_eq!(polls(&gw), 1);
    gw.sandbox.stop().await;
}
