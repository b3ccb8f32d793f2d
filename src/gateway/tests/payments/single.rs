//! Payments: settled, refused, declined, expired; never placed twice.

use crate::support::customer::Customer;
use crate::support::operator::command;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, Wanted, assert_problem};
use connect::ScaFlow;
use consentry::demo::{RETURN, Tpp};
use domain::{PaymentState, ShiftedClock};
use modelbank::Fault;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;

fn is_final(payment: &Value) -> bool {
    payment["final"] == true
}

fn euro_payment(bank: &str, debtor: &str, amount: &str) -> Value {
    json!({
        "institution_id": bank,
        "amount": { "amount": amount, "currency": "EUR" },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": { "iban": "DE42999100002000000018" },
        "debtor_account": { "iban": debtor },
        "redirect_uri": RETURN,
    })
}

fn zloty_payment(debtor: &str, amount: &str) -> Value {
    json!({
        "amount": { "amount": amount, "currency": "PLN" },
        "institution_id": POLISH,
        "scheme": "EXPRESS_ELIXIR",
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": { "iban": "PL06999010060000000000020018" },
        "debtor_account": { "iban": debtor },
        "redirect_uri": RETURN,
    })
}

/// ISO 20022 PATC: one holder of a joint account has approved, and comes back; no
/// money moves until the other has.
/// [connector: payment by several signatories at berlin-redirect berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_from_a_joint_account_settles_when_both_holders_have_approved() {
    let accounts =
        [(EU, "DE24999100003000000017", "rhb-30017"), (EMBEDDED, "AT669990300000030017", "don-30017")];
    for (decision, becomes) in [("approve", "SETTLED"), ("decline", "REJECTED")] {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        let own = tpp.own_token("payments").await.unwrap();
        for (bank, debtor, account) in accounts {
            let order = euro_payment(bank, debtor, "12.34");
            let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
            let mut clara = gw.person();
            clara.headers.push(("x-sandbox-psu", "clara"));
            let visit = clara.walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
            let id = ordered.text("/id");
            assert_eq!(crate::support::parameter(&visit, "payment_id"), id, "{bank}");
            let partly = gw.payment_until(&tpp, &own, &id, |payment| payment["iso_status"] == "PATC").await;
            assert_eq!(
                (&partly["state"], &partly["final"]),
                (&json!("AUTHORIZING"), &json!(false)),
                "{bank}"
            );
            Customer::of(&gw, bank, "david").decide(decision, account).await;
            let payment = gw.payment_until(&tpp, &own, &id, is_final).await;
            assert_eq!(payment["state"], becomes, "{bank}");
        }
        gw.sandbox.stop().await;
    }
}

/// A payment settles at a bank of each standard, and the money has moved.
/// [connector: payment at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_settles_at_every_kind_of_bank() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for bank in [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH] {
        let order = match bank {
            UK => Tpp::small_payment(UK),
            POLISH => zloty_payment(&gw.iban_at(&tpp, bank).await, "12.34"),
            _ => euro_payment(bank, &gw.iban_at(&tpp, bank).await, "12.34"),
        };
        let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        assert_eq!(ordered.text("/state"), "AUTHORIZATION_REQUIRED");
        assert_eq!(ordered.text("/outcome"), "not_executed");
        let visit = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        assert_eq!(crate::support::parameter(&visit, "payment_id"), ordered.text("/id"), "{bank}");
        let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
        assert_eq!(
            (&payment["state"], &payment["outcome"]),
            (&json!("SETTLED"), &json!("executed")),
            "{bank}"
        );
        assert_eq!(payment["iso_status"], "ACSC", "{bank}");
        let history = payment["status_history"].as_array().unwrap();
        assert_eq!(history.first().unwrap()["to"], "AUTHORIZATION_REQUIRED");
        assert_eq!(history.last().unwrap()["to"], "SETTLED");
    }
    gw.sandbox.stop().await;
}

