//! What operations share: references, components nobody uses, and how schemas are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::document::{Document, entries, escaped};
use super::walk::Places;
use crate::lint::Finding;

const REFERENCE: &str = "OpenAPI 3.1 §4.8.23";
const COMPONENTS: &str = "OpenAPI 3.1 §4.8.7";
const SCHEMA: &str = "OpenAPI 3.1 §4.8.24";

pub(super) fn check(document: &Document<'_>, places: &Places<'_>, findings: &mut Vec<Finding>) {
    references(document, places, findings);
    unused(document, places, findings);
    strings(places, findings);
    enumerations(places, findings);
    described(document, findings);
}

fn references(document: &Document<'_>, places: &Places<'_>, findings: &mut Vec<Finding>) {
    for (at, target) in &places.references {
        if !target.starts_with('#') {
            findings.push(
                Finding::warning(
                    "reference-external",
                    REFERENCE,
                    format!("The reference {target} leads out of the file"),
                )
                .meant("the same in /components, so that one file is the whole description")
                .at(at.as_str()),
            );
        } else if document.target(target).is_none() {
            findings.push(
                Finding::error(
                    "reference-broken",
                    REFERENCE,
                    format!("The reference {target} leads nowhere"),
                )
                .meant("the name of a component that exists")
                .at(at.as_str()),
            );
        }
    }
}

/// The component that a pointer is in.
fn component(pointer: &str) -> Option<String> {
    let mut parts = pointer.strip_prefix("/components/")?.splitn(3, '/');
    Some(format!("/components/{}/{}", parts.next()?, parts.next()?))
}

/// Components that no operation reaches, not even through others.
fn unused(document: &Document<'_>, places: &Places<'_>, findings: &mut Vec<Finding>) {
    let mut reached: BTreeSet<String> = security_schemes(document);
    let edges: Vec<(Option<String>, String)> = places
        .references
        .iter()
        .filter_map(|(at, target)| Some((component(at), component(target.strip_prefix('#')?)?)))
        .collect();
    loop {
        let next: Vec<String> = edges
            .iter()
            .filter(|(from, to)| {
                from.as_ref().is_none_or(|from| reached.contains(from)) && !reached.contains(to)
            })
            .map(|(_, to)| to.clone())
            .collect();
        if next.is_empty() {
            break;
        }
        reached.extend(next);
    }
    for (section, members) in
        entries(document.root.get("components")).filter(|(name, _)| !name.starts_with("x-"))
    {
        for (name, _) in entries(Some(members)) {
            let at = format!("/components/{section}/{}", escaped(name));
            if !reached.contains(&at) {
                findings.push(
                    Finding::note("component-unused", COMPONENTS, format!("No operation uses {name}"))
                        .meant("a use of it, or the description without it")
                        .at(at),
                );
            }
        }
    }
}

fn security_schemes(document: &Document<'_>) -> BTreeSet<String> {
    let own = document.operations.iter().filter_map(|operation| operation.body.get("security"));
    own.chain(document.root.get("security"))
        .filter_map(Value::as_array)
        .flatten()
        .flat_map(|one| entries(Some(one)))
        .map(|(scheme, _)| format!("/components/securitySchemes/{}", escaped(scheme)))
        .collect()
}

/// The component or operation that a pointer is in.
fn owner(pointer: &str) -> String {
    pointer.split('/').take(4).collect::<Vec<_>>().join("/")
}

/// Texts of which nothing says how long they are or what they look like.
fn strings(places: &Places<'_>, findings: &mut Vec<Finding>) {
    let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (pointer, schema) in &places.schemas {
        let is_string = match schema.get("type") {
            Some(Value::Array(types)) => types.iter().any(|one| one == "string"),
            other => other.is_some_and(|one| one == "string"),
        };
        let bounds = ["format", "maxLength", "enum", "const", "pattern"];
        if is_string && !bounds.iter().any(|bound| schema.get(bound).is_some()) {
            let owner = owner(pointer);
            let rest = pointer.strip_prefix(&owner).unwrap_or_default();
            let name = rest.replace("/properties/", "/").trim_start_matches('/').to_owned();
            open.entry(owner).or_default().push(if name.is_empty() { "itself".to_owned() } else { name });
        }
    }
    for (owner, names) in open {
        findings.push(
            Finding::note(
                "string-unbounded",
                SCHEMA,
                format!("Nothing says how long or of what form these texts are: {}", names.join(", ")),
            )
            .meant("format, pattern, enum or maxLength")
            .at(owner),
        );
    }
}

/// The ways in which a value of an enumeration may be written.
static STYLES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        "^[A-Z0-9]+(?:_[A-Z0-9]+)*$",
        "^[a-z0-9]+(?:_[a-z0-9]+)*$",
        "^[a-z0-9]+(?:-[a-z0-9]+)*$",
        r"^[a-z0-9_]+(?:\.[a-z0-9_]+)*$",
        "^[a-z][a-zA-Z0-9]*$",
        "^[A-Z][a-zA-Z0-9]*$",
    ]
    .into_iter()
    .filter_map(|form| Regex::new(form).ok())
    .collect()
});

fn enumerations(places: &Places<'_>, findings: &mut Vec<Finding>) {
    for (pointer, schema) in &places.schemas {
        let values: Vec<&str> = schema
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if !values.is_empty() && !STYLES.iter().any(|style| values.iter().all(|value| style.is_match(value)))
        {
            findings.push(
                Finding::note(
                    "enum-mixed",
                    SCHEMA,
                    format!("The values are written in several ways: {}", values.join(", ")),
                )
                .meant("one way for all of them, such as CAPITALS_WITH_UNDERSCORES")
                .at(format!("{pointer}/enum")),
            );
        }
    }
}

fn described(document: &Document<'_>, findings: &mut Vec<Finding>) {
    for (name, schema) in entries(document.root.pointer("/components/schemas")) {
        let has =
            |key: &str| schema.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        if !has("description") && !has("title") && schema.get("$ref").is_none() {
            findings.push(
                Finding::note(
                    "schema-description-missing",
                    SCHEMA,
                    format!("The schema {name} has no description"),
                )
                .meant("a sentence that says what it is")
                .at(format!("/components/schemas/{}", escaped(name))),
            );
        }
    }
}
