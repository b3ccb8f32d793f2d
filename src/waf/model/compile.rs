//! From descriptions to the model.

use std::collections::HashMap;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use super::classes::{Classes, Leaf, Node, NodeId};
use super::routes::Routes;
use super::{Body, LONGEST_TEXT, MOST_ITEMS, Model, Names, Operation, Slot, Writing, escaped};

/// A description that no model can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the description cannot be used at {place}: {reason}")]
pub struct InvalidModel {
    /// Where in the description.
    pub place: String,
    /// Why.
    pub reason: String,
}

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

pub(super) fn model(documents: &[Value]) -> Result<Model, InvalidModel> {
    let (mut routes, mut operations) = (Routes::default(), Vec::new());
    let (mut schemas, mut classes) = (Schemas::new(), Classes::default());
    for (number, document) in documents.iter().enumerate() {
        let mut document = document.clone();
        bounded(&mut document);
        let mut reader = Reader {
            place: format!("urn:consentry:interface:{number}"),
            compiler: compiler(),
            known: HashMap::new(),
            document: &document,
            schemas: &mut schemas,
            classes: &mut classes,
        };
        let added = reader.compiler.add_resource(&reader.place, document.clone());
        added.map_err(|error| InvalidModel { place: String::new(), reason: error.to_string() })?;
        for (path, item) in object(document.get("paths")) {
            let shared = list(item.get("parameters"));
            for (method, described) in object(Some(item)).filter(|(name, _)| METHODS.contains(&name.as_str()))
            {
                let at = format!("/paths/{}/{method}", escaped(path));
                let operation = reader.operation(&at, path, described, shared)?;
                routes.add(path, method, operations.len());
                operations.push(operation);
            }
        }
    }
    Ok(Model { routes, operations, schemas, classes, loopback: false })
}

fn compiler() -> Compiler {
    let mut compiler = Compiler::new();
    // A schema that leads elsewhere finds nothing there.
    compiler.use_loader(Box::new(boon::SchemeUrlLoader::new()));
    compiler.set_default_draft(boon::Draft::V2020_12);
    compiler.enable_format_assertions();
    compiler
}

/// Gives texts and lists an end that have none of their own.
fn bounded(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(bounded),
        Value::Object(members) => {
            members.values_mut().for_each(bounded);
            if is_of(members, "string") && !["enum", "const"].iter().any(|name| members.contains_key(*name)) {
                members.entry("maxLength").or_insert(json!(LONGEST_TEXT));
            }
            if is_of(members, "array") {
                members.entry("maxItems").or_insert(json!(MOST_ITEMS));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a schema takes values of a type.
fn is_of(schema: &Map<String, Value>, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(some)) => some.iter().any(|one| one == kind),
        _ => false,
    }
}

/// What one description is read with.
struct Reader<'m> {
    /// Where the description lies for the compiler.
    place: String,
    compiler: Compiler,
    /// Nodes of schemas, by their pointer.
    known: HashMap<String, NodeId>,
    document: &'m Value,
    schemas: &'m mut Schemas,
    classes: &'m mut Classes,
}

