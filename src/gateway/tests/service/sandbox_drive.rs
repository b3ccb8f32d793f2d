//! `/v1/sandbox`: banks that go wrong on demand, people who do what their name says,
//! amounts that come to something, and time that is moved; no browser anywhere.

use crate::support::consents::DAY;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, Wanted, assert_problem, rows};
use consentry::demo::{Answer, RETURN, Tpp, bearer, verifier};
use secrecy::SecretString;
use serde_json::{Value, json};

const BANKS: [&str; 6] = [UK, EU, DECOUPLED, STET, POLISH, EMBEDDED];

/// A sandbox in which nobody approves by itself.
async fn sandbox() -> (TestGateway, Tpp, SecretString) {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts payments").await.unwrap();
    (gw, tpp, own)
}

/// Lets somebody go through the pages of an address.
async fn walked(tpp: &Tpp, own: &SecretString, url: &str, user: &str, decision: &str) -> Value {
    let person = json!({ "url": url, "user": user, "decision": decision, "redirect_uri": RETURN });
    tpp.post(own, "/v1/sandbox/authorize", &person).await.unwrap().expect(200).unwrap().json()
}

/// A consent that somebody was asked for, and where the browser ended.
async fn asked(
    tpp: &Tpp,
    own: &SecretString,
    bank: &str,
    user: &str,
    decision: &str,
) -> (String, Value, SecretString) {
    let consents = tpp.lodge(own, &[bank]).await.unwrap();
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.unwrap().expect(201).unwrap();
    let ended = walked(tpp, own, &tpp.start_of(&pushed).unwrap(), user, decision).await;
    (consents[0].clone(), ended, verifier)
}

/// A token of a consent that was given without a browser.
async fn granted(tpp: &Tpp, own: &SecretString, bank: &str) -> (String, SecretString) {
    let (consent, ended, verifier) = asked(tpp, own, bank, "anna", "approve").await;
    let back = url::Url::parse(ended["url"].as_str().unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let tokens = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
    (consent, tokens.text("/access_token").into())
}

async fn status(tpp: &Tpp, own: &SecretString, consent: &str) -> String {
    tpp.get(own, &format!("/v1/consents/{consent}")).await.unwrap().expect(200).unwrap().text("/status")
}

/// A request with the token, of the methods that fintechs seldom use.
async fn send(tpp: &Tpp, own: &SecretString, method: http::Method, path: &str, body: &Value) -> Answer {
    let bearer = bearer(own);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    tpp.http.send(method, &format!("{}{path}", tpp.api), &headers, body.to_string()).await.unwrap()
}

async fn arm(tpp: &Tpp, own: &SecretString, bank: &str, order: Value) {
    let path = format!("/v1/sandbox/institutions/{bank}/faults");
    tpp.post(own, &path, &order).await.unwrap().expect(201).unwrap();
}

/// The whole way without a browser, at a bank of each standard: given, read, and
/// withdrawn at the bank.
/// [connector: consent, accounts at uk berlin-redirect berlin-decoupled
/// berlin-embedded stet polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_is_given_and_withdrawn_without_a_browser() {
    let (gw, tpp, own) = sandbox().await;
    for bank in BANKS {
        let (consent, token) = granted(&tpp, &own, bank).await;
        assert!(
            !rows(&tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap()).is_empty(),
            "{bank}"
        );
        if bank != STET {
            let path = format!("/v1/sandbox/consents/{consent}/withdraw");
            tpp.post(&own, &path, &json!({})).await.unwrap().expect(204).unwrap();
            assert_problem(&tpp.post(&own, &path, &json!({})).await.unwrap(), 409, "consent.state");
        }
    }
    gw.sandbox.stop().await;
}

/// A name stands for what its person does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magic_user_does_what_the_name_says_at_every_bank() {
    let (gw, tpp, own) = sandbox().await;
    for bank in BANKS {
        let (consent, ended, _) = asked(&tpp, &own, bank, "declines", "approve").await;
        assert_eq!(
            (&ended["returned"], status(&tpp, &own, &consent).await.as_str()),
            (&json!(true), "REJECTED"),
            "{bank}"
        );
    }
    let (consent, ended, _) = asked(&tpp, &own, UK, "abandons", "approve").await;
    assert_eq!((&ended["returned"], &ended["status"]), (&json!(false), &json!(200)));
    assert_eq!(status(&tpp, &own, &consent).await, "AWAITING_REDIRECT");
    // The person at our own page may decline as well.
    let (consent, ended, _) = asked(&tpp, &own, UK, "anna", "decline").await;
    assert_eq!((&ended["returned"], status(&tpp, &own, &consent).await.as_str()), (&json!(true), "REJECTED"));
    gw.sandbox.stop().await;
}

