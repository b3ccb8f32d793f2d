//! What an API says about itself.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::Value;

/// Where the description seems to lie, for references in it.
const PLACE: &str = "https://description.invalid/openapi.json";

/// A description, whose schemas can be applied.
pub struct Description {
    /// The document.
    pub document: Value,
    /// Its operations, in the order of their paths.
    pub operations: Vec<Operation>,
    schemas: Schemas,
    known: BTreeMap<String, Result<SchemaIndex, String>>,
}

impl std::fmt::Debug for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Description({} operations)", self.operations.len())
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// `operationId`.
    pub id: String,
    /// In capital letters.
    pub method: String,
    /// With its parameters in braces.
    pub path: String,
    /// Names of the path's parameters.
    pub path_parameters: Vec<String>,
    /// Parameters of the query: name, whether required, type.
    pub query: Vec<(String, bool, String)>,
    /// Headers: name, and whether required.
    pub headers: Vec<(String, bool)>,
    /// Where the schema of a JSON body is, as a JSON pointer.
    pub body: Option<String>,
    /// It wants a token.
    pub secured: bool,
    /// Any of these sets of scopes will do.
    pub scopes: Vec<Vec<String>>,
    /// Answers by status or `default`: media type and pointer of its schema.
    pub answers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Operation {
    /// Queries that are wrong by the description: a text for a number or a yes or no.
    #[must_use]
    pub fn bad_queries(&self) -> Vec<(String, String)> {
        self.query
            .iter()
            .filter(|(_, _, kind)| matches!(kind.as_str(), "integer" | "number" | "boolean" | "date"))
            .map(|(name, _, _)| (name.clone(), "conformance".to_owned()))
            .collect()
    }
}

/// A name as part of a JSON pointer (RFC 6901 §3).
pub(super) fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

impl Description {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// If it is no OpenAPI 3.1, or an operation has no `operationId`.
    pub fn new(document: Value) -> anyhow::Result<Self> {
        let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.1") {
            bail!("the description is no OpenAPI 3.1");
        }
        let mut operations = Vec::new();
        let paths =
            document.get("paths").and_then(Value::as_object).context("the description has no paths")?;
        for (path, item) in paths {
            let shared = item.get("parameters");
            for (method, operation) in item.as_object().into_iter().flatten() {
                if !["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                    continue;
                }
                let at = format!("/paths/{}/{method}", escaped(path));
                operations.push(
                    read(&document, path, method, operation, shared, &at)
                        .with_context(|| format!("{method} {path}"))?,
                );
            }
        }
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler
            .add_resource(PLACE, document.clone())
            .map_err(|error| anyhow::anyhow!("the description cannot be used: {error}"))?;
        let mut schemas = Schemas::new();
        let mut known = BTreeMap::new();
        for operation in &operations {
            let answers = operation.answers.values().flat_map(BTreeMap::values);
            for pointer in operation.body.iter().chain(answers) {
                if !known.contains_key(pointer) && document.pointer(pointer).is_some() {
                    let place = format!("{PLACE}#{}", percent(pointer));
                    let compiled = compiler
                        .compile(&place, &mut schemas)
                        .map_err(|error| format!("the schema at {pointer} cannot be used: {error}"));
                    known.insert(pointer.clone(), compiled);
                }
            }
        }
        Ok(Self { document, operations, schemas, known })
    }

    /// The operation of an id.
    #[must_use]
    pub fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// Whether a value is what the schema at a pointer says.
    ///
    /// # Errors
    ///
    /// A sentence about what is not, without values.
    pub fn fits(&self, pointer: &str, value: &Value) -> Result<(), String> {
        let Some(index) = self.known.get(pointer) else { return Ok(()) };
        let index = index.clone()?;
        self.schemas.validate(value, index).map_err(|error| {
            // The innermost causes say where and what; their texts may quote values.
            let mut leaves = Vec::new();
            collect(&error, &mut leaves);
            leaves.truncate(3);
            leaves.join("; ")
        })
    }
}

fn collect(error: &boon::ValidationError<'_, '_>, leaves: &mut Vec<String>) {
    if error.causes.is_empty() {
        // Names of members are the description's, or none of it; values may be a person's.
        let rule = if let boon::ErrorKind::Required { want } = &error.kind {
            format!("lacks {}", want.join(", "))
        } else if let boon::ErrorKind::AdditionalProperties { got } = &error.kind {
            format!("has {}, too", got.join(", "))
        } else {
            format!("breaks {}", error.schema_url.rsplit('/').next().unwrap_or_default())
        };
        let at = error.instance_location.to_string();
        leaves.push(format!("{} {rule}", if at.is_empty() { "/" } else { &at }));
    }
    for cause in &error.causes {
        collect(cause, leaves);
    }
}

/// A pointer as the fragment of an address (RFC 6901 §6).
fn percent(pointer: &str) -> String {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const FRAGMENT: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}').add(b'%');
    utf8_percent_encode(pointer, FRAGMENT).to_string()
}

fn read(
    document: &Value,
    path: &str,
    method: &str,
    operation: &Value,
    shared: Option<&Value>,
    at: &str,
) -> anyhow::Result<Operation> {
    let id = operation.get("operationId").and_then(Value::as_str).context("it has no operationId")?;
    let mut known = Operation {
        id: id.to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        secured: false,
        scopes: Vec::new(),
        answers: BTreeMap::new(),
    };
    let own = operation.get("parameters");
    for parameter in shared.into_iter().chain(own).filter_map(Value::as_array).flatten() {
        let parameter = resolved(document, parameter);
        let text = |name: &str| parameter.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let required = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        match text("in").as_str() {
            "path" => known.path_parameters.push(text("name")),
            "query" => known.query.push((text("name"), required, kind(document, parameter))),
            "header" => known.headers.push((text("name"), required)),
            _ => {}
        }
    }
    if operation.pointer("/requestBody/content/application~1json/schema").is_some() {
        known.body = Some(format!("{at}/requestBody/content/application~1json/schema"));
    }
    let security = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array);
    for requirement in security.into_iter().flatten().filter_map(Value::as_object) {
        known.secured = !requirement.is_empty();
        let scopes: Vec<_> = requirement
            .values()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if !scopes.is_empty() {
            known.scopes.push(scopes);
        }
    }
    for (status, answer) in operation.get("responses").and_then(Value::as_object).into_iter().flatten() {
        let mut media = BTreeMap::new();
        for kind in answer.get("content").and_then(Value::as_object).into_iter().flatten() {
            media.insert(
                kind.0.clone(),
                format!("{at}/responses/{status}/content/{}/schema", escaped(kind.0)),
            );
        }
        known.answers.insert(status.clone(), media);
    }
    Ok(known)
}

fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let reference = value.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// The type of a parameter: `null` beside it does not count.
fn kind(document: &Value, parameter: &Value) -> String {
    let schema = parameter.get("schema").map(|schema| resolved(document, schema));
    let Some(schema) = schema else { return String::new() };
    if schema.get("format") == Some(&Value::from("date")) {
        return "date".to_owned();
    }
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kind = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
            kind.unwrap_or_default().to_owned()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => String::new(),
    }
}
