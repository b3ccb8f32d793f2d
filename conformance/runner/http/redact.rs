//! What evidence must not hold: secrets, and what is about a person.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value, json};
use url::Url;

use crate::jose::{Unverified, base64url, sha256};

/// Members whose values are secrets.
const SECRET: &[&str] = &[
    "access_token",
    "refresh_token",
    "code",
    "code_verifier",
    "client_secret",
    "registration_access_token",
    "request_uri",
    "auth_req_id",
    "password",
    "additionalpassword",
    "scaauthenticationdata",
    "secret",
    "token",
    "login_hint",
    "id_token_hint",
];

/// Members whose values are about a person, by the words in them.
const PERSONAL: &[&str] = &[
    "iban",
    "pan",
    "name",
    "bban",
    "msisdn",
    "identification",
    "owner",
    "remittance",
    "reference",
    "description",
    "address",
    "birth",
    "email",
    "phone",
    "amount",
    "text",
    "psu",
    "debtor",
    "creditor",
    "payee",
    "information",
    "sort_code",
    "accountnumber",
    "account_number",
];

/// Members that are about a person with all that is in them.
const WHOLLY: &[&str] = &["remittance", "address"];

/// Members with such a word that are about no person.
const KNOWN: &[&str] = &[
    "client_name",
    "name_id",
    "client_identification",
    "error_description",
    "display_name",
    "institution_name",
    "software_client_name",
    "service_documentation",
];

#[expect(clippy::unwrap_used, reason = "the patterns are constants, which a test compiles")]
static JWT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*").unwrap());
#[expect(clippy::unwrap_used, reason = "the patterns are constants, which a test compiles")]
static IBAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b").unwrap());

/// A text without signatures of JWTs and without account numbers.
#[must_use]
pub fn redacted(text: &str) -> String {
    let text = JWT.replace_all(text, |found: &Captures<'_>| {
        let jwt = found.get(0).map_or("", |found| found.as_str());
        match Unverified::read(jwt) {
            Some(read) => {
                let claims = members(&read.claims);
                json!({"header": read.header, "claims": claims, "signature": "***"}).to_string()
            }
            None => hidden(jwt),
        }
    });
    IBAN.replace_all(&text, "***").into_owned()
}

/// Characters of a value that its digest may be shown of: shorter ones, as codes and passwords are, could be found
/// out by trying.
const UNGUESSABLE: usize = 20;

/// A value that can be recognised where it comes again, and not found out.
fn hidden(value: &str) -> String {
    let length = value.chars().count();
    if length < UNGUESSABLE {
        return format!("*** ({length} characters)");
    }
    let digest = base64url(&sha256(value.as_bytes()));
    format!("*** ({length} characters, sha-256 {}…)", digest.get(..6).unwrap_or_default())
}

/// Whether a text is a word of a code list: `consent.not_in_force`, `PRODUCT_UNKNOWN`, `AC04`. What has
/// chance in it is none.
fn is_word(text: &str) -> bool {
    let small = |letter: char| letter.is_ascii_lowercase() || matches!(letter, '.' | '_');
    let capital = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let words = text.chars().all(small) && text.contains(['.', '_']);
    text.len() <= 8 || (text.len() < 60 && (words || text.chars().all(capital)))
}

fn member(name: &str, value: &Value) -> Value {
    let small = name.to_ascii_lowercase();
    match value {
        // The code of a problem, of a bank's error or of ISO 20022 is no authorization code.
        Value::String(text) if small == "code" && is_word(text) => json!(text),
        Value::String(text) if SECRET.contains(&small.as_str()) => json!(hidden(text)),
        Value::String(text) if KNOWN.contains(&small.as_str()) => json!(redacted(text)),
        Value::String(_) | Value::Number(_) if PERSONAL.iter().any(|word| small.contains(word)) => {
            json!("***")
        }
        Value::Array(_) | Value::Object(_) if WHOLLY.iter().any(|word| small.contains(word)) => blank(value),
        Value::Array(of) if PERSONAL.iter().any(|word| small.contains(word)) => {
            of.iter().map(|value| if value.is_string() { json!("***") } else { value_of(value) }).collect()
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => value_of(value),
    }
}

/// The same shape, and nothing in it.
fn blank(value: &Value) -> Value {
    match value {
        Value::Array(of) => of.iter().map(blank).collect(),
        Value::Object(of) => of.iter().map(|(name, value)| (name.clone(), blank(value))).collect(),
        Value::String(_) | Value::Number(_) => json!("***"),
        Value::Null | Value::Bool(_) => value.clone(),
    }
}

fn members(of: &Map<String, Value>) -> Map<String, Value> {
    of.iter().map(|(name, value)| (name.clone(), member(name, value))).collect()
}

fn value_of(value: &Value) -> Value {
    match value {
        Value::Object(of) => json!(members(of)),
        Value::Array(of) => {
            of.iter().map(|value| if value.is_array() { nameless(value) } else { value_of(value) }).collect()
        }
        Value::String(text) if text.starts_with("https://") && text.contains(['?', '#']) => {
            Url::parse(text).map_or_else(|_| json!(redacted(text)), |url| json!(redacted_url(&url)))
        }
        Value::String(text) => json!(redacted(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A list in a list, or a whole body: no name says what its values are, and they may be anybody's.
fn nameless(list: &Value) -> Value {
    match list {
        Value::Array(of) => of.iter().map(nameless).collect(),
        Value::String(_) | Value::Number(_) => json!("***"),
        Value::Object(_) | Value::Null | Value::Bool(_) => value_of(list),
    }
}

/// A body as evidence: JSON and forms by their members, other texts without JWTs and account
/// numbers, and no more than the beginning of what is long.
#[must_use]
pub fn redacted_body(content_type: &str, body: &[u8]) -> Value {
    const LONGEST: usize = 20_000;
    if body.is_empty() {
        return Value::Null;
    }
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(body);
        return pairs.map(|(name, value)| json!([name, member(&name, &json!(value))])).collect();
    }
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(body) {
        let value = if value.is_array() { nameless(&value) } else { value_of(&value) };
        if body.len() <= LONGEST {
            return value;
        }
        let text: String = value.to_string().chars().take(LONGEST).collect();
        return json!(format!("{text} … ({} bytes)", body.len()));
    }
    if content_type.contains("html") {
        // Pages are made for a person, and say who that is.
        return json!(format!("a page of {} bytes", body.len()));
    }
    let text: String = String::from_utf8_lossy(body).chars().take(LONGEST).collect();
    json!(redacted(&text))
}

/// An address without what its query and fragment hold of secrets.
#[must_use]
pub fn redacted_url(url: &Url) -> String {
    let mut shown = url.clone();
    let hide = |pairs: &str| {
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(pairs.as_bytes()) {
            let shown = member(&name, &json!(value));
            out.append_pair(&name, shown.as_str().unwrap_or("***"));
        }
        out.finish()
    };
    let (query, fragment) = (url.query().map(hide), url.fragment().map(hide));
    shown.set_query(query.as_deref());
    shown.set_fragment(fragment.as_deref());
    shown.to_string()
}
