//! Parameters of a request, each given once: from a form body, or from inside
//! a signed request object.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use crate::OAuthError;

/// Largest form in bytes.
const MAX_FORM: usize = 64 * 1024;

/// Parameters that are given once each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a form body.
    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, OAuthError> {
        let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = declared.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(OAuthError::request("the body is a form (application/x-www-form-urlencoded)"));
        }
        let bytes = to_bytes(body, MAX_FORM)
            .await
            .map_err(|_| OAuthError::request("the body is too large or ended early"))?;
        let mut form = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            // RFC 6749 §3.2: a parameter is not repeated.
            if form.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(OAuthError::request("a parameter is given twice"));
            }
        }
        Ok(Self(form))
    }

    /// The parameters of a request object (RFC 9101 §4): text as it is,
    /// structures as their JSON.
    pub(crate) fn of_claims(claims: Map<String, Value>) -> Self {
        let text = |value: Value| match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        };
        Self(claims.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    /// A parameter, if it is given and not empty (RFC 6749 §3.2).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be given.
    pub(crate) fn need(&self, name: &'static str, missing: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::request(missing))
    }
}
