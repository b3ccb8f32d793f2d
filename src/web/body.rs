//! Bodies and queries: bounded, of the declared type, with every mistake named.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::strict::{OBJECT, Strict};
use crate::{Problem, ProblemCode, refusal};

/// Largest body in bytes.
pub const MAX_BODY: usize = 256 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// A JSON body, with the exact bytes it came in.
#[derive(Clone, Debug)]
pub struct JsonBody<T> {
    /// The value.
    pub value: T,
    /// The bytes: what a digest or signature is about.
    pub bytes: Bytes,
}

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let declared = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(ProblemCode::MediaType));
        }
        let bytes = bounded(request.into_body()).await?;
        let value = read(&bytes)?;
        Ok(Self { value, bytes })
    }
}

/// The value that a body describes, read once and [strictly](Strict).
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if depth(bytes) > MAX_DEPTH {
        return Err(Problem::new(ProblemCode::MalformedJson)
            .detail(format!("JSON is nested at most {MAX_DEPTH} levels deep.")));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Strict(&mut json)).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            Problem::new(ProblemCode::Invalid).error(&pointer(error.path()), "field.invalid", reason(inner))
        } else {
            Problem::new(ProblemCode::MalformedJson).detail(format!(
                "Line {}, column {}.",
                inner.line(),
                inner.column()
            ))
        }
    })?;
    json.end().map_err(|_| {
        Problem::new(ProblemCode::MalformedJson).detail("There is more after the JSON value.")
    })?;
    Ok(value)
}

/// A whole body of at most 256 KiB, however it is announced.
///
/// # Errors
///
/// A problem document: the body is larger, or ended early.
pub async fn bounded(body: Body) -> Result<Bytes, Problem> {
    edge::whole(body, MAX_BODY).await.map_err(refusal::problem)
}

/// Query parameters; unknown and repeated ones are refused.
#[derive(Clone, Debug)]
pub struct QueryParams<T>(pub T);

impl<T, S> FromRequestParts<S> for QueryParams<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut map = serde_json::Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if map.insert(name.clone().into_owned(), value.into_owned().into()).is_some() {
                return Err(Problem::new(ProblemCode::Query).error(
                    &name,
                    "parameter.repeated",
                    "given twice",
                ));
            }
        }
        serde_path_to_error::deserialize(serde_json::Value::Object(map)).map(Self).map_err(|error| {
            let name = error.path().to_string();
            let name = if name == "." { String::new() } else { name };
            Problem::new(ProblemCode::Query).error(&name, "parameter.invalid", reason(error.inner()))
        })
    }
}

/// Reads a query parameter that is a number or another value written as text.
///
/// # Errors
///
/// If the text is no such value.
pub fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// How deep brackets nest outside strings. Counted before parsing, so that a
/// hostile document costs one pass.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut most, mut inside, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' if !inside => {
                now = now.saturating_add(1);
                most = most.max(now);
            }
            b'}' | b']' if !inside => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The path of a serde error as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Why a value does not fit. serde quotes the offending value in some of its
