//! Calls without the PSU: counted before the bank is called, told of, refused
//! when they are used up.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::consents::DAY;
use crate::support::{EU, TestGateway, UK, assert_problem, rows};
use connect::UnattendedCounting;
use consentry::demo::{Answer, Tpp, bearer};
use jiff::ToSpan;
use modelbank::{Fact, Fault, JournalEntry};
use secrecy::SecretString;
use serde_json::json;

/// A read while nobody is there.
async fn unattended(tpp: &Tpp, token: &SecretString, path: &str) -> Answer {
    let bearer = bearer(token);
    tpp.http.get(&format!("{}{path}", tpp.api), &[("authorization", &bearer)]).await.unwrap()
}

/// What is left under the consent, which stands before what is left of everything else.
fn left(answer: &Answer) -> &str {
    first(answer.header("ratelimit").unwrap())
}

fn unattended_items(answer: &Answer) -> Vec<&str> {
    let items = answer.header("ratelimit").unwrap().split(", ");
    items.filter(|item| item.starts_with("\"unattended\"")).collect()
}

fn first(list: &str) -> &str {
    list.split(", ").next().unwrap()
}

/// RTS art. 36(5)(b): "no more than four times in a 24-hour period" without the
/// PSU; with the PSU as often as they like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_reads_a_day_go_without_the_psu_and_the_fifth_is_refused() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let consent = &granted.consents[0];
    // Not so near midnight that the day ends under the test.
    let second = gw.clock.now().as_second() % 86_400;
    if second > 86_000 {
        clock.advance(1_000);
    }
    let fresh = gw.given(&tpp, granted.consents.clone(), gw.person()).await;
    let token = &fresh.token;
    for (at, path) in ["/v1/accounts", "/v1/balances", "/v1/transactions", "/v1/accounts"].iter().enumerate()
    {
        let answer = unattended(&tpp, token, path).await.expect(200).unwrap();
        assert!(left(&answer).starts_with(&format!("\"unattended\";r={};t=", 3 - at)), "{}", left(&answer));
        let policy = first(answer.header("ratelimit-policy").unwrap());
        assert!(policy.starts_with("\"unattended\";q=4;w=86400;pk=:") && policy.ends_with(':'), "{policy}");
    }
    let journal = gw.sandbox.bank(UK).unwrap().1;
    let calls = journal.entries().len();
    let refused = unattended(&tpp, token, "/v1/balances").await;
    assert_problem(&refused, 429, "quota.unattended");
    assert_eq!(journal.entries().len(), calls, "the bank was not asked");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait) && refused.json()["retryable"] == true);
    assert!(left(&refused).starts_with("\"unattended\";r=0;t="));

    let shown = gw.shown(&tpp, consent).await;
    let usage = &shown["usage"];
    assert_eq!((&usage["unattended_calls_today"], &usage["unattended_limit"]), (&json!(4), &json!(4)));
    assert!(usage["resets_at"].as_str().unwrap().ends_with("T00:00:00Z"));
    tpp.get(token, "/v1/balances").await.unwrap().expect(200).unwrap();
    assert_eq!(gw.shown(&tpp, consent).await["usage"]["unattended_calls_today"], 4);

    clock.advance(DAY);
    assert_eq!(gw.shown(&tpp, consent).await["usage"]["unattended_calls_today"], 0);
    let again = gw.given(&tpp, granted.consents.clone(), gw.person()).await;
    unattended(&tpp, &again.token, "/v1/accounts").await.expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// One consent's calls are used up, the other bank answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_whose_calls_are_used_up_leaves_the_other_one_alone() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let uk = gw.granted(&tpp, &[UK]).await;
    for _ in 0..4 {
        unattended(&tpp, &uk.token, "/v1/balances").await.expect(200).unwrap();
    }
    let mut both = uk.consents.clone();
    both.extend(tpp.lodge(&uk.own, &[EU]).await.unwrap());
    let both = gw.given(&tpp, both, gw.person()).await;
    let answer = unattended(&tpp, &both.token, "/v1/accounts").await.expect(200).unwrap();
    let sources = answer.json()["sources"].as_array().unwrap().clone();
    assert_eq!(
        (&sources[0]["status"], &sources[0]["code"]),
        (&json!("QUOTA_USED_UP"), &json!("quota.unattended"))
    );
    assert_eq!(sources[1]["status"], "OK");
    assert!(rows(&answer).iter().all(|row| row["institution_id"] == EU));
    let list: Vec<_> = unattended_items(&answer);
    assert!(list.len() == 2 && list[0].contains(";r=0;") && list[1].contains(";r=3;"), "{list:?}");
    // An account of one bank is no call to the other.
    let account = rows(&answer)[0]["id"].as_str().unwrap().to_owned();
    unattended(&tpp, &both.token, &format!("/v1/accounts/{account}/balances")).await.expect(200).unwrap();
    gw.sandbox.stop().await;
}

