//! What was asked and answered.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::redact::{redacted, redacted_body, redacted_url};

/// A request, as it goes out.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Headers in their order; a name may come twice.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Name of the client certificate, if one is shown.
    pub certificate: Option<String>,
}

impl Request {
    /// A request without headers, body and certificate.
    #[must_use]
    pub fn new(method: &str, url: Url) -> Self {
        Self { method: method.to_owned(), url, headers: Vec::new(), body: Bytes::new(), certificate: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body of some type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            self.headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        self.body = body.into();
        self
    }

    /// Over a connection on which this client certificate is shown.
    #[must_use]
    pub fn with(mut self, certificate: Option<&str>) -> Self {
        self.certificate = certificate.map(str::to_owned);
        self
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in their order, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Version of TLS.
    pub tls: &'static str,
}

impl Response {
    /// The value of the first header of a name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, or null.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text, whatever is no text replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request with its answer, for the evidence: without secrets and personal values.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    /// What the request was for.
    pub step: String,
    /// When it went out.
    pub at: jiff::Timestamp,
    /// Until the answer was read, in milliseconds.
    pub ms: u128,
    /// The client certificate that was shown.
    pub certificate: Option<String>,
    /// Method and address.
    pub request: String,
    /// Its headers.
    pub request_headers: Map<String, Value>,
    /// Its body.
    pub request_body: Value,
    /// The status; none if no answer came.
    pub status: Option<u16>,
    /// Version of TLS.
    pub tls: Option<&'static str>,
    /// Headers of the answer.
    pub response_headers: Map<String, Value>,
    /// Body of the answer, or why there was none.
    pub response_body: Value,
}

impl Exchange {
    /// The evidence of a request that somebody else made, and that we were asked.
    #[must_use]
    pub fn seen(step: &str, at: jiff::Timestamp, request: &Request) -> Self {
        let not_kept = Err(super::NoAnswer::Broken("the answer is not kept".to_owned()));
        let seen = Self::of(step, at, 0, request, &not_kept);
        Self { response_body: Value::Null, ..seen }
    }

    /// The evidence of one request.
    #[must_use]
    pub fn of(
        step: &str,
        at: jiff::Timestamp,
        ms: u128,
        request: &Request,
        answer: &Result<Response, super::NoAnswer>,
    ) -> Self {
        let body = |headers: &[(String, String)], body: &Bytes| {
            let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            redacted_body(kind.map_or("", |(_, kind)| kind.as_str()), body)
        };
        let (status, tls, response_headers, response_body) = match answer {
            Ok(answer) => (
                Some(answer.status),
                Some(answer.tls),
                shown(&answer.headers),
                body(&answer.headers, &answer.body),
            ),
            Err(error) => (None, None, Map::new(), json!(error.to_string())),
        };
        Self {
            step: step.to_owned(),
            at,
            ms,
            certificate: request.certificate.clone(),
            request: format!("{} {}", request.method, redacted_url(&request.url)),
            request_headers: shown(&request.headers),
            request_body: body(&request.headers, &request.body),
            status,
            tls,
            response_headers,
            response_body,
        }
    }
}

fn shown(headers: &[(String, String)]) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in headers {
        let value = match name.to_ascii_lowercase().as_str() {
            "authorization"
            | "cookie"
            | "set-cookie"
            | "dpop-nonce"
            | "psu-ip-address"
            | "psu-id"
            | "x-fapi-customer-ip-address" => {
                let scheme = value.split_once(' ').filter(|_| name.eq_ignore_ascii_case("authorization"));
                format!("{} ***", scheme.map_or("", |(scheme, _)| scheme)).trim().to_owned()
            }
            "location" => Url::parse(value).map_or_else(|_| redacted(value), |url| redacted_url(&url)),
            _ => redacted(value),
        };
        // Names that come twice are seen twice.
        match map.get_mut(name) {
            Some(Value::Array(before)) => before.push(json!(value)),
            Some(before) => *before = json!([before.take(), value]),
            None => drop(map.insert(name.clone(), json!(value))),
        }
    }
    map
}
