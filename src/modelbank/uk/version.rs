//! The versions of the Read/Write API, which differ in their words.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::Value;

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V4,
}

/// Errors of version 4.0, and the words of version 3.1 for them.
const ERRORS: [(&str, &str); 22] = [
    ("U000", "UK.OBIE.UnexpectedError"),
    ("U001", "UK.OBIE.Field.Expected"),
    ("U002", "UK.OBIE.Field.Invalid"),
    ("U003", "UK.OBIE.Field.InvalidDate"),
    ("U004", "UK.OBIE.Field.Missing"),
    ("U005", "UK.OBIE.Field.Unexpected"),
    ("U006", "UK.OBIE.Header.Invalid"),
    ("U007", "UK.OBIE.Header.Missing"),
    ("U008", "UK.OBIE.Resource.ConsentMismatch"),
    ("U009", "UK.OBIE.Resource.InvalidConsentStatus"),
    ("U010", "UK.OBIE.Resource.InvalidFormat"),
    ("U011", "UK.OBIE.Resource.NotFound"),
    ("U015", "UK.OBIE.Signature.Invalid"),
    ("U016", "UK.OBIE.Signature.InvalidClaim"),
    ("U017", "UK.OBIE.Signature.MissingClaim"),
    ("U018", "UK.OBIE.Signature.Malformed"),
    ("U019", "UK.OBIE.Signature.Missing"),
    ("U021", "UK.OBIE.Unsupported.AccountIdentifier"),
    ("U023", "UK.OBIE.Unsupported.Currency"),
    ("U025", "UK.OBIE.Unsupported.Frequency"),
    ("U027", "UK.OBIE.Unsupported.Scheme"),
    ("AG01", "UK.OBIE.UnexpectedError"),
];

impl Version {
    /// The path below which its APIs lie.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::V3 => "/open-banking/v3.1",
            Self::V4 => "/open-banking/v4.0",
        }
    }

    /// The word for where a consent stands.
    pub(super) fn of_consent(self, code: &'static str) -> &'static str {
        match (self, code) {
            (Self::V4, _) => code,
            (Self::V3, "AWUP") => "AwaitingUpload",
            (Self::V3, "AWAU") => "AwaitingAuthorisation",
            (Self::V3, "AUTH") => "Authorised",
            (Self::V3, "COND") => "Consumed",
            (Self::V3, _) => "Rejected",
        }
    }

    /// The word for where an order of a product stands.
    pub(super) fn of_order(self, code: &'static str, product: &str) -> &'static str {
        let at_once = matches!(product, "domestic" | "international");
        match (self, code) {
            (Self::V4, _) => code,
            (Self::V3, _) if at_once => self.of_payment(code),
            (Self::V3, "ACSP" | "ACSC" | "INCO") => "InitiationCompleted",
            (Self::V3, "RJCT" | "INFA") => "InitiationFailed",
            (Self::V3, "CANC") => "Cancelled",
            (Self::V3, _) => "InitiationPending",
        }
    }

    /// The word for where one transfer stands.
    pub(super) fn of_payment(self, code: &'static str) -> &'static str {
        match (self, code) {
            (Self::V4, _) => code,
            (Self::V3, "ACSP") => "AcceptedSettlementInProcess",
            (Self::V3, "ACSC") => "AcceptedSettlementCompleted",
            (Self::V3, "RJCT") => "Rejected",
            (Self::V3, _) => "Pending",
        }
    }
}

/// Gives errors in the words of version 3.1.
pub(super) async fn errors_in_words(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(in_words(bytes)))
}

fn in_words(bytes: Bytes) -> Bytes {
    let Ok(mut body) = serde_json::from_slice::<Value>(&bytes) else { return bytes };
    let errors = body.get_mut("Errors").and_then(Value::as_array_mut);
    for error in errors.into_iter().flatten() {
        let Some(code) = error.get_mut("ErrorCode") else { continue };
        let word = ERRORS.iter().find(|(known, _)| code == known);
        if let Some((_, word)) = word {
            *code = (*word).into();
        }
    }
    body.to_string().into()
}
