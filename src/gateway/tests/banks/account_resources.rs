//! Account information in full: what banks tell beside balances and transactions.

use crate::support::{EMBEDDED, EU, Granted, POLISH, STET, TestGateway, UK, assert_problem, rows};
use consentry::demo::Tpp;
use secrecy::SecretString;
use serde_json::{Value, json};

const RESOURCES: [&str; 6] =
    ["parties", "beneficiaries", "standing-orders", "direct-debits", "scheduled-payments", "statements"];

/// A grant with a consent at one bank that allows exactly these.
async fn granted(gw: &TestGateway, tpp: &Tpp, bank: &str, permissions: &[&str]) -> Granted {
    let own = tpp.own_token("accounts").await.unwrap();
    let order = json!({ "type": "ACCOUNT_INFORMATION", "institution_id": bank, "permissions": permissions });
    let consent = tpp.post(&own, "/v1/consents", &order).await.unwrap().expect(201).unwrap();
    gw.given(tpp, vec![consent.text("/id")], gw.person()).await
}

async fn account(tpp: &Tpp, token: &SecretString) -> String {
    let accounts = tpp.get(token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let current = rows(&accounts).into_iter().find(|row| row["cash_account_type"] == "CACC").unwrap();
    current["id"].as_str().unwrap().to_owned()
}

async fn first(tpp: &Tpp, token: &SecretString, account: &str, resource: &str) -> Value {
    let list = tpp.get(token, &format!("/v1/accounts/{account}/{resource}")).await.unwrap();
    let list = list.expect(200).unwrap();
    assert_eq!(list.json()["sources"][0]["status"], "OK", "{resource}");
    let row = rows(&list).into_iter().next().unwrap_or_else(|| panic!("{resource} is empty"));
    assert_eq!(row["account_id"], account, "{resource}");
    assert_eq!(row["source"]["data_freshness"], "live", "{resource}");
    row
}

/// "AISP gets the same data as the PSU online" (RTS Art. 36(1)(a)).
/// [connector: further account information at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uk_bank_tells_everything_the_consent_allows() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let all = [
        "READ_ACCOUNTS_DETAIL",
        "READ_PARTY",
        "READ_BENEFICIARIES",
        "READ_STANDING_ORDERS",
        "READ_DIRECT_DEBITS",
        "READ_SCHEDULED",
        "READ_STATEMENTS",
    ];
    let granted = granted(&gw, &tpp, UK, &all).await;
    let account = account(&tpp, &granted.token).await;
    let read = async |resource| first(&tpp, &granted.token, &account, resource).await;
    let party = read("parties").await;
    assert_eq!((&party["name"], &party["role"]), (&json!("Anna Whitfield"), &json!("Sole")));
    assert_eq!(party["addresses"][0]["country"], "GB");
    let beneficiary = read("beneficiaries").await;
    assert_eq!(beneficiary["trusted"], false);
    let creditor = &beneficiary["creditor"]["account"]["sort_code_account_number"];
    assert_eq!(creditor["sort_code"], "200000");
    let order = read("standing-orders").await;
    assert_eq!(
        (&order["status"], &order["frequency"]),
        (&json!("ACTIVE"), &json!({"code": "MNTH", "day": 1}))
    );
    assert_eq!(order["next"]["amount"], json!({"amount": "1150.00", "currency": "GBP"}));
    assert_eq!(order["reference"], "Rent");
    let debit = read("direct-debits").await;
    assert!(debit["mandate_id"].as_str().unwrap().starts_with("M-"));
    assert!(debit["previous"]["date"].is_string());
    let scheduled = read("scheduled-payments").await;
    assert_eq!(
        (&scheduled["date_type"], &scheduled["creditor"]["name"]),
        (&json!("EXECUTION"), &json!("Casey Morgan"))
    );
    let statement = read("statements").await;
    assert!(statement["from"].as_str().unwrap() < statement["to"].as_str().unwrap());
    gw.sandbox.stop().await;
}

