//! Payments for a later day, again and again, and abroad: at a bank of every standard.

use std::time::Duration;

use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, Wanted, assert_problem};
use consentry::demo::{RETURN, Tpp};
use domain::Clock;
use serde_json::{Value, json};

const DAY: i64 = 86_400;
/// The one whose time must be moved most comes last.
const BANKS: [&str; 6] = [EU, DECOUPLED, EMBEDDED, STET, POLISH, UK];

/// A day so many days from now.
fn day(clock: &dyn Clock, days: i64) -> String {
    let then = domain::Timestamp::from_second(clock.now().as_second() + days * DAY).unwrap();
    domain::utc_day(then).to_string()
}

/// A transfer within a bank's own country.
fn transfer(bank: &str, amount: &str) -> Value {
    let (currency, creditor) = crate::support::payee(bank);
    json!({
        "institution_id": bank,
        "amount": { "amount": amount, "currency": currency },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": creditor,
        "remittance": { "unstructured": ["Rent"] },
        "redirect_uri": RETURN,
    })
}

/// Orders a payment and has the PSU approve it; its id.
async fn approved(gw: &TestGateway, tpp: &Tpp, order: &Value) -> String {
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", order).await.unwrap().expect(201).unwrap();
    let visit = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let id = ordered.text("/id");
    assert_eq!(crate::support::parameter(&visit, "payment_id"), id);
    id
}

/// Polls with a token of the time that it is.
async fn until(gw: &TestGateway, tpp: &Tpp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    let own = tpp.own_token("payments").await.unwrap();
    gw.payment_until(tpp, &own, id, done).await
}

fn in_books(payment: &Value) -> bool {
    ["SUBMITTED", "ACCEPTED"].contains(&payment["state"].as_str().unwrap())
        && payment["bank_refs"]["payment_id"].is_string()
}

/// How often a bank moved this amount.
fn moved(gw: &TestGateway, bank: &str, amount: &str) -> usize {
    let amount = amount.parse().unwrap();
    let ledger = gw.sandbox.ledger(bank);
    ledger.iter().filter(|line| line.amount == amount && line.executed_at.is_some()).count()
}

