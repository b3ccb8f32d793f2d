//! Refunds: payments of their own, never more in all than was paid.

use crate::support::funds::account_at;
use crate::support::{EU, TestGateway, UK, assert_problem, parameter, rows, shown_until};
use consentry::demo::{Answer, RETURN, Tpp};
use secrecy::SecretString;
use serde_json::{Value, json};

fn is_final(payment: &Value) -> bool {
    payment["final"] == true
}

/// Anna pays Ben 12.34; the payment once it is settled.
async fn paid(gw: &TestGateway, tpp: &Tpp, own: &SecretString, order: &Value) -> Value {
    let ordered = tpp.post(own, "/v1/payments", order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let payment = gw.payment_until(tpp, own, &ordered.text("/id"), is_final).await;
    assert_eq!(payment["state"], "SETTLED", "{payment}");
    payment
}

fn refund(bank: &str, amount: Option<(&str, &str)>) -> Value {
    let mut body = json!({
        "institution_id": bank,
        "creditor": { "name": "Anna" },
        "remittance": { "unstructured": ["Refund of invoice 2041"] },
        "redirect_uri": RETURN,
        "client_reference": "refund-1",
    });
    if let Some((amount, currency)) = amount {
        body["amount"] = json!({ "amount": amount, "currency": currency });
    }
    body
}

/// An order to refund, with a key of its own.
async fn order(tpp: &Tpp, own: &SecretString, of: &Value, body: &Value) -> Answer {
    tpp.post(own, &place(of), body).await.unwrap()
}

fn place(of: &Value) -> String {
    format!("/v1/payments/{}/refunds", of["id"].as_str().unwrap())
}

/// Ben, who was paid, decides on a refund at his bank.
async fn decided(gw: &TestGateway, ordered: &Answer) {
    let mut ben = gw.person();
    ben.headers.push(("x-sandbox-psu", "ben"));
    let visit = ben.walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    assert_eq!(parameter(&visit, "payment_id"), ordered.text("/id"));
}

async fn shown(tpp: &Tpp, own: &SecretString, of: &Value) -> Value {
    let id = of["id"].as_str().unwrap();
    tpp.get(own, &format!("/v1/payments/{id}")).await.unwrap().expect(200).unwrap().json()["refund"].clone()
}

fn pounds(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

/// Refunded in two parts, each a payment that whoever was paid approves at their bank; the
/// payer's account is the gateway's to fill in, and the link is on payment, refund and event.
/// [connector: refund at uk berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_refunded_in_parts_to_where_it_came_from() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut euros = Tpp::small_payment(EU);
    euros["amount"]["currency"] = json!("EUR");
    euros["creditor_account"] = json!({ "iban": "DE42999100002000000018" });
    euros["debtor_account"] = account_at(EU);
    for (bank, currency, order_of) in [(UK, "GBP", Tpp::small_payment(UK)), (EU, "EUR", euros)] {
        let payment = paid(&gw, &tpp, &own, &order_of).await;
        let amount = |text: &str| json!({ "amount": text, "currency": currency });
        let before = shown(&tpp, &own, &payment).await;
        assert_eq!((&before["status"], &before["refundable_amount"]), (&json!("NONE"), &amount("12.34")));
        for (asked, done, left, status) in
            [(Some(("2.34", currency)), "2.34", "10.00", "PARTIAL"), (None, "12.34", "0.00", "FULL")]
        {
            let ordered = order(&tpp, &own, &payment, &refund(bank, asked)).await.expect(201).unwrap();
            assert_eq!(ordered.text("/refund_of"), payment["id"].as_str().unwrap());
            assert_eq!(ordered.text("/state"), "AUTHORIZATION_REQUIRED");
            assert_eq!(ordered.json()["creditor_account"], account_at(bank), "{bank}");
            assert_eq!(ordered.json()["debtor_account"], payment["creditor_account"], "{bank}");
            decided(&gw, &ordered).await;
            let refunded = gw.payment_until(&tpp, &own, &ordered.text("/id"), is_final).await;
            assert_eq!((&refunded["state"], refunded.get("refund")), (&json!("SETTLED"), None));
            let after = shown(&tpp, &own, &payment).await;
            assert_eq!(after["refunded_amount"], amount(done), "{bank}");
            assert_eq!((&after["refundable_amount"], &after["status"]), (&amount(left), &json!(status)));
        }
        let listed = rows(&tpp.get(&own, &place(&payment)).await.unwrap().expect(200).unwrap());
        let amounts: Vec<_> = listed.iter().map(|row| row["amount"].clone()).collect();
        assert_eq!(amounts, [amount("10.00"), amount("2.34")], "the newest first");
    }
    let settled = |events: &Value| {
        let all = events["data"].as_array().cloned().unwrap_or_default();
        let linked = all.into_iter().filter(|event| event["data"]["refund_of"].is_string());
        linked.filter(|event| event["type"] == "payment.settled").count()
    };
    let told = shown_until(&tpp, &own, "/v1/events?limit=100", |events| settled(events) == 4).await;
    let linked = told["data"].as_array().unwrap().iter().find(|event| event["data"]["refund_of"].is_string());
    assert_eq!(linked.unwrap()["resource"]["type"], "payment");
    gw.sandbox.stop().await;
}

/// Of many refunds at once so many are taken as fit; what comes to nothing is refundable again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refunds_at_once_never_exceed_what_was_paid() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let payment = paid(&gw, &tpp, &own, &Tpp::small_payment(UK)).await;
    let body = refund(UK, Some(("5.00", "GBP")));
    let tries = (0..6).map(|_| order(&tpp, &own, &payment, &body));
    let (taken, refused): (Vec<_>, Vec<_>) =
        futures_util::future::join_all(tries).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(taken.len(), 2);
    for answer in &refused {
        assert_problem(answer, 422, "refund.exceeds");
        assert_eq!(answer.text("/outcome"), "not_executed");
    }
    assert_eq!(shown(&tpp, &own, &payment).await["refunded_amount"], pounds("10.00"));

    let all = order(&tpp, &own, &payment, &refund(UK, Some(("12.34", "GBP")))).await;
    assert_problem(&all, 422, "refund.exceeds");
    assert!(all.text("/detail").contains("2.34 GBP"), "{}", all.text("/detail"));
    gw.sandbox.bank(UK).unwrap().0.decline(1);
    decided(&gw, &taken[0]).await;
    let cancelled = format!("/v1/payments/{}/cancel", taken[1].text("/id"));
    tpp.post(&own, &cancelled, &json!({})).await.unwrap().expect(200).unwrap();
    let at = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    let free = |shown: &Value| shown["refund"]["refunded_amount"] == pounds("0.00");
    let again = shown_until(&tpp, &own, &at, free).await;
    assert_eq!(
        (&again["refund"]["status"], &again["refund"]["refundable_amount"]),
        (&json!("NONE"), &pounds("12.34"))
    );
    let whole = order(&tpp, &own, &payment, &refund(UK, None)).await.expect(201).unwrap();
    assert_eq!(whole.json()["amount"], pounds("12.34"));
    assert_problem(&order(&tpp, &own, &payment, &refund(UK, None)).await, 422, "refund.exceeds");
    gw.sandbox.stop().await;
}