/// XS2A 5.3.1, 5.4: banks that take orders as pain.001 and tell of them in pain.002.
/// [connector: payment as pain.001 at berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_in_xml_settles_or_is_rejected_as_one_in_json_does() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let debtor = gw.iban_at(&tpp, EU).await;
    let registry = gw.sandbox.gateway().registry();
    let mut bank = (*registry.profile(&EU.parse().unwrap()).unwrap()).clone();
    let products = ["pain.001-sepa-credit-transfers", "pain.001-instant-sepa-credit-transfers"];
    bank.berlin_group.payment_products = products.map(str::to_owned).into();
    bank.berlin_group.payment_status_formats = vec!["application/xml".to_owned()];
    registry.put(bank);
    let own = tpp.own_token("payments").await.unwrap();
    let (_, journal) = gw.sandbox.bank(EU).unwrap();
    for (scheme, amount, state, iso) in [
        ("SEPA_CT", "12.34", "SETTLED", "ACSC"),
        ("SEPA_INST", "12.34", "SETTLED", "ACSC"),
        ("SEPA_CT", "999999.99", "REJECTED", "RJCT"),
    ] {
        let mut order = euro_payment(EU, &debtor, amount);
        order["scheme"] = json!(scheme);
        order["creditor"]["name"] = json!("Müller & <Söhne>");
        let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
        assert_eq!((&payment["state"], &payment["iso_status"]), (&json!(state), &json!(iso)), "{payment}");
        if state == "REJECTED" {
            assert_eq!(payment["failure"]["iso_reason"], "AM04");
        }
    }
    let asked = |product: &str| {
        let path = format!("/v1/payments/{product}");
        journal.entries().iter().filter(|entry| entry.method == "POST" && entry.path == path).count()
    };
    assert_eq!(products.map(asked), [2, 1]);
    gw.sandbox.stop().await;
}

/// draft-ietf-httpapi-idempotency-key-header: replay, refusal, and one row whatever races.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_orders_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = Tpp::small_payment(UK);
    let tries = (0..8).map(|_| tpp.post_once(&own, "/v1/payments", "\"order-1\"", &order));
    let mut ids = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(tries).await {
        ids.insert(answer.unwrap().expect(201).unwrap().text("/id"));
    }
    assert_eq!(ids.len(), 1, "eight requests, one payment");
    // Bare and quoted are the same key.
    let again = tpp.post_once(&own, "/v1/payments", "order-1", &order).await.unwrap().expect(201).unwrap();
    assert!(ids.contains(&again.text("/id")));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let mut other = order.clone();
    other["amount"]["amount"] = json!("99.00");
    let reused = tpp.post_once(&own, "/v1/payments", "order-1", &other).await.unwrap();
    assert_problem(&reused, 422, "idempotency.reused");
    let bearer = consentry::demo::bearer(&own);
    let url = format!("{}/v1/payments", tpp.api);
    let missing = tpp.http.post_json(&url, &[("authorization", &bearer)], &order).await.unwrap();
    assert_problem(&missing, 400, "idempotency.missing");
    // Another client's key of the same name is another key.
    let stranger = gw.tpp().await;
    let token = stranger.own_token("payments").await.unwrap();
    let theirs =
        stranger.post_once(&token, "/v1/payments", "order-1", &order).await.unwrap().expect(201).unwrap();
    assert!(!ids.contains(&theirs.text("/id")));
    gw.sandbox.stop().await;
}

/// Invariant 1: one order reaches the bank once, however often the PSU's
/// browser sends the approval.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_sent_again_places_nothing_again() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    let href = ordered.text("/authorization/href");
    let mut person = gw.person();
    person.walk(&href, RETURN).await.unwrap();
    let walks = (0..4).map(|_| {
        let (mut person, href) = (person.clone(), href.clone());
        async move { person.walk(&href, RETURN).await }
    });
    for visit in futures_util::future::join_all(walks).await {
        assert!(visit.is_ok());
    }
    gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
    let journal = gw.sandbox.bank(UK).unwrap().1.entries();
    let posts = |path: &str| {
        journal.iter().filter(|entry| entry.method == "POST" && entry.path.ends_with(path)).count()
    };
    assert_eq!((posts("/domestic-payment-consents"), posts("/domestic-payments")), (1, 1));
    gw.sandbox.stop().await;
}