/// Nothing moves before its day, and once on it.
/// [connector: payment on a later day at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_for_a_later_day_is_made_on_that_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let mut waiting = Vec::new();
    for (bank, amount) in BANKS.into_iter().zip(["11.01", "11.02", "11.03", "11.04", "11.05", "11.06"]) {
        let mut order = transfer(bank, amount);
        let day = day(&*clock, 3);
        order["requested_execution_date"] = json!(day);
        let id = approved(&gw, &tpp, &order).await;
        let payment = until(&gw, &tpp, &id, in_books).await;
        assert_eq!(
            (&payment["type"], &payment["requested_execution_date"], &payment["final"]),
            (&json!("SCHEDULED"), &json!(day), &json!(false)),
            "{bank}"
        );
        assert_eq!(payment["outcome"], "unknown", "{bank}");
        assert_eq!(moved(&gw, bank, amount), 0, "{bank}");
        waiting.push((bank, amount, id));
    }
    clock.advance(4 * DAY);
    for (bank, amount, id) in waiting {
        let payment = until(&gw, &tpp, &id, |payment| payment["final"] == true).await;
        assert_eq!(
            (&payment["state"], &payment["outcome"]),
            (&json!("SETTLED"), &json!("executed")),
            "{bank}"
        );
        assert_eq!(moved(&gw, bank, amount), 1, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// Each day of a series once, and no more after its end.
/// [connector: periodic payment at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_is_paid_on_each_of_its_days() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let mut waiting = Vec::new();
    for (bank, amount) in BANKS.into_iter().zip(["7.01", "7.02", "7.03", "7.04", "7.05", "7.06"]) {
        let mut order = transfer(bank, amount);
        order["periodic"] = json!({
            "frequency": "WEEKLY", "start_date": day(&*clock, 2), "end_date": day(&*clock, 17),
            "execution_rule": "FOLLOWING",
        });
        let id = approved(&gw, &tpp, &order).await;
        let payment = until(&gw, &tpp, &id, in_books).await;
        assert_eq!(payment["type"], "PERIODIC", "{bank}");
        assert_eq!(payment["periodic"], order["periodic"], "{bank}");
        waiting.push((bank, amount, id));
    }
    clock.advance(5 * DAY);
    for (bank, amount, id) in &waiting {
        assert_eq!(moved(&gw, bank, amount), 1, "{bank}");
        let payment = until(&gw, &tpp, id, |_| true).await;
        assert_eq!(payment["final"], false, "{bank}");
    }
    clock.advance(14 * DAY);
    for (bank, amount, id) in waiting {
        assert_eq!(moved(&gw, bank, amount), 3, "{bank}");
        if bank == UK {
            // Its standard never calls a series over: a week after its end it is.
            let payment = until(&gw, &tpp, &id, |_| true).await;
            assert_eq!((&payment["final"], &payment["iso_status"]), (&json!(false), &json!("INCO")));
            clock.advance(8 * DAY);
        }
        let payment = until(&gw, &tpp, &id, |payment| payment["final"] == true).await;
        assert_eq!(payment["outcome"], "executed", "{bank}: {payment}");
    }
    gw.sandbox.stop().await;
}

/// [connector: payment abroad at uk berlin-redirect stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_abroad_settles_and_the_rail_is_chosen_for_it() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for (bank, amount) in [(UK, "21.01"), (EU, "21.02"), (STET, "21.03"), (POLISH, "21.04")] {
        let mut order = transfer(bank, amount);
        order["amount"]["currency"] = json!("CHF");
        order["creditor"]["address"] = json!({ "street_name": "Bahnhofstrasse", "building_number": "1", "town_name": "Zürich", "country": "CH" });
        order["creditor_account"] = json!({ "iban": "CH9300762011623852957" });
        order["creditor_agent"] = json!({ "bic": "POFICHBEXXX" });
        order["scheme"] = json!("AUTO");
        let id = approved(&gw, &tpp, &order).await;
        let payment = until(&gw, &tpp, &id, |payment| payment["final"] == true).await;
        assert_eq!(
            (&payment["state"], &payment["scheme"]),
            (&json!("SETTLED"), &json!("CROSS_BORDER")),
            "{bank}"
        );
        assert_eq!(payment["scheme_choice"]["reason"], "DESTINATION", "{bank}");
        assert_eq!(payment["charge_bearer"], "SHAR", "{bank}");
        assert_eq!(payment["creditor"]["address"]["town_name"], "Zürich", "{bank}");
        assert_eq!(moved(&gw, bank, amount), 1, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// The PSU sees when a payment is made, and at whose cost (RTS art. 5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_when_a_payment_is_made_and_who_bears_charges() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Default::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut order = transfer(EU, "5.00");
    order["scheme"] = json!("CROSS_BORDER");
    order["charge_bearer"] = json!("DEBT");
    order["periodic"] =
        json!({ "frequency": "EVERY_TWO_MONTHS", "start_date": "2099-01-31", "end_date": "2099-12-01" });
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    let mut person = gw.person();
    person.headers.push(("accept-language", "en"));
    let url: url::Url = ordered.text("/authorization/href").parse().unwrap();
    let opened = person.request(http::Method::GET, &url, None).await.unwrap();
    let url = url.join(opened.header("location").unwrap()).unwrap();
    let page = person.request(http::Method::GET, &url, None).await.unwrap().expect(200).unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    for text in ["Every two months, from 31 January 2099 until 1 December 2099", "You pay them all"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    gw.sandbox.stop().await;
}

/// Dates, series, rails: every mistake by its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_another_day_names_every_mistake() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let today = day(&*gw.clock, 0);
    let cases = [
        (json!({ "requested_execution_date": today }), "/requested_execution_date"),
        (json!({ "requested_execution_date": "31.12.2099" }), "/requested_execution_date"),
        (json!({ "periodic": { "frequency": "HOURLY", "start_date": "2099-01-01" } }), "/periodic/frequency"),
        (
            json!({ "periodic": { "frequency": "DAILY", "start_date": "2099-01-02", "end_date": "2099-01-01" } }),
            "/periodic/end_date",
        ),
        (
            json!({
                "requested_execution_date": "2099-01-01",
                "periodic": { "frequency": "DAILY", "start_date": "2099-01-01" },
            }),
            "/requested_execution_date",
        ),
        (json!({ "scheme": "FPS" }), "/scheme"),
        (json!({ "scheme": "SEPA_CT", "charge_bearer": "SHAR" }), "/scheme"),
        (json!({ "scheme": "CROSS_BORDER", "creditor_agent": { "bic": "NOBANK" } }), "/creditor_agent/bic"),
        (json!({ "risk": { "merchant_category": "shop" } }), "/risk/merchant_category"),
        (json!({ "amount": { "amount": "1.00", "currency": "USD" } }), "/amount/currency"),
    ];
    for (change, pointer) in cases {
        let mut order = transfer(EU, "5.00");
        for (name, value) in change.as_object().unwrap() {
            order[name] = value.clone();
        }
        for place in ["/v1/payments", "/v1/payments:validate"] {
            let refused = tpp.post(&own, place, &order).await.unwrap();
            assert_problem(&refused, 422, "request.invalid");
            assert_eq!(refused.json()["outcome"], "not_executed", "{change}");
            let errors = refused.json()["errors"].clone();
            let found = errors.as_array().unwrap().iter().any(|error| error["pointer"] == pointer);
            assert!(found, "{change}: {errors}");
        }
    }
    gw.sandbox.stop().await;
}

/// What an institution wants is shown, and held against orders before anybody is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_institutions_own_constraints_are_shown_and_kept() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let valid = tpp.post(&own, "/v1/payments:validate", &transfer(EU, "5.00")).await.unwrap();
    let valid = valid.expect(200).unwrap();
    assert_eq!((valid.text("/type"), valid.text("/scheme")), ("SINGLE".to_owned(), "SEPA_CT".to_owned()));

    let registry = gw.sandbox.gateway().registry();
    let mut bank = (*registry.profile(&EU.parse().unwrap()).unwrap()).clone();
    bank.payment_constraints
        .max_amounts
        .insert(domain::PaymentScheme::SepaCreditTransfer, "4.99".parse().unwrap());
    bank.payment_constraints.creditor_name_max = Some(10);
    registry.put(bank);
    let path = format!("/v1/institutions/{EU}/constraints");
    let shown = tpp.get(&own, &path).await.unwrap().expect(200).unwrap().json();
    let single = shown["data"].as_array().unwrap().iter().find(|kind| kind["type"] == "SINGLE").unwrap();
    assert_eq!(single["schema"]["properties"]["creditor"]["properties"]["name"]["maxLength"], 10);
    for place in ["/v1/payments", "/v1/payments:validate"] {
        let refused = tpp.post(&own, place, &transfer(EU, "5.00")).await.unwrap();
        assert_problem(&refused, 422, "request.invalid");
        let errors = refused.json()["errors"].clone();
        let pointers: Vec<_> =
            errors.as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
        assert_eq!(pointers, ["/creditor/name", "/amount/amount"], "{errors}");
    }
    gw.sandbox.stop().await;
}

