//! The positive model: what requests of an interface look like, compiled from its
//! `OpenAPI` description.
//!
//! Whatever the description does not have is a [`Deviation`]: a path, a method, a name in
//! the query, a form or an object, a value of another form, a name that comes twice. And
//! since most values have a form, few are left that only signatures can judge: the model
//! says which are not ([`Judged::typed`]).
//!
//! A schema says of a text by `x-waf-class` what its form does not: `url` is an address that
//! anybody may be sent to, `json` is JSON in a text, `text` is free text all the same. An
//! operation with `x-open-query`, and a form with `additionalProperties`, take names that
//! nobody knows, as authorization servers must (RFC 6749 §3.1); what they hold is free text.

mod address;
mod classes;
mod compile;
mod headers;
mod routes;

use std::collections::HashMap;
use std::fmt;

use boon::{SchemaIndex, Schemas, ValidationError};
use crypto::json::{InvalidJson, unique_value};
use serde_json::Value;
use url::form_urlencoded;

use classes::{Classes, Found, Leaf, Named, NodeId};
pub use compile::InvalidModel;
use routes::{Routed, Routes};

use crate::typed::Typed;

/// Longest text that a schema without a length of its own takes, characters.
pub const LONGEST_TEXT: usize = 4_096;
/// Most entries of a list that a schema without a number of its own takes.
pub const MOST_ITEMS: usize = 5_000;
/// Most deviations that are told of one request.
const MOST_TOLD: usize = 8;

/// A request, as the model sees it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: Option<&'a str>,
    /// Names in lower case, values.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

/// Where a request leaves the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// How.
    pub reason: Reason,
    /// In which part of it.
    pub part: Part,
    /// Where in that: a name, or in a body a JSON pointer; empty for the whole. Never a value.
    pub place: String,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The path, and what stands in it.
    Path,
    /// The method.
    Method,
    /// The query.
    Query,
    /// The headers.
    Header,
    /// The body.
    Body,
}

/// How a request leaves the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no such path.
    Path,
    /// The path does not have this method.
    Method,
    /// A name that nobody knows.
    UnknownName,
    /// A name that comes twice.
    Repeated,
    /// What must be there is not.
    Missing,
    /// A value of another form than the description has.
    Value,
    /// Another media type, or a body where there is none.
    MediaType,
    /// No JSON, no form, no XML.
    Malformed,
    /// Nested too deep.
    TooDeep,
    /// A percent-encoding that is none, or no UTF-8.
    Encoding,
    /// An address that a request may not name: not https, with credentials, not public.
    Address,
}

impl Reason {
    /// The word for it, in problem documents and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::UnknownName => "unknown_name",
            Self::Repeated => "repeated",
            Self::Missing => "missing",
            Self::Value => "value",
            Self::MediaType => "media_type",
            Self::Malformed => "malformed",
            Self::TooDeep => "too_deep",
            Self::Encoding => "encoding",
            Self::Address => "address",
        }
    }
}

/// What the model has to say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged<'m> {
    /// The operation that it is, by its name in the description.
    pub operation: Option<&'m str>,
    /// Its handler tells of deviations, in the words of its own standard (`x-answers-itself`).
    pub answers_itself: bool,
    /// Where it leaves the model; at most eight.
    pub deviations: Vec<Deviation>,
    /// What the model has checked, so that signatures need not look at it.
    pub typed: Typed,
    /// What every value was typed as, where that was asked for ([`Model::explain`]).
    pub values: Option<Vec<TypedValue>>,
}

/// What the model took a value for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedValue {
    /// In which part of the request it stands.
    pub part: Part,
    /// Where in that, as in [`Deviation::place`].
    pub place: String,
    /// What it is.
    pub class: ValueClass,
}

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueClass {
    /// Of a form that the description states.
    Form,
    /// An address that somebody is sent to.
    Address,
    /// JSON in a text.
    Json,
    /// Free text: signatures look into it.
    Free,
    /// Not of the form that it should have: signatures look into it.
    Deviating,
}

impl ValueClass {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Address => "address",
            Self::Json => "json",
            Self::Free => "free text",
            Self::Deviating => "deviating",
        }
    }
}

