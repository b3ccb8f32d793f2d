//! Banks that notify us: what changes at the bank is told to clients at once, because the
//! bank was asked and not because it was believed.

mod events;
mod notices;
mod polling;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use connect::Notifications;
use consentry::demo::{RETURN, Receiver, Tpp};
use domain::{ConsentId, PaymentId, ShiftedClock};
use modelbank::Fault;
use serde_json::{Value, json};

use crate::support::consents::{DAY, event};
use crate::support::customer::Customer;
use crate::support::webhooks::until;
use crate::support::{DECOUPLED, EMBEDDED, EU, TestGateway, UK, Wanted, payee, payment_until};

/// A sandbox whose banks notify, on a clock that can be moved.
async fn notified() -> (TestGateway, Arc<ShiftedClock>) {
    let clock = Arc::new(ShiftedClock::default());
    let virtual_time = Some(Arc::clone(&clock));
    let wanted = Wanted { bank_notifications: true, clock: clock.clone(), virtual_time, ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    state(&gw, UK, |stated| stated.poll = None);
    subscribed(&gw, 1).await;
    (gw, clock)
}

/// States otherwise how a bank notifies.
fn state(gw: &TestGateway, bank: &str, change: impl FnOnce(&mut Notifications)) {
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&bank.parse().unwrap()).unwrap()).clone();
    change(profile.notifications.as_mut().unwrap());
    registry.put(profile);
}

/// Waits until the subscription at the UK bank was made, changed or ended so many times.
async fn subscribed(gw: &TestGateway, times: usize) {
    until("the bank is subscribed to", async || {
        let entries = gw.sandbox.bank(UK).unwrap().1.entries();
        let changed = |method: &str| ["POST", "PUT", "DELETE"].contains(&method);
        let done = entries.iter().filter(|entry| {
            entry.path.contains("/event-subscriptions") && changed(&entry.method) && entry.status < 300
        });
        (done.count() >= times).then_some(())
    })
    .await;
}

/// The bank itself says nothing for a day.
fn hush(gw: &TestGateway, bank: &str) {
    let day = Duration::from_secs(DAY.unsigned_abs());
    gw.sandbox.bank(bank).unwrap().0.arm("", "", Fault::NoticeLate(day), 1_000);
}

/// What a bank calls a consent of ours.
async fn at_bank(gw: &TestGateway, consent: &str) -> String {
    let id: ConsentId = consent.parse().unwrap();
    let store = gw.sandbox.gateway().stores().region(id.region()).unwrap();
    store.consent(id).await.unwrap().unwrap().bank.consent_id.unwrap()
}

/// How often a bank was asked something.
fn asked(gw: &TestGateway, bank: &str, method: &str, part: &str) -> usize {
    let entries = gw.sandbox.bank(bank).unwrap().1.entries();
    entries.iter().filter(|entry| entry.method == method && entry.path.contains(part)).count()
}

/// A payment that its bank settles in a day, and of which nobody asks for a month.
async fn slow_payment(gw: &TestGateway, tpp: &Tpp, bank: &str) -> String {
    let own = tpp.own_token("payments").await.unwrap();
    let (currency, account) = payee(bank);
    let mut order = json!({
        "institution_id": bank,
        "amount": { "amount": "7.07", "currency": currency },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": account,
        "redirect_uri": RETURN,
    });
    if bank != UK {
        order["debtor_account"] = json!({ "iban": gw.iban_at(tpp, bank).await });
    }
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let id = ordered.text("/id");
    payment_until(tpp, &own, &id, |payment| payment["iso_status"] == "ACSP").await;
    put_off(gw, &id).await;
    id
}

/// Puts the next question about a payment off for a month.
async fn put_off(gw: &TestGateway, id: &str) {
    let id: PaymentId = id.parse().unwrap();
    let gateway = gw.sandbox.gateway();
    let store = gateway.stores().region(id.region()).unwrap();
    let month = domain::Timestamp::from_second(gateway.now().as_second() + 30 * DAY).unwrap();
    let looks = Cell::new(0);
    until("nobody asks for a month, and the bank has said all that it had to", async || {
        let payment = gateway.any_payment(id).await.unwrap();
        // While the bank is asked, the time is that of the lease, and is set anew afterwards.
        let soon = gateway.now().as_second() + 60;
        if payment.next_poll_at.is_some_and(|at| at.as_second() < soon) {
            let _ = store.lease_poll(&payment, month).await;
        }
        let heeded = store.notices_due(month).await.unwrap().is_empty();
        let calm = payment.next_poll_at == Some(month) && heeded;
        looks.set(if calm && gw.sandbox.untold(payment.institution.as_str()) == 0 {
            looks.get() + 1
        } else {
            0
        });
        (looks.get() == 10).then_some(())
    })
    .await;
}

/// Waits for an event about a payment.
async fn told(receiver: &Receiver, payment: &str, kind: &str) {
    event(receiver, payment, kind).await;
}

async fn state_of(gw: &TestGateway, payment: &str) -> domain::PaymentState {
    gw.sandbox.gateway().any_payment(payment.parse().unwrap()).await.unwrap().state
}

/// Nobody would have asked for a month.
/// [connector: notifications at uk berlin-redirect berlin-decoupled berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_settles_at_the_bank_is_told_because_the_bank_notified() {
    let (gw, clock) = notified().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening_with(&tpp, "payments").await;
    let mut payments = Vec::new();
    for bank in [UK, EU, DECOUPLED, EMBEDDED] {
        payments.push((bank, slow_payment(&gw, &tpp, bank).await));
    }
    for (bank, payment) in &payments {
        assert_eq!(state_of(&gw, payment).await, domain::PaymentState::Accepted, "{bank}");
    }
    clock.advance(DAY + 1);
    for (bank, payment) in &payments {
        told(&receiver, payment, "payment.settled").await;
        assert_eq!(state_of(&gw, payment).await, domain::PaymentState::Settled, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// Nobody reads under it, and the bank would have been asked tomorrow.
/// [connector: notifications at uk berlin-redirect berlin-decoupled berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_is_withdrawn_at_the_bank_is_told_because_the_bank_notified() {
    let (gw, _) = notified().await;
    let tpp = gw.tpp().await;
    let receiver = gw.listening(&tpp).await;
    for bank in [UK, EU, DECOUPLED, EMBEDDED] {
        let granted = gw.granted(&tpp, &[bank]).await;
        Customer::of(&gw, bank, "anna").withdraw().await;
        event(&receiver, &granted.consents[0], "consent.revoked").await;
        let shown = gw.shown(&tpp, &granted.consents[0]).await;
        assert_eq!(shown["status"], "REVOKED_BY_PSU", "{bank}");
        let last = shown["history"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["actor"], &last["reason"]), (&json!("psu"), &json!("revoked-at-bank")), "{bank}");
    }
    gw.sandbox.stop().await;
}

/// What an answer of ours says, where it refuses a token.
fn refusal(answer: &consentry::demo::Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.text("/err"))
}

/// A body as it is posted.
fn text(body: &Value) -> String {
    body.to_string()
}