impl Reader<'_> {
    fn operation(
        &mut self,
        at: &str,
        path: &str,
        described: &Value,
        shared: &[Value],
    ) -> Result<Operation, InvalidModel> {
        let id = described.get("operationId").and_then(Value::as_str);
        let id = id.ok_or_else(|| invalid(at, "has no operationId"))?;
        let mut operation = Operation { id: id.to_owned(), ..Operation::default() };
        let item = at.rsplit_once('/').map_or(at, |(item, _)| item);
        let own = list(described.get("parameters")).iter().enumerate();
        let own = own.map(|(number, parameter)| (format!("{at}/parameters/{number}"), parameter));
        let shared = shared.iter().enumerate();
        let shared = shared.map(|(number, parameter)| (format!("{item}/parameters/{number}"), parameter));
        for (at, parameter) in shared.chain(own) {
            let text = |name: &str| parameter.get(name).and_then(Value::as_str);
            let (Some(name), Some(part)) = (text("name"), text("in")) else {
                return Err(invalid(&at, "has no name or place"));
            };
            let required = parameter.get("required") == Some(&Value::Bool(true));
            let slot = self.slot(&format!("{at}/schema"), required)?;
            match part {
                "path" => operation.in_path.insert(name.to_owned(), slot),
                "query" => operation.in_query.known.insert(name.to_owned(), slot),
                "header" => operation.in_headers.insert(name.to_ascii_lowercase(), slot),
                _ => return Err(invalid(&at, "stands in a part of requests that is not known here")),
            };
        }
        operation.answers_itself = described.get("x-answers-itself") == Some(&Value::Bool(true));
        operation.in_query.open = described.get("x-open-query") == Some(&Value::Bool(true));
        let unnamed = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        if let Some(name) = unnamed.into_iter().find(|name| !operation.in_path.contains_key(*name)) {
            return Err(invalid(at, &format!("does not describe {name} of its path")));
        }
        let body = described.get("requestBody");
        operation.body_required = body.and_then(|body| body.get("required")) == Some(&Value::Bool(true));
        for (media_type, _) in object(body.and_then(|body| body.get("content"))) {
            let at = format!("{at}/requestBody/content/{}/schema", escaped(media_type));
            operation.bodies.push(self.body(&at, media_type)?);
        }
        Ok(operation)
    }

    fn body(&mut self, at: &str, media_type: &str) -> Result<Body, InvalidModel> {
        let writing = match media_type {
            "application/x-www-form-urlencoded" => Writing::Form,
            "application/xml" => Writing::Xml,
            "application/jwt" | "application/secevent+jwt" => Writing::Text,
            other if other == "application/json" || other.ends_with("+json") => Writing::Json,
            _ => return Err(invalid(at, "is of a media type that is not known here")),
        };
        let slot = self.slot(at, true)?;
        let mut members = Names::default();
        if writing == Writing::Form {
            let (at, schema) = self.resolved(at)?;
            let required: Vec<_> = list(schema.get("required")).iter().filter_map(Value::as_str).collect();
            let names: Vec<String> = object(schema.get("properties")).map(|(name, _)| name.clone()).collect();
            let required: Vec<String> = required.into_iter().map(str::to_owned).collect();
            for name in names {
                let at = format!("{at}/properties/{}", escaped(&name));
                let slot = self.slot(&at, required.contains(&name))?;
                members.known.insert(name, slot);
            }
            let (_, schema) = self.resolved(&at)?;
            let others = schema.get("additionalProperties");
            members.open = others.is_some_and(|others| *others != Value::Bool(false));
        }
        Ok(Body { media_type: media_type.to_owned(), writing, slot, members })
    }

    fn slot(&mut self, at: &str, required: bool) -> Result<Slot, InvalidModel> {
        let schema = self.schema(at)?;
        let node = self.node(at)?;
        let (_, resolved) = self.resolved(at)?;
        let many = resolved.as_object().is_some_and(|members| is_of(members, "array"));
        Ok(Slot { schema, node, required, many })
    }

    fn schema(&mut self, at: &str) -> Result<SchemaIndex, InvalidModel> {
        let place = format!("{}#{at}", self.place);
        self.compiler.compile(&place, self.schemas).map_err(|error| invalid(at, &error.to_string()))
    }

    /// The schema at a pointer, or the one that it refers to; and that one's pointer.
    fn resolved(&self, at: &str) -> Result<(String, &Value), InvalidModel> {
        let schema = self.document.pointer(at).ok_or_else(|| invalid(at, "is not there"))?;
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let at = reference.strip_prefix('#').ok_or_else(|| invalid(at, "refers elsewhere"))?;
                self.resolved(at)
            }
            None => Ok((at.to_owned(), schema)),
        }
    }

    fn node(&mut self, at: &str) -> Result<NodeId, InvalidModel> {
        let (at, schema) = self.resolved(at)?;
        if let Some(known) = self.known.get(&at) {
            return Ok(*known);
        }
        let schema = schema.clone();
        let number = self.classes.0.len();
        // Before what is in it, because that may lead back to it.
        self.classes.0.push(Node::default());
        self.known.insert(at.clone(), number);
        let mut node = Node::default();
        if let Some(members) = schema.as_object() {
            let anything = !["type", "enum", "const", "oneOf", "anyOf", "allOf"]
                .iter()
                .any(|key| members.contains_key(*key));
            node.text =
                (anything || is_of(members, "string") || members.contains_key("enum")).then(|| leaf(members));
            node.number = is_of(members, "integer") || is_of(members, "number");
            node.boolean = is_of(members, "boolean");
        }
        for (name, _) in object(schema.get("properties")) {
            let inner = self.node(&format!("{at}/properties/{}", escaped(name)))?;
            node.members.insert(name.clone(), inner);
        }
        if schema.get("items").is_some_and(Value::is_object) {
            node.items = Some(self.node(&format!("{at}/items"))?);
        }
        if schema.get("additionalProperties").is_some_and(Value::is_object) {
            node.others = Some(self.node(&format!("{at}/additionalProperties"))?);
        }
        for key in ["oneOf", "anyOf", "allOf"] {
            for place in 0..list(schema.get(key)).len() {
                node.also.push(self.node(&format!("{at}/{key}/{place}"))?);
            }
        }
        if let Some(place) = self.classes.0.get_mut(number) {
            *place = node;
        }
        Ok(number)
    }
}

/// What a text of this schema is.
fn leaf(schema: &Map<String, Value>) -> Leaf {
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    match word("x-waf-class") {
        Some("url") => return Leaf::Address,
        Some("json") => return Leaf::Json,
        // Nobody looks into a password, which may be anything.
        Some("secret") => return Leaf::Typed,
        Some("text") => return Leaf::Free,
        _ => {}
    }
    let stated = ["enum", "const", "pattern"].iter().any(|key| schema.contains_key(*key));
    match word("format") {
        Some("uri") => Leaf::Address,
        Some("date" | "date-time" | "uuid" | "ipv4" | "ipv6") => Leaf::Typed,
        _ if stated => Leaf::Typed,
        _ => Leaf::Free,
    }
}

fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn invalid(place: &str, reason: &str) -> InvalidModel {
    InvalidModel { place: place.to_owned(), reason: reason.to_owned() }
}
