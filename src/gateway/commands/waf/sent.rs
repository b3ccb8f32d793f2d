//! A request in a file, and how the edge sees it.

use bytes::Bytes;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value};
use web::MAX_BODY;

use crate::filter::GatewayFilter;

/// One request.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    /// The method.
    method: String,
    /// Path and query.
    path: String,
    /// Names and values.
    #[serde(default)]
    headers: Headers,
    /// The body: text; what is JSON itself stands for its text.
    #[serde(default)]
    body: Option<Value>,
}

/// Headers as others write them: an object whose values may be several, or pairs.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Headers {
    Named(Map<String, Value>),
    Pairs(Vec<(String, Value)>),
}

impl Default for Headers {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

impl Headers {
    fn each(&self) -> Vec<(&str, String)> {
        let named: Vec<(&String, &Value)> = match self {
            Self::Named(named) => named.iter().collect(),
            Self::Pairs(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        };
        let each = named.into_iter().flat_map(|(name, value)| {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            values.iter().map(|value| (name.as_str(), text_of(value)))
        });
        each.collect()
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Sent {
    /// Head and body, if an HTTP library takes them; what none does, the listener does not take either.
    pub(super) fn received(&self) -> Result<(Parts, Bytes), http::Error> {
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.path.as_str());
        let headers = self.headers.each();
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let body = Bytes::from(self.body.as_ref().map(text_of).unwrap_or_default());
        // What every client says, whoever wrote the file.
        let given = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !given("host") {
            request = request.header("host", "gateway.example");
        }
        if !(body.is_empty() || given("content-length") || given("transfer-encoding")) {
            request = request.header("content-length", body.len());
        }
        let (parts, ()) = request.body(())?.into_parts();
        Ok((parts, body))
    }

    /// What the edge, short of the token check, says of it: nothing, or why it is refused.
    pub(super) fn through(&self, filter: &GatewayFilter) -> Result<(), String> {
        let (mut parts, body) = self.received().map_err(|_| "malformed".to_owned())?;
        if edge::head_is_too_large(&parts) {
            return Err("head".to_owned());
        }
        edge::without_identity(&mut parts.headers);
        if body.len() > MAX_BODY {
            return Err("body".to_owned());
        }
        if let Some(refusal) = edge::fault(&parts, MAX_BODY) {
            return Err(format!("{refusal:?}"));
        }
        let (judgement, _) = filter.judgement(&parts, &body);
        if !judgement.refused {
            return Ok(());
        }
        Err(judgement.told())
    }
}
