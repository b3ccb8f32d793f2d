//! Manifests become cases.

use consentry_conformance::bank::Manifests;
use consentry_conformance::case::{Action, Case};
use consentry_conformance::target::BankConfiguration;
use serde_json::json;

fn bank(version: &str) -> BankConfiguration {
    let accounts = format!("https://bank.example/open-banking/{version}/aisp").parse().unwrap();
    BankConfiguration { accounts: Some(accounts), ..BankConfiguration::default() }
}

fn cases(scripts: serde_json::Value, version: &str) -> Vec<Case> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, json: serde_json::Value| {
        std::fs::write(folder.path().join(name), json.to_string()).unwrap();
    };
    put(
        "assertions.json",
        json!({"references": {
            "Ok": {"expect": {"status-code": 200}},
            "Waits": {"expect": {"matches": [{"JSON": "Data.Status", "Value": "AwaitingAuthorisation"}]}},
            "WaitsV4": {"expect": {"matches": [{"JSON": "Data.Status", "Value": "AWAU"}]}},
            "Bad": {"expect": {"status-code": 400}},
            "Forbidden": {"expect": {"status-code": 403}},
        }}),
    );
    put("data.json", json!({"references": {"consent": {"body": {"Data": {"Id": "$name"}}}}}));
    put("manifest.json", json!({"scripts": scripts}));
    Manifests::read(folder.path()).unwrap().cases(&bank(version)).unwrap()
}

fn consent() -> serde_json::Value {
    json!({
        "id": "ONE", "description": "A consent", "uri": "/domestic-payment-consents", "method": "post",
        "uriImplementation": "mandatory", "body": "$postData", "asserts": ["Ok", "Waits"],
        "parameters": {"postData": "$consent", "name": "$fn:instructionIdentificationID()", "requestConsent": "true"},
        "keepContextOnSuccess": {"name": "ONE-ConsentId", "value": "Data.ConsentId"},
        "schemaCheck": true, "validateSignature": true,
    })
}

#[test]
fn a_script_is_a_case_with_its_name() {
    let all = cases(json!([consent()]), "v3.1");
    let call = all[0].steps.iter().find(|step| step.action == Action::Call).unwrap();
    assert_eq!(all[0].id, "ONE.official");
    assert_eq!(call.method.as_deref(), Some("POST"));
    assert_eq!(call.body, Some(json!({"Data": {"Id": "${name}"}})));
    assert_eq!((&call.with["schema"], &call.with["signed"]), (&json!(true), &json!(true)));
    assert!(format!("{:?}", call.expect).contains("AwaitingAuthorisation"));
    let newer = cases(json!([consent()]), "v4.0");
    assert!(format!("{:?}", newer[0].steps).contains("AWAU"), "the words of the bank's version");
}

/// What an earlier script would have left behind is made before, and the person's word is asked for.
#[test]
fn a_script_that_depends_on_another_begins_with_it() {
    let order = json!({
        "id": "TWO", "uri": "/domestic-payments", "method": "post", "uriImplementation": "mandatory",
        "body": "$postData", "asserts": ["Ok"],
        "parameters": {"postData": "$consent", "consentId": "$ONE-ConsentId"},
    });
    let all = cases(json!([consent(), order]), "v4.0");
    let kinds: Vec<_> =
        all[1].steps.iter().map(|step| step.action).filter(|kind| *kind != Action::Check).collect();
    assert_eq!(kinds, [Action::ClientCredentials, Action::Call, Action::Authorise, Action::Call]);
    assert_eq!(all[1].steps.last().unwrap().token.as_deref(), Some("access_token"), "the person's token");
    let saved = all[1].steps.iter().find(|step| step.save.contains_key("ONE-ConsentId")).unwrap();
    assert_eq!(saved.save["ONE-ConsentId"], "/Data/ConsentId");
}

#[test]
fn what_need_not_be_there_is_needed_and_one_of_several_is_enough() {
    let read = json!({
        "id": "A", "uri": "/accounts/$accountId/offers", "method": "get", "uriImplementation": "conditional",
        "permissions": ["ReadOffers"], "asserts_one_of": ["Bad", "Forbidden"],
        "parameters": {"accountId": "foobar"}, "queryParameters": {"from": "2016-01-01T10:40:00+01"},
    });
    let over = json!({"id": "B", "uri": "/x", "method": "get", "apiVersion": "<3.1.11"});
    let twice = json!({"id": "A", "uri": "/accounts", "method": "get"});
    let all = cases(json!([read, over, twice]), "v4.0");
    assert_eq!(all[0].needs, ["bank", "endpoint:/accounts/{AccountId}/offers"]);
    let last = all[0].steps.last().unwrap();
    assert!(format!("{:?}", last.expect).starts_with("Any("));
    assert!(last.url.as_ref().unwrap().ends_with("/offers?from=2016-01-01T10%3A40%3A00%2B01"));
    let lodged = all[0].steps.iter().find(|step| step.method.is_some() && step.body.is_some()).unwrap();
    assert!(lodged.body.as_ref().unwrap().to_string().contains("ReadAccountsBasic"), "without which none is");
    assert!(all[1].left_out.is_some());
    assert_eq!(all[2].id, "A.official-again");
    assert_eq!(all[2].steps.last().unwrap().token, None, "nothing was consented to");
}

#[test]
fn every_published_script_becomes_a_case() {
    let Some(folder) = super::published("data/uk-conformance") else { return };
    let manifests = Manifests::read(&folder).unwrap();
    for version in ["v3.1", "v4.0"] {
        let all = manifests.cases(&bank(version)).unwrap();
        assert!(all.len() >= 154, "{}", all.len());
        for case in all.iter().filter(|case| case.left_out.is_none()) {
            assert!(case.steps.iter().any(|step| step.action == Action::Call), "{}", case.id);
            let text = format!("{:?}", case.steps);
            let left = text.split('$').skip(1).any(|rest| !rest.starts_with('{'));
            assert!(!left, "{} names what nobody has", case.id);
        }
    }
}
