//! Verification of payees (Regulation (EU) 2024/886, UK Confirmation of Payee), as whoever pays
//! meets it.

use std::sync::Arc;
use std::time::Duration;

use crate::support::funds::account_at;
use crate::support::log::Log;
use crate::support::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, Wanted, assert_problem};
use consentry::demo::{Answer, Tpp};
use domain::{Capability, Clock, ManualClock, SystemClock};
use modelbank::{Fact, Fault};
use secrecy::SecretString;
use serde_json::{Value, json};

const PLACE: &str = "/v1/payee-verifications";

/// Who holds Anna's account at a bank, and a name that is nearly hers.
fn holder(bank: &str) -> (&'static str, &'static str) {
    match bank {
        UK => ("Anna Whitfield", "A. Whitfield"),
        EU => ("Anna Lindner", "Anna Lintner"),
        DECOUPLED | STET => ("Anna Moreau", "Anna Moreaux"),
        EMBEDDED => ("Anna Leitner", "Anna Laitner"),
        POLISH => ("Anna Wiśniewska", "Anna Wisniewska-"),
        other => panic!("nobody of {other} is known here"),
    }
}

async fn ask(tpp: &Tpp, own: &SecretString, bank: &str, name: &str) -> Answer {
    let body = json!({ "institution_id": bank, "name": name, "account": account_at(bank) });
    tpp.post(own, PLACE, &body).await.unwrap()
}

async fn reason(tpp: &Tpp, own: &SecretString, bank: &str) -> String {
    let answer = ask(tpp, own, bank, holder(bank).0).await.expect(200).unwrap();
    assert_eq!(answer.text("/result"), "NOT_POSSIBLE");
    answer.text("/reason")
}

/// EPC103-24, Pay.UK Confirmation of Payee: the holder's own name, one that is nearly so and
/// another one, at a bank of each standard; the right name is told with a close match alone.
/// [connector: payee verification at uk berlin-redirect berlin-decoupled berlin-embedded stet
/// polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payee_is_verified_at_every_kind_of_bank() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for bank in [UK, EU, DECOUPLED, EMBEDDED, STET, POLISH] {
        let (name, near) = holder(bank);
        let matched = ask(&tpp, &own, bank, &name.to_uppercase()).await.expect(200).unwrap();
        assert_eq!((matched.text("/result"), matched.text("/institution_id")), ("MATCH".into(), bank.into()));
        assert!(matched.text("/checked_at").ends_with('Z'));
        if bank != POLISH {
            let close = ask(&tpp, &own, bank, near).await.expect(200).unwrap();
            let told = (close.text("/result"), close.text("/matched_name"));
            assert_eq!(told, ("CLOSE_MATCH".to_owned(), name.to_owned()), "{bank}");
        }
        let other = ask(&tpp, &own, bank, "Corner Bookshop").await.expect(200).unwrap();
        let body = other.json();
        assert_eq!((&body["result"], body.get("matched_name")), (&json!("NO_MATCH"), None), "{bank}");
        assert!(!body.to_string().contains(name), "{bank}");
        let silent = ask(&tpp, &own, bank, "Verify Nobody").await.expect(200).unwrap();
        assert_eq!(silent.text("/result"), "NOT_POSSIBLE", "{bank}");
    }
    let journal = gw.sandbox.bank(UK).unwrap().1.entries();
    let asked = journal.iter().find(|entry| entry.path.ends_with("/name-verification")).unwrap();
    assert_eq!(asked.facts, [Fact::Role, Fact::Token, Fact::Signature]);
    gw.sandbox.stop().await;
}

