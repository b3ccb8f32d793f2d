//! Batches of payments: at a bank of every standard, each payment with an end of its own.

use crate::support::log::Log;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, assert_problem, rows};
use consentry::demo::{RETURN, Tpp};
use domain::Clock;
use modelbank::{Fault, LedgerLine};
use serde_json::{Value, json};

const BANKS: [&str; 6] = [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH];
/// An amount that the sandbox's banks reject with AM04.
const REFUSED: &str = "999999.99";

/// A batch at a bank, from its customer's account.
async fn batch(gw: &TestGateway, tpp: &Tpp, bank: &str, amounts: &[&str]) -> Value {
    let (currency, creditor) = crate::support::payee(bank);
    let payment = |(number, amount): (usize, &&str)| {
        json!({
            "amount": { "amount": amount, "currency": currency },
            "creditor": { "name": "Corner Bookshop" },
            "creditor_account": creditor,
            "remittance": { "unstructured": [format!("Wage {number}")] },
            "end_to_end_id": format!("WAGE-{number}"),
        })
    };
    let payments: Vec<Value> = amounts.iter().enumerate().map(payment).collect();
    let mut batch = json!({ "institution_id": bank, "payments": payments, "redirect_uri": RETURN });
    if bank != UK {
        batch["debtor_account"] = json!({ "iban": gw.iban_at(tpp, bank).await });
    }
    batch
}

/// Orders a batch and has the PSU approve it; its id.
async fn approved(gw: &TestGateway, tpp: &Tpp, batch: &Value) -> String {
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payment-batches", batch).await.unwrap().expect(201).unwrap();
    assert_eq!(ordered.text("/state"), "AUTHORIZATION_REQUIRED");
    let visit = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let id = ordered.text("/id");
    assert_eq!(crate::support::parameter(&visit, "payment_id"), id);
    id
}

async fn until(tpp: &Tpp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    let own = tpp.own_token("payments").await.unwrap();
    crate::support::shown_until(tpp, &own, &format!("/v1/payment-batches/{id}"), done).await
}

/// The payments of a batch.
async fn payments(tpp: &Tpp, id: &str) -> Vec<Value> {
    let own = tpp.own_token("payments").await.unwrap();
    let path = format!("/v1/payment-batches/{id}/payments");
    rows(&tpp.get(&own, &path).await.unwrap().expect(200).unwrap())
}

/// What a bank has of a payment. PolishAPI knows it by our own name alone.
fn lines(gw: &TestGateway, bank: &str, payment: &Value) -> Vec<LedgerLine> {
    let name = if bank == POLISH { &payment["instruction_id"] } else { &payment["end_to_end_id"] };
    let ledger = gw.sandbox.ledger(bank);
    ledger.into_iter().filter(|line| line.end_to_end_id == name.as_str().unwrap()).collect()
}

/// How often a bank moved the money of a payment.
fn moved(gw: &TestGateway, bank: &str, payment: &Value) -> usize {
    lines(gw, bank, payment).iter().filter(|line| line.executed_at.is_some()).count()
}

/// Each payment is executed once.
/// [connector: batch of payments at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_settles_at_every_kind_of_bank() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for bank in BANKS {
        let order = batch(&gw, &tpp, bank, &["1.10", "2.20", "3.30"]).await;
        let id = approved(&gw, &tpp, &order).await;
        let done = until(&tpp, &id, |batch| batch["final"] == true).await;
        // What a UK bank says of the file itself is that it was taken.
        let iso = if bank == UK { "INCO" } else { "ACSC" };
        assert_eq!((&done["state"], &done["iso_status"]), (&json!("SETTLED"), &json!(iso)), "{bank}");
        assert_eq!((&done["type"], &done["outcome"]), (&json!("BULK"), &json!("executed")), "{bank}");
        assert_eq!(done["total"]["amount"], "6.60", "{bank}");
        let listed = payments(&tpp, &id).await;
        assert_eq!(listed.len(), 3, "{bank}");
        for (number, payment) in listed.iter().enumerate() {
            assert_eq!(payment["end_to_end_id"], format!("WAGE-{number}"), "{bank}");
            assert_eq!((&payment["state"], &payment["final"]), (&json!("SETTLED"), &json!(true)), "{bank}");
            assert_eq!(moved(&gw, bank, payment), 1, "{bank}");
        }
    }
    gw.sandbox.stop().await;
}

