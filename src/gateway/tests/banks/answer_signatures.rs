//! Banks' own signatures over what they answer about payments, where a profile demands them.

use crate::support::{TestGateway, UK};
use connect::Signing;
use consentry::demo::{RETURN, Tpp};
use modelbank::{Fault, Twist};
use serde_json::{Value, json};

/// Whether the profile of the UK bank demands signatures.
fn demand(gw: &TestGateway, demanded: bool) {
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    let Signing::DetachedJws { verify_answers, .. } = &mut profile.signing else { panic!("it signs") };
    *verify_answers = demanded;
    registry.put(profile);
}

/// A payment that was approved, once something has come of it.
async fn paid(gw: &TestGateway, tpp: &Tpp) -> Value {
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let done = |payment: &Value| payment["final"] == true || payment["state"] == "UNKNOWN";
    gw.payment_until(tpp, &own, &ordered.text("/id"), done).await
}

/// UK message signing: consent, order and status are verified by the keys of the bank. An
/// answer to an order that was changed on its way is none: nobody knows what the bank did,
/// and the order is not sent again. Who does not demand it believes the change.
/// [connector: signed answers at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_verify_leaves_a_payment_unknown() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (faults, journal) = gw.sandbox.bank(UK).unwrap();
    assert_eq!(paid(&gw, &tpp).await["state"], "SETTLED");

    let change = || faults.arm("POST", "/domestic-payments", Fault::Twisted(Twist::AmountsAsNumbers), 1);
    demand(&gw, false);
    change();
    assert_eq!(paid(&gw, &tpp).await["state"], "SETTLED", "the change says the same");

    demand(&gw, true);
    change();
    journal.clear();
    let payment = paid(&gw, &tpp).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("UNKNOWN"), &json!("unknown")), "{payment}");
    let orders = journal.entries();
    let orders =
        orders.iter().filter(|entry| entry.method == "POST" && entry.path.ends_with("/domestic-payments"));
    assert_eq!(orders.count(), 1, "it is not sent again");
    gw.sandbox.stop().await;
}

/// A payment consent whose answer does not verify is not shown to the customer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_to_a_bank_whose_answer_does_not_verify() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (faults, journal) = gw.sandbox.bank(UK).unwrap();
    let change = Fault::Twisted(Twist::AmountsAsNumbers);
    faults.arm("POST", "/domestic-payment-consents", change, 1);
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = tpp.post(&own, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap().expect(201).unwrap();
    journal.clear();
    let visit = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    assert!(visit.url.path().starts_with("/pay/"), "our page says what is wrong: {}", visit.url);
    let path = format!("/v1/payments/{}", ordered.text("/id"));
    let payment = tpp.get(&own, &path).await.unwrap().json();
    // A UK bank executes nothing that was only lodged.
    assert_eq!(
        (&payment["state"], &payment["outcome"]),
        (&json!("FAILED"), &json!("not_executed")),
        "{payment}"
    );
    assert!(!journal.entries().iter().any(|entry| entry.path.contains("authorize")));
    gw.sandbox.stop().await;
}
