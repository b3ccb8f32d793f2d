//! The OpenAPI document: the one checked in is the one the code makes, and it
//! is whole.

use std::collections::BTreeSet;

use domain::EventType;
use serde_json::Value;

const CHECKED_IN: &str = include_str!("../../../../openapi/consentry.json");

/// Run `make openapi` after a change to the API.
#[test]
fn the_checked_in_document_is_the_generated_one() {
    let generated = api::document().to_pretty_json().unwrap();
    assert!(
        CHECKED_IN.trim_end() == generated.trim_end(),
        "openapi/consentry.json is stale: run make openapi"
    );
}

#[test]
fn the_document_is_openapi_3_1_and_every_reference_resolves() {
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 30);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("references stay inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// Every operation: an id of its own, a summary, a problem document for what goes wrong.
#[test]
fn every_operation_is_described_with_its_problems() {
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            count += 1;
            let name = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{name}: id used twice"
            );
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{name}");
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(problem.is_object(), "{name}");
        }
    }
    assert_eq!(count, 68);
}

/// What is sent to clients is described like what they send: every type of event.
#[test]
fn every_type_of_event_is_a_webhook() {
    let document: Value = serde_json::from_str(CHECKED_IN).unwrap();
    let webhooks = document["webhooks"].as_object().unwrap();
    let described: BTreeSet<&str> = webhooks.keys().map(String::as_str).collect();
    assert_eq!(described, EventType::ALL.iter().map(|one| one.as_str()).collect());
    for (name, item) in webhooks {
        let operation = &item["post"];
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["allOf"];
        assert_eq!(schema[0]["$ref"], "#/components/schemas/Event", "{name}");
        assert_eq!(schema[1]["properties"]["type"]["enum"], serde_json::json!([name]), "{name}");
        assert_eq!(operation["parameters"].as_array().unwrap().len(), 3, "{name}");
        assert!(operation["responses"]["2XX"].is_object(), "{name}");
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(reference)) => found.push(reference.clone()),
                    (_, member) => collect(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