/// draft-ietf-httpapi-idempotency-key-header: a refund that is ordered again with its key is the
/// same refund, also when nothing is left; the key is of that payment and that body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_refunds_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let payment = paid(&gw, &tpp, &own, &Tpp::small_payment(UK)).await;
    let (body, at) = (refund(UK, None), place(&payment));
    let tries = (0..6).map(|_| tpp.post_once(&own, &at, "refund-1", &body));
    let mut ids = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(tries).await {
        ids.insert(answer.unwrap().expect(201).unwrap().text("/id"));
    }
    assert_eq!(ids.len(), 1, "six requests, one refund");
    let other = refund(UK, Some(("1.00", "GBP")));
    assert_problem(&tpp.post_once(&own, &at, "refund-1", &other).await.unwrap(), 422, "refund.exceeds");
    let second = paid(&gw, &tpp, &own, &Tpp::small_payment(UK)).await;
    let reused = tpp.post_once(&own, &place(&second), "refund-1", &body).await.unwrap();
    assert_problem(&reused, 422, "idempotency.reused");
    let url = format!("{}{at}", tpp.api);
    let bearer = consentry::demo::bearer(&own);
    let missing = tpp.http.post_json(&url, &[("authorization", &bearer)], &body).await.unwrap();
    assert_problem(&missing, 400, "idempotency.missing");
    gw.sandbox.stop().await;
}

/// What is not paid, whose payer nobody knows, or is not the client's is not refunded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_refunded_says_why() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let open = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    assert_eq!(open.json().get("refund"), None);
    assert_problem(&order(&tpp, &own, &open.json(), &refund(UK, None)).await, 409, "payment.state");

    // A bank of the Berlin Group does not tell whom a payment came from.
    let mut euros = Tpp::small_payment(EU);
    euros["amount"]["currency"] = json!("EUR");
    euros["creditor_account"] = json!({ "iban": "DE42999100002000000018" });
    let unknown = paid(&gw, &tpp, &own, &euros).await;
    assert_problem(&order(&tpp, &own, &unknown, &refund(EU, None)).await, 422, "refund.unavailable");
    let shown = shown(&tpp, &own, &unknown).await;
    assert_eq!((&shown["refundable_amount"]["amount"], shown.get("account")), (&json!("0.00"), None));

    let payment = paid(&gw, &tpp, &own, &Tpp::small_payment(UK)).await;
    let mut abroad = refund(EU, None);
    abroad["scheme"] = json!("CROSS_BORDER");
    for (body, pointer) in [
        (refund(UK, Some(("1.00", "EUR"))), "/amount/currency"),
        (refund(UK, Some(("0.00", "GBP"))), "/amount/amount"),
        (refund(EU, None), "/amount/currency"),
        (abroad, "/institution_id"),
    ] {
        let answer = order(&tpp, &own, &payment, &body).await;
        assert_problem(&answer, 422, "request.invalid");
        let pointers: Vec<_> = answer.json()["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].clone())
            .collect();
        assert!(pointers.contains(&json!(pointer)), "{pointers:?}");
    }
    let refunded = order(&tpp, &own, &payment, &refund(UK, None)).await.expect(201).unwrap();
    assert_problem(&order(&tpp, &own, &refunded.json(), &refund(UK, None)).await, 422, "refund.unavailable");
    let stranger = gw.tpp().await;
    let theirs = stranger.own_token("payments").await.unwrap();
    assert_problem(&order(&stranger, &theirs, &payment, &refund(UK, None)).await, 404, "resource.not_found");
    assert_problem(&stranger.get(&theirs, &place(&payment)).await.unwrap(), 404, "resource.not_found");
    gw.sandbox.stop().await;
}
