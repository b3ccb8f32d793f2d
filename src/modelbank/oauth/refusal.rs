//! Errors of the authorization server.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refused request of the authorization server (RFC 6749 §5.2).
#[derive(Debug)]
pub(crate) struct OauthRefusal {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl OauthRefusal {
    pub(crate) fn request(description: &'static str) -> Self {
        Self { error: "invalid_request", description }
    }

    pub(crate) fn grant(description: &'static str) -> Self {
        Self { error: "invalid_grant", description }
    }

    pub(crate) fn client(description: &'static str) -> Self {
        Self { error: "invalid_client", description }
    }
}

impl From<std::io::Error> for OauthRefusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "A model bank could not keep its state");
        Self { error: "server_error", description: "The bank could not keep the change" }
    }
}

impl IntoResponse for OauthRefusal {
    fn into_response(self) -> Response {
        let status = match self.error {
            "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({"error": self.error, "error_description": self.description});
        (status, Json(body)).into_response()
    }
}
