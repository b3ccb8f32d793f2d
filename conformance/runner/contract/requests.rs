//! Requests that an operation should take.

use serde_json::Value;
use url::Url;

use super::description::escaped;
use super::{Contract, Operation};
use crate::http::Request;
use crate::target::Target;

impl Contract {
    /// The address of an operation, its path parameters being what was prepared, or what `instead`
    /// says. None if something was not prepared.
    pub(super) fn address(
        &self,
        target: &Target,
        operation: &Operation,
        instead: Option<&str>,
    ) -> Option<Url> {
        let api = target.is.api.as_ref()?.as_str().trim_end_matches('/').to_owned();
        let mut path = operation.path.clone();
        for name in &operation.path_parameters {
            let value = match instead {
                Some(instead) => instead.to_owned(),
                None => self.prepared(operation, name)?,
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        Url::parse(&format!("{api}{path}")).ok()
    }

    /// What was prepared for a path parameter of an operation, or else of all.
    fn prepared(&self, operation: &Operation, name: &str) -> Option<String> {
        let own = format!("{}:{name}", operation.id);
        self.values.text(&own).or_else(|| self.values.text(name)).map(str::to_owned)
    }

    /// The token for an operation: one that a person gave where a preparation has one for its scope,
    /// and otherwise one of the client's own.
    pub(super) fn token(&self, operation: &Operation) -> Option<String> {
        let tokens = &self.preparation.tokens;
        let scopes = operation.scopes.iter().flatten();
        let named = tokens.get(&operation.id).or_else(|| scopes.filter_map(|scope| tokens.get(scope)).next());
        let name = named.map_or("own_token", String::as_str);
        self.values.text(name).map(str::to_owned)
    }

    /// The request, whole, but for what the caller changes.
    pub(super) fn request(&self, target: &Target, operation: &Operation, url: Url) -> Request {
        let mut request = Request::new(&operation.method, url)
            .header("accept", "application/json, application/problem+json, */*;q=0.1")
            .with(super::certificate(target));
        if let Some(token) = self.token(operation).filter(|_| operation.secured) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, required) in &operation.headers {
            let given = self.preparation.headers.get(name).map(|value| self.values.filled(value));
            if let Some(value) = given.or_else(|| required.then(|| crate::case::random(20))) {
                request = request.header(name, value);
            }
        }
        if operation.body.is_some() {
            request = request.body("application/json", self.body(operation).to_string());
        }
        request
    }

    /// A body that the operation takes: the preparation's, or one made of the schema's examples.
    pub(super) fn body(&self, operation: &Operation) -> Value {
        if let Some(body) = self.preparation.bodies.get(&operation.id) {
            return self.values.fill(body);
        }
        let pointer = operation.body.as_deref().unwrap_or_default();
        let schema = self.description.document.pointer(pointer).cloned().unwrap_or_default();
        self.example(&schema, 0)
    }

    /// Bodies that the operation does not take, since one object in them is a list of its values:
    /// each with the place of the list, as a JSON pointer.
    pub(super) fn lists_for_objects(&self, operation: &Operation) -> Vec<(String, Value)> {
        let Some(schema) = &operation.body else { return Vec::new() };
        let body = self.body(operation);
        let mut places = Vec::new();
        objects(&body, String::new(), &mut places);
        let with_list = |place: String| {
            let mut changed = body.clone();
            let object = changed.pointer_mut(&place)?;
            *object = object.as_object()?.values().cloned().collect();
            self.description.fits(schema, &changed).is_err().then_some((place, changed))
        };
        places.into_iter().filter_map(with_list).collect()
    }

    /// The smallest value that a schema's examples make.
    fn example(&self, schema: &Value, deep: usize) -> Value {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        if let Some(schema) = reference.and_then(|pointer| self.description.document.pointer(pointer)) {
            return if deep < 8 { self.example(schema, deep + 1) } else { Value::Null };
        }
        if let Some(example) = schema.get("example").or_else(|| schema.pointer("/examples/0")) {
            return example.clone();
        }
        if let Some(first) = schema.pointer("/enum/0").or_else(|| schema.get("const")) {
            return first.clone();
        }
        if let Some(first) = schema.pointer("/oneOf/0").or_else(|| schema.pointer("/anyOf/0")) {
            return self.example(first, deep + 1);
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let members = required.filter_map(Value::as_str).filter_map(|name| {
            let of = schema.get("properties")?.get(name)?;
            Some((name.to_owned(), self.example(of, deep + 1)))
        });
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => Value::from("conformance"),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| Value::from(1)),
            Some("boolean") => Value::from(false),
            Some("array") => Value::Array(Vec::new()),
            Some(_) | None => members.collect(),
        }
    }
}

/// Where the objects of a value are, itself first, as JSON pointers (RFC 6901).
fn objects(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            places.push(at.clone());
            for (name, member) in members {
                objects(member, format!("{at}/{}", escaped(name)), places);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                objects(element, format!("{at}/{index}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
