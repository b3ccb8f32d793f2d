//! Answers of homes, as what is put together needs them: whole, and in memory.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, Collected, Limited};
use serde_json::{Map, Value};
use web::{Problem, ProblemCode};

use crate::legs::LeftOut;
use crate::route::SERVED;

/// Why a home's part is left out, by its problem document, which stays as it was.
pub(crate) async fn reason_of(refused: Response) -> (Response, LeftOut) {
    let (head, body) = refused.into_parts();
    let body = Limited::new(body, MOST).collect().await.map(Collected::to_bytes).unwrap_or_default();
    let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let code = |of: &Value| of.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let named = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    // What is wrong with the whole of it is a rule.
    let rules = named.filter(|error| error.get("pointer").and_then(Value::as_str) == Some(""));
    let why = LeftOut { code: code(&problem), denied_by: rules.map(code).collect() };
    (Response::from_parts(head, Body::from(body)), why)
}

/// The request with other parameters; without one, where that is to be empty.
pub(crate) fn with(mut request: Request, parameters: &[(&str, &str)]) -> Option<Request> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut changed = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !parameters.iter().any(|(other, _)| *other == name) {
            changed.append_pair(&name, &value);
        }
    }
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        changed.append_pair(name, value);
    }
    let changed = changed.finish();
    let path = request.uri().path();
    let target = if changed.is_empty() { path.to_owned() } else { format!("{path}?{changed}") };
    *request.uri_mut() = target.parse().ok()?;
    Some(request)
}

/// Most bytes of one home's part.
const MOST: usize = 32 * 1024 * 1024;

/// The JSON object of a good answer; the answer, if it is none.
pub(crate) async fn whole(answer: Response) -> Result<(http::response::Parts, Map<String, Value>), Response> {
    if !answer.status().is_success() {
        return Err(answer);
    }
    let (mut head, body) = answer.into_parts();
    let unreadable = || Problem::new(ProblemCode::HomeUnavailable).retry_after(2).into_response();
    let body = Limited::new(body, MOST).collect().await.map_err(|_| unreadable())?.to_bytes();
    let object = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    head.headers.remove(CONTENT_LENGTH);
    Ok((head, object))
}

pub(crate) fn assemble((mut head, body): (http::response::Parts, Map<String, Value>)) -> Response {
    head.headers.remove(SERVED);
    Response::from_parts(head, Body::from(Value::Object(body).to_string()))
}