/// An order that was taken is answered as before, also when its day has passed: a client
/// that was told "not executed" now would order it a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_repeated_after_its_day_is_answered_as_before() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut order = transfer(EU, "5.00");
    order["requested_execution_date"] = json!(day(&*clock, 2));
    let key = "a-key-of-its-own";
    let first = tpp.post_once(&own, "/v1/payments", key, &order).await.unwrap().expect(201).unwrap();
    clock.advance(5 * DAY);
    let own = tpp.own_token("payments").await.unwrap();
    let again = tpp.post_once(&own, "/v1/payments", key, &order).await.unwrap().expect(201).unwrap();
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.text("/id"), first.text("/id"));
    // The same order under a key of its own is one that cannot be made any more.
    let refused = tpp.post_once(&own, "/v1/payments", "another-key", &order).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    gw.sandbox.stop().await;
}

/// Waits until the bank was asked about a payment and did not answer.
async fn asked_in_vain(gw: &TestGateway, id: &str) {
    let gateway = gw.sandbox.gateway();
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(30));
        while gateway.any_payment(id.parse().unwrap()).await.unwrap().bank.unanswered_since.is_none() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("the bank is asked");
}

/// The bank can be asked for as long as the PSU's authorization lasts: after that a person
/// must look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_its_bank_says_no_more_of_is_flagged_after_a_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let mut order = transfer(POLISH, "7.07");
    order["periodic"] =
        json!({ "frequency": "WEEKLY", "start_date": day(&*clock, 2), "end_date": day(&*clock, 3) });
    let id = approved(&gw, &tpp, &order).await;
    until(&gw, &tpp, &id, in_books).await;
    clock.advance(30 * DAY);
    asked_in_vain(&gw, &id).await;
    let payment = until(&gw, &tpp, &id, |_| true).await;
    assert!(payment["attention"].is_null(), "{payment}");
    clock.advance(2 * DAY);
    let payment = until(&gw, &tpp, &id, |payment| payment["attention"].is_object()).await;
    assert_eq!(payment["attention"]["code"], "payment.open_at_bank");
    gw.sandbox.stop().await;
}

