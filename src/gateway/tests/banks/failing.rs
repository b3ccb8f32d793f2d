//! Banks that are down, slow, confused or unwilling: each a clear problem
//! document, and never another bank's trouble.

use std::time::{Duration, Instant};

use crate::support::{EU, POLISH, STET, TestGateway, UK, assert_problem, parameter, rows};
use consentry::demo::{RETURN, bearer, verifier};
use http::Method;
use modelbank::Fault;
use serde_json::json;

/// A bank that is gone: it takes no new connections and drops the open ones.
fn take_down(gw: &TestGateway, bank: &str) -> modelbank::Faults {
    let faults = gw.sandbox.bank(bank).unwrap().0;
    faults.refuse_connections(true);
    faults.arm("GET", "/", Fault::Disconnect, 1_000);
    faults.arm("POST", "/", Fault::Disconnect, 1_000);
    faults
}

async fn reading() -> (TestGateway, consentry::demo::Tpp, crate::support::Granted) {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    (gw, tpp, granted)
}

/// Invariant 6: a bank's failure is that bank's alone; the answer says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_is_down_leaves_the_other_one_alone() {
    let (gw, tpp, granted) = reading().await;
    take_down(&gw, UK);
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    assert_eq!((&sources[0]["status"], &sources[1]["status"]), (&json!("FAILED"), &json!("OK")));
    assert!(rows(&accounts).iter().all(|row| row["institution_id"] == EU));
    take_down(&gw, EU);
    let none = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    assert_problem(&none, 502, "institution.all_failed");
    let errors = none.json()["errors"].as_array().unwrap().len();
    assert_eq!(errors, 2);
    gw.sandbox.stop().await;
}

/// One bank, and it is down: the problem is that bank's, by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_bank_that_is_down_is_named() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let faults = take_down(&gw, EU);
    let down = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
    assert_problem(&down, 502, "institution.unavailable");
    assert_eq!(down.text("/institution/id"), EU);
    assert_eq!(down.json()["retryable"], true);
    faults.clear();
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// A bank that is slow is not waited for beyond the deadline of the read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_bank_does_not_hold_the_answer() {
    let (gw, tpp, granted) = reading().await;
    let faults = gw.sandbox.bank(EU).unwrap().0;
    faults.arm("GET", "/accounts", Fault::Slow(Duration::from_secs(60)), 1);
    let started = Instant::now();
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert!(started.elapsed() < Duration::from_secs(20));
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    assert_eq!((&sources[0]["status"], &sources[1]["status"]), (&json!("OK"), &json!("TIMED_OUT")));
    gw.sandbox.stop().await;
}

/// What our own store does not let through is no bank's fault: come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_is_away_is_not_laid_at_the_banks_door() {
    if crate::support::postgres().is_some() {
        // A transaction there holds up nobody who reads; SQLite's holds up all that write, and a read is noted.
        return;
    }
    let (gw, tpp, granted) = reading().await;
    // What a first read writes is written.
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let (begun, ended) = (tokio::sync::Semaphore::new(0), tokio::sync::Semaphore::new(0));
    let hold = async |region: &str| {
        let store = gw.sandbox.gateway().stores().region(region.parse().unwrap()).unwrap().clone();
        store::transaction!(store, _tx => {
            begun.add_permits(1);
            drop(ended.acquire().await);
            Err::<(), _>(store::StoreError::NotFound)
        })
    };
    let asked = async {
        drop(begun.acquire_many(2).await);
        let busy = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        ended.add_permits(2);
        busy
    };
    let (_, _, busy) = tokio::join!(hold("uk"), hold("eu"), asked);
    assert_problem(&busy, 503, "gateway.busy");
    assert!(busy.header("retry-after").is_some());
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// Whatever a bank says, the caller gets a problem document that fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_from_a_bank_becomes_a_clear_problem() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let faults = gw.sandbox.bank(UK).unwrap().0;
    // A read is repeated twice where the bank was not reached.
    let cases = [
        (Fault::MalformedJson, 1, 502, "institution.malformed"),
        (Fault::Truncated, 3, 502, "institution.unavailable"),
        (Fault::HtmlError, 3, 502, "institution.failed"),
        (Fault::Unavailable, 3, 502, "institution.unavailable"),
        (Fault::Huge(64 * 1024 * 1024), 1, 502, "institution.malformed"),
        (Fault::Disconnect, 3, 502, "institution.unavailable"),
        (Fault::TooManyRequests, 1, 503, "institution.throttled"),
    ];
    for (fault, calls, status, code) in cases {
        faults.arm("GET", "/accounts", fault, calls);
        let answer = tpp.get(&granted.token, "/v1/accounts").await.unwrap();
        let got = (answer.status.as_u16(), answer.text("/code"));
        assert_eq!(got, (status, code.to_owned()), "{fault:?}");
        assert_eq!(answer.text("/institution/id"), UK, "{fault:?}");
        faults.clear();
        // Answers in between, so that the bank is not taken to be down.
        gw.read_again(&tpp, &granted.token).await;
    }
    gw.sandbox.stop().await;
}