/// Calls of a bank's that give data while nobody is there.
fn asked_unattended(gw: &TestGateway, bank: &str) -> usize {
    let entries = gw.sandbox.bank(bank).unwrap().1.entries();
    let unattended =
        |entry: &&JournalEntry| entry.method == "GET" && !entry.facts.contains(&Fact::PsuPresent);
    entries.iter().filter(unattended).filter(|entry| entry.path.starts_with("/v1/accounts")).count()
}

/// Fifty that read something else each at the same time reach the bank four times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_racing_reads_reach_the_bank_four_times() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let today = domain::utc_day(gw.clock.now());
    let days = (0..50).map(|days| format!("/v1/transactions?from={}", today.saturating_sub(days.days())));
    let racing = days.map(async |path| unattended(&tpp, &granted.token, &path).await);
    let answers = futures_util::future::join_all(racing).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(200), with(429)), (4, 46));
    let asked = asked_unattended(&gw, EU);
    unattended(&tpp, &granted.token, "/v1/balances").await.expect(200).unwrap_err();
    assert_eq!(asked_unattended(&gw, EU), asked, "the bank was not asked");
    gw.sandbox.stop().await;
}

/// Fifty that read the same at the same time are one read: asked once, counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_that_want_the_same_at_once_are_counted_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let (faults, _) = gw.sandbox.bank(EU).unwrap();
    faults.arm("GET", "/accounts", Fault::Slow(Duration::from_millis(1_500)), 1);
    let same = (0..50).map(|_| unattended(&tpp, &granted.token, "/v1/accounts"));
    let answers = futures_util::future::join_all(same).await;
    let bodies: HashSet<_> = answers.iter().map(|answer| (answer.status, answer.body.clone())).collect();
    assert_eq!(bodies.len(), 1, "everybody has the same answer");
    assert_eq!(answers[0].status, 200);
    assert!(unattended_items(&answers[49])[0].starts_with("\"unattended\";r=3;"));
    assert_eq!(asked_unattended(&gw, EU), 1);
    let usage = gw.shown(&tpp, &granted.consents[0]).await["usage"].clone();
    assert_eq!(usage["unattended_calls_today"], 1);
    // Each of them saw the data, and the audit log says so.
    let store = gw.sandbox.gateway().stores().region("eu".parse().unwrap()).unwrap();
    let log = store.audit_entries(0, 1_000).await.unwrap();
    let entries = log.iter().map(|logged| serde_json::from_str::<serde_json::Value>(&logged.entry).unwrap());
    let reads = entries.filter(|entry| entry["event.action"] == "data.read");
    let requests: HashSet<_> = reads.map(|entry| entry["http.request.id"].to_string()).collect();
    assert_eq!(requests.len(), 50);
    // What comes afterwards is another read.
    unattended(&tpp, &granted.token, "/v1/accounts").await.expect(200).unwrap();
    assert_eq!(asked_unattended(&gw, EU), 2);
    gw.sandbox.stop().await;
}

