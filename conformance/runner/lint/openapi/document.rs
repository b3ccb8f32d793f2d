//! A description: its operations, and what a reference in it means.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// One operation, and where it is.
pub(super) struct Operation<'a> {
    pub(super) path: &'a str,
    pub(super) pointer: String,
    pub(super) item: &'a Value,
    pub(super) body: &'a Value,
    /// It is called by the described side, and not of it.
    pub(super) is_webhook: bool,
}

/// A parameter, and where it is.
pub(super) struct Parameter<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

impl Parameter<'_> {
    pub(super) fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

pub(super) struct Document<'a> {
    pub(super) root: &'a Value,
    pub(super) operations: Vec<Operation<'a>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let mut document = Self { root, operations: Vec::new() };
        for (section, is_webhook) in [("paths", false), ("webhooks", true)] {
            for (path, item) in entries(root.get(section)) {
                // A path may be a component.
                let item = document.resolved(item);
                for (method, body) in entries(Some(item)).filter(|(key, _)| METHODS.contains(key)) {
                    let pointer = format!("/{section}/{}/{method}", escaped(path));
                    document.operations.push(Operation { path, pointer, item, body, is_webhook });
                }
            }
        }
        document
    }

    /// What a reference inside this document names.
    pub(super) fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?;
        self.root.pointer(&pointer)
    }

    /// The value itself, or the one that it refers to.
    pub(super) fn resolved(&self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..MAX_REFERENCES {
            match value.get("$ref").and_then(Value::as_str).and_then(|reference| self.target(reference)) {
                Some(target) => value = target,
                None => break,
            }
        }
        value
    }

    /// The parameters of an operation, and those of its path that it does not replace.
    pub(super) fn parameters(&self, operation: &Operation<'a>) -> Vec<Parameter<'a>> {
        let list = |holder: &'a Value, pointer: &str| -> Vec<Parameter<'a>> {
            let values = holder.get("parameters").and_then(Value::as_array);
            let at = |place: usize| format!("{pointer}/parameters/{place}");
            let one = |(place, value)| Parameter { value: self.resolved(value), pointer: at(place) };
            values.into_iter().flatten().enumerate().map(one).collect()
        };
        let mut found = list(operation.body, &operation.pointer);
        let of_path = operation.pointer.rsplit_once('/').map_or("", |(path, _)| path);
        let shared = list(operation.item, of_path);
        let same = |a: &Parameter<'_>, b: &Parameter<'_>| {
            a.text("name") == b.text("name") && a.text("in") == b.text("in")
        };
        let own: Vec<_> =
            shared.into_iter().filter(|one| !found.iter().any(|other| same(one, other))).collect();
        found.extend(own);
        found
    }

    /// The answers of an operation: status, answer, and where it is.
    pub(super) fn responses(&self, operation: &Operation<'a>) -> Vec<(&'a str, &'a Value, String)> {
        entries(operation.body.get("responses"))
            .map(|(status, response)| {
                (
                    status,
                    self.resolved(response),
                    format!("{}/responses/{}", operation.pointer, escaped(status)),
                )
            })
            .collect()
    }
}

/// The members of an object; none if it is no object.
pub(super) fn entries(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
}

/// A member's name as a part of a JSON pointer (RFC 6901 §3).
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

const MAX_REFERENCES: usize = 16;