/// One payment that the bank rejects leaves the others alone, and says why.
/// [connector: what became of each payment of a batch at uk berlin-redirect stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_payment_of_a_batch_has_an_end_of_its_own() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for bank in [UK, EU, STET, POLISH] {
        let order = batch(&gw, &tpp, bank, &["1.10", REFUSED, "3.30"]).await;
        let id = approved(&gw, &tpp, &order).await;
        let done = until(&tpp, &id, |batch| batch["final"] == true).await;
        assert_eq!(done["state"], "SETTLED", "{bank}: {done}");
        let listed = payments(&tpp, &id).await;
        let states: Vec<_> = listed.iter().map(|payment| payment["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["SETTLED", "REJECTED", "SETTLED"], "{bank}");
        let outcomes: Vec<_> = listed.iter().map(|payment| payment["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["executed", "not_executed", "executed"], "{bank}");
        assert_eq!(moved(&gw, bank, &listed[1]), 0, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// A UK bank whose profile knows of no report says of a file that it was taken, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uk_file_without_a_report_is_taken_and_that_is_all() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let registry = gw.sandbox.gateway().registry();
    let mut bank = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    bank.uk_open_banking.file_report = None;
    registry.put(bank);
    let id = approved(&gw, &tpp, &batch(&gw, &tpp, UK, &["1.10", REFUSED]).await).await;
    let done = until(&tpp, &id, |batch| batch["final"] == true).await;
    assert_eq!((&done["state"], &done["outcome"]), (&json!("ACCEPTED"), &json!("executed")));
    let listed = payments(&tpp, &id).await;
    assert!(listed.iter().all(|payment| payment["state"] == "ACCEPTED"), "{listed:?}");
    gw.sandbox.stop().await;
}

/// A report that cannot be had, or read, changes nothing, and is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_on_a_uk_file_is_waited_for() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let faults = &gw.sandbox.bank(UK).unwrap().0;
    for fault in [Fault::Failed, Fault::HtmlPage] {
        faults.arm("GET", "/report-file", fault, 2);
        let id = approved(&gw, &tpp, &batch(&gw, &tpp, UK, &["1.10", REFUSED]).await).await;
        let done = until(&tpp, &id, |batch| batch["final"] == true).await;
        assert_eq!(done["state"], "SETTLED", "{fault:?}: {done}");
        assert_eq!(payments(&tpp, &id).await[1]["state"], "REJECTED", "{fault:?}");
    }
    gw.sandbox.stop().await;
}

/// An answer that is lost is not asked for by submitting again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_answer_was_lost_is_executed_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for (bank, path) in [(UK, "/file-payments"), (STET, "/confirmation"), (POLISH, "/bundle")] {
        let order = batch(&gw, &tpp, bank, &["1.10", "2.20"]).await;
        gw.sandbox.bank(bank).unwrap().0.arm("POST", path, Fault::LoseAnswer, 1);
        let own = tpp.own_token("payments").await.unwrap();
        let ordered = tpp.post(&own, "/v1/payment-batches", &order).await.unwrap().expect(201).unwrap();
        let id = ordered.text("/id");
        // Where the walk ends does not count.
        let _ = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await;
        let known = |batch: &Value| batch["final"] == true || batch["state"] == "UNKNOWN";
        let done = until(&tpp, &id, known).await;
        assert_ne!(done["outcome"], "not_executed", "{bank}: {done}");
        for payment in payments(&tpp, &id).await {
            let asked: Vec<_> = lines(&gw, bank, &payment).iter().map(|line| line.asked).collect();
            assert_eq!(asked, [1], "{bank}");
        }
    }
    gw.sandbox.stop().await;
}

/// ISO 20022 pain.001 in, the same batch out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_can_be_a_message_in_xml() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let debtor = gw.iban_at(&tpp, EU).await;
    let today = domain::utc_day(gw.clock.now());
    let transfer = |id: &str, amount: &str| {
        format!(
            "<CdtTrfTxInf><PmtId><EndToEndId>{id}</EndToEndId></PmtId><Amt><InstdAmt Ccy=\"EUR\">{amount}</InstdAmt></Amt>\
             <Cdtr><Nm>Corner Bookshop</Nm></Cdtr><CdtrAcct><Id><IBAN>DE42999100002000000018</IBAN></Id></CdtrAcct></CdtTrfTxInf>"
        )
    };
    let message = |count: u8| {
        format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\"><CstmrCdtTrfInitn>\
             <GrpHdr><MsgId>m</MsgId><NbOfTxs>{count}</NbOfTxs><CtrlSum>3.30</CtrlSum></GrpHdr>\
             <PmtInf><PmtInfId>p</PmtInfId><PmtMtd>TRF</PmtMtd><ReqdExctnDt><Dt>{today}</Dt></ReqdExctnDt>\
             <Dbtr><Nm>D</Nm></Dbtr><DbtrAcct><Id><IBAN>{debtor}</IBAN></Id></DbtrAcct>{}{}</PmtInf>\
             </CstmrCdtTrfInitn></Document>",
            transfer("XML-1", "1.10"),
            transfer("XML-2", "2.20"),
        )
    };
    let place = format!(
        "/v1/payment-batches?institution_id={EU}&redirect_uri={}",
        url::form_urlencoded::byte_serialize(RETURN.as_bytes()).collect::<String>()
    );
    let ordered = tpp.post_xml(&own, &place, "key-1", &message(2)).await.unwrap().expect(201).unwrap();
    assert_eq!(
        (ordered.text("/total/amount"), ordered.json()["number_of_payments"].clone()),
        ("3.30".into(), json!(2))
    );
    let again = tpp.post_xml(&own, &place, "key-1", &message(2)).await.unwrap().expect(201).unwrap();
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let refused = tpp.post_xml(&own, &place, "key-2", &message(3)).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/GrpHdr/NbOfTxs");
    let refused = tpp.post_xml(&own, &place, "key-3", "<html/>").await.unwrap();
    assert_problem(&refused, 400, "request.malformed_xml");
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let done = until(&tpp, &ordered.text("/id"), |batch| batch["final"] == true).await;
    assert_eq!(done["state"], "SETTLED");
    let listed = payments(&tpp, &ordered.text("/id")).await;
    assert_eq!((moved(&gw, EU, &listed[1]), &listed[1]["end_to_end_id"]), (1, &json!("XML-2")));
    gw.sandbox.stop().await;
}

