//! OAuth errors (RFC 6749 §5.2): `error` from the registry, a description
//! without personal data.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use edge::Reason;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use store::StoreError;

/// Seconds after which a store that is away may be back.
const AWAY: u32 = 5;

/// An error of an OAuth endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// Code of the IANA registry.
    pub error: &'static str,
    /// What is wrong, in ASCII.
    pub description: Cow<'static, str>,
    status: StatusCode,
    retry_after: Option<u32>,
}

impl OAuthError {
    /// An error with status 400.
    #[must_use]
    pub fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description: description.into(), status: StatusCode::BAD_REQUEST, retry_after: None }
    }

    /// `invalid_request`.
    #[must_use]
    pub fn request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    /// `invalid_client`, status 401 (RFC 6749 §5.2).
    #[must_use]
    pub fn client(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }

    /// `invalid_client`: the certificate is not by the rules that this gateway asks for.
    pub(crate) fn unfit(why: &crypto::Psd2Problem) -> Self {
        // What a description may hold (RFC 6749 §5.2): names in it may be in any script.
        let fits = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let why = why.to_string().replace(|c| !fits(c), "?");
        let description = format!("the certificate is unfit for PSD2: {why}").into();
        Self { description, ..Self::client("") }
    }

    /// `invalid_grant`.
    #[must_use]
    pub fn grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    /// `invalid_dpop_proof` (RFC 9449 §5).
    #[must_use]
    pub fn proof(description: &'static str) -> Self {
        Self::new("invalid_dpop_proof", description)
    }

    /// `invalid_token`, status 401 (RFC 6750 §3.1): at the registration of a client.
    #[must_use]
    pub fn token(description: &'static str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_token", description) }
    }

    /// Too many requests of the client; `temporarily_unavailable` (RFC 6749 §4.1.2.1), status 429.
    pub(crate) fn too_many(wait: u32) -> Self {
        Self {
            error: "temporarily_unavailable",
            description: "too many requests; Retry-After says when to come back".into(),
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(wait),
        }
    }

    /// The store is away, or did not say what became of a change; `temporarily_unavailable`,
    /// status 503.
    fn away() -> Self {
        Self {
            error: "temporarily_unavailable",
            description: "this cannot be done just now; Retry-After says when to come back".into(),
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: Some(AWAY),
        }
    }

    /// `server_error`, status 500; the log knows why.
    pub(crate) fn server() -> Self {
        Self {
            error: "server_error",
            description: "something failed here".into(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            retry_after: None,
        }
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "The store failed");
        let away = error.is_passing() || matches!(error, StoreError::OutcomeUnknown(_));
        if away { Self::away() } else { Self::server() }
    }
}

impl From<flows::FlowError> for OAuthError {
    fn from(error: flows::FlowError) -> Self {
        if let flows::FlowError::Store(error) = error {
            return error.into();
        }
        tracing::error!(error = %error, "A use case failed");
        Self::server()
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.error, "error_description": self.description });
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(Reason(self.error));
        if self.error == "invalid_token" {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        response
    }
}