/// Until the PSU has approved, the TPP can take an order back; later it is told that it
/// cannot, and nothing changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_cancelled_while_no_bank_can_execute_it() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let receiver = gw.listening_with(&tpp, "payments").await;
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    assert_eq!(ordered.json()["can_cancel"], json!(true));
    let path = format!("/v1/payments/{}/cancel", ordered.text("/id"));
    let stranger = gw.tpp().await;
    let strangers = stranger.own_token("payments").await.unwrap();
    let refused = stranger.post(&strangers, &path, &json!({})).await.unwrap();
    assert_problem(&refused, 404, "resource.not_found");
    for _ in 0..2 {
        let cancelled = tpp.post(&own, &path, &json!({})).await.unwrap().expect(200).unwrap().json();
        assert_eq!(
            (&cancelled["state"], &cancelled["final"], &cancelled["outcome"], &cancelled["can_cancel"]),
            (&json!("CANCELLED"), &json!(true), &json!("not_executed"), &json!(false))
        );
        assert_eq!(cancelled["status_history"].as_array().unwrap().len(), 2);
    }
    crate::support::consents::event(&receiver, &ordered.text("/id"), "payment.cancelled").await;
    // The PSU comes too late, and no bank hears of it.
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let (_, journal) = gw.sandbox.bank(UK).unwrap();
    assert!(!journal.entries().iter().any(|entry| entry.method == "POST" && entry.path.contains("payment")));

    let settled = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    gw.person().walk(&settled.text("/authorization/href"), RETURN).await.unwrap();
    gw.payment_until(&tpp, &own, &settled.text("/id"), is_final).await;
    let late = format!("/v1/payments/{}/cancel", settled.text("/id"));
    let refused = tpp.post(&own, &late, &json!({})).await.unwrap();
    assert_problem(&refused, 409, "payment.state");
    let shown = tpp.get(&own, &format!("/v1/payments/{}", settled.text("/id"))).await.unwrap().json();
    assert_eq!((&shown["state"], &shown["can_cancel"]), (&json!("SETTLED"), &json!(false)));
    gw.sandbox.stop().await;
}

/// The bank took the order and the answer was lost: `unknown`, and never sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_answer_was_lost_is_never_sent_again() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let (faults, journal) = gw.sandbox.bank(UK).unwrap();
    faults.arm("POST", "/domestic-payments", Fault::LoseAnswer, 1);
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let asked = |payment: &Value| payment["state"] == "UNKNOWN";
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), asked).await;
    assert_eq!((&payment["outcome"], &payment["final"]), (&json!("unknown"), &json!(false)));
    // The reconciler asks, and asks again; it never sends the order again.
    let before = journal.entries().len();
    let wait = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
        while journal.entries().len() < before + 2 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.expect("the bank is asked");
    let orders = journal
        .entries()
        .iter()
        .filter(|entry| entry.method == "POST" && entry.path.ends_with("/domestic-payments"))
        .count();
    assert_eq!(orders, 1);
    gw.sandbox.stop().await;
}

/// A bank that executes on the PSU's word alone may have an order whose answer was lost:
/// nobody can ask about it, so that a person is told to look there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_its_bank_never_named_is_flagged() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let receiver = gw.listening_with(&tpp, "payments").await;
    gw.sandbox.bank(EU).unwrap().0.arm("POST", "/payments/", Fault::LoseAnswer, 1);
    let order = euro_payment(EU, &gw.iban_at(&tpp, EU).await, "12.34");
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let flagged = |payment: &Value| payment["attention"]["code"] == "payment.unnamed_at_bank";
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), flagged).await;
    assert_eq!(
        (&payment["state"], &payment["outcome"], &payment["final"]),
        (&json!("UNKNOWN"), &json!("unknown"), &json!(false))
    );
    crate::support::consents::event(&receiver, &ordered.text("/id"), "payment.attention_required").await;
    gw.sandbox.stop().await;
}

/// Where nothing is executed without our submission, a lodging that was lost is certain
/// to have executed nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lodging_executes_nothing_where_we_submit_afterwards() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    gw.sandbox.bank(UK).unwrap().0.arm("POST", "/domestic-payment-consents", Fault::LoseAnswer, 1);
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("FAILED"), &json!("not_executed")));
    assert_eq!(payment["failure"]["retryable"], json!(true));
    gw.sandbox.stop().await;
}