impl Judged<'_> {
    fn note(&mut self, reason: Reason, part: Part, place: impl Into<String>) {
        let deviation = Deviation { reason, part, place: place.into() };
        if self.deviations.len() < MOST_TOLD && !self.deviations.contains(&deviation) {
            self.deviations.push(deviation);
        }
    }

    fn take_for(&mut self, class: ValueClass, part: Part, place: impl FnOnce() -> String) {
        if let Some(values) = &mut self.values {
            values.push(TypedValue { part, place: place(), class });
        }
    }
}

/// What may stand in one place.
#[derive(Clone, Debug)]
struct Slot {
    schema: SchemaIndex,
    node: NodeId,
    required: bool,
    /// It may come more than once.
    many: bool,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Json,
    Form,
    Xml,
    /// One text.
    Text,
}

#[derive(Clone, Debug)]
struct Body {
    media_type: String,
    writing: Writing,
    slot: Slot,
    /// The members of a form.
    members: Names,
}

/// What may stand in a query or form.
#[derive(Clone, Debug, Default)]
struct Names {
    known: HashMap<String, Slot>,
    /// Other names are taken, too.
    open: bool,
}

/// One method of one path.
#[derive(Clone, Debug, Default)]
struct Operation {
    id: String,
    in_path: HashMap<String, Slot>,
    in_query: Names,
    in_headers: HashMap<String, Slot>,
    bodies: Vec<Body>,
    body_required: bool,
    answers_itself: bool,
}

/// What requests of an interface look like.
pub struct Model {
    routes: Routes,
    operations: Vec<Operation>,
    schemas: Schemas,
    classes: Classes,
    /// Addresses of this machine may be named, as sandboxes want it.
    loopback: bool,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("operations", &self.operations.len()).finish_non_exhaustive()
    }
}

impl Model {
    /// Compiles descriptions (`OpenAPI` 3.1). What one has, the others need not have.
    ///
    /// # Errors
    ///
    /// [`InvalidModel`] if one is not what it should be.
    pub fn of(documents: &[Value]) -> Result<Self, InvalidModel> {
        compile::model(documents)
    }

    /// Whether addresses of this machine (`localhost`) may stand where an address is wanted.
    #[must_use]
    pub fn with_loopback(self, loopback: bool) -> Self {
        Self { loopback, ..self }
    }