/// Everything that is wrong, each at its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_names_every_mistake_by_its_place() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut order = batch(&gw, &tpp, EU, &["1.10", "0.00"]).await;
    order["payments"][0]["creditor_account"] = json!({ "iban": "DE00" });
    let refused = tpp.post(&own, "/v1/payment-batches", &order).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    let errors = refused.json()["errors"].clone();
    let pointers: Vec<_> =
        errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/payments/0/creditor_account/iban", "/payments/1/amount/amount"]);
    let mut mixed = batch(&gw, &tpp, EU, &["1.10", "2.20"]).await;
    mixed["payments"][1]["amount"]["currency"] = json!("GBP");
    let refused = tpp.post(&own, "/v1/payment-batches", &mixed).await.unwrap();
    assert_eq!(refused.json()["errors"][0]["pointer"], "/payments");
    let mut none = batch(&gw, &tpp, EU, &[]).await;
    none["payments"] = json!([]);
    let refused = tpp.post(&own, "/v1/payment-batches", &none).await.unwrap();
    assert_eq!(refused.json()["errors"][0]["code"], "batch.size");
    // A payment is no batch, and a batch no payment.
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    let path = format!("/v1/payment-batches/{}", ordered.text("/id"));
    assert_problem(&tpp.get(&own, &path).await.unwrap(), 404, "resource.not_found");
    let order = batch(&gw, &tpp, EU, &["1.10"]).await;
    let ordered = tpp.post(&own, "/v1/payment-batches", &order).await.unwrap().expect(201).unwrap();
    let path = format!("/v1/payments/{}", ordered.text("/id"));
    assert_problem(&tpp.get(&own, &path).await.unwrap(), 404, "resource.not_found");
    // Until it is approved, it is cancelled on our word.
    let path = format!("/v1/payment-batches/{}/cancel", ordered.text("/id"));
    let cancelled = tpp.post(&own, &path, &json!({})).await.unwrap().expect(200).unwrap();
    assert_eq!(cancelled.text("/state"), "CANCELLED");
    gw.sandbox.stop().await;
}

