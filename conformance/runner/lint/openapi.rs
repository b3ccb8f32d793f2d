//! Descriptions of interfaces: OpenAPI 3.0 and 3.1, in JSON, of an interface for open banking.
//!
//! What a client generator trips over is an error, what an integrator misses is a warning, and
//! what a reviewer would ask about is a note.

mod components;
mod document;
mod examples;
mod operations;
mod parameters;
mod secrets;
mod walk;

use serde_json::Value;

use document::Document;
use walk::Places;

use super::Finding;

const VERSION: &str = "OpenAPI 3.1 §4.8.1";

/// Judges a description.
#[must_use]
pub fn check(text: &[u8]) -> Vec<Finding> {
    let root: Value = match serde_json::from_slice(text) {
        Ok(root) => root,
        Err(why) => {
            return vec![
                Finding::error(
                    "document-unreadable",
                    "OpenAPI 3.1 §4.4",
                    format!("The file is not JSON: {why}"),
                )
                .meant("the description in JSON; YAML has to be converted first")
                .at(""),
            ];
        }
    };
    let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
    let is_old = version.starts_with("3.0.");
    if !is_old && !version.starts_with("3.1.") {
        return vec![
            Finding::error(
                "openapi-version",
                VERSION,
                format!("The version of the description is {version:?}"),
            )
            .meant("openapi: 3.0.x or 3.1.x")
            .at("/openapi"),
        ];
    }
    let document = Document::new(&root);
    let places = Places::of(&root);
    let mut findings = Vec::new();
    complete(&root, is_old, &mut findings);
    operations::check(&document, &mut findings);
    parameters::check(&document, &mut findings);
    components::check(&document, &places, &mut findings);
    examples::check(&document, &places, is_old, &mut findings);
    secrets::check(&places, &mut findings);
    findings
}

/// What every description has to say of itself.
fn complete(root: &Value, is_old: bool, findings: &mut Vec<Finding>) {
    let missing = |what: &str, at: &str| {
        Finding::error("document-incomplete", VERSION, format!("The description has no {what}"))
            .meant(format!("{what}, which is required"))
            .at(at)
    };
    for (what, at) in [("title", "/info/title"), ("version", "/info/version")] {
        if root.pointer(at).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            findings.push(missing(what, at));
        }
    }
    let sections: &[&str] = if is_old { &["paths"] } else { &["paths", "webhooks", "components"] };
    if !sections.iter().any(|section| root.get(section).is_some_and(Value::is_object)) {
        findings.push(missing("paths", "/paths"));
    }
}
