//! Errors of the Read/Write API 4.0.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::caller::Unfit;

/// A refused request of the Read/Write API.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 401 without a body.
    Token,
    /// 403: role, permission, or another's resource.
    Forbidden,
    /// 403: the consent is not authorised, or not any more.
    NotAuthorised,
    /// 403: the consent has run out, the customer has to come again.
    Expired,
    /// 400 with one code.
    Bad { code: &'static str, message: &'static str, path: Option<&'static str> },
    /// 406 without a body: the caller takes nothing that the bank has.
    NotAcceptable,
    /// 409 without a body: there is one already.
    Exists,
    /// 415 without a body.
    MediaType,
    /// 500: the change could not be kept.
    Internal,
}

impl Refusal {
    pub(crate) fn bad(code: &'static str, message: &'static str) -> Self {
        Self::Bad { code, message, path: None }
    }

    pub(crate) fn field(code: &'static str, message: &'static str, path: &'static str) -> Self {
        Self::Bad { code, message, path: Some(path) }
    }

    pub(crate) fn not_found() -> Self {
        Self::bad("U011", "There is no such resource")
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Token => Self::Token,
            Unfit::Certificate | Unfit::Role | Unfit::Scope => Self::Forbidden,
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "A model bank could not keep its state");
        Self::Internal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = |status: StatusCode, code: &str, message: &str, path: Option<&str>| {
            let mut error = json!({"ErrorCode": code, "Message": message});
            if let (Some(path), Some(error)) = (path, error.as_object_mut()) {
                error.insert("Path".into(), path.into());
            }
            let summary = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
            (status, Json(json!({"Code": summary, "Message": message, "Errors": [error]}))).into_response()
        };
        match self {
            Self::Token => {
                let challenge =
                    [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""))];
                (StatusCode::UNAUTHORIZED, challenge).into_response()
            }
            Self::Forbidden => {
                let message = "Role, permissions or consent do not allow this";
                body(StatusCode::FORBIDDEN, "AG01", message, None)
            }
            Self::NotAuthorised => body(StatusCode::FORBIDDEN, "U009", "The consent is not authorised", None),
            Self::Expired => body(StatusCode::FORBIDDEN, "U028", "The consent has expired", None),
            Self::Bad { code, message, path } => body(StatusCode::BAD_REQUEST, code, message, path),
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE.into_response(),
            Self::Exists => StatusCode::CONFLICT.into_response(),
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
            Self::Internal => {
                body(StatusCode::INTERNAL_SERVER_ERROR, "U000", "The bank could not keep the change", None)
            }
        }
    }
}
