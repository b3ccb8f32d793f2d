//! Errors: `{timestamp, status, error, message, path}`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::Timestamp;
use serde_json::json;

use super::hal;
use crate::caller::Unfit;

/// A refused request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: &'static str,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    pub(super) fn format(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "The access token is not valid")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Role or consent do not allow this")
    }

    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such resource")
    }

    /// The answer, once time and place are known.
    pub(super) fn answer(self, at: Timestamp, path: &str) -> Response {
        let body = json!({
            "timestamp": at.to_string(),
            "status": self.status.as_u16(),
            "error": self.status.canonical_reason(),
            "message": self.message,
            "path": path,
        });
        hal(self.status, &body)
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
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The change could not be kept")
    }
}

/// Carries the refusal to [`super::dressed`].
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