/// A PSU who declines at the bank: access_denied, and the consent says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_at_a_bank_is_access_denied() {
    for bank in [UK, EU, STET, POLISH] {
        let gw = TestGateway::start().await;
        let tpp = gw.tpp().await;
        gw.sandbox.bank(bank).unwrap().0.decline(1);
        let own = tpp.own_token("accounts").await.unwrap();
        let consents = tpp.lodge(&own, &[bank]).await.unwrap();
        let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
        let visit = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
        assert_eq!(parameter(&visit, "error"), "access_denied", "{bank}");
        assert_eq!(parameter(&visit, "state"), "demo-state");
        let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
        assert_eq!(consent.text("/status"), "REJECTED", "{bank}");
        gw.sandbox.stop().await;
    }
}

/// One bank declines, the other approves: the grant holds what was approved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_holds_what_was_approved() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    gw.sandbox.bank(UK).unwrap().0.decline(1);
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let sources = accounts.json()["sources"].as_array().unwrap().clone();
    assert_eq!(sources.len(), 1);
    assert_eq!(sources[0]["institution_id"], EU);
    gw.sandbox.stop().await;
}

/// A bank that is down when the PSU arrives: an error page with a way back,
/// the consent failed, the application told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_is_down_at_authorization_sends_the_psu_back() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    take_down(&gw, EU);
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[EU]).await.unwrap();
    let pushed = tpp.push(&consents, &verifier()).await.unwrap().expect(201).unwrap();
    let visit = gw.person().walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let page = visit.page.unwrap();
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.status, 502);
    assert!(html.contains("institution.unavailable"));
    assert!(html.contains("error=temporarily_unavailable") && html.contains("Back to Demo Fintech"));
    let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.unwrap();
    assert_eq!(consent.text("/status"), "FAILED");
    gw.sandbox.stop().await;
}

/// Requests that name nothing, or nonsense.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_make_no_sense_are_told_why() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts payments").await.unwrap();
    let consent = |bank: &str| json!({ "type": "ACCOUNT_INFORMATION", "institution_id": bank, "permissions": ["READ_BALANCES"] });
    let unknown = tpp.post(&own, "/v1/consents", &consent("xx-no-such-bank")).await.unwrap();
    assert_problem(&unknown, 422, "institution.unknown");
    assert_eq!(unknown.text("/errors/0/pointer"), "/institution_id");
    let listed_only = tpp.post(&own, "/v1/consents", &consent("gb-monzo")).await.unwrap();
    assert_problem(&listed_only, 422, "institution.unsupported");

    let wrong = json!({ "type": "X", "permissions": ["READ_ALL"], "access": { "valid_until": "tomorrow" } });
    let wrong = tpp.post(&own, "/v1/consents", &wrong).await.unwrap();
    assert_problem(&wrong, 422, "request.invalid");
    let pointers: Vec<String> = wrong.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(pointers, ["/type", "/permissions/0", "/access/valid_until"]);

    let unknown_field = json!({ "type": "ACCOUNT_INFORMATION", "permissions": [], "psu_name": "x" });
    let answer = tpp.post(&own, "/v1/consents", &unknown_field).await.unwrap();
    assert_problem(&answer, 422, "request.invalid");
    for path in ["/v1/accounts/acc_eu_1", "/v1/consents/con_eu_1", "/v1/nothing", "/v1/payments/x"] {
        let answer = tpp.get(&own, path).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    for query in ["?limit=0", "?limit=x", "?unknown=1", "?limit=1&limit=2", "?country=GBR", "?capability=x"] {
        let answer = tpp.get(&own, &format!("/v1/institutions{query}")).await.unwrap();
        assert_problem(&answer, 400, "request.query");
    }
    let method = tpp.http.send(Method::PUT, &format!("{}/v1/accounts", tpp.api), &[], "").await.unwrap();
    assert_problem(&method, 405, "request.method");
    gw.sandbox.stop().await;
}

/// A 10 MB body and 10,000-deep JSON are refused before anything reads them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_and_overdeep_bodies_are_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let bearer = bearer(&own);
    let headers =
        [("authorization", bearer.as_str()), ("idempotency-key", "k"), ("content-type", "application/json")];
    let url = format!("{}/v1/consents", tpp.api);
    let deep = "[".repeat(10_000);
    let answer = tpp.http.send(Method::POST, &url, &headers, deep).await.unwrap();
    assert_problem(&answer, 400, "request.malformed_json");
    let large = vec![b' '; 10 * 1024 * 1024];
    let answer = tpp.http.send(Method::POST, &url, &headers, large).await.unwrap();
    assert_problem(&answer, 413, "request.body_too_large");
    let broken = tpp.http.send(Method::POST, &url, &headers, "{\"type\":").await.unwrap();
    assert_problem(&broken, 400, "request.malformed_json");
    gw.sandbox.stop().await;
}
