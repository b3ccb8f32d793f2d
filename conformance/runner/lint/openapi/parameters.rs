//! Parameters: those of the path, and those that nobody explains (OpenAPI 3.1 §4.8.12).

use std::collections::HashMap;

use serde_json::Value;

use super::document::{Document, Operation, Parameter, entries};
use crate::lint::Finding;

const PARAMETER: &str = "OpenAPI 3.1 §4.8.12";
const PATHS: &str = "OpenAPI 3.1 §4.8.8";

pub(super) fn check(document: &Document<'_>, findings: &mut Vec<Finding>) {
    for operation in &document.operations {
        let parameters = document.parameters(operation);
        if !operation.is_webhook {
            of_path(operation, &parameters, findings);
        }
        repeated(&parameters, findings);
        described(operation, &parameters, findings);
    }
    ambiguous(document, findings);
}

/// The names in braces.
fn templates(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name).collect()
}

fn of_path(operation: &Operation<'_>, parameters: &[Parameter<'_>], findings: &mut Vec<Finding>) {
    let used = templates(operation.path);
    let declared: Vec<_> = parameters.iter().filter(|one| one.text("in") == "path").collect();
    for name in &used {
        if !declared.iter().any(|one| one.text("name") == *name) {
            findings.push(
                Finding::error(
                    "path-parameter-undeclared",
                    PARAMETER,
                    format!("The path has {{{name}}}, and no parameter describes it"),
                )
                .meant(format!("a parameter {name} in path, required"))
                .at(operation.pointer.as_str()),
            );
        }
    }
    for one in declared {
        let name = one.text("name");
        if !used.contains(&name) {
            findings.push(
                Finding::error(
                    "path-parameter-unused",
                    PARAMETER,
                    format!("The parameter {name} is not in the path"),
                )
                .meant(format!("{{{name}}} in the path, or the parameter in query or header"))
                .at(one.pointer.as_str()),
            );
        } else if one.value.get("required") != Some(&Value::Bool(true)) {
            findings.push(
                Finding::error(
                    "path-parameter-optional",
                    PARAMETER,
                    format!("The parameter {name} of the path is not required"),
                )
                .meant("required: true, which is the only value for a parameter of the path")
                .at(one.pointer.as_str()),
            );
        }
    }
}

fn repeated(parameters: &[Parameter<'_>], findings: &mut Vec<Finding>) {
    let key = |one: &Parameter<'_>| (one.text("in").to_owned(), one.text("name").to_owned());
    for (place, one) in parameters.iter().enumerate() {
        if parameters.iter().take(place).any(|earlier| key(earlier) == key(one)) {
            findings.push(
                Finding::error(
                    "parameter-repeated",
                    PARAMETER,
                    format!("The parameter {} is described twice", one.text("name")),
                )
                .meant("each parameter once at each place")
                .at(one.pointer.as_str()),
            );
        }
    }
}

fn described(operation: &Operation<'_>, parameters: &[Parameter<'_>], findings: &mut Vec<Finding>) {
    let silent: Vec<&str> = parameters
        .iter()
        .filter(|one| one.text("description").trim().is_empty())
        .map(|one| one.text("name"))
        .collect();
    if !silent.is_empty() {
        findings.push(
            Finding::note(
                "parameter-description-missing",
                PARAMETER,
                format!("No description: {}", silent.join(", ")),
            )
            .meant("a sentence for each, with its unit or form")
            .at(operation.pointer.as_str()),
        );
    }
}

/// Two paths that differ only in the names of their parameters are one.
fn ambiguous(document: &Document<'_>, findings: &mut Vec<Finding>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (path, _) in entries(document.root.get("paths")) {
        let shape = templates(path)
            .iter()
            .fold(path.to_owned(), |shape, name| shape.replace(&format!("{{{name}}}"), "{}"));
        if let Some(earlier) = seen.insert(shape, path) {
            findings.push(
                Finding::error("path-ambiguous", PATHS, format!("The path {path} is the same as {earlier}"))
                    .meant("one path, with one name for each parameter")
                    .at("/paths"),
            );
        }
    }
}