/// messages; those are cut down to what was expected.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if text.starts_with("missing field") || text.starts_with("unknown field") {
        return text.to_owned();
    }
    match text.split_once("expected ") {
        Some((_, OBJECT)) => format!("must be {OBJECT}"),
        Some((_, expected)) => format!("expected {expected}"),
        None if text.starts_with("invalid") => "the value does not fit".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Amount {
        amount: String,
        currency: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named(Amount);

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        None,
        Of(Amount),
        Between(String, Amount),
        Over { least: Amount },
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Order {
        amount: Option<Amount>,
        named: Option<Named>,
        limits: Vec<Amount>,
        by_name: BTreeMap<String, Amount>,
        pair: Option<(String, Amount)>,
        choice: Option<Choice>,
        tags: Vec<String>,
        numbers: (u8, i64, f64),
        free: serde_json::Value,
        unit: (),
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(body: &serde_json::Value) -> (String, String) {
        let problem = read::<T>(body.to_string().as_bytes()).unwrap_err();
        let [error] = problem.errors.as_slice() else { panic!("{problem:?}") };
        assert_eq!((problem.code, error.code.as_str()), (ProblemCode::Invalid.code(), "field.invalid"));
        (error.pointer.clone(), error.detail.clone())
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let list = json!(["1.00", "GBP"]);
        for (pointer, body) in [
            ("", json!([null, null])),
            ("/amount", json!({ "amount": list })),
            ("/named", json!({ "named": list })),
            ("/limits/1", json!({ "limits": [{ "amount": "1.00", "currency": "GBP" }, list] })),
            ("/by_name/~1a~0", json!({ "by_name": { "/a~": list } })),
            ("/pair/1", json!({ "pair": ["a", list] })),
            ("/choice/Of", json!({ "choice": { "Of": list } })),
            ("/choice/Between/1", json!({ "choice": { "Between": ["a", list] } })),
            ("/choice/Over", json!({ "choice": { "Over": [{ "amount": "1.00", "currency": "GBP" }] } })),
            ("/choice/Over/least", json!({ "choice": { "Over": { "least": list } } })),
        ] {
            assert_eq!(
                refused::<Order>(&body),
                (pointer.to_owned(), "must be an object".to_owned()),
                "{body}"
            );
        }
        assert_eq!(refused::<Vec<Amount>>(&json!([list])).0, "/0");
    }

    /// The names of our types are none of a caller's business.
    #[test]
    fn whatever_else_is_no_object_is_told_the_same() {
        for value in [json!("1.00 GBP"), json!(1), json!(true), json!([])] {
            for name in ["amount", "by_name"] {
                let told = (format!("/{name}"), "must be an object".to_owned());
                assert_eq!(refused::<Order>(&json!({ name: value })), told);
            }
        }
    }

    #[test]
    fn lists_where_lists_are_described_are_taken() {
        let amount = || Amount { amount: "1.00".to_owned(), currency: "GBP".to_owned() };
        let body = json!({
            "amount": { "amount": "1.00", "currency": "GBP" },
            "named": { "currency": "GBP", "amount": "1.00" },
            "limits": [{ "amount": "1.00", "currency": "GBP" }],
            "by_name": { "a": { "amount": "1.00", "currency": "GBP" } },
            "pair": ["a", { "amount": "1.00", "currency": "GBP" }],
            "choice": { "Between": ["a", { "amount": "1.00", "currency": "GBP" }] },
            "tags": ["a", "\n"],
            "numbers": [255, -1, 0.5],
            "free": [[1, { "a": [] }], null],
            "unit": null,
        });
        let order: Order = read(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            order,
            Order {
                amount: Some(amount()),
                named: Some(Named(amount())),
                limits: vec![amount()],
                by_name: [("a".to_owned(), amount())].into(),
                pair: Some(("a".to_owned(), amount())),
                choice: Some(Choice::Between("a".to_owned(), amount())),
                tags: vec!["a".to_owned(), "\n".to_owned()],
                numbers: (255, -1, 0.5),
                free: json!([[1, { "a": [] }], null]),
                unit: (),
            }
        );
        for (choice, is) in [
            (json!("None"), Choice::None),
            (json!({ "Of": { "amount": "1.00", "currency": "GBP" } }), Choice::Of(amount())),
            (
                json!({ "Over": { "least": { "amount": "1.00", "currency": "GBP" } } }),
                Choice::Over { least: amount() },
            ),
        ] {
            let order: Order = read(json!({ "choice": choice }).to_string().as_bytes()).unwrap();
            assert_eq!(order.choice, Some(is));
        }
    }

    #[test]
    fn a_body_is_one_json_value() {
        for (body, code) in [
            ("{} {}", ProblemCode::MalformedJson),
            ("{", ProblemCode::MalformedJson),
            ("{\"amount\": {}}", ProblemCode::Invalid),
            ("{\"amount\": {\"amount\": \"1\", \"currency\": \"GBP\", \"x\": 1}}", ProblemCode::Invalid),
        ] {
            assert_eq!(read::<Order>(body.as_bytes()).unwrap_err().code, code.code(), "{body}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert_eq!(depth(br#"{"a":[1,{"b":"]]]]{{{{\"["}]}"#), 3);
        assert_eq!(depth(&[b'['; 10_000]), 10_000);
    }

    #[test]
    fn a_reason_never_repeats_the_value() {
        let error = serde_json::from_str::<u8>("\"DE89370400440532013000\"").unwrap_err();
        assert_eq!(reason(&error), "expected u8");
    }
}
