use std::sync::atomic::{AtomicU8, Ordering};

use connect::BankRequest;
use serde_json::json;

use super::super::blank;
use super::*;
use crate::world::{answer, raw};

/// Counts: never the same byte twice in a row.
#[derive(Default)]
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.0.fetch_add(7, Ordering::Relaxed));
    }
}

fn redactor() -> Redactor {
    let line = json!({
        "bank": "de-example", "dialect": "berlin-group", "method": "GET",
        "url": "https://bank.example/own-path/v1", "status": 200, "body": null,
    });
    let profile = blank(&serde_json::from_value(line).unwrap()).unwrap();
    Redactor::new(&profile, Arc::new(Counting::default()))
}

fn line(redactor: &mut Redactor, url: &str, body: &Value) -> Value {
    let request = BankRequest::get(url.parse().unwrap());
    let headers = [("content-type", "application/json"), ("set-cookie", "session=anna")];
    let line = redactor.line(MapTarget::Accounts, &request, &answer(200, &headers, body));
    serde_json::from_str(&line).unwrap()
}

fn body(redactor: &mut Redactor, body: &Value) -> Value {
    let line = line(redactor, "https://bank.example/accounts", body);
    serde_json::from_str(line["body"].as_str().unwrap()).unwrap()
}

#[test]
fn codes_and_structure_survive_and_every_other_value_is_replaced() {
    let given = json!({
        "iban": "DE17999100001000000017", "ownerName": "Anna Lindner-Öz", "nobodyKnows": "GBP",
        "amount": { "currency": "EUR", "amount": "-12.50" }, "number": -7.1, "count": 17, "zero": 0.5,
        "creditDebitIndicator": "DBIT", "flag": true, "nothing": null, "list": [], "empty": "",
        "entryReference": "NOTPROVIDED", "type": "Anna Lindner",
    });
    let redacted = body(&mut redactor(), &given);
    for (member, value) in given.as_object().unwrap() {
        let now = &redacted[member];
        let survives = matches!(
            member.as_str(),
            "creditDebitIndicator" | "flag" | "nothing" | "list" | "empty" | "entryReference"
        );
        assert_eq!(now == value, survives, "{member}: {now}");
        if let (Some(text), Some(before)) = (now.as_str(), value.as_str()) {
            let kind = |text: &str| {
                text.chars()
                    .map(|c| (c.is_numeric(), c.is_uppercase(), c.is_alphabetic()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(kind(text), kind(before), "{member}");
        }
    }
    let iban = redacted["iban"].as_str().unwrap();
    assert!(iban.starts_with("DE") && iban.parse::<Iban>().is_ok(), "{iban}");
    assert_eq!(redacted["amount"]["currency"], "EUR");
    assert!(redacted["amount"]["amount"].as_str().unwrap().starts_with('-'));
    assert!(redacted["number"].as_f64().unwrap() < 0.0 && redacted["count"].is_u64());
    assert_eq!(redacted["zero"].to_string().len(), 3);
}

#[test]
fn the_same_value_has_the_same_stand_in_within_a_recording() {
    let mut redactor = redactor();
    let first = line(&mut redactor, "https://bank.example/own-path/v1/accounts/rhb-17/balances", &json!({}));
    let second = body(&mut redactor, &json!({ "id": "rhb-17", "other": "rhb-18", "again": "rhb-17" }));
    assert_eq!(second["id"], second["again"]);
    assert_ne!(second["id"], second["other"]);
    let id = second["id"].as_str().unwrap();
    assert_eq!(first["url"], format!("https://bank.example/own-path/v1/accounts/{id}/balances"));
}

#[test]
fn days_and_times_are_others_of_the_same_form() {
    let given = json!({
        "a": "2026-06-01", "b": "2026-06-04", "c": "2026-06-04T10:11:12.345+02:00", "d": "9999-12-31",
        "e": "0000-00-00T00:00:00", "f": "2026-06-04T00:00:00Z",
    });
    let redacted = body(&mut redactor(), &given);
    let text = |member: &str| redacted[member].as_str().unwrap();
    let day = |member: &str| text(member)[..10].parse::<Date>().unwrap();
    assert!(day("a") != day("b") && !redacted.to_string().contains("2026-06-0"), "{redacted}");
    assert_eq!((day("b"), day("b")), (day("c"), day("f")), "the same day is the same day");
    assert_eq!((&redacted["d"], &redacted["e"]), (&given["d"], &given["e"]));
    assert_eq!(form_of(text("c")), Form::DateTime);
    assert!(text("c").ends_with("+02:00") && !text("c").contains("10:11:12"), "{redacted}");
    assert!(text("f").ends_with("T00:00:00Z"));
}

#[test]
fn links_headers_and_names_of_members_that_are_values_lose_them() {
    let mut redactor = redactor();
    let given = json!({
        "href": "https://bank.example/own-path/v1/accounts/anna?page=anna&bookingStatus=both&dateFrom=2026-06-01",
        "self": "/v1/accounts/anna", "user": "https://anna@bank.example/", "DE17999100001000000017": {},
        "fragment": "https://bank.example/accounts#anna", "note": "https://anna.example/accounts",
        "next": "https://sister.example/accounts", "first": "https://my name is anna/",
    });
    let line = line(&mut redactor, "https://bank.example/accounts?psu=anna", &given);
    let text = line.to_string();
    assert!(!text.contains("anna") && !text.contains("DE17999100001000000017"), "{text}");
    assert_eq!(line["resp_headers"], json!({ "content-type": "application/json" }));
    let body: Value = serde_json::from_str(line["body"].as_str().unwrap()).unwrap();
    let href = body["href"].as_str().unwrap();
    assert!(href.starts_with("https://bank.example/own-path/v1/accounts/"), "{href}");
    assert_eq!(body["next"], given["next"], "a link of the bank's own");
    assert_eq!(body["note"], "https://elsewhere.invalid/accounts");
    assert!(href.contains("&bookingStatus=both&dateFrom="), "{href}");
}

#[test]
fn what_is_no_json_keeps_its_shape_only() {
    let mut redactor = redactor();
    let request = BankRequest::get("https://bank.example/accounts".parse().unwrap());
    let mut body = |bytes: &[u8]| -> String {
        let line = redactor.line(MapTarget::Accounts, &request, &raw(200, &[], bytes.to_vec()));
        serde_json::from_str::<Value>(&line).unwrap()["body"].as_str().unwrap().to_owned()
    };
    let xml = body(b"<Nm>Anna</Nm>");
    assert!(!xml.contains("Anna") && xml.starts_with('<') && xml.len() == 13, "{xml}");
    assert_eq!(body(b"\xef\xbb\xbf{\"currency\":\"EUR\"}"), "\u{feff}{\"currency\":\"EUR\"}");
}