/// Who joined a read gets nothing of it once the consent has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_joined_a_read_gets_nothing_after_the_consent_ended() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let (faults, _) = gw.sandbox.bank(EU).unwrap();
    faults.arm("GET", "/accounts", Fault::Slow(Duration::from_millis(1_500)), 1);
    let read = || unattended(&tpp, &granted.token, "/v1/accounts");
    let first = read();
    let ends = async {
        // Counted before the bank is asked.
        while gw.shown(&tpp, &granted.consents[0]).await["usage"]["unattended_calls_today"] != 1 {}
        let joined = read();
        let path = format!("/v1/consents/{}", granted.consents[0]);
        let (joined, _) = tokio::join!(joined, async { tpp.delete(&granted.own, &path).await.unwrap() });
        joined
    };
    let (_, joined) = tokio::join!(first, ends);
    assert_ne!(joined.status, 200);
    gw.sandbox.stop().await;
}

/// What counts as one access is the bank's to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accesses_count_as_the_bank_counts_them() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    // At the beginning of a day, so that parts of it are where they are expected.
    clock.advance(DAY - gw.clock.now().as_second().rem_euclid(DAY) + 60);
    let fresh = gw.given(&tpp, granted.consents.clone(), gw.person()).await;
    let counts = |counting: UnattendedCounting| {
        let registry = gw.sandbox.gateway().registry();
        let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
        profile.unattended = counting;
        registry.put(profile);
    };
    let read = async |path: &str| unattended(&tpp, &fresh.token, path).await;

    counts(UnattendedCounting::Slots(5));
    for path in ["/v1/accounts", "/v1/balances", "/v1/transactions", "/v1/accounts", "/v1/balances"] {
        let answer = read(path).await.expect(200).unwrap();
        assert!(left(&answer).starts_with("\"unattended\";r=3;"), "{path}: {}", left(&answer));
    }
    clock.advance(300);
    assert!(left(&read("/v1/accounts").await).starts_with("\"unattended\";r=2;"));

    counts(UnattendedCounting::Apart);
    let accounts = rows(&read("/v1/accounts").await.expect(200).unwrap());
    let [one, other] = [&accounts[0]["id"], &accounts[1]["id"]].map(|id| id.as_str().unwrap());
    let balances = |id: &str| format!("/v1/accounts/{id}/balances");
    for _ in 0..4 {
        read(&balances(one)).await.expect(200).unwrap();
    }
    assert_problem(&read(&balances(one)).await, 429, "quota.unattended");
    read(&balances(other)).await.expect(200).unwrap();
    assert_problem(&read("/v1/balances").await, 429, "quota.unattended");
    read(&format!("/v1/accounts/{one}/transactions")).await.expect(200).unwrap();

    counts(UnattendedCounting::Unlimited);
    for _ in 0..5 {
        let answer = read(&balances(one)).await.expect(200).unwrap();
        assert!(unattended_items(&answer).is_empty());
    }
    assert!(gw.shown(&tpp, &granted.consents[0]).await["usage"].is_null());
    gw.sandbox.stop().await;
}

/// RTS art. 10(1)(b): without the PSU, the transactions of the last 90 days.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_long_ago_need_the_psu() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let refused = unattended(&tpp, &granted.token, "/v1/transactions?from=2020-01-01").await;
    assert_problem(&refused, 403, "consent.history_needs_psu");
    tpp.get(&granted.token, "/v1/transactions?from=2020-01-01").await.unwrap().expect(200).unwrap();
    let recent = unattended(&tpp, &granted.token, "/v1/transactions?limit=1000").await.expect(200).unwrap();
    let earliest = domain::Timestamp::from_second(gw.clock.now().as_second() - 90 * 86_400).unwrap();
    let earliest = earliest.to_string()[..10].to_owned();
    assert!(rows(&recent).len() > 10);
    for row in rows(&recent) {
        assert!(row["booking_date"].as_str().is_none_or(|day| day >= earliest.as_str()), "{row}");
    }
    // The refusal was no call.
    assert_eq!(gw.shown(&tpp, &granted.consents[0]).await["usage"]["unattended_calls_today"], 1);
    gw.sandbox.stop().await;
}