/// [connector: further account information at berlin-redirect]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_berlin_group_bank_tells_what_its_standard_has_and_no_more() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let wanted = [
        "READ_ACCOUNTS_DETAIL",
        "READ_TRANSACTIONS_DETAIL",
        "READ_PARTY",
        "READ_BENEFICIARIES",
        "READ_STANDING_ORDERS",
        "READ_DIRECT_DEBITS",
    ];
    let granted = granted(&gw, &tpp, EU, &wanted).await;
    let account = account(&tpp, &granted.token).await;
    assert_eq!(first(&tpp, &granted.token, &account, "parties").await["name"], "Anna Lindner");
    let beneficiary = first(&tpp, &granted.token, &account, "beneficiaries").await;
    assert_eq!(
        (&beneficiary["trusted"], &beneficiary["creditor"]["name"]),
        (&json!(true), &json!("Jonas Weber"))
    );
    let order = first(&tpp, &granted.token, &account, "standing-orders").await;
    assert_eq!(order["frequency"], json!({"code": "MNTH", "day": 1}));
    assert_eq!(order["creditor"]["account"]["iban"], "DE89370400440532013000");
    let (_, journal) = gw.sandbox.bank(EU).unwrap();
    let calls = journal.entries().len();
    let debits = tpp.get(&granted.token, &format!("/v1/accounts/{account}/direct-debits")).await.unwrap();
    assert_problem(&debits, 422, "institution.unsupported");
    assert_eq!(journal.entries().len(), calls, "a bank is not asked for what it does not have");
    let bank = tpp.get(&granted.token, &format!("/v1/institutions/{EU}")).await.unwrap();
    assert_eq!(bank.json()["account_resources"], json!(["parties", "beneficiaries", "standing-orders"]));
    gw.sandbox.stop().await;
}

/// STET 1.4: who is connected, and whom she pays without authentication.
/// [connector: further account information at stet]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stet_bank_tells_who_the_psu_is_and_whom_she_trusts() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let wanted = ["READ_ACCOUNTS_DETAIL", "READ_PARTY", "READ_BENEFICIARIES", "READ_STANDING_ORDERS"];
    let granted = granted(&gw, &tpp, STET, &wanted).await;
    let account = account(&tpp, &granted.token).await;
    assert_eq!(first(&tpp, &granted.token, &account, "parties").await["name"], "Anna Moreau");
    let beneficiary = first(&tpp, &granted.token, &account, "beneficiaries").await;
    assert_eq!(
        (&beneficiary["trusted"], &beneficiary["creditor"]["name"]),
        (&json!(true), &json!("Camille Roux"))
    );
    let none = tpp.get(&granted.token, &format!("/v1/accounts/{account}/standing-orders")).await.unwrap();
    assert_problem(&none, 422, "institution.unsupported");
    gw.sandbox.stop().await;
}

/// PolishAPI 2.1: the holder of the account, and payments to come.
/// [connector: further account information at polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polish_bank_tells_the_holder_and_what_is_to_come() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let wanted = ["READ_ACCOUNTS_DETAIL", "READ_PARTY", "READ_SCHEDULED"];
    let granted = granted(&gw, &tpp, POLISH, &wanted).await;
    let account = account(&tpp, &granted.token).await;
    let party = first(&tpp, &granted.token, &account, "parties").await;
    assert_eq!(party["name"], "Anna Wiśniewska");
    assert_eq!(party["addresses"][0]["address_lines"][1], "00-950 Warszawa");
    let payment = first(&tpp, &granted.token, &account, "scheduled-payments").await;
    assert_eq!(payment["amount"], json!({ "amount": "45.00", "currency": "PLN" }));
    assert_eq!(payment["creditor"]["name"], "Jonas Weber");
    gw.sandbox.stop().await;
}

/// XS2A 6.5.5: cards lie in a list of their own, and are accounts like the others here;
/// what was bought with one is a debit, and so is what is owed.
/// [connector: card accounts at berlin-embedded]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_read_beside_the_accounts() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let wanted = ["READ_ACCOUNTS_DETAIL", "READ_BALANCES", "READ_TRANSACTIONS_DETAIL", "READ_PARTY"];
    let granted = granted(&gw, &tpp, EMBEDDED, &wanted).await;
    let accounts = rows(&tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap());
    let cards: Vec<_> = accounts.iter().filter(|account| account["cash_account_type"] == "CARD").collect();
    let ([card], 3) = (cards.as_slice(), accounts.len()) else { panic!("{accounts:?}") };
    assert_eq!(card["identification"], json!({ "masked_pan": "525412******0033" }));
    let path = format!("/v1/accounts/{}", card["id"].as_str().unwrap());
    let read = async |what: &str| {
        rows(&tpp.get(&granted.token, &format!("{path}/{what}")).await.unwrap().expect(200).unwrap())
    };
    assert_eq!(read("balances").await[0]["credit_debit_indicator"], "DBIT");
    let bought = read("transactions").await;
    assert!(bought.len() > 10, "{}", bought.len());
    assert!(
        bought
            .iter()
            .all(|entry| entry["credit_debit_indicator"] == "DBIT" && entry["id_provenance"] == "BANK")
    );
    assert!(bought.iter().any(|entry| entry["status"] == "PDNG"));
    assert_eq!(read("parties").await[0]["name"], "Anna Leitner");
    gw.sandbox.stop().await;
}