/// A submission that may have been lost is not repeated. Where the bank says for long
/// that the order is still open, a person is told to look; its last word ends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_stays_open_after_a_lost_submission_is_flagged() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let (faults, journal) = gw.sandbox.bank(STET).unwrap();
    faults.arm("POST", "/confirmation", Fault::Unavailable, 1);
    let order = euro_payment(STET, &gw.iban_at(&tpp, STET).await, "12.34");
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let id = ordered.text("/id");
    let asked = || journal.entries().iter().filter(|entry| entry.method == "GET").count();
    let look = async {
        loop {
            let own = tpp.own_token("payments").await.unwrap();
            let payment = tpp.get(&own, &format!("/v1/payments/{id}")).await.unwrap().json();
            if payment["attention"]["code"] == "payment.open_at_bank" {
                return payment;
            }
            // The next question, and not before the last one was answered.
            let before = asked();
            clock.advance(301);
            let mut beat = tokio::time::interval(std::time::Duration::from_millis(10));
            while asked() == before {
                beat.tick().await;
            }
        }
    };
    let payment =
        tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("it is flagged");
    assert_eq!((&payment["state"], &payment["final"]), (&json!("UNKNOWN"), &json!(false)));
    let sent = journal.entries().iter().filter(|entry| entry.path.ends_with("/confirmation")).count();
    assert_eq!(sent, 1);

    // A person looked at the bank.
    let listed = String::from_utf8(command(&gw, "payments", &["flagged", "--json"]).stdout).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["id"], &listed["code"]), (&json!(id), &json!("payment.open_at_bank")));
    assert!(command(&gw, "payments", &["end", &id, "--executed"]).status.success());
    let own = tpp.own_token("payments").await.unwrap();
    let ended = gw.payment_until(&tpp, &own, &id, is_final).await;
    assert_eq!((&ended["state"], &ended["outcome"]), (&json!("SETTLED"), &json!("executed")));
    assert_eq!(ended["attention"], Value::Null);
    let last = ended["status_history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["to"], &last["actor"]), (&json!("SETTLED"), &json!("operator")));
    let refused = command(&gw, "payments", &["end", &id, "--not-executed"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is SETTLED already"), "{refused:?}");
    gw.sandbox.stop().await;
}

/// What the gateway can find out by itself no person decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_is_not_flagged_is_not_ended_by_hand() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    let refused = command(&gw, "payments", &["end", &ordered.text("/id"), "--executed"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not flagged"), "{refused:?}");
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), |_| true).await;
    assert_eq!(payment["state"], "AUTHORIZATION_REQUIRED");
    gw.sandbox.stop().await;
}

/// The same where the bank can be asked for an order by a name of ours: it is
/// found, and was carried out once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_answer_was_lost_is_found_where_we_named_it() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for (bank, operation) in [(STET, "/confirmation"), (POLISH, "/domestic")] {
        let (faults, journal) = gw.sandbox.bank(bank).unwrap();
        let debtor = gw.iban_at(&tpp, bank).await;
        let order = if bank == POLISH {
            zloty_payment(&debtor, "12.34")
        } else {
            euro_payment(bank, &debtor, "12.34")
        };
        faults.arm("POST", operation, Fault::LoseAnswer, 1);
        let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
        assert_eq!(payment["state"], "SETTLED", "{bank}");
        let history = payment["status_history"].as_array().unwrap();
        assert!(history.iter().any(|step| step["to"] == "UNKNOWN"), "{bank}");
        let sent = journal.entries().iter().filter(|entry| entry.path.ends_with(operation)).count();
        assert_eq!(sent, 1, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// An order may take longer than a token lives: it is asked about with a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_followed_beyond_the_life_of_its_token() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = zloty_payment(&gw.iban_at(&tpp, POLISH).await, "12.34");
    let faults = gw.sandbox.bank(POLISH).unwrap().0;
    faults.arm("POST", "/getPayment", Fault::Unavailable, 1_000);
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    gw.payment_until(&tpp, &own, &ordered.text("/id"), |payment| payment["state"] == "SUBMITTED").await;
    clock.advance(7_200);
    faults.clear();
    let own = tpp.own_token("payments").await.unwrap();
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
    assert_eq!(payment["state"], "SETTLED");
    gw.sandbox.stop().await;
}

