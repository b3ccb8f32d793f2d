//! The file of a statement: passed on as the bank wrote it, and never anything else.

use crate::support::{Granted, TestGateway, UK, assert_problem, rows};
use consentry::demo::{Tpp, bearer};
use modelbank::Fault;
use serde_json::json;

/// A grant, and the place of the newest statement of one of its accounts.
async fn statement(gw: &TestGateway, tpp: &Tpp) -> (Granted, String) {
    let own = tpp.own_token("accounts").await.unwrap();
    let permissions = ["READ_ACCOUNTS_DETAIL", "READ_STATEMENTS"];
    let order = json!({ "type": "ACCOUNT_INFORMATION", "institution_id": UK, "permissions": permissions });
    let consent = tpp.post(&own, "/v1/consents", &order).await.unwrap().expect(201).unwrap();
    let granted = gw.given(tpp, vec![consent.text("/id")], gw.person()).await;
    let accounts = tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let list = format!("/v1/accounts/{}/statements", rows(&accounts)[0]["id"].as_str().unwrap());
    let newest = rows(&tpp.get(&granted.token, &list).await.unwrap().expect(200).unwrap()).remove(0);
    (granted, format!("{list}/{}/file", newest["bank_statement_id"].as_str().unwrap()))
}

/// UK 4.0 `GET /accounts/{AccountId}/statements/{StatementId}/file`: to be saved, kept by
/// nobody on the way, and in the ledger of reads like any other.
/// [connector: the file of a statement at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_is_passed_on_as_the_bank_wrote_it() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (granted, place) = statement(&gw, &tpp).await;
    let bearer = bearer(&granted.token);
    let unattended = async |path: &str| {
        tpp.http.get(&format!("{}{path}", tpp.api), &[("authorization", &bearer)]).await.unwrap()
    };
    let file = unattended(&place).await.expect(200).unwrap();
    assert!(file.body.starts_with(b"%PDF-") && file.body.ends_with(b"%%EOF\n"));
    let header = |name: &str| file.header(name).unwrap_or_default();
    assert_eq!(header("content-type"), "application/pdf");
    assert_eq!(header("content-disposition"), "attachment; filename=\"statement.pdf\"");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("ratelimit").starts_with("\"unattended\";r=3;t="), "{}", header("ratelimit"));
    gw.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_file_of_a_statement_is_not_passed_on() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (granted, place) = statement(&gw, &tpp).await;
    let unknown = place.replace("/file", "-0/file");
    let nothing = tpp.get(&granted.token, &unknown).await.unwrap();
    assert_problem(&nothing, 404, "resource.not_found");
    let (faults, _) = gw.sandbox.bank(UK).unwrap();
    faults.arm("GET", "/file", Fault::HtmlPage, 5);
    let page = tpp.get(&granted.token, &place).await.unwrap();
    assert_problem(&page, 502, "institution.malformed");
    gw.sandbox.stop().await;
}

/// Where a profile says that the bank has no such path, it is not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_without_files_is_not_asked_for_one() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let (granted, place) = statement(&gw, &tpp).await;
    let registry = gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    profile.absent_paths.push("/accounts/{id}/statements/{id}/file".to_owned());
    registry.put(profile);
    let (_, journal) = gw.sandbox.bank(UK).unwrap();
    let calls = journal.entries().len();
    assert_problem(&tpp.get(&granted.token, &place).await.unwrap(), 422, "institution.unsupported");
    assert_eq!(journal.entries().len(), calls);
    gw.sandbox.stop().await;
}
