//! Figures of a quarter (RTS (EU) 2018/389 art. 32(4)): as the gateway saw them, of nobody.

use domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::operator::{command, said};
use crate::support::webhooks::until;
use crate::support::{TestGateway, UK};

/// The quarter of a day (UTC), as the command wants it.
fn quarter_of(day: &str) -> String {
    let month: u8 = day[5..7].parse().unwrap();
    format!("{}-Q{}", &day[..4], (month - 1) / 3 + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_bank_answered_is_written_down_by_day() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let faults = format!("/v1/sandbox/institutions/{UK}/faults");
    let fault = json!({"kind": "failed", "operation": "balances", "calls": 3});
    tpp.post(&granted.token, &faults, &fault).await.unwrap().expect(201).unwrap();
    tpp.get(&granted.token, "/v1/balances").await.unwrap();

    let quarter = quarter_of(&SystemClock.now().to_string());
    let figures = |quarter: &str| -> Value {
        let output = command(&gw, "statistics", &["--quarter", quarter]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let row = until("the day's figures", async || {
        let all = figures(&quarter);
        let banks = all["banks"].as_array().unwrap().clone();
        let fits = |row: &Value| row["service"] == "accounts" && row["errors"].as_i64() > Some(0);
        banks.into_iter().find(|row| row["institution_id"] == UK && fits(row))
    })
    .await;
    assert!(row["calls"].as_i64() > row["errors"].as_i64(), "{row}");
    assert!(row["average_ms"].is_i64() && row["slowest_ms"].as_i64() >= row["average_ms"].as_i64(), "{row}");
    assert_eq!((&row["region"], &row["uptime_percent"]), (&json!("uk"), &json!("100.000")));
    let rate: f64 = row["error_rate_percent"].as_str().unwrap().parse().unwrap();
    assert!(rate > 0.0 && rate < 100.0, "{row}");

    let all = figures(&quarter);
    let consent = json!({"region": "uk", "institution_id": UK, "status": "AUTHORIZED", "lodged": 1});
    assert!(all["consents"].as_array().unwrap().contains(&consent), "{all}");
    let read = all["accesses"].as_array().unwrap().iter().find(|row| row["kind"] == "ACCOUNTS").cloned();
    let read = read.unwrap_or_else(|| panic!("{all}"));
    assert_eq!(
        (&read["with_psu"], &read["without_psu"], &read["consents"]),
        (&json!(1), &json!(0), &json!(1))
    );
    // Another quarter has none of it.
    let earlier = figures("2001-Q1");
    assert_eq!((&earlier["banks"], &earlier["consents"]), (&json!([]), &json!([])));

    let folder = gw.folder().join("figures");
    let written = command(&gw, "statistics", &["--quarter", &quarter, "--out", folder.to_str().unwrap()]);
    assert!(written.status.success(), "{}", said(&written));
    let csv = std::fs::read_to_string(folder.join("banks.csv")).unwrap();
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("region,institution_id,service,day,calls,errors"), "{csv}");
    assert!(lines.any(|line| line.starts_with(&format!("uk,{UK},accounts,"))), "{csv}");
    for name in ["statistics.json", "consents.csv", "accesses.csv"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    gw.sandbox.stop().await;
}