/// More than the account holds: rejected, with the bank's ISO reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_above_the_balance_is_rejected() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = euro_payment(EU, &gw.iban_at(&tpp, EU).await, "99999999.00");
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("REJECTED"), &json!("not_executed")));
    assert_eq!(payment["failure"]["source"], "INSTITUTION");
    assert_eq!(payment["failure"]["retryable"], false);
    gw.sandbox.stop().await;
}

/// The PSU declines: at our page, and at each kind of bank.
/// [connector: payment declined at uk berlin-redirect stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_payment_is_rejected_and_not_executed() {
    let gw = TestGateway::wanted(crate::support::Wanted { auto_approve: false, ..Default::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    person.decision = "decline";
    person.walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
    assert_eq!(
        (&payment["state"], &payment["failure"]["code"]),
        (&json!("REJECTED"), &json!("psu.declined"))
    );
    assert!(gw.sandbox.bank(UK).unwrap().1.entries().is_empty(), "the bank was never called");
    gw.sandbox.stop().await;

    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for bank in [UK, EU, STET, POLISH] {
        let order = match bank {
            UK => Tpp::small_payment(UK),
            POLISH => zloty_payment(&gw.iban_at(&tpp, bank).await, "1.00"),
            _ => euro_payment(bank, &gw.iban_at(&tpp, bank).await, "1.00"),
        };
        gw.sandbox.bank(bank).unwrap().0.decline(1);
        let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        let payment = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
        assert_eq!(
            (&payment["state"], &payment["outcome"]),
            (&json!("REJECTED"), &json!("not_executed")),
            "{bank}"
        );
    }
    gw.sandbox.stop().await;
}

/// A PSU who never comes: expired, not executed, the bank never called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_nobody_approves_expires() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    clock.advance(901);
    let fresh = tpp.own_token("payments").await.unwrap();
    let payment = gw.payment_until(&tpp, &fresh, &ordered.text("/id"), is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("EXPIRED"), &json!("not_executed")));
    assert!(gw.sandbox.bank(UK).unwrap().1.entries().is_empty());
    gw.sandbox.stop().await;
}

/// The process ended between approval and submission: the next one submits, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_payment_survives_the_end_of_its_process() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    // Down for the submission only: what was approved stays approved or unknown, and ends.
    gw.sandbox.bank(UK).unwrap().0.arm("POST", "/domestic-payments", Fault::Unavailable, 1);
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let id: domain::PaymentId = ordered.text("/id").parse().unwrap();
    let payment = gw.sandbox.gateway().any_payment(id).await.unwrap();
    // A 503 to a write says nothing about what was done.
    assert_eq!(payment.state, PaymentState::Unknown);
    let gw = gw.restarted().await;
    let again = gw.sandbox.gateway().any_payment(id).await.unwrap();
    assert_eq!(again.state, PaymentState::Unknown);
    assert!(again.next_poll_at.is_some(), "the reconciler goes on asking");
    gw.sandbox.stop().await;
}

/// Orders that no bank could execute are told everything that is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_executed_names_every_mistake() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = json!({
        "institution_id": UK,
        "amount": { "amount": "1.234", "currency": "GBP" },
        "creditor": { "name": "" },
        "creditor_account": { "iban": "DE00000000000000000000" },
        "end_to_end_id": "ä",
        "scheme": "PIGEON",
        "redirect_uri": RETURN,
    });
    let refused = tpp.post(&own, "/v1/payments", &order).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    assert_eq!(refused.json()["outcome"], "not_executed");
    let pointers: Vec<String> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        pointers,
        ["/scheme", "/amount/amount", "/creditor/name", "/creditor_account/iban", "/end_to_end_id"]
    );
    assert!(!String::from_utf8_lossy(&refused.body).contains("DE0000"), "values are not repeated");
    let mut elsewhere = Tpp::small_payment(UK);
    elsewhere["redirect_uri"] = json!("https://attacker.example/");
    let refused = tpp.post(&own, "/v1/payments", &elsewhere).await.unwrap();
    assert_eq!(refused.text("/errors/0/code"), "redirect_uri.unregistered");
    let mut wrong_rail = Tpp::small_payment(UK);
    wrong_rail["scheme"] = json!("SEPA_CT");
    let refused = tpp.post(&own, "/v1/payments", &wrong_rail).await.unwrap();
    assert_eq!(refused.text("/errors/0/code"), "scheme.unsupported");
    gw.sandbox.stop().await;
}

