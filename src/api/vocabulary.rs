//! The forms that names have wherever a request has them: an institution is written alike in
//! every order. One table instead of an attribute at each place, so that none is forgotten;
//! it is in the document, and the edge holds requests against it. A form here is never
//! narrower than what handlers take.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{ArrayItems, SchemaType, Type};
use utoipa::openapi::{Components, Object, OpenApi, RefOr, Schema, SchemaFormat};

/// Form of a text.
#[derive(Clone, Copy)]
enum Form {
    /// A regular expression over the whole.
    Pattern(&'static str),
    /// An absolute address.
    Address,
}

const CODE: Form = Form::Pattern("^[A-Z][A-Z0-9_]{0,39}$");
const PAYMENT: Form = Form::Pattern("^pay_[a-z]{2,4}_[0-9a-f]{32}$");
/// What travels to the creditor in the characters of SEPA, of which attacks can be made, too.
const REFERENCE: &str = "^[A-Za-z0-9/?:().,'+ -]{1,35}$";
/// What a client makes up, of which attacks can be made as well.
const KEY: &str = "^\"?[!#-\\[\\]-~]{1,255}\"?$";
const WORDS: Form = Form::Pattern("^[A-Za-z0-9_.,*-]{1,400}$");

/// Names and their forms, in bodies and parameters.
const NAMES: [(&str, Form); 39] = [
    ("Idempotency-Key", Form::Pattern(KEY)),
    ("Last-Event-ID", Form::Pattern("^[A-Za-z0-9_.-]{1,400}$")),
    ("PSU-IP-Address", Form::Pattern("^[0-9A-Fa-f.:]{2,45}$")),
    ("account_id", Form::Pattern("^acc_[a-z]{2,4}_[0-9a-f]{32}$")),
    ("account_number", Form::Pattern("^[0-9 -]{8,20}$")),
    ("alignment", CODE),
    ("bban", Form::Pattern("^[A-Za-z0-9 ./-]{1,40}$")),
    ("batch_id", PAYMENT),
    ("bic", Form::Pattern("^[A-Za-z0-9]{4,11}$")),
    ("capability", WORDS),
    ("charge_bearer", CODE),
    ("code", Form::Pattern("^[a-z0-9_.]{1,80}$")),
    ("consent_id", Form::Pattern("^con_[a-z]{2,4}_[0-9a-f]{32}$")),
    ("context", CODE),
    ("country", Form::Pattern("^[A-Za-z]{2}$")),
    ("cursor", Form::Pattern("^[A-Za-z0-9_.-]{1,2000}$")),
    ("end_to_end_id", Form::Pattern(REFERENCE)),
    ("event_id", Form::Pattern("^evt_[a-z]{2,4}_[0-9a-f]{32}$")),
    ("events", WORDS),
    ("execution_rule", CODE),
    ("frequency", CODE),
    ("iban", Form::Pattern("^[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{8,40}$")),
    ("institution_id", Form::Pattern("^[a-z0-9][a-z0-9-]{1,99}$")),
    ("mandate_id", Form::Pattern("^man_[a-z]{2,4}_[0-9a-f]{32}$")),
    ("masked_pan", Form::Pattern("^[0-9*xX. -]{4,40}$")),
    ("payment_id", PAYMENT),
    ("period", CODE),
    ("permissions", CODE),
    ("redirect_uri", Form::Address),
    ("region", Form::Pattern("^[a-z]{2,4}$")),
    ("scheme", CODE),
    ("scheme_name", Form::Pattern("^[A-Za-z0-9._-]{1,70}$")),
    ("sort_code", Form::Pattern("^[0-9 -]{6,20}$")),
    ("status", WORDS),
    ("transaction_id", Form::Pattern("^txn_[a-z]{2,4}_[0-9a-f]{32}$")),
    ("type", WORDS),
    ("types", WORDS),
    ("url", Form::Address),
    ("webhook_id", Form::Pattern("^whk_[0-9a-f]{32}$")),
];

/// Writes the forms into what requests are made of.
pub(crate) fn write(document: &mut OpenApi) {
    let of_requests = of_requests(document);
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter();
        operations.flatten().flat_map(parameters).for_each(parameter);
    }
    let Some(Components { schemas, .. }) = &mut document.components else { return };
    for (_, schema) in schemas.iter_mut().filter(|(name, _)| of_requests.contains(*name)) {
        members(schema);
    }
}

fn parameters(operation: &mut Operation) -> impl Iterator<Item = &mut Parameter> {
    operation.parameters.iter_mut().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn parameter(parameter: &mut Parameter) {
    if let Some(schema) = &mut parameter.schema {
        named(&parameter.name, schema);
        free(schema);
    }
}

fn members(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            for (name, member) in &mut object.properties {
                named(name, member);
                free(member);
            }
        }
        RefOr::T(Schema::OneOf(some)) => some.items.iter_mut().for_each(members),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(members),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter_mut().for_each(members),
        RefOr::Ref(_) | RefOr::T(_) => {}
    }
}

/// Gives a text, or each of a list, the form of its name, unless it has one.
fn named(name: &str, schema: &mut RefOr<Schema>) {
    let Some((_, form)) = NAMES.iter().find(|(known, _)| *known == name) else { return };
    match schema {
        RefOr::T(Schema::Object(object)) if is_open(object) => match form {
            Form::Pattern(pattern) => object.pattern = Some((*pattern).to_owned()),
            Form::Address => object.format = Some(SchemaFormat::Custom("uri".to_owned())),
        },
        RefOr::T(Schema::Array(list)) => {
            if let ArrayItems::RefOrSchema(item) = &mut list.items {
                named(name, item);
            }
        }
        RefOr::Ref(_) | RefOr::T(_) => {}
    }
}

/// Says of a text that its pattern does not make it harmless.
fn free(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && [Some(REFERENCE), Some(KEY)].contains(&object.pattern.as_deref())
    {
        let class = Extensions::builder().add("x-waf-class", "text").build();
        object.extensions.get_or_insert_default().merge(class);
    }
}

/// A text of which nothing is said yet.
fn is_open(object: &Object) -> bool {
    let text = match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    };
    text && object.pattern.is_none() && object.format.is_none() && object.enum_values.is_none()
}

/// The schemas that bodies of requests are made of, however deep.
fn of_requests(document: &OpenApi) -> BTreeSet<String> {
    let document = serde_json::to_value(document).unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    for item in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for operation in item.1.as_object().into_iter().flatten() {
            referred(operation.1.get("requestBody"), &mut open);
        }
    }
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            referred(document.pointer(&format!("/components/schemas/{name}")), &mut open);
        }
    }
    found
}

/// Names of the schemas that a value refers to.
fn referred(value: Option<&Value>, found: &mut Vec<String>) {
    match value {
        Some(Value::Object(members)) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found
                .extend(reference.and_then(|at| at.strip_prefix("#/components/schemas/")).map(str::to_owned));
            members.values().for_each(|member| referred(Some(member), found));
        }
        Some(Value::Array(items)) => items.iter().for_each(|item| referred(Some(item), found)),
        _ => {}
    }
}
