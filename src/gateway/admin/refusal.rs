//! Why an operator does not get what they ask for (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use store::StoreError;

/// A refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Refusal {
    /// The certificate is nobody's who is named, or may only look.
    pub(super) fn of_role(detail: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "admin.role", detail: detail.to_owned() }
    }

    /// There is no such thing.
    pub(super) fn missing(detail: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "admin.not_found", detail: detail.to_owned() }
    }

    /// It is not in a state in which that can be done. Commands say in words for a person why.
    pub(super) fn of_state(error: &anyhow::Error) -> Self {
        Self { status: StatusCode::CONFLICT, code: "admin.state", detail: error.to_string() }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "admin.store", detail: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, detail } = self;
        let body = json!({ "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "code": code, "detail": detail });
        (status, [(CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}