/// Invariant 7: who is paid, on which account, how much and why is in no log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_batch_is_logged() {
    let log = Log::of_everything();
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for bank in BANKS {
        let order = batch(&gw, &tpp, bank, &["4077.31", REFUSED]).await;
        let id = approved(&gw, &tpp, &order).await;
        until(&tpp, &id, |batch| batch["final"] == true).await;
    }
    let log = log.text();
    assert!(log.contains("is SETTLED"), "the log says something");
    let personal = ["Corner Bookshop", "DE42999100002000000018", "55779911", "Wage 0", "WAGE-0", "4077.31"];
    let leaked: Vec<_> = personal.iter().filter(|datum| log.contains(**datum)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    gw.sandbox.stop().await;
}

/// A long batch is listed in pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payments_of_a_batch_come_in_pages_and_payments_are_listed() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let order = batch(&gw, &tpp, UK, &["1.00"; 5]).await;
    let ordered = tpp.post(&own, "/v1/payment-batches", &order).await.unwrap().expect(201).unwrap();
    let mut place = format!("/v1/payment-batches/{}/payments?limit=2", ordered.text("/id"));
    let first = place.clone();
    let mut seen = Vec::new();
    loop {
        let page = tpp.get(&own, &place).await.unwrap().expect(200).unwrap();
        seen.extend(rows(&page).iter().map(|row| row["index"].as_u64().unwrap()));
        let Some(cursor) = page.json()["page"]["next_cursor"].as_str().map(str::to_owned) else { break };
        place = format!("{first}&cursor={cursor}");
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);

    for _ in 0..3 {
        tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    }
    let list = |query: &str| format!("/v1/payments?{query}");
    let mut ids = Vec::new();
    let mut place = list("limit=2");
    loop {
        let page = tpp.get(&own, &place).await.unwrap().expect(200).unwrap();
        ids.extend(rows(&page).iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page.json()["page"]["next_cursor"].as_str().map(str::to_owned) else { break };
        place = list(&format!("limit=2&cursor={cursor}"));
    }
    let mut newest_first = ids.clone();
    newest_first.sort_by(|one, other| other.cmp(one));
    assert_eq!((ids.len(), &ids), (3, &newest_first));
    let none = tpp.get(&own, &list("state=SETTLED")).await.unwrap().expect(200).unwrap();
    assert!(rows(&none).is_empty());
    let all = tpp.get(&own, &list(&format!("institution_id={UK}"))).await.unwrap().expect(200).unwrap();
    assert_eq!(rows(&all).len(), 3);
    assert_problem(&tpp.get(&own, &list("state=GONE")).await.unwrap(), 400, "request.query");
    let other = gw.tpp().await;
    let token = other.own_token("payments").await.unwrap();
    assert!(rows(&other.get(&token, &list("")).await.unwrap().expect(200).unwrap()).is_empty());
    gw.sandbox.stop().await;
}

