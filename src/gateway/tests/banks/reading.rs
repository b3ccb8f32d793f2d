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