    /// Every operation, by its name in the description.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().map(|operation| operation.id.as_str())
    }

    /// The name of the operation that a method and a path of the description are, such as
    /// `/v1/accounts/{account_id}`.
    #[must_use]
    pub fn described(&self, method: &str, template: &str) -> Option<&str> {
        let number = self.routes.described(method, template)?;
        self.operations.get(number).map(|operation| operation.id.as_str())
    }

    /// The name of the operation that a request is.
    #[must_use]
    pub fn operation(&self, method: &str, path: &str) -> Option<&str> {
        match self.routes.find(method, path) {
            Routed::Found(number, _) => self.operations.get(number).map(|operation| operation.id.as_str()),
            Routed::NoMethod | Routed::NoPath | Routed::Encoding => None,
        }
    }

    /// Holds a request against the model.
    #[must_use]
    pub fn judge(&self, asked: &Asked<'_>) -> Judged<'_> {
        self.judged(asked, Judged::default())
    }

    /// The same, and says of every value what it was taken for.
    #[must_use]
    pub fn explain(&self, asked: &Asked<'_>) -> Judged<'_> {
        self.judged(asked, Judged { values: Some(Vec::new()), ..Judged::default() })
    }

    fn judged<'m>(&'m self, asked: &Asked<'_>, mut judged: Judged<'m>) -> Judged<'m> {
        let (number, parameters) = match self.routes.find(asked.method, asked.path) {
            Routed::Found(number, parameters) => (number, parameters),
            Routed::NoMethod => {
                judged.note(Reason::Method, Part::Method, "");
                return judged;
            }
            Routed::NoPath => {
                judged.note(Reason::Path, Part::Path, "");
                return judged;
            }
            Routed::Encoding => {
                judged.note(Reason::Encoding, Part::Path, "");
                return judged;
            }
        };
        let Some(operation) = self.operations.get(number) else { return judged };
        judged.operation = Some(&operation.id);
        judged.answers_itself = operation.answers_itself;
        for (name, value) in &parameters {
            if let Some(slot) = operation.in_path.get(*name) {
                let place = Place { part: Part::Path, name, named: Named::No };
                self.value(slot, &Value::String(value.clone()), &place, &mut judged);
            }
        }
        let query = asked.query.unwrap_or_default();
        self.pairs(Part::Query, &operation.in_query, query.as_bytes(), &mut judged);
        self.headers(operation, asked.headers, &mut judged);
        headers::well_known(asked.headers, &mut judged.typed);
        self.body(operation, asked, &mut judged);
        judged
    }

    /// Names and values of a query or form, each where the description has it.
    fn pairs(&self, part: Part, names: &Names, text: &[u8], judged: &mut Judged<'_>) {
        let mut seen: HashMap<String, Vec<String>> = HashMap::new();
        if !is_encoded_well(text) {
            judged.note(Reason::Encoding, part, "");
        }
        for (name, value) in form_urlencoded::parse(text) {
            if value.contains(char::REPLACEMENT_CHARACTER) {
                judged.note(Reason::Encoding, part, "");
            }
            let Some(slot) = names.known.get(name.as_ref()) else {
                // What nobody knows is not told: it may be anything.
                if !names.open {
                    judged.note(Reason::UnknownName, part, "");
                }
                judged.typed.add_unknown(&name);
                continue;
            };
            let place = Place::named(part, &name);
            let values = seen.entry(name.clone().into_owned()).or_default();
            if !values.is_empty() && !slot.many {
                judged.note(Reason::Repeated, part, place.at(""));
            }
            values.push(value.clone().into_owned());
            if !slot.many {
                self.value(slot, &Value::String(value.into_owned()), &place, judged);
            }
        }
        for (name, slot) in &names.known {
            let place = Place::named(part, name);
            match seen.get(name) {
                None if slot.required => judged.note(Reason::Missing, part, place.at("")),
                Some(values) if slot.many => {
                    let list = values.iter().cloned().map(Value::String).collect();
                    self.value(slot, &Value::Array(list), &place, judged);
                }
                None | Some(_) => {}
            }
        }
    }

    fn headers(&self, operation: &Operation, headers: &[(&str, &[u8])], judged: &mut Judged<'_>) {
        for (name, slot) in &operation.in_headers {
            let mut values = headers.iter().filter(|(given, _)| given == name).map(|(_, value)| *value);
            let Some(value) = values.next() else {
                if slot.required {
                    judged.note(Reason::Missing, Part::Header, name.as_str());
                }
                continue;
            };
            let alone = values.next().is_none();
            if !alone {
                judged.note(Reason::Repeated, Part::Header, name.as_str());
            }
            match std::str::from_utf8(value) {
                Ok(text) => {
                    let text = Value::String(text.trim().to_owned());
                    let place = Place { part: Part::Header, name, named: Named::No };
                    if self.value(slot, &text, &place, judged) && alone {
                        judged.typed.add_header(name);
                    }
                }
                Err(_) => judged.note(Reason::Encoding, Part::Header, name.as_str()),
            }
        }
    }

    fn body(&self, operation: &Operation, asked: &Asked<'_>, judged: &mut Judged<'_>) {
        if asked.body.is_empty() {
            if operation.body_required {
                judged.note(Reason::Missing, Part::Body, "");
            }
            judged.typed.add_whole_body();
            return;
        }
        let declared = asked.headers.iter().find(|(name, _)| *name == "content-type");
        let declared = declared.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or_default();
        let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some(body) = operation.bodies.iter().find(|body| body.media_type == essence) else {
            // Many clients send an empty object where nothing is wanted.
            if operation.bodies.is_empty() && asked.body.trim_ascii() == b"{}" {
                judged.typed.add_whole_body();
            } else {
                judged.note(Reason::MediaType, Part::Header, "content-type");
            }
            return;
        };
        match body.writing {
            Writing::Json => self.json(body, asked.body, judged),
            Writing::Form => {
                self.pairs(Part::Body, &body.members, asked.body, judged);
                judged.typed.add_whole_body();
            }
            Writing::Text => self.text(body, asked.body, judged),
            // Its reader takes what it knows and nothing else; the texts are signatures'.
            Writing::Xml => {}
        }
    }

    fn json(&self, body: &Body, bytes: &[u8], judged: &mut Judged<'_>) {
        match unique_value(bytes) {
            Ok(value) => {
                self.value(&body.slot, &value, &Place::body(Named::Json), judged);
                judged.typed.add_whole_body();
            }
            Err(why) => judged.note(reason_of(why), Part::Body, ""),
        }
    }

    fn text(&self, body: &Body, bytes: &[u8], judged: &mut Judged<'_>) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            judged.note(Reason::Encoding, Part::Body, "");
            return;
        };
        let text = Value::String(text.trim().to_owned());
        if self.value(&body.slot, &text, &Place::body(Named::No), judged) {
            judged.typed.add_whole_body();
        }
    }

    /// Holds a value against its schema, and finds what in it has a form; whether all of it has.
    fn value(&self, slot: &Slot, value: &Value, place: &Place<'_>, judged: &mut Judged<'_>) -> bool {
        let converted = self.classes.as_written(slot.node, value);
        let value = converted.as_ref().unwrap_or(value);
        if let Err(error) = self.schemas.validate(value, slot.schema) {
            // What is of another form has none that it could be trusted for.
            note(&error, place, judged);
            judged.take_for(ValueClass::Deviating, place.part, || place.at(""));
            if let Named::Flat(name) = place.named {
                judged.typed.add_unknown(name);
            }
            return false;
        }
        let mut all_typed = true;
        self.classes.walk(slot.node, value, place.named, &mut |found: Found<'_>| {
            judged.take_for(found.leaf.class(), place.part, || place.at(found.pointer));
            let mut deviates = |reason| judged.note(reason, place.part, place.at(found.pointer));
            let typed = match found.leaf {
                Leaf::Typed => true,
                Leaf::Address if address::judge(found.text, self.loopback) => true,
                Leaf::Address => {
                    deviates(Reason::Address);
                    false
                }
                Leaf::Json => {
                    if let Err(why) = unique_value(found.text.as_bytes()) {
                        deviates(reason_of(why));
                    }
                    false
                }
                Leaf::Free => false,
            };
            all_typed &= typed;
            match found.name {
                Some(name) if typed => judged.typed.add_argument(name),
                Some(name) => judged.typed.add_name(name),
                None => {}
            }
        });
        all_typed
    }
}