/// A bank that says nothing is no error of the payer's: the answer says why there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_cannot_answer_leaves_it_open() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for bank in [UK, EU] {
        let faults = gw.sandbox.bank(bank).unwrap().0;
        for (fault, expected) in [
            (Fault::Failed, "UNAVAILABLE"),
            (Fault::MalformedJson, "UNAVAILABLE"),
            (Fault::Slow(Duration::from_secs(30)), "TIMED_OUT"),
        ] {
            faults.arm("POST", "verification", fault, 1);
            assert_eq!(reason(&tpp, &own, bank).await, expected, "{bank}: {fault:?}");
        }
        let registry = gw.sandbox.gateway().registry();
        let mut profile = (*registry.profile(&bank.parse().unwrap()).unwrap()).clone();
        profile.capabilities.remove(&Capability::PayeeVerification);
        registry.put(profile);
        assert_eq!(reason(&tpp, &own, bank).await, "NOT_OFFERED");
    }
    // An account that nobody has, and a bank that is only listed.
    let body = json!({ "institution_id": STET, "name": "Anna", "account": account_at(DECOUPLED) });
    let unknown = tpp.post(&own, PLACE, &body).await.unwrap().expect(200).unwrap();
    assert_eq!(
        (unknown.text("/result"), unknown.text("/reason")),
        ("NOT_POSSIBLE".into(), "UNEXPLAINED".into())
    );
    let listed = json!({ "institution_id": "gb-monzo", "name": "Anna", "account": account_at(UK) });
    let listed = tpp.post(&own, PLACE, &listed).await.unwrap().expect(200).unwrap();
    assert_eq!(listed.text("/reason"), "NOT_OFFERED");
    gw.sandbox.stop().await;
}

/// Invariant 6: a bank that is down for payees is down for nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_verifies_nobody_still_gives_accounts() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    gw.sandbox.bank(EU).unwrap().0.arm("POST", "/payee-verifications", Fault::Disconnect, 30);
    for _ in 0..6 {
        assert_eq!(reason(&tpp, &granted.own, EU).await, "UNAVAILABLE");
    }
    let health = tpp.http.get(&format!("{}/v1/institutions/{EU}/health", tpp.api), &[]).await.unwrap().json();
    let told = (&health["payees"]["status"], &health["accounts"]["status"]);
    assert_eq!(told, (&json!("DOWN"), &json!("HEALTHY")));
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    gw.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_none_is_refused_and_asks_nobody() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let good = json!({ "institution_id": EU, "name": "Anna Lindner", "account": account_at(EU) });
    for (member, value, pointer) in [
        ("name", json!(""), "/name"),
        ("name", json!(" "), "/name"),
        ("name", json!("a\nb"), "/name"),
        ("name", json!("a".repeat(141)), "/name"),
        ("account", json!({}), "/account"),
        ("account", json!({ "iban": "DE00" }), "/account/iban"),
        ("account", account_at(UK), "/account"),
        ("institution_id", json!("No Bank"), "/institution_id"),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let answer = tpp.post(&own, PLACE, &bad).await.unwrap();
        assert_problem(&answer, 422, "request.invalid");
        assert_eq!(answer.text("/errors/0/pointer"), pointer);
    }
    let mut elsewhere = good.clone();
    elsewhere["institution_id"] = json!("de-nowhere");
    assert_problem(&tpp.post(&own, PLACE, &elsewhere).await.unwrap(), 422, "institution.unknown");
    let foreign = json!({ "institution_id": UK, "name": "Anna", "account": account_at(EU) });
    assert_problem(&tpp.post(&own, PLACE, &foreign).await.unwrap(), 422, "request.invalid");
    let reading = tpp.own_token("accounts").await.unwrap();
    assert_problem(&tpp.post(&reading, PLACE, &good).await.unwrap(), 403, "auth.scope");
    for bank in [UK, EU] {
        let asked = gw.sandbox.bank(bank).unwrap().1.entries();
        assert!(asked.iter().all(|entry| !entry.path.contains("verification")));
    }
    gw.sandbox.stop().await;
}

