//! Errors: `{responseHeader, code, message}`; the header is added on the way out.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::caller::Unfit;

/// A refused request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message }
    }

    pub(super) fn format(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "FORMAT_ERROR", message)
    }

    /// Well formed, and not to be done.
    pub(super) fn unprocessable(message: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "NOT_PROCESSABLE", message)
    }

    pub(super) fn token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", "The access token is not valid")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "CONSENT_INVALID", "Role or consent do not allow this")
    }

    pub(super) fn signature(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SIGNATURE_INVALID", message)
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Token => Self::token(),
            Unfit::Certificate | Unfit::Role | Unfit::Scope => Self::forbidden(),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "A model bank could not keep its state");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "The change could not be kept")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "code": self.code, "message": self.message }))).into_response()
    }
}
