//! Errors as `tppMessages`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::caller::Unfit;

/// A refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    text: &'static str,
    /// Where an authentication stands after it.
    sca_status: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, text: &'static str) -> Self {
        Self { status, code, text, sca_status: None }
    }

    /// Says where an authentication stands.
    pub(super) fn at(self, sca_status: &'static str) -> Self {
        Self { sca_status: Some(sca_status), ..self }
    }

    pub(super) fn format(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "FORMAT_ERROR", text)
    }

    pub(super) fn unauthorised(code: &'static str, text: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, text)
    }

    pub(super) fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "RESOURCE_UNKNOWN", "There is no such resource")
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Certificate => {
                Self::unauthorised("CERTIFICATE_INVALID", "The client certificate is no QWAC")
            }
            Unfit::Role => Self::unauthorised("ROLE_INVALID", "The certificate lacks the role"),
            Unfit::Token | Unfit::Scope => Self::unauthorised("TOKEN_INVALID", "The token is not valid"),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "A model bank could not keep its state");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR", "The change could not be kept")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = json!({"category": "ERROR", "code": self.code, "text": self.text});
        let mut body = json!({ "tppMessages": [message] });
        if let (Some(status), Some(body)) = (self.sca_status, body.as_object_mut()) {
            body.insert("scaStatus".to_owned(), status.into());
        }
        (self.status, Json(body)).into_response()
    }
}