/// Nobody finds out names by trying: a client may ask so often on a day, whatever it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_asks_so_often_on_a_day_and_no_oftener() {
    let noon = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).date().at(12, 0, 0, 0);
    let noon = noon.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let clock = Arc::new(ManualClock::at(noon));
    let wanted = Wanted { clock: clock.clone(), payee_verifications_per_day: 2, ..Wanted::default() };
    let gw = TestGateway::wanted(wanted).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for name in ["Anna Lindner", "Ben Yilmaz"] {
        ask(&tpp, &own, EU, name).await.expect(200).unwrap();
    }
    let refused = ask(&tpp, &own, UK, "Anna Whitfield").await;
    assert_problem(&refused, 429, "quota.payee_verifications");
    assert_eq!(refused.header("retry-after"), Some("43200"));
    let another = gw.tpp().await;
    let theirs = another.own_token("payments").await.unwrap();
    ask(&another, &theirs, EU, "Anna Lindner").await.expect(200).unwrap();
    clock.advance(43_200);
    let own = tpp.own_token("payments").await.unwrap();
    ask(&tpp, &own, EU, "Anna Lindner").await.expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// Invariant 7: whose account it is and who was asked about is in no log, and in no row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_question_about_a_payee_is_logged_or_kept() {
    let log = Log::of_everything();
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for bank in [UK, EU] {
        ask(&tpp, &own, bank, holder(bank).1).await.expect(200).unwrap();
        gw.sandbox.bank(bank).unwrap().0.arm("POST", "verification", Fault::MalformedJson, 1);
        assert_eq!(reason(&tpp, &own, bank).await, "UNAVAILABLE");
    }
    let log = log.text();
    assert!(log.contains("did not verify a payee"), "the log says something");
    let personal = ["10000017", "DE17999100001000000017", "Whitfield", "Lindner", "Lintner"];
    let leaked: Vec<_> = personal.iter().filter(|datum| log.contains(**datum)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    for name in ["global", "region-uk", "region-eu"] {
        let place = |suffix: &str| gw.folder().join(format!("data/{name}.sqlite{suffix}"));
        let files = ["", "-wal"].map(|suffix| std::fs::read(place(suffix)).unwrap_or_default());
        let rows = String::from_utf8_lossy(&files.concat()).into_owned();
        let kept: Vec<_> = personal.iter().filter(|datum| rows.contains(**datum)).collect();
        assert!(kept.is_empty(), "{name}: {kept:?}");
    }
    gw.sandbox.stop().await;
}

/// What a payment's order wants to know of its payee.
fn order(account: Value, name: &str) -> Value {
    json!({
        "institution_id": EU,
        "amount": { "amount": "12.34", "currency": "EUR" },
        "creditor": { "name": name },
        "creditor_account": account,
        "debtor_account": { "iban": "DE17999100001000000017" },
        "redirect_uri": consentry::demo::RETURN,
        "verify_payee": true,
    })
}

/// The payee of a payment is asked about at the payee's own bank, which its account tells, and
/// a payment goes on whatever that says.
/// [connector: payee verification at berlin-redirect stet]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_shows_what_the_payees_bank_said() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    for (account, name, expected) in [
        (account_at(STET), "Anna Moreau", json!({ "result": "MATCH" })),
        (account_at(STET), "Anna Morau", json!({ "result": "CLOSE_MATCH", "matched_name": "Anna Moreau" })),
        (account_at(EU), "Corner Bookshop", json!({ "result": "NO_MATCH" })),
        (
            json!({ "iban": "DE02120300000000202051" }),
            "Corner Bookshop",
            json!({ "result": "NOT_POSSIBLE", "reason": "INSTITUTION_UNKNOWN" }),
        ),
    ] {
        let ordered =
            tpp.post(&own, "/v1/payments", &order(account, name)).await.unwrap().expect(201).unwrap();
        assert_eq!(ordered.json().get("payee_verification"), None, "nobody was asked yet");
        gw.person().walk(&ordered.text("/authorization/href"), consentry::demo::RETURN).await.unwrap();
        let paid =
            gw.payment_until(&tpp, &own, &ordered.text("/id"), |payment| payment["final"] == true).await;
        assert_eq!(paid["state"], "SETTLED", "{name}");
        let mut said = paid["payee_verification"].clone();
        assert!(said.as_object_mut().unwrap().remove("checked_at").is_some());
        assert_eq!(said, expected, "{name}");
    }
    let asked = |bank: &str| {
        let journal = gw.sandbox.bank(bank).unwrap().1.entries();
        journal.iter().filter(|entry| entry.path.contains("verification")).count()
    };
    assert_eq!((asked(STET), asked(EU)), (2, 1));
    gw.sandbox.stop().await;
}

/// An order is no way around the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_payee_of_a_payment_counts_against_the_days_questions() {
    let gw = TestGateway::wanted(Wanted { payee_verifications_per_day: 0, ..Wanted::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let body = order(account_at(STET), "Anna Moreau");
    let ordered = tpp.post(&own, "/v1/payments", &body).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), consentry::demo::RETURN).await.unwrap();
    let shown = tpp.get(&own, &format!("/v1/payments/{}", ordered.text("/id"))).await.unwrap();
    assert_eq!(shown.text("/payee_verification/reason"), "LIMIT");
    gw.sandbox.stop().await;
}
