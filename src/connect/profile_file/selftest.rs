//! `[[brand.tests]]` of a profile.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::table::Table;
use crate::{BankErrorKind, Expected, MapTarget, ProfileTest};

pub(super) const OPERATIONS: &[&str] = &["accounts", "balances", "transactions"];

pub(super) fn test(mut table: Table<'_>) -> Option<ProfileTest> {
    let name = table.required_text("name");
    let word = table.word("operation", OPERATIONS);
    let operation = word.and_then(|word| MapTarget::ALL.into_iter().find(|target| target.as_str() == word));
    let status = StatusCode::from_u16(table.number("status").unwrap_or(200)).ok();
    if status.is_none() {
        table.problem("status", "is an HTTP status");
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in
        table.texts("headers", "a header and its value", |name, value| header(name, value).is_some())
    {
        headers.extend(header(&name, &value));
    }
    let given = match table.json("given") {
        Some(Value::String(text)) => Some(text),
        Some(Value::Object(body)) => Some(Value::Object(body).to_string()),
        Some(_) | None => {
            table.problem("given", "is the bank's answer, a text or a table");
            None
        }
    };
    let expect = expect(&mut table);
    table.finish();
    Some(ProfileTest {
        name: name?,
        operation: operation?,
        status: status?,
        headers,
        given: given?,
        expect: expect?,
    })
}

fn expect(table: &mut Table<'_>) -> Option<Expected> {
    let kinds: Vec<_> = BankErrorKind::ALL.iter().map(|kind| kind.code()).collect();
    let error = table.word_or_none("expect_error", &kinds);
    let error = error.and_then(|code| BankErrorKind::ALL.iter().find(|kind| kind.code() == code));
    let expected = match (table.json("expect"), error) {
        (None, Some(kind)) => Some(Expected::Error(*kind)),
        (Some(Value::Array(list)), None) => {
            let entries: Option<_> = list.iter().map(|entry| entry.as_object().cloned()).collect();
            entries.map(Expected::Entries)
        }
        _ => None,
    };
    if expected.is_none() {
        table.problem("expect", "is a list of entries, or there is expect_error");
    }
    expected
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?))
}
