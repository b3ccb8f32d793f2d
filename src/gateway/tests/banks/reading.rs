//! What a reader needs to understand what was read.

use crate::support::{EU, TestGateway, UK, rows};
use jiff::ToSpan;

/// "which one do I show".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_balances_the_answer_says_which_are_booked_and_available() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK, EU]).await;
    let balances = tpp.get(&granted.token, "/v1/balances").await.unwrap().expect(200).unwrap();
    let summaries = balances.json()["summaries"].as_array().unwrap().clone();
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    assert_eq!(summaries.len(), rows(&accounts).len());
    for summary in &summaries {
        let of = |kind: &str| {
            let all = rows(&balances);
            all.into_iter()
                .find(|row| row["account_id"] == summary["account_id"] && row["type"] == kind)
                .unwrap()
        };
        assert_eq!(summary["booked"]["amount"], of("ITBD")["amount"], "{summary}");
        assert_eq!(summary["available"]["amount"], of("ITAV")["amount"], "{summary}");
    }
    gw.sandbox.stop().await;
}

/// A history that is shorter than asked for says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_cut_off_says_where() {
    let (gw, _) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let today = gw.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let read = async |from: &str| {
        let path = format!("/v1/transactions?from={from}");
        let answer = tpp.get(&granted.token, &path).await.unwrap().expect(200).unwrap();
        answer.json()["sources"][0]["history_from"].clone()
    };
    assert_eq!(read("2001-01-01").await, (today - 90_i32.days()).to_string());
    let recent = (today - 5_i32.days()).to_string();
    assert_eq!(read(&recent).await, recent);
    gw.sandbox.stop().await;
}

/// A bank that answers for so many days at a time is asked once for each such time, and
/// everything it tells is in the one answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_is_read_in_the_banks_windows() {
    let (gw, _) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let read = async || {
        let path = "/v1/transactions?limit=500";
        rows(&tpp.get(&granted.token, path).await.unwrap().expect(200).unwrap())
    };
    let whole = read().await;
    let asked = || {
        let journal = gw.sandbox.bank(UK).unwrap().1.entries();
        journal.iter().filter(|entry| entry.path.ends_with("/transactions")).count()
    };
    let before = asked();
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    profile.max_history_days = 90;
    profile.max_days_per_query = Some(40);
    registry.put(profile);
    let ids = |rows: &[serde_json::Value]| {
        rows.iter().map(|row| row["id"].to_string()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(!whole.is_empty());
    assert_eq!(ids(&read().await), ids(&whole));
    let accounts = rows(&tpp.get(&granted.token, "/v1/accounts").await.unwrap()).len();
    assert!(asked() - before >= 3 * accounts, "{} calls for {accounts} accounts", asked() - before);
    gw.sandbox.stop().await;
}

/// Where a bank tells more right after authentication, more is asked for then, and no more
/// than usual once that time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_tells_more_right_after_authentication_is_asked_for_more_then() {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&EU.parse().unwrap()).unwrap()).clone();
    profile.fresh_history = Some(connect::FreshHistory { minutes: 3, days: 730 });
    registry.put(profile);
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let today = gw.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let read = async || {
        let path = "/v1/transactions?from=2001-01-01";
        let answer = tpp.get(&granted.token, path).await.unwrap().expect(200).unwrap();
        answer.json()["sources"][0]["history_from"].clone()
    };
    assert_eq!(read().await, (today - 730_i32.days()).to_string());
    clock.advance(4 * 60);
    assert_eq!(read().await, (today - 90_i32.days()).to_string());
    gw.sandbox.stop().await;
}
