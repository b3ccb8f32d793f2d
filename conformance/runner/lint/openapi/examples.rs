//! Whether examples keep the schemas beside them (OpenAPI 3.1 §4.8.19).

use boon::{Compiler, Draft, Schemas, ValidationError};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::document::Document;
use super::walk::Places;
use crate::lint::Finding;

const CLAUSE: &str = "OpenAPI 3.1 §4.8.19";
/// Where the document is while its schemas are compiled. Nothing is fetched.
const BASE: &str = "https://description.invalid/openapi.json";
/// What RFC 3986 does not allow in a fragment, and `%` itself.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'^')
    .add(b'|');

pub(super) fn check(document: &Document<'_>, places: &Places<'_>, is_old: bool, findings: &mut Vec<Finding>) {
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoNetwork));
    compiler.enable_format_assertions();
    compiler.set_default_draft(if is_old { Draft::V4 } else { Draft::V2020_12 });
    let mut root = document.root.clone();
    if is_old {
        allow_null(&mut root);
    }
    if compiler.add_resource(BASE, root).is_err() {
        return;
    }
    let mut schemas = Schemas::new();
    for example in &places.examples {
        let Some(schema) = &example.schema else { continue };
        let place = format!("{BASE}#{}", utf8_percent_encode(schema, FRAGMENT));
        match compiler.compile(&place, &mut schemas) {
            Ok(index) => {
                if let Err(why) = schemas.validate(example.value, index) {
                    findings.push(
                        Finding::error(
                            "example-invalid",
                            CLAUSE,
                            format!("The example does not keep its schema: {}", first(&why)),
                        )
                        .meant("an example that a client may send or receive")
                        .at(example.pointer.as_str()),
                    );
                }
            }
            Err(why) => {
                let known = findings.iter().any(|one| one.at.as_ref() == Some(schema));
                if !known {
                    findings.push(
                        Finding::error(
                            "schema-unreadable",
                            CLAUSE,
                            format!("The schema cannot be used: {why:#}"),
                        )
                        .meant("a schema of JSON Schema 2020-12, or of OpenAPI 3.0")
                        .at(schema.as_str()),
                    );
                }
            }
        }
    }
}

/// The innermost reason, which is the one that helps.
fn first(error: &ValidationError<'_, '_>) -> String {
    match error.causes.first() {
        Some(cause) => first(cause),
        None => {
            let place = error.instance_location.to_string();
            if place.is_empty() { error.kind.to_string() } else { format!("{} at {place}", error.kind) }
        }
    }
}

/// OpenAPI 3.0 says `nullable` where JSON Schema lists the type `null`.
fn allow_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(allow_null);
            if members.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = members.get("type").cloned()
            {
                members.insert("type".to_owned(), json!([kind, "null"]));
                if let Some(Value::Array(values)) = members.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(allow_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A reference out of the document is a finding of its own.
struct NoNetwork;

impl boon::UrlLoader for NoNetwork {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("{url} is not part of the description").into())
    }
}
