//! Where schemas, examples and references are in a description.
//!
//! A name such as `example` is a keyword at one place and a property's name at another, so the
//! walk knows at each place which it is.

use serde_json::Value;

use super::document::escaped;

/// A value that stands for what will be sent.
pub(super) struct Example<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
    /// The schema it has to keep.
    pub(super) schema: Option<String>,
}

/// What a walk has found.
#[derive(Default)]
pub(super) struct Places<'a> {
    pub(super) schemas: Vec<(String, &'a Value)>,
    pub(super) examples: Vec<Example<'a>>,
    /// Where a reference is, and what it names.
    pub(super) references: Vec<(String, &'a str)>,
}

#[derive(Clone, Copy)]
enum Place {
    /// An object of OpenAPI: its members have meanings.
    Object,
    /// A map: its members have names that somebody chose.
    Names,
    Schema,
    Schemas,
}

impl<'a> Places<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        let mut places = Self::default();
        places.visit(root, Place::Object, String::new());
        places
    }

    fn visit(&mut self, value: &'a Value, place: Place, pointer: String) {
        match (value, place) {
            (Value::Array(values), _) => {
                for (at, value) in values.iter().enumerate() {
                    self.visit(value, place, format!("{pointer}/{at}"));
                }
            }
            (Value::Object(members), Place::Names | Place::Schemas) => {
                let inner = if matches!(place, Place::Names) { Place::Object } else { Place::Schema };
                for (name, value) in members {
                    self.visit(value, inner, format!("{pointer}/{}", escaped(name)));
                }
            }
            (Value::Object(_), Place::Object) => self.visit_object(value, &pointer),
            (Value::Object(_), Place::Schema) => self.visit_schema(value, pointer),
            (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
        }
    }

    fn visit_object(&mut self, object: &'a Value, pointer: &str) {
        let schema = object.get("schema").map(|_| format!("{pointer}/schema"));
        for (name, value) in super::document::entries(Some(object)) {
            let at = format!("{pointer}/{}", escaped(name));
            match name {
                "$ref" => self.references.extend(value.as_str().map(|target| (at, target))),
                "schema" => self.visit(value, Place::Schema, at),
                "schemas" => self.visit(value, Place::Schemas, at),
                "example" => self.examples.push(Example { value, pointer: at, schema: schema.clone() }),
                "examples" => self.visit_examples(value, &at, schema.as_ref()),
                "paths" | "webhooks" | "pathItems" | "responses" | "headers" | "requestBodies"
                | "callbacks" | "links" | "securitySchemes" | "content" | "encoding" | "variables" => {
                    self.visit(value, Place::Names, at);
                }
                // A list in an operation, a map in the components.
                "parameters" if value.is_object() => self.visit(value, Place::Names, at),
                "security" | "default" | "enum" | "scopes" | "mapping" => {}
                _ if name.starts_with("x-") => {}
                _ => self.visit(value, Place::Object, at),
            }
        }
    }

    /// Named examples, each with a value, or with a reference to one.
    fn visit_examples(&mut self, examples: &'a Value, pointer: &str, schema: Option<&String>) {
        for (name, example) in super::document::entries(Some(examples)) {
            let at = format!("{pointer}/{}", escaped(name));
            if let Some(target) = example.get("$ref").and_then(Value::as_str) {
                self.references.push((format!("{at}/$ref"), target));
            }
            if let Some(value) = example.get("value") {
                self.examples.push(Example {
                    value,
                    pointer: format!("{at}/value"),
                    schema: schema.cloned(),
                });
            }
        }
    }

    fn visit_schema(&mut self, schema: &'a Value, pointer: String) {
        for (name, value) in super::document::entries(Some(schema)) {
            let at = format!("{pointer}/{}", escaped(name));
            match name {
                "$ref" => self.references.extend(value.as_str().map(|target| (at, target))),
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                    self.visit(value, Place::Schemas, at);
                }
                "items"
                | "prefixItems"
                | "additionalProperties"
                | "allOf"
                | "anyOf"
                | "oneOf"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "unevaluatedItems"
                | "unevaluatedProperties" => self.visit(value, Place::Schema, at),
                "example" | "default" => {
                    self.examples.push(Example { value, pointer: at, schema: Some(pointer.clone()) });
                }
                "examples" => {
                    for (place, value) in value.as_array().into_iter().flatten().enumerate() {
                        let at = format!("{at}/{place}");
                        self.examples.push(Example { value, pointer: at, schema: Some(pointer.clone()) });
                    }
                }
                "discriminator" => {
                    for (key, target) in super::document::entries(value.get("mapping")) {
                        let at = format!("{at}/mapping/{}", escaped(key));
                        self.references.extend(target.as_str().filter(|t| t.contains('#')).map(|t| (at, t)));
                    }
                }
                _ => {}
            }
        }
        self.schemas.push((pointer, schema));
    }
}