/// At a bank that executes on the PSU's word alone, an order that the PSU left there can be
/// approved as long as the bank keeps it. After a day a person must look; the bank's last
/// word ends that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_its_psu_left_at_the_bank_is_flagged_after_a_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = transfer(EU, "7.17");
    let ordered = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    let bank = gw.sandbox.bank_pages(EU).unwrap();
    let start = ordered.text("/authorization/href");
    let mut person = gw.person();
    let left = person.walk(&start, &bank).await.unwrap();
    let id = ordered.text("/id");
    until(&gw, &tpp, &id, |payment| payment["state"] == "AUTHORIZING").await;
    let polls = async || gw.sandbox.gateway().any_payment(id.parse().unwrap()).await.unwrap().bank.polls;
    let before = polls().await;
    clock.advance(DAY / 2);
    let mut beat = tokio::time::interval(Duration::from_millis(30));
    while polls().await <= before {
        beat.tick().await;
    }
    assert!(until(&gw, &tpp, &id, |_| true).await["attention"].is_null());
    clock.advance(DAY);
    let flagged = until(&gw, &tpp, &id, |payment| payment["attention"].is_object()).await;
    assert_eq!(flagged["attention"]["code"], "payment.open_at_bank");
    assert_eq!((&flagged["state"], &flagged["final"]), (&json!("AUTHORIZING"), &json!(false)));
    // She comes back to the bank's page and approves. Our session has ended meanwhile, and leads
    // her out.
    drop(person.walk(left.url.as_str(), RETURN).await);
    clock.advance(600);
    let settled = until(&gw, &tpp, &id, |payment| payment["final"] == true).await;
    assert_eq!((&settled["state"], &settled["attention"]), (&json!("SETTLED"), &Value::Null));
    assert_eq!(moved(&gw, EU, "7.17"), 1);
    gw.sandbox.stop().await;
}

/// An order whose day is to come is taken back at the bank, which moves nothing then. A
/// standard without that says so, and keeps the order.
/// [connector: payment taken back at berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_taken_back_at_its_bank_before_its_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for (bank, amount) in BANKS.into_iter().zip(["31.01", "31.02", "31.03", "31.04", "31.05", "31.06"]) {
        for kind in ["requested_execution_date", "periodic"] {
            let mut order = transfer(bank, amount);
            order[kind] = match kind {
                "periodic" => json!({ "frequency": "MONTHLY", "start_date": day(&*clock, 3) }),
                _ => json!(day(&*clock, 3)),
            };
            let id = approved(&gw, &tpp, &order).await;
            let payment = until(&gw, &tpp, &id, in_books).await;
            assert_eq!(payment["can_cancel"], bank != UK, "{bank} {kind}");
            let path = format!("/v1/payments/{id}/cancel");
            let answer = tpp.post(&own, &path, &json!({})).await.unwrap();
            if bank == UK {
                assert_problem(&answer, 409, "payment.state");
                continue;
            }
            let cancelled = answer.expect(200).unwrap().json();
            assert_eq!(
                (&cancelled["state"], &cancelled["final"]),
                (&json!("CANCELLED"), &json!(true)),
                "{bank} {kind}"
            );
            assert_eq!(
                (&cancelled["iso_status"], &cancelled["outcome"]),
                (&json!("CANC"), &json!("not_executed"))
            );
            let again = tpp.post(&own, &path, &json!({})).await.unwrap().expect(200).unwrap();
            assert_eq!(again.text("/state"), "CANCELLED", "{bank} {kind}");
        }
    }
    clock.advance(4 * DAY);
    for (bank, amount) in BANKS.into_iter().zip(["31.01", "31.02", "31.03", "31.04", "31.05", "31.06"]) {
        assert_eq!(moved(&gw, bank, amount), if bank == UK { 2 } else { 0 }, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// A bank that has carried an order out keeps it, whatever we thought.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bank_has_carried_out_is_not_cancelled() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let mut order = transfer(EU, "32.01");
    order["periodic"] =
        json!({ "frequency": "WEEKLY", "start_date": day(&*clock, 1), "end_date": day(&*clock, 2) });
    let id = approved(&gw, &tpp, &order).await;
    until(&gw, &tpp, &id, in_books).await;
    // The bank is not asked meanwhile: what it answers to a question is lost.
    let (faults, _) = gw.sandbox.bank(EU).unwrap();
    faults.arm("GET", "/status", modelbank::Fault::Unavailable, 1_000);
    clock.advance(3 * DAY);
    let own = tpp.own_token("payments").await.unwrap();
    let refused = tpp.post(&own, &format!("/v1/payments/{id}/cancel"), &json!({})).await.unwrap();
    assert_problem(&refused, 409, "payment.state");
    faults.clear();
    let payment = until(&gw, &tpp, &id, |payment| payment["final"] == true).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("SETTLED"), &json!("executed")));
    assert_eq!(moved(&gw, EU, "32.01"), 1);
    gw.sandbox.stop().await;
}