/// Where a value stands, and how rules name what is in it.
struct Place<'a> {
    part: Part,
    /// What the part is called for it; empty for a body.
    name: &'a str,
    named: Named<'a>,
}

impl<'a> Place<'a> {
    fn named(part: Part, name: &'a str) -> Self {
        Self { part, name, named: Named::Flat(name) }
    }

    fn body(named: Named<'a>) -> Self {
        Self { part: Part::Body, name: "", named }
    }

    /// A place below, by its pointer. In a body, what is named is a member.
    fn at(&self, pointer: &str) -> String {
        let slash = if self.part == Part::Body && !self.name.is_empty() { "/" } else { "" };
        format!("{slash}{}{pointer}", self.name)
    }
}

fn reason_of(why: InvalidJson) -> Reason {
    match why {
        InvalidJson::DuplicateName => Reason::Repeated,
        InvalidJson::TooDeep => Reason::TooDeep,
        InvalidJson::Malformed => Reason::Malformed,
    }
}

/// Notes the innermost causes.
fn note(error: &ValidationError<'_, '_>, place: &Place<'_>, judged: &mut Judged<'_>) {
    for cause in &error.causes {
        note(cause, place, judged);
    }
    if !error.causes.is_empty() {
        return;
    }
    let at = place.at(&error.instance_location.to_string());
    if let boon::ErrorKind::Required { want } = &error.kind {
        for member in want {
            judged.note(Reason::Missing, place.part, format!("{at}/{member}"));
        }
        return;
    }
    let unknown =
        matches!(error.kind, boon::ErrorKind::AdditionalProperties { .. } | boon::ErrorKind::FalseSchema);
    judged.note(if unknown { Reason::UnknownName } else { Reason::Value }, place.part, at);
}

/// A name as a JSON pointer has it (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Whether every `%` begins an encoded byte.
fn is_encoded_well(text: &[u8]) -> bool {
    text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(place, _)| {
        let digits = text.get(place.saturating_add(1)..place.saturating_add(3));
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests;