/// What a bank repeats is compared with the order: another amount calls for a person, is
/// told as an event, and nothing that the answer says is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_repeats_another_order_calls_for_a_person() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for (bank, method, path) in [(STET, "POST", "/confirmation"), (STET, "GET", "/payment-requests/")] {
        let (faults, _) = gw.sandbox.bank(bank).unwrap();
        faults.arm(method, path, Fault::Twisted(modelbank::Twist::SignsInverted), 1_000);
        let order = euro_payment(bank, &gw.iban_at(&tpp, bank).await, "12.34");
        let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        // Where the walk ends does not count.
        let _ = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await;
        let id = ordered.text("/id");
        let flagged = gw.payment_until(&tpp, &own, &id, |payment| payment["attention"].is_object()).await;
        assert_eq!(flagged["attention"]["code"], "payment.echo_mismatch", "{method}");
        assert_eq!((&flagged["final"], &flagged["outcome"]), (&json!(false), &json!("unknown")), "{method}");
        crate::support::shown_until(&tpp, &own, "/v1/events?limit=500", |page| {
            let of = |event: &Value| {
                event["type"] == "payment.attention_required" && event["resource"]["id"] == id
            };
            page["data"].as_array().unwrap().iter().any(of)
        })
        .await;
        faults.clear();
        let settled = gw.payment_until(&tpp, &own, &id, is_final).await;
        assert_eq!((&settled["state"], &settled["attention"]), (&json!("SETTLED"), &Value::Null), "{method}");
        let ledger = gw.sandbox.ledger(bank);
        let name = settled["end_to_end_id"].as_str().unwrap();
        let asked: Vec<_> =
            ledger.iter().filter(|line| line.end_to_end_id == name).map(|line| line.asked).collect();
        assert_eq!(asked, [1], "{method}");
    }
    gw.sandbox.stop().await;
}

/// STET 1.4 `DECOUPLED`: the holder approves in the bank's app, the gateway finds out by
/// asking, and only then confirms the request, once.
/// [connector: payment at stet]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_approved_in_the_banks_app_is_confirmed_then() {
    let gw = TestGateway::start().await;
    let (tpp, own, id) = in_the_app(&gw).await;
    let payment = gw.payment_until(&tpp, &own, &id, is_final).await;
    assert_eq!(payment["state"], "SETTLED");
    let entries = gw.sandbox.bank(STET).unwrap().1.entries();
    let confirmed = entries.iter().filter(|entry| entry.path.ends_with("/confirmation"));
    assert_eq!(confirmed.count(), 1);
    gw.sandbox.stop().await;
}

/// Of which the bank hears no approval: it waits as long as the holder has time, and expires.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_nobody_approves_in_the_banks_app_expires() {
    let time = Arc::new(ShiftedClock::default());
    let wanted = Wanted { auto_approve: false, clock: time.clone(), ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let (tpp, own, id) = in_the_app(&gw).await;
    let journal = gw.sandbox.bank(STET).unwrap().1;
    let asked = || journal.entries().iter().filter(|entry| entry.method == "GET").count() > 2;
    let waiting = gw.payment_until(&tpp, &own, &id, |_| asked()).await;
    assert_eq!((&waiting["state"], &waiting["outcome"]), (&json!("AUTHORIZING"), &json!("not_executed")));
    time.advance(3_600);
    let own = tpp.own_token("payments").await.unwrap();
    let payment = gw.payment_until(&tpp, &own, &id, is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("EXPIRED"), &json!("not_executed")));
    gw.sandbox.stop().await;
}

/// Orders a payment at a STET bank that may ask the holder in its app, and approves it here.
async fn in_the_app(gw: &TestGateway) -> (Tpp, SecretString, String) {
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&STET.parse().unwrap()).unwrap()).clone();
    profile.sca.push(ScaFlow::Decoupled);
    registry.put(profile);
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = euro_payment(STET, "FR7699902000010001000001730", "12.34");
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    // Where nobody approves at the bank, the page waits on.
    let (mut person, page) = (gw.person(), ordered.text("/authorization/href"));
    tokio::spawn(async move { person.walk(&page, RETURN).await.map(drop) });
    (tpp, own, ordered.text("/id"))
}