/// An amount stands for what becomes of its payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magic_amount_comes_to_what_the_table_says() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let listed = tpp.get(&own, "/v1/sandbox").await.unwrap().expect(200).unwrap().json();
    let amounts = listed["amounts"].as_array().unwrap();
    assert_eq!(amounts.len(), 5);
    // What is cancelled with the customer's approval alone, `payments::taken_back` cancels.
    let (cancelled, amounts): (Vec<_>, Vec<_>) = amounts.iter().partition(|magic| magic["amount"] == "8.08");
    assert_eq!(cancelled.len(), 1);
    for magic in amounts {
        let mut order = Tpp::small_payment(UK);
        order["amount"]["amount"] = magic["amount"].clone();
        let placed = tpp.post(&own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
        let ended = walked(&tpp, &own, &placed.text("/authorization/href"), "anna", "approve").await;
        assert_eq!(ended["returned"], true);
        let reason = &magic["iso_reason"];
        let id = placed.text("/id");
        if reason.is_string() {
            let payment = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
            assert_eq!((&payment["state"], &payment["failure"]["iso_reason"]), (&json!("REJECTED"), reason));
        } else {
            gw.payment_until(&tpp, &own, &id, |payment| payment["iso_status"] == "ACSP").await;
            clock.advance(DAY);
            let own = tpp.own_token("payments").await.unwrap();
            let payment = gw.payment_until(&tpp, &own, &id, |payment| payment["final"] == true).await;
            assert_eq!(payment["state"], "SETTLED");
        }
    }
    gw.sandbox.stop().await;
}

/// Time goes on at once for gateway, banks and tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_moves_for_everybody() {
    let (gw, _) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let (consent, _) = granted(&tpp, &own, EU).await;
    assert_eq!(status(&tpp, &own, &consent).await, "AUTHORIZED");
    let moved =
        tpp.post(&own, "/v1/sandbox/clock", &json!({ "days": 200 })).await.unwrap().expect(200).unwrap();
    assert_eq!(moved.json()["seconds_ahead"], 200 * DAY);
    let own = tpp.own_token("accounts").await.unwrap();
    gw.until_status(&tpp, &consent, "EXPIRED").await;
    let refused = tpp.post(&own, "/v1/sandbox/clock", &json!({ "days": 101 })).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    let now = tpp.get(&own, "/v1/sandbox/clock").await.unwrap().expect(200).unwrap().json();
    assert_eq!(now["seconds_ahead"], 200 * DAY);
    let back = json!({ "days": 0, "seconds": -60 });
    let moved = tpp.post(&own, "/v1/sandbox/clock", &back).await.unwrap().expect(200).unwrap();
    assert_eq!(moved.json()["seconds_ahead"], 200 * DAY - 60);
    let back = json!({ "days": 0, "seconds": -(200 * DAY + 3_541) });
    assert_problem(&tpp.post(&own, "/v1/sandbox/clock", &back).await.unwrap(), 422, "request.invalid");
    gw.sandbox.stop().await;
}

/// Every fault that can be named, at a read of transactions: what the application
/// sees, and that the next read is well again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_has_an_answer_and_passes() {
    let (gw, tpp, own) = sandbox().await;
    let (_, token) = granted(&tpp, &own, UK).await;
    let listed = tpp.get(&own, "/v1/sandbox").await.unwrap().expect(200).unwrap().json();
    let accounts = tpp.get(&token, "/v1/accounts").await.unwrap();
    let accounts = rows(&accounts);
    let account = accounts.iter().find(|row| row["cash_account_type"] == "CACC").unwrap();
    let path = format!("/v1/accounts/{}/transactions?limit=200", account["id"].as_str().unwrap());
    let before = rows(&tpp.get(&token, &path).await.unwrap().expect(200).unwrap()).len();
    for named in listed["faults"].as_array().unwrap() {
        let kind = named["name"].as_str().unwrap();
        if ["lose-refresh-token", "decline", "huge"].contains(&kind) || kind.starts_with("notice-") {
            // Not of a read; all but "huge" have tests of their own.
            continue;
        }
        // A read is repeated twice where the bank was not reached.
        let order = json!({ "kind": kind, "operation": "transactions", "calls": 3, "ms": 3_000 });
        arm(&tpp, &own, UK, order).await;
        let met = tpp.get(&token, &path).await.unwrap();
        let ids: std::collections::BTreeSet<String> =
            rows(&met).iter().map(|row| row["id"].as_str().unwrap_or_default().to_owned()).collect();
        let found = (met.status.as_u16(), met.text("/code"), ids.len());
        let expected = match kind {
            "unavailable" | "disconnect" | "lose-answer" => (502, "institution.unavailable", 0),
            "failed" | "html-error" => (502, "institution.failed", 0),
            "too-many-requests" => (503, "institution.throttled", 0),
            "unauthorised" => (403, "consent.not_in_force", 0),
            "slow" | "drip" => (504, "institution.timeout", 0),
            "truncated" => (502, "institution.unavailable", 0),
            "malformed-json" | "html-page" | "signs-inverted" | "page-again" => {
                (502, "institution.malformed", 0)
            }
            "ids-missing" | "ids-placeholder" | "ids-repeated" | "ids-changing" | "amounts-as-numbers"
            | "byte-order-mark" | "entries-repeated" => (200, "", before),
            other => panic!("what does {other} come to?"),
        };
        assert_eq!(found, (expected.0, expected.1.to_owned(), expected.2), "{kind}");
        let path = format!("/v1/sandbox/institutions/{UK}/faults");
        let left =
            send(&tpp, &own, http::Method::DELETE, &path, &json!({})).await.expect(200).unwrap().json();
        assert_eq!(left["faults"], json!([]));
        gw.read_again(&tpp, &token).await;
    }
    gw.sandbox.stop().await;
}