/// A batch whose day is to come is taken back as a whole, and no money of it is moved.
/// [connector: payment taken back at berlin-redirect berlin-decoupled berlin-embedded stet
/// polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_taken_back_at_its_bank_before_its_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let mut taken_back = Vec::new();
    for bank in BANKS {
        let mut wanted = batch(&gw, &tpp, bank, &["41.01", "41.02"]).await;
        let day = domain::utc_day(clock.now()).tomorrow().unwrap().tomorrow().unwrap();
        wanted["requested_execution_date"] = json!(day.to_string());
        let id = approved(&gw, &tpp, &wanted).await;
        let held = until(&tpp, &id, |batch| batch["iso_status"] != Value::Null).await;
        assert_eq!(held["can_cancel"], bank != UK, "{bank} {held}");
        let own = tpp.own_token("payments").await.unwrap();
        let path = format!("/v1/payment-batches/{id}/cancel");
        let answer = tpp.post(&own, &path, &json!({})).await.unwrap();
        if bank == UK {
            assert_problem(&answer, 409, "payment.state");
            continue;
        }
        assert_eq!(answer.expect(200).unwrap().text("/state"), "CANCELLED", "{bank}");
        let payments = payments(&tpp, &id).await;
        assert!(payments.iter().all(|payment| payment["outcome"] == "not_executed"), "{bank}");
        taken_back.extend(payments.into_iter().map(|payment| (bank, payment)));
    }
    clock.advance(4 * 86_400);
    // The banks carry out what is due when they are asked for anything.
    for (bank, payment) in &taken_back {
        assert_eq!(moved(&gw, bank, payment), 0, "{bank}");
    }
    gw.sandbox.stop().await;
}

/// Each payment of a batch is held against what its institution wants; what is the batch's
/// own is said once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_held_against_what_its_institution_wants() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let registry = gw.sandbox.gateway().registry();
    let mut bank = (*registry.profile(&EU.parse().unwrap()).unwrap()).clone();
    bank.payment_constraints
        .max_amounts
        .insert(domain::PaymentScheme::SepaCreditTransfer, "50.00".parse().unwrap());
    bank.payment_constraints.required = vec![connect::RequiredField::DebtorAccount];
    bank.payment_constraints.max_days_ahead = Some(1);
    registry.put(bank);
    let mut wanted = batch(&gw, &tpp, EU, &["50.00", "50.01", "70.00"]).await;
    let post = async |body: &Value| tpp.post(&own, "/v1/payment-batches", body).await.unwrap();
    let pointers = |answer: &consentry::demo::Answer| {
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let refused = post(&wanted).await;
    assert_problem(&refused, 422, "request.invalid");
    assert_eq!(pointers(&refused), ["/payments/1/amount/amount", "/payments/2/amount/amount"]);
    wanted["payments"].as_array_mut().unwrap().truncate(1);
    post(&wanted).await.expect(201).unwrap();
    let day = domain::utc_day(gw.clock.now()).checked_add(jiff::Span::new().days(3)).unwrap();
    wanted["requested_execution_date"] = json!(day.to_string());
    wanted.as_object_mut().unwrap().remove("debtor_account");
    let twice = wanted["payments"][0].clone();
    wanted["payments"].as_array_mut().unwrap().push(twice);
    let refused = post(&wanted).await;
    assert_eq!(pointers(&refused), ["/debtor_account", "/requested_execution_date"]);
    let shown = tpp.get(&own, &format!("/v1/institutions/{EU}/constraints")).await.unwrap().json();
    let bulk = shown["data"].as_array().unwrap().iter().find(|kind| kind["type"] == "BULK").unwrap();
    let required = bulk["schema"]["eachPayment"]["required"].as_array().unwrap();
    assert!(required.contains(&json!("debtor_account")), "{bulk}");
    gw.sandbox.stop().await;
}
