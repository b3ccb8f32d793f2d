//! What the evidence of a bank does not show.

use bytes::Bytes;
use consentry_conformance::http::{Exchange, Request, Response};
use serde_json::{Value, json};

fn shown(body: &Value) -> String {
    let url = "https://bank.example/accounts".parse().unwrap();
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    let answer =
        Response { status: 200, headers: vec![kind], body: Bytes::from(body.to_string()), tls: "1.3" };
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    Exchange::of("read", at, 1, &Request::new("GET", url), &Ok(answer)).response_body.to_string()
}

#[test]
fn names_narratives_and_accounts_are_not_shown_in_any_dialect() {
    for body in [
        json!({"Data": {"Transaction": [{"RemittanceInformation": {"Unstructured": ["Private"]}}]}}),
        json!({"remittanceInformation": {"unstructured": ["Private"]}}),
        json!({"remittanceInformationUnstructured": "Private"}),
        json!({"nameAddress": {"value": ["Private", "Street 1"]}}),
        json!({"Address": [{"StreetName": "Private"}]}),
        json!({"accountNumber": "Private"}),
        json!({"CreditorAccount": {"Identification": "Private", "Name": "Private"}}),
        json!({"connectedPsu": "Private"}),
        json!({"psuData": {"password": "Private", "additionalPassword": "Private"}}),
        json!({"scaAuthenticationData": "Private"}),
    ] {
        assert!(!shown(&body).contains("Private"), "{body}");
    }
}

/// What is short can be found out from its digest.
#[test]
fn short_secrets_have_no_digest() {
    let text = shown(&json!({"scaAuthenticationData": "123456", "access_token": "jgK2nR_8f3vT0pQxY7Lw4s"}));
    assert!(text.contains("*** (6 characters)\"") && text.contains("*** (22 characters, sha-256 "), "{text}");
}

/// A list of values in the place of an object, as a contract is asked about it, too.
#[test]
fn values_without_a_name_are_not_shown() {
    for body in [
        json!([{"iban": "Private"}, "bank", "Private"]),
        json!({"payments": [["Private", 12]]}),
        json!({"creditor": ["Private", null]}),
    ] {
        assert!(!shown(&body).contains("Private"), "{body}");
    }
    assert!(shown(&json!({"permissions": ["READ_BALANCES"]})).contains("READ_BALANCES"));
    assert!(shown(&json!([{"status": "AUTHORIZED"}])).contains("AUTHORIZED"));
}

#[test]
fn addresses_keep_no_secrets_and_errors_keep_their_codes() {
    let text = shown(&json!({"aspspRedirectUri": "https://bank.example/a?request_uri=urn:secret&x=1"}));
    assert!(!text.contains("urn:secret") && text.contains("x=1"), "{text}");
    let text =
        shown(&json!({"tppMessages": [{"code": "CONSENT_UNKNOWN", "text": "No"}], "code": "aB3-secret"}));
    assert!(text.contains("CONSENT_UNKNOWN") && !text.contains("aB3-secret"), "{text}");
}
