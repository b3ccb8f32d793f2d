//! Orders that a bank takes back once the PSU has approved that: cancelled with the PSU's word,
//! carried out once without it.

use crate::support::{DECOUPLED, EMBEDDED, EU, TestGateway, Wanted, assert_problem};
use consentry::demo::{Browser, RETURN, Tpp, Visit};
use domain::{Clock, ShiftedClock};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;

const DAY: i64 = 86_400;
/// An amount that Berlin Group banks take back with the customer's approval only.
const KEPT: &str = "8.08";

/// A payment, or a batch of two.
#[derive(Clone, Copy, Debug)]
enum Kind {
    One,
    Many,
}

impl Kind {
    fn collection(self) -> &'static str {
        match self {
            Self::One => "/v1/payments",
            Self::Many => "/v1/payment-batches",
        }
    }

    /// An order of this kind for a day that is to come.
    async fn order(self, gw: &TestGateway, tpp: &Tpp, bank: &str, clock: &ShiftedClock) -> Value {
        let (currency, creditor) = crate::support::payee(bank);
        let then = domain::Timestamp::from_second(clock.now().as_second() + 3 * DAY).unwrap();
        let payment = |amount: &str| {
            json!({
                "amount": { "amount": amount, "currency": currency },
                "creditor": { "name": "Corner Bookshop" },
                "creditor_account": creditor,
                "remittance": { "unstructured": ["Rent"] },
            })
        };
        let mut order = match self {
            Self::One => payment(KEPT),
            Self::Many => json!({
                "payments": [payment("1.10"), payment(KEPT)],
                "debtor_account": { "iban": gw.iban_at(tpp, bank).await },
            }),
        };
        order["institution_id"] = json!(bank);
        order["redirect_uri"] = json!(RETURN);
        order["requested_execution_date"] = json!(domain::utc_day(then).to_string());
        order
    }
}

/// An order that its bank holds.
struct Held {
    path: String,
    own: SecretString,
}

impl Held {
    async fn new(gw: &TestGateway, tpp: &Tpp, bank: &str, kind: Kind, clock: &ShiftedClock) -> Self {
        let own = tpp.own_token("payments").await.unwrap();
        let order = kind.order(gw, tpp, bank, clock).await;
        let ordered = tpp.post(&own, kind.collection(), &order).await.unwrap().expect(201).unwrap();
        gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        let held = Self { path: format!("{}/{}", kind.collection(), ordered.text("/id")), own };
        held.until(tpp, |order| {
            order["bank_refs"]["payment_id"].is_string() && order["state"] == "SUBMITTED"
        })
        .await;
        held
    }

    async fn until(&self, tpp: &Tpp, done: impl Fn(&Value) -> bool) -> Value {
        crate::support::shown_until(tpp, &self.own, &self.path, done).await
    }

    /// Asks for it to be taken back; where the PSU approves that.
    async fn cancel(&self, tpp: &Tpp) -> String {
        let answer = tpp.post(&self.own, &format!("{}/cancel", self.path), &json!({})).await.unwrap();
        let answer = answer.expect(200).unwrap();
        assert_eq!(answer.text("/cancellation/status"), "AWAITING_AUTHORISATION");
        assert_eq!(answer.text("/state"), "SUBMITTED");
        answer.text("/cancellation/authorization/href")
    }
}

/// A look at a page's button that says no.
async fn declined(gw: &TestGateway, href: &str) -> Visit {
    let mut person = gw.person();
    person.decision = "decline";
    person.walk(href, RETURN).await.unwrap()
}

/// How often a bank moved the amount.
fn moved(gw: &TestGateway, bank: &str) -> usize {
    let amount = KEPT.parse().unwrap();
    let ledger = gw.sandbox.ledger(bank);
    ledger.iter().filter(|line| line.amount == amount && line.executed_at.is_some()).count()
}

async fn started(auto_approve: bool) -> (TestGateway, Arc<ShiftedClock>, Tpp) {
    let clock = Arc::new(ShiftedClock::default());
    let virtual_time = Some(Arc::clone(&clock));
    let wanted = Wanted { auto_approve, clock: clock.clone(), virtual_time, ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let tpp = gw.tpp().await;
    (gw, clock, tpp)
}

/// The PSU approves it, and nothing is moved. Asked twice, it is one cancellation.
/// [connector: payment taken back with the PSU's approval at berlin-redirect berlin-decoupled
/// berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_taken_back_once_the_psu_approves() {
    let (gw, clock, tpp) = started(true).await;
    for bank in [EU, DECOUPLED, EMBEDDED] {
        for kind in [Kind::One, Kind::Many] {
            let held = Held::new(&gw, &tpp, bank, kind, &clock).await;
            let href = held.cancel(&tpp).await;
            assert_eq!(held.cancel(&tpp).await, href, "{bank} {kind:?}");
            gw.person().walk(&href, RETURN).await.unwrap();
            let done = held.until(&tpp, |order| order["final"] == true).await;
            assert_eq!(
                (&done["state"], &done["outcome"]),
                (&json!("CANCELLED"), &json!("not_executed")),
                "{bank} {kind:?}"
            );
            assert!(done["cancellation"].is_null(), "{done}");
            let again = tpp.post(&held.own, &format!("{}/cancel", held.path), &json!({})).await.unwrap();
            assert_eq!(again.expect(200).unwrap().text("/state"), "CANCELLED", "{bank} {kind:?}");
        }
    }
    clock.advance(4 * DAY);
    for bank in [EU, DECOUPLED, EMBEDDED] {
        assert_eq!(moved(&gw, bank), 0, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// Without the PSU's word the order stands, and is carried out once on its day: declined on
/// our page or at the bank, or nobody came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_cancellation_nobody_approves_is_carried_out_once() {
    let (gw, clock, tpp) = started(false).await;
    let held = Held::new(&gw, &tpp, EU, Kind::One, &clock).await;
    let first = held.cancel(&tpp).await;
    declined(&gw, &first).await;
    let stands = held.until(&tpp, |order| order["cancellation"].is_null()).await;
    assert_eq!((&stands["state"], &stands["can_cancel"]), (&json!("SUBMITTED"), &json!(true)));

    let second = held.cancel(&tpp).await;
    assert_ne!(second, first, "it is another question");
    Browser::new(gw.anybody(), "declines", "sandbox").walk(&second, RETURN).await.unwrap();
    held.until(&tpp, |order| order["cancellation"].is_null() && order["state"] == "SUBMITTED").await;

    let third = held.cancel(&tpp).await;
    clock.advance(4 * DAY);
    let own = tpp.own_token("payments").await.unwrap();
    let held = Held { own, ..held };
    let done = held.until(&tpp, |order| order["final"] == true).await;
    assert_eq!(done["state"], "SETTLED");
    let late = gw.person().walk(&third, RETURN).await;
    assert!(late.is_err() || late.unwrap().page.is_some(), "there is nothing to be approved");
    let refused = tpp.post(&held.own, &format!("{}/cancel", held.path), &json!({})).await.unwrap();
    assert_problem(&refused, 409, "payment.state");
    assert_eq!(moved(&gw, EU), 1);
    gw.sandbox.stop().await;
}
