//! What has changed since a client last asked.

use crate::support::{EU, TestGateway, assert_problem, rows};
use consentry::demo::{Answer, RETURN};
use serde_json::{Value, json};

fn ids(answer: &Answer, list: &str) -> Vec<String> {
    let entries = answer.json()[list].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

/// "a cursor is a snapshot": nothing is told twice, nothing is lost, and an answer that
/// got lost is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_what_changed_and_can_ask_again() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU]).await;
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let account = rows(&accounts)[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/accounts/{account}/transactions/sync");
    let sync = async |cursor: Option<&str>| {
        let query = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        tpp.get(&granted.token, &format!("{path}{query}")).await.unwrap()
    };
    let first = sync(None).await.expect(200).unwrap();
    let all =
        tpp.get(&granted.token, &format!("/v1/accounts/{account}/transactions?limit=1000")).await.unwrap();
    let mut listed: Vec<String> =
        rows(&all).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let mut told = ids(&first, "added");
    listed.sort();
    told.sort();
    assert_eq!(told, listed);
    let start = first.text("/next_cursor");
    let same = sync(Some(&start)).await.expect(200).unwrap();
    assert_eq!((ids(&same, "added").len(), ids(&same, "removed").len()), (0, 0));

    // A payment from this account is new, and then booked.
    let order = json!({
        "institution_id": EU,
        "amount": { "amount": "12.34", "currency": "EUR" },
        "creditor": { "name": "Ben Yilmaz" },
        "creditor_account": { "iban": "DE42999100002000000018" },
        "debtor_account": { "iban": rows(&accounts)[0]["identification"]["iban"] },
        "remittance": { "unstructured": ["Invoice 2041"] },
        "redirect_uri": RETURN,
    });
    let payment = tpp.post(&granted.own, "/v1/payments", &order).await.unwrap().expect(201).unwrap();
    gw.person().walk(&payment.text("/authorization/href"), RETURN).await.unwrap();
    let settled = |payment: &Value| payment["state"] == "SETTLED";
    gw.payment_until(&tpp, &granted.own, &payment.text("/id"), settled).await;
    let changed = sync(Some(&start)).await.expect(200).unwrap();
    let added = changed.json()["added"].as_array().unwrap().clone();
    let [added] = &added[..] else { panic!("one entry is new") };
    assert_eq!(added["end_to_end_id"], payment.text("/end_to_end_id"));
    // The answer got lost: the same cursor tells the same.
    let again = sync(Some(&start)).await.expect(200).unwrap();
    assert_eq!(ids(&again, "added"), ids(&changed, "added"));

    let altered = sync(Some(&format!("x{start}"))).await;
    assert_problem(&altered, 400, "request.cursor");
    for _ in 0..5 {
        sync(None).await.expect(200).unwrap();
    }
    assert_problem(&sync(Some(&start)).await, 410, "request.cursor_gone");
    gw.sandbox.stop().await;
}
