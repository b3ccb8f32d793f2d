//! What must come of a step.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Response;

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Status codes, as numbers or as `"4xx"`.
    #[serde(default)]
    pub status: Option<Statuses>,
    /// The request is refused: 400 or 401 with one of these OAuth errors (RFC 6749 §5.2), written as
    /// that section wants it.
    #[serde(default)]
    pub refused: Option<Vec<String>>,
    /// Headers, names in small letters.
    #[serde(default)]
    pub headers: BTreeMap<String, Match>,
    /// Members of the body, by JSON pointer.
    #[serde(default)]
    pub json: BTreeMap<String, Match>,
    /// The body as text.
    #[serde(default)]
    pub body: Option<Match>,
    /// Whether the browser came back to the client.
    #[serde(default)]
    pub returned: Option<bool>,
    /// Parameters with which it came back.
    #[serde(default)]
    pub params: BTreeMap<String, Match>,
    /// The authorization comes to nothing: a page of 4xx, or the browser comes back with one of these
    /// errors, or with any if none is named, and with no code.
    #[serde(default)]
    pub declined: Option<Vec<String>>,
    /// No code and no token came, in whatever way.
    #[serde(default)]
    pub nothing: bool,
    /// No answer may come at all: the connection ends.
    #[serde(default)]
    pub closed: bool,
}

/// Status codes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Statuses {
    /// One.
    One(Status),
    /// One of several.
    Any(Vec<Status>),
}

/// A status code, or all of a class.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// One.
    Code(u16),
    /// `"2xx"`.
    Class(String),
}

impl Status {
    fn takes(&self, status: u16) -> bool {
        match self {
            Self::Code(code) => *code == status,
            Self::Class(class) => {
                class.strip_suffix("xx").is_some_and(|first| first == (status / 100).to_string())
            }
        }
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Any(all) => all,
        };
        for (index, status) in all.iter().enumerate() {
            if index > 0 {
                f.write_str(" or ")?;
            }
            match status {
                Status::Code(code) => write!(f, "{code}")?,
                Status::Class(class) => f.write_str(class)?,
            }
        }
        Ok(())
    }
}

impl Statuses {
    /// Whether a status is one of them.
    #[must_use]
    pub fn takes(&self, status: u16) -> bool {
        match self {
            Self::One(one) => one.takes(status),
            Self::Any(all) => all.iter().any(|one| one.takes(status)),
        }
    }
}

/// What a value must be: a value, or conditions.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Match {
    /// Conditions.
    Conditions(Box<Conditions>),
    /// This very value.
    Exactly(Value),
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    present: Option<bool>,
    matches: Option<String>,
    lacks: Option<String>,
    one_of: Option<Vec<Value>>,
    only: Option<Vec<Value>>,
    contains: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<String>,
    min: Option<i64>,
    max: Option<i64>,
    length: Option<usize>,
    longest: Option<usize>,
    is_not: Option<Value>,
}

impl Match {
    /// Whether a value, or its absence, is what it must be.
    ///
    /// # Errors
    ///
    /// A half sentence about what it is instead, without the value.
    pub fn holds(&self, value: Option<&Value>, fill: &dyn Fn(&Value) -> Value) -> Result<(), String> {
        match self {
            Self::Exactly(wanted) => {
                let wanted = fill(wanted);
                match value {
                    Some(value) if *value == wanted => Ok(()),
                    Some(value) => Err(format!("is {} and not {}", shown(value), shown(&wanted))),
                    None => Err(format!("is missing; it should be {}", shown(&wanted))),
                }
            }
            Self::Conditions(conditions) => conditions.hold(value, fill),
        }
    }
}