/// RS6: "scope and consent: … permission".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_consent_does_not_name_is_not_read() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = granted(&gw, &tpp, UK, &["READ_ACCOUNTS_DETAIL"]).await;
    let account = account(&tpp, &granted.token).await;
    for resource in RESOURCES {
        let refused = tpp.get(&granted.token, &format!("/v1/accounts/{account}/{resource}")).await.unwrap();
        assert_problem(&refused, 403, "consent.scope");
    }
    gw.sandbox.stop().await;
}

/// Entries of the account, newest first.
async fn entries(tpp: &Tpp, token: &SecretString, account: &str) -> Vec<Value> {
    rows(&tpp.get(token, &format!("/v1/accounts/{account}/transactions")).await.unwrap().expect(200).unwrap())
}

/// Where a bank tells more of a single transaction than in its list, that is asked for;
/// what it then says completes what was listed.
/// [connector: one transaction at uk berlin-redirect polish]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_transaction_is_told_in_full() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    for bank in [UK, EU, POLISH] {
        let granted = granted(&gw, &tpp, bank, &["READ_ACCOUNTS_DETAIL", "READ_TRANSACTIONS_DETAIL"]).await;
        let account = account(&tpp, &granted.token).await;
        let list = entries(&tpp, &granted.token, &account).await;
        let bought = |entry: &&Value| {
            entry["credit_debit_indicator"] == "DBIT"
                && entry["status"] == "BOOK"
                && entry["bank_transaction_code"].to_string().contains("POSD")
        };
        let mut listed = list.iter().find(bought).unwrap_or_else(|| panic!("{list:?}")).clone();
        let day = listed["booking_date"].as_str().unwrap().to_owned();
        let place = format!("/v1/accounts/{account}/transactions/{}", listed["id"].as_str().unwrap());
        let mut told = tpp.get(&granted.token, &place).await.unwrap().expect(200).unwrap().json();
        let more = match bank {
            EU => [("debtor", json!({ "name": "Anna Lindner" })), ("debtor_account", Value::Null)],
            POLISH => [("merchant_category_code", json!("5411")), ("value_date", Value::Null)],
            _ => [("creditor", Value::Null), ("debtor", Value::Null)],
        };
        for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
            assert!(listed[name].is_null(), "{bank} lists {name}");
            if name == "debtor" {
                assert_eq!(told[name], value, "{bank}");
            }
            assert!(!told[name].is_null(), "{bank} {name}");
        }
        for entry in [&mut listed, &mut told] {
            let entry = entry.as_object_mut().unwrap();
            for name in ["debtor", "debtor_account", "merchant_category_code", "source"] {
                entry.remove(name);
            }
        }
        assert_eq!(listed, told, "{bank}: the rest is the same");
        let on_its_day = format!("{place}?from={day}&to={day}");
        assert_eq!(tpp.get(&granted.token, &on_its_day).await.unwrap().status, 200);
        let elsewhere = tpp.get(&granted.token, &format!("{place}?to=2020-01-01")).await.unwrap();
        assert_problem(&elsewhere, 404, "resource.not_found");
        let backwards =
            tpp.get(&granted.token, &format!("{place}?from=2026-02-02&to=2026-02-01")).await.unwrap();
        assert_problem(&backwards, 400, "request.query");
    }
    gw.sandbox.stop().await;
}

/// A consent without the detail sees of one transaction what it sees in the list, and
/// the bank is not asked for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_without_the_detail_is_told_no_more_of_one_transaction() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = granted(&gw, &tpp, EU, &["READ_ACCOUNTS_DETAIL", "READ_TRANSACTIONS_BASIC"]).await;
    let account = account(&tpp, &granted.token).await;
    let list = entries(&tpp, &granted.token, &account).await;
    // One that is booked: what is pending today may be gone at midnight.
    let mut listed = list.into_iter().find(|entry| entry["status"] == "BOOK").unwrap();
    let place = format!("/v1/accounts/{account}/transactions/{}", listed["id"].as_str().unwrap());
    let mut told = tpp.get(&granted.token, &place).await.unwrap().expect(200).unwrap().json();
    for entry in [&mut listed, &mut told] {
        entry.as_object_mut().unwrap().remove("source");
    }
    assert_eq!(told, listed);
    let (_, journal) = gw.sandbox.bank(EU).unwrap();
    let asked = |entry: &modelbank::JournalEntry| entry.path.contains("/transactions/");
    assert!(!journal.entries().iter().any(asked));
    gw.sandbox.stop().await;
}
