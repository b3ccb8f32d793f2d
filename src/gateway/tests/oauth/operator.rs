//! What the operator does to clients from the command line, while the gateway
//! runs.

use std::time::Duration;

use crypto::Psd2Role;
use secrecy::SecretString;
use serde_json::{Value, json};
use store::consents::ConsentFilter;

use crate::fintech::{assert_error, authority, own_token_of, subject, tpp_with, with};
use crate::support::operator::clients;
use crate::support::{EU, TestGateway, UK, assert_problem};

fn done(gw: &TestGateway, arguments: &[&str], input: &Value) -> Value {
    let output = clients(gw, arguments, input);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[track_caller]
fn refused(gw: &TestGateway, arguments: &[&str], input: &Value, why: &str) {
    let output = clients(gw, arguments, input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(why), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

fn metadata(id: &str) -> Value {
    json!({
        "client_id": id,
        "client_name": "Added Fintech",
        "redirect_uris": ["https://added.example/return"],
        "grant_types": ["authorization_code", "client_credentials"],
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "fintech.consentry.example",
        "scope": "accounts",
    })
}

/// A client that the operator adds while the gateway runs is served at once;
/// one that is suspended is refused everywhere as soon as the command ends,
/// with every token it holds; what is activated goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operator_does_to_a_client_takes_effect_at_once() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    assert_error(&own_token_of(&tpp.http, &tpp, "added", "accounts").await, 401, "invalid_client");
    let added = done(&gw, &["add", "-", "--json"], &metadata("added"));
    assert_eq!((&added["client_id"], &added["response_types"]), (&json!("added"), &json!(["code"])));
    let answer = own_token_of(&tpp.http, &tpp, "added", "accounts").await.expect(200).unwrap();
    let token: SecretString = answer.text("/access_token").into();
    tpp.client_id = "added".to_owned();
    tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();

    for _ in 0..2 {
        done(&gw, &["suspend", "added"], &Value::Null);
        assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
        assert_error(&own_token_of(&tpp.http, &tpp, "added", "accounts").await, 401, "invalid_client");
    }
    assert_eq!(done(&gw, &["show", "added"], &Value::Null)["status"], "suspended");
    done(&gw, &["activate", "added"], &Value::Null);
    tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();

    done(&gw, &["remove", "added"], &Value::Null);
    assert_problem(&tpp.get(&token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    assert_error(&own_token_of(&tpp.http, &tpp, "added", "accounts").await, 401, "invalid_client");
    refused(&gw, &["activate", "added"], &Value::Null, "was removed");
    refused(&gw, &["add", "-"], &metadata("added"), "not used again");
    gw.sandbox.stop().await;
}

/// A grant of a PSU ends with its client: the token that was read with a moment
/// ago is refused, whichever process kept a copy of it; and its consents end,
/// here and at the bank (C6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_client_leaves_no_grant_and_no_consent() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[EU, UK]).await;
    tpp.get(&granted.token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    tpp.lodge(&granted.own, &[UK]).await.unwrap();
    let open = async || {
        let filter = ConsentFilter::default();
        let mut open = 0;
        for store in gw.sandbox.gateway().stores().regions() {
            let all = store.consents_of_client(&tpp.client_id, &filter, 100).await.unwrap();
            open += all.iter().filter(|consent| !consent.status.is_final()).count();
        }
        open
    };
    assert_eq!(open().await, 3);
    done(&gw, &["remove", &tpp.client_id], &Value::Null);
    assert_problem(&tpp.get(&granted.token, "/v1/accounts").await.unwrap(), 401, "auth.token_invalid");
    let cleared = async {
        let mut beat = tokio::time::interval(Duration::from_millis(30));
        while open().await > 0 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cleared).await.expect("the consents end");
    for bank in [EU, UK] {
        let told = async {
            let mut beat = tokio::time::interval(Duration::from_millis(30));
            while !gw.sandbox.bank(bank).unwrap().1.entries().iter().any(|call| call.method == "DELETE") {
                beat.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), told).await.expect("the bank is told");
    }
    let list = String::from_utf8(clients(&gw, &["list"], &Value::Null).stdout).unwrap();
    assert!(!list.contains(&tpp.client_id), "{list}");
    gw.sandbox.stop().await;
}

/// PSD2 (C7): the certificate decides which organisation a client is and what
/// it may ask for, also where the operator adds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_decides_what_an_added_client_may() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let mut reader = subject();
    reader.roles = vec![Psd2Role::AccountInformation];
    let shown = authority(&gw).issue_qwac(&reader).unwrap();
    let file = gw.folder().join("reader.pem");
    std::fs::write(&file, &shown.certificate_pem).unwrap();
    let file = file.display().to_string();

    let mut wanted = metadata("reader");
    wanted["scope"] = json!("accounts payments");
    refused(&gw, &["add", "-", "--certificate", &file], &wanted, "PSD2 role");
    for name in ["scope", "tls_client_auth_san_dns"] {
        wanted.as_object_mut().unwrap().remove(name);
    }
    wanted["organization_identifier"] = json!("PSDDE-BAFIN-000000");
    let added = done(&gw, &["add", "-", "--json", "--certificate", &file], &wanted);
    assert_eq!(added["scope"], "openid accounts");
    assert_eq!(added["organization_identifier"], "PSDDE-BAFIN-900200");
    assert_eq!(added["psd2_roles"], json!(["PSP_AI"]));
    assert!(added["tls_client_auth_subject_dn"].as_str().unwrap().contains("fintech.consentry.example"));

    let reader = tpp_with(&gw, &tpp, &shown);
    own_token_of(&reader.http, &tpp, "reader", "accounts").await.expect(200).unwrap();
    let other = authority(&gw).issue_client_plain("somebody").unwrap();
    let stranger = own_token_of(&with(&gw, &other), &tpp, "reader", "accounts").await;
    assert_error(&stranger, 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// Bad input names what is wrong, and registers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_clients_all_are_added_or_none() {
    let gw = TestGateway::start().await;
    let mut bad = metadata("second");
    bad["redirect_uris"] = json!(["http://added.example/"]);
    refused(&gw, &["add", "-"], &json!([metadata("first"), bad]), "client second");
    refused(&gw, &["show", "first"], &Value::Null, "no client first");
    refused(&gw, &["add", "-"], &json!([metadata("first"), metadata("first")]), "named twice");
    for nothing in [json!([]), json!("x"), json!([1])] {
        refused(&gw, &["add", "-"], &nothing, "- ");
    }
    let added = clients(&gw, &["add", "-"], &json!([metadata("first"), metadata("second")]));
    assert!(added.status.success(), "{added:?}");
    refused(&gw, &["add", "-"], &metadata("first"), "--replace");
    let mut renamed = metadata("first");
    renamed["client_name"] = json!("Renamed");
    assert_eq!(done(&gw, &["add", "-", "--json", "--replace"], &renamed)["client_name"], "Renamed");
    let list = String::from_utf8(clients(&gw, &["list"], &Value::Null).stdout).unwrap();
    assert!(
        list.contains("Renamed") && list.contains("demo-fintech") && list.ends_with("3 clients\n"),
        "{list}"
    );
    refused(&gw, &["suspend", "nobody"], &Value::Null, "no client nobody");
    gw.sandbox.stop().await;
}
