//! Bodies and queries: bounded, of the declared type, with every mistake named.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;

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
        if depth(&bytes) > MAX_DEPTH {
            return Err(Problem::new(ProblemCode::MalformedJson)
                .detail(format!("JSON is nested at most {MAX_DEPTH} levels deep.")));
        }
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let inner = error.inner();
            if inner.is_data() {
                Problem::new(ProblemCode::Invalid).error(
                    &pointer(error.path()),
                    "field.invalid",
                    reason(inner),
                )
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
        // A list of values is read like the members that they would be: no description has that.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::new(ProblemCode::Invalid).error("", "field.invalid", "must be an object"));
        }
        Ok(Self { value, bytes })
    }
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
        Some((_, expected)) => format!("expected {expected}"),
        None if text.starts_with("invalid") => "the value does not fit".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