/// A value as a message has it: what is long may be a secret.
fn shown(value: &Value) -> String {
    let text = crate::http::redacted(&value.to_string());
    if text.chars().count() > 80 { format!("{}…", text.chars().take(40).collect::<String>()) } else { text }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Conditions {
    fn hold(&self, value: Option<&Value>, fill: &dyn Fn(&Value) -> Value) -> Result<(), String> {
        match (value, self.present) {
            (Some(_), Some(false)) => return Err("is there, and should not be".to_owned()),
            (None, Some(false)) => return Ok(()),
            (None, Some(true) | None) => return Err("is missing".to_owned()),
            (Some(_), Some(true) | None) => {}
        }
        let Some(value) = value else { return Ok(()) };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Some(wanted) = &self.kind
            && kind(value) != wanted
        {
            return Err(format!("is of type {} and not {wanted}", kind(value)));
        }
        if let Some(pattern) = &self.matches {
            let pattern = fill(&json!(pattern));
            if !regex(pattern.as_str().unwrap_or_default())?.is_match(&text) {
                return Err(format!("does not match {pattern}"));
            }
        }
        if let Some(pattern) = &self.lacks
            && regex(pattern)?.is_match(&text)
        {
            return Err(format!("has what it should not: {pattern}"));
        }
        let listed = |list: &[Value]| list.iter().map(fill).collect::<Vec<_>>();
        if let Some(list) = &self.one_of
            && !listed(list).contains(value)
        {
            return Err(format!("is {} and none of {}", shown(value), json!(listed(list))));
        }
        if let Some(list) = &self.only {
            let allowed = listed(list);
            let there = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            if let Some(other) = there.iter().find(|item| !allowed.contains(item)) {
                return Err(format!("has {}, which is none of {}", shown(other), json!(allowed)));
            }
        }
        if let Some(wanted) = &self.contains {
            let wanted = fill(wanted);
            let there = match value {
                Value::Array(of) => of.contains(&wanted),
                Value::String(text) => wanted.as_str().is_some_and(|wanted| text.contains(wanted)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
            };
            if !there {
                return Err(format!("has no {}", shown(&wanted)));
            }
        }
        let number = value.as_i64();
        if self.min.is_some_and(|min| number.is_none_or(|number| number < min))
            || self.max.is_some_and(|max| number.is_none_or(|number| number > max))
        {
            return Err(format!("is {} and not from {:?} to {:?}", shown(value), self.min, self.max));
        }
        let long = value.as_array().map_or_else(|| text.chars().count(), Vec::len);
        if self.length.is_some_and(|least| long < least) {
            return Err(format!(
                "is {long} long, and should be {} at least",
                self.length.unwrap_or_default()
            ));
        }
        if self.longest.is_some_and(|most| long > most) {
            return Err(format!(
                "is {long} long, and should be {} at most",
                self.longest.unwrap_or_default()
            ));
        }
        if let Some(wanted) = &self.is_not
            && *value == fill(wanted)
        {
            return Err(format!("is {}, and should be something else", shown(value)));
        }
        Ok(())
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("cannot be compared: {error}"))
}

/// What came of a step.
#[derive(Clone, Debug)]
pub enum Observed {
    /// An answer.
    Answer(Response),
    /// The browser came back to the client with these parameters, of query and fragment.
    Returned(Vec<(String, String)>),
    /// The server ended the connection.
    Closed(String),
}

impl Expect {
    /// That something is refused with one of these errors.
    #[must_use]
    pub fn refused(errors: &[&str]) -> Self {
        let errors = errors.iter().map(|error| (*error).to_owned()).collect();
        Self { refused: Some(errors), ..Self::default() }
    }

    /// An answer with one of these status codes.
    #[must_use]
    pub fn answered(status: &[u16]) -> Self {
        let status = status.iter().map(|code| Status::Code(*code)).collect();
        Self { status: Some(Statuses::Any(status)), ..Self::default() }
    }

    /// Whether all conditions hold.
    ///
    /// # Errors
    ///
    /// A sentence about each that does not.
    pub fn holds(&self, observed: &Observed, fill: &dyn Fn(&Value) -> Value) -> Result<(), String> {
        let wrong = match observed {
            Observed::Answer(answer) => self.of_answer(answer, fill),
            Observed::Returned(params) => self.of_return(params, fill),
            Observed::Closed(_) if self.closed => Vec::new(),
            Observed::Closed(why) => vec![format!("no answer came: {why}")],
        };
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn of_answer(&self, answer: &Response, fill: &dyn Fn(&Value) -> Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let json = answer.json();
        let error = json.get("error").and_then(Value::as_str).unwrap_or_default();
        let code =
            if error.is_empty() { String::new() } else { format!(" ({})", crate::http::redacted(error)) };
        if self.closed {
            wrong.push(format!("an answer came, with status {}", answer.status));
        }
        if let Some(status) = &self.status
            && !status.takes(answer.status)
        {
            wrong.push(format!("the status is {}{code} and not {status}", answer.status));
        }
        if let Some(errors) = &self.refused {
            wrong.extend(badly_refused(answer, &json, errors));
        }
        if self.declined.is_some() && !(400..500).contains(&answer.status) {
            wrong.push(format!("the browser saw a page of status {} and not of 4xx", answer.status));
        }
        if self.returned == Some(true) {
            wrong.push(format!(
                "the browser did not come back to the client, but saw a page of status {}",
                answer.status
            ));
        }
        for (name, wanted) in &self.headers {
            let value = answer.header(name).map(|value| json!(value));
            if let Err(why) = wanted.holds(value.as_ref(), fill) {
                wrong.push(format!("the header {name} {why}"));
            }
        }
        for (pointer, wanted) in &self.json {
            if let Err(why) = wanted.holds(json.pointer(pointer), fill) {
                wrong.push(format!("{pointer} {why}"));
            }
        }
        if let Some(wanted) = &self.body
            && let Err(why) = wanted.holds(Some(&json!(answer.text())), fill)
        {
            wrong.push(format!("the body {why}"));
        }
        if self.nothing
            && let Some(found) =
                ["access_token", "id_token", "request_uri"].iter().find(|name| json.get(**name).is_some())
        {
            wrong.push(format!("a {found} came"));
        }
        for name in self.params.keys() {
            wrong.push(format!("there is no {name}, as the browser did not come back"));
        }
        wrong
    }

    fn of_return(&self, params: &[(String, String)], fill: &dyn Fn(&Value) -> Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let names: Vec<_> = params.iter().map(|(name, _)| name.as_str()).collect();
        if self.returned == Some(false) || self.status.is_some() || self.refused.is_some() || self.closed {
            wrong.push(format!("the browser came back to the client, with {}", names.join(", ")));
        }
        if let Some(errors) = &self.declined {
            match params.iter().find(|(name, _)| name == "error") {
                None => wrong.push("the browser came back without an error".to_owned()),
                Some((_, error)) if !errors.is_empty() && !errors.contains(error) => {
                    let error = crate::http::redacted(error);
                    wrong.push(format!("the error is {error} and not {}", errors.join(" or ")));
                }
                Some(_) => {}
            }
        }
        if (self.nothing || self.declined.is_some())
            && let Some(found) = ["code", "access_token", "id_token", "response"]
                .iter()
                .find(|name| names.contains(*name) && !signed_error(params, name))
        {
            wrong.push(format!("the browser came back with a {found}"));
        }
        for (name, wanted) in &self.params {
            let found: Vec<_> = params.iter().filter(|(known, _)| known == name).collect();
            if found.len() > 1 {
                wrong.push(format!("{name} came back {} times", found.len()));
            }
            let value = found.first().map(|(_, value)| json!(value));
            if let Err(why) = wanted.holds(value.as_ref(), fill) {
                wrong.push(format!("{name} {why}"));
            }
        }
        wrong
    }
}

/// Whether a signed response (JARM) holds an error and no code.
fn signed_error(params: &[(String, String)], name: &str) -> bool {
    name == "response"
        && params
            .iter()
            .filter(|(known, _)| known == "response")
            .filter_map(|(_, value)| crate::jose::Unverified::read(value))
            .all(|read| !read.claims.contains_key("code"))
}

/// What is wrong with a refusal of the token endpoint and its likes (RFC 6749 §5.2).
fn badly_refused(answer: &Response, json: &Value, errors: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    if !matches!(answer.status, 400 | 401) {
        return vec![format!("the status is {} and not 400 or 401", answer.status)];
    }
    match json.get("error").and_then(Value::as_str) {
        Some(error) if errors.iter().any(|known| known == error) => {}
        Some(error) => {
            let error = crate::http::redacted(error);
            wrong.push(format!("the error is {error} and not {}", errors.join(" or ")));
        }
        None => wrong.push(format!("there is no error; it should be {}", errors.join(" or "))),
    }
    if let Some(says) = json.get("error_description") {
        let plain = |character: char| matches!(character, ' '..='!' | '#'..='[' | ']'..='~');
        if !says.as_str().is_some_and(|says| says.chars().all(plain)) {
            wrong.push("the error_description has characters that RFC 6749 §5.2 does not allow".to_owned());
        }
    }
    let json_type = answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !json_type {
        wrong.push("the refusal is no application/json".to_owned());
    }
    for name in ["access_token", "id_token", "request_uri"] {
        if json.get(name).is_some() {
            wrong.push(format!("a {name} comes along with the refusal"));
        }
    }
    wrong
}
