//! A request in a file, and how the edge sees it.

use bytes::Bytes;
use http::request::Parts;
use serde::Deserialize;
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
    headers: serde_json::Map<String, serde_json::Value>,
    /// The body.
    #[serde(default)]
    body: Option<String>,
}

impl Sent {
    /// Head and body, if an HTTP library takes them; what none does, the listener does not take either.
    pub(super) fn received(&self) -> Result<(Parts, Bytes), http::Error> {
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.path.as_str());
        for (name, value) in &self.headers {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                request = request.header(name.as_str(), text);
            }
        }
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        // What every client says, whoever wrote the file.
        let given = |wanted: &str| self.headers.keys().any(|name| name.eq_ignore_ascii_case(wanted));
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
        let (parts, body) = self.received().map_err(|_| "malformed".to_owned())?;
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