/// What nobody knows is refused, and says what is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_makes_no_sense_is_refused() {
    let (gw, tpp, own) = sandbox().await;
    let faults = format!("/v1/sandbox/institutions/{UK}/faults");
    for (order, pointer) in [
        (json!({ "kind": "sulks" }), "/kind"),
        (json!({ "kind": "slow", "operation": "lunch" }), "/operation"),
        (json!({ "kind": "slow", "calls": 0 }), "/calls"),
    ] {
        let refused = tpp.post(&own, &faults, &order).await.unwrap();
        assert_problem(&refused, 422, "request.invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let unknown =
        tpp.post(&own, "/v1/sandbox/institutions/gb-monzo/faults", &json!({ "kind": "slow" })).await.unwrap();
    assert_problem(&unknown, 404, "resource.not_found");
    let habits = format!("/v1/sandbox/institutions/{UK}/habits");
    let put = |habit: &str| json!({ "habits": [habit] });
    assert_problem(
        &send(&tpp, &own, http::Method::PUT, &habits, &put("sulks")).await,
        422,
        "request.invalid",
    );
    let taken =
        send(&tpp, &own, http::Method::PUT, &habits, &put("bearer-any-case")).await.expect(200).unwrap();
    assert_eq!(taken.json()["habits"], json!(["bearer-any-case"]));
    let elsewhere = json!({ "url": "https://evil.example/", "redirect_uri": RETURN });
    assert_problem(
        &tpp.post(&own, "/v1/sandbox/authorize", &elsewhere).await.unwrap(),
        422,
        "request.invalid",
    );
    let nobody = gw.anybody().get(&format!("{}/v1/sandbox", gw.sandbox.access().api), &[]).await.unwrap();
    assert_eq!(nobody.status, 401);
    // A clock that is not the sandbox's own stays as it is.
    assert_problem(
        &tpp.post(&own, "/v1/sandbox/clock", &json!({ "days": 1 })).await.unwrap(),
        404,
        "resource.not_found",
    );
    gw.sandbox.stop().await;
}

/// The documentation's one table is what the sandbox says of itself, line by line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_in_the_documentation_is_the_sandboxs_own() {
    let (gw, tpp, own) = sandbox().await;
    let listed = tpp.get(&own, "/v1/sandbox").await.unwrap().expect(200).unwrap().json();
    let mut lines = Vec::new();
    for (list, kind, name) in [
        ("users", "user", "name"),
        ("amounts", "amount", "amount"),
        ("payees", "payee", "name"),
        ("faults", "fault", "name"),
        ("habits", "habit", "name"),
    ] {
        for entry in listed[list].as_array().unwrap() {
            let (name, text) = (entry[name].as_str().unwrap(), entry["description"].as_str().unwrap());
            let reason = entry["iso_reason"].as_str().map(|code| format!(" (`{code}`)")).unwrap_or_default();
            lines.push(format!("| {kind} | `{name}` | {}{reason} |", text.trim_end_matches('.')));
        }
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
    let documented = std::fs::read_to_string(file).unwrap();
    let table: Vec<&str> = documented
        .lines()
        .filter(|line| {
            ["| user |", "| amount |", "| payee |", "| fault |", "| habit |"]
                .iter()
                .any(|kind| line.starts_with(kind))
        })
        .collect();
    assert_eq!(table, lines, "docs/sandbox.md should have:\n{}", lines.join("\n"));
    gw.sandbox.stop().await;
}
