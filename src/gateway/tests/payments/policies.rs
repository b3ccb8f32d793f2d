//! What the operator lets a client pay.

use std::fs;

use consentry::demo::{RETURN, Tpp};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::operator::clients;
use crate::support::{EU, TestGateway, UK, assert_problem, payee};

const TRUSTED: &str = "DE42999100002000000018";
const OTHER: &str = "FR1420041010050500013M02606";

struct Ruled {
    gw: TestGateway,
    tpp: Tpp,
    own: SecretString,
}

impl Ruled {
    async fn by(policy: &str) -> Self {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        let own = tpp.own_token("payments").await.unwrap();
        let ruled = Self { gw, tpp, own };
        let said = ruled.policy(policy);
        assert!(said.contains("from now on"), "{said}");
        ruled
    }

    /// Sets the policy while the gateway runs.
    fn policy(&self, text: &str) -> String {
        let file = self.gw.folder().join("policy.toml");
        fs::write(&file, text).unwrap();
        let output = clients(
            &self.gw,
            &["policy", &self.tpp.client_id, "--set", file.to_str().unwrap()],
            &Value::Null,
        );
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn order(&self, amount: &str, iban: &str) -> consentry::demo::Answer {
        let body = json!({
            "institution_id": EU,
            "amount": { "amount": amount, "currency": "EUR" },
            "creditor": { "name": "Corner Bookshop" },
            "creditor_account": { "iban": iban },
            "redirect_uri": RETURN,
        });
        self.tpp.post(&self.own, "/v1/payments", &body).await.unwrap()
    }

    async fn shown(&self) -> Value {
        self.tpp.get(&self.own, "/v1/payment-policy").await.unwrap().expect(200).unwrap().json()
    }
}

fn codes(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| error["code"].as_str().unwrap().to_owned()).collect()
}

/// The amount of one payment and who is paid are held against the policy, before anything is
/// kept; a payee's account is known by its digest alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_pays_what_its_operator_lets_it() {
    let ruled = Ruled::by(&format!(
        "max_per_payment = [\"100.00 EUR\"]\n[payees]\nmax_to_others = [\"20.00 EUR\"]\n\
         trusted = [{{ iban = \"{TRUSTED}\" }}]\n"
    ))
    .await;
    ruled.order("100.00", TRUSTED).await.expect(201).unwrap();
    ruled.order("20.00", OTHER).await.expect(201).unwrap();
    let refused = ruled.order("100.01", TRUSTED).await;
    assert_problem(&refused, 403, "policy.refused");
    assert_eq!(codes(&refused.json()), ["policy.max_per_payment"]);
    assert_eq!(refused.json()["outcome"], "not_executed");
    let refused = ruled.order("20.01", OTHER).await;
    assert_eq!(codes(&refused.json()), ["policy.max_to_untrusted"]);
    let (currency, account) = payee(UK);
    let pounds = json!({
        "institution_id": UK, "amount": { "amount": "1.00", "currency": currency },
        "creditor": { "name": "Corner Bookshop" }, "creditor_account": account, "redirect_uri": RETURN,
    });
    let refused = ruled.tpp.post(&ruled.own, "/v1/payments:validate", &pounds).await.unwrap();
    assert_problem(&refused, 403, "policy.refused");

    ruled.policy(&format!("[payees]\nothers = \"refused\"\ntrusted = [{{ iban = \"{TRUSTED}\" }}]\n"));
    ruled.order("5000.00", TRUSTED).await.expect(201).unwrap();
    let refused = ruled.order("0.01", OTHER).await;
    assert_eq!(codes(&refused.json()), ["policy.payee_untrusted"]);
    let shown = ruled.shown().await;
    assert_eq!((&shown["others"], &shown["trusted_payees"]), (&json!("REFUSED"), &json!(1)));
    let kept = ruled.gw.sandbox.gateway().stores().global().client(&ruled.tpp.client_id).await.unwrap();
    let kept = format!("{kept:?}");
    assert!(kept.contains("trusted") && !kept.contains(TRUSTED), "{kept}");

    clients(&ruled.gw, &["policy", &ruled.tpp.client_id, "--none"], &Value::Null);
    ruled.order("5000.00", OTHER).await.expect(201).unwrap();
    ruled.gw.sandbox.stop().await;
}

/// Each payment of a batch is held against the policy, at its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_payment_of_a_batch_is_held_against_the_policy() {
    let ruled = Ruled::by("max_per_payment = [\"10.00 EUR\"]\nmax_payments_per_day = 2\n").await;
    let batch = |amounts: &[&str]| {
        let payments: Vec<Value> = amounts
            .iter()
            .map(|amount| {
                json!({ "amount": { "amount": amount, "currency": "EUR" },
                    "creditor": { "name": "Corner Bookshop" }, "creditor_account": { "iban": OTHER } })
            })
            .collect();
        json!({ "institution_id": EU, "redirect_uri": RETURN, "payments": payments })
    };
    let post = async |body: Value| ruled.tpp.post(&ruled.own, "/v1/payment-batches", &body).await.unwrap();
    let refused = post(batch(&["10.00", "10.01"])).await;
    assert_problem(&refused, 403, "policy.refused");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/payments/1/amount/amount");
    assert_problem(&post(batch(&["1.00", "1.00", "1.00"])).await, 422, "policy.day_used_up");
    post(batch(&["1.00", "1.00"])).await.expect(201).unwrap();
    assert_problem(&ruled.order("1.00", OTHER).await, 422, "policy.day_used_up");
    ruled.gw.sandbox.stop().await;
}

/// Of orders that would together exceed the day one is refused, however many come at once;
/// what comes to nothing is given back, and the next day has all of it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_days_limit_is_not_exceeded_together() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ruled = Ruled { gw, tpp, own };
    ruled.policy("max_per_day = [\"100.00 EUR\"]\n");
    let orders = (0..8).map(|_| ruled.order("30.00", OTHER));
    let answers = futures_util::future::join_all(orders).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((taken.len(), refused.len()), (3, 5));
    for refused in &refused {
        assert_problem(refused, 422, "policy.day_used_up");
    }
    assert_eq!(today(&ruled.shown().await), ("90.00".to_owned(), 3));

    let path = format!("/v1/payments/{}/cancel", taken[0].text("/id"));
    ruled.tpp.post(&ruled.own, &path, &json!({})).await.unwrap().expect(200).unwrap();
    assert_eq!(today(&ruled.shown().await), ("60.00".to_owned(), 2));
    ruled.order("40.00", OTHER).await.expect(201).unwrap();
    assert_problem(&ruled.order("0.01", OTHER).await, 422, "policy.day_used_up");

    clock.advance(86_400);
    let own = ruled.tpp.own_token("payments").await.unwrap();
    let ruled = Ruled { own, ..ruled };
    ruled.order("100.00", OTHER).await.expect(201).unwrap();
    ruled.gw.sandbox.stop().await;
}

/// What was ordered today in the EU.
fn today(shown: &Value) -> (String, i64) {
    let of = shown["today"].as_array().unwrap().iter().find(|day| day["region"] == "eu").unwrap();
    (of["amounts"][0]["amount"].as_str().unwrap().to_owned(), of["payments"].as_i64().unwrap())
}
