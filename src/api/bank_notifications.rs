//! Where banks notify us, each at an address of its own. No part of the API for fintechs: a
//! bank proves itself by the signature of its token (RFC 8417, delivered as RFC 8935), or by
//! the address that it alone was given (Berlin Group), and by its client certificate where it
//! shows one.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use connect::{EventRefused, LARGEST_EVENT};
use domain::InstitutionId;
use edge::{PeerIdentity, Trust};
use flows::{Gateway, NotificationRefused, ShownCertificate};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use web::{Problem, ProblemCode};

/// Media types of a security event token: of the UK standard, and of RFC 8935.
const TOKEN_TYPES: [&str; 2] = ["application/jwt", "application/secevent+jwt"];

/// The routes.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    let notified = "/bank-notifications/{institution}/event-notifications";
    Router::new()
        .route(notified, post(event))
        // The standard lets a bank append the name of the resource to the address it was given.
        .route(&format!("{notified}/event-notifications"), post(event))
        .route("/bank-notifications/{institution}/{subject}/{secret}", post(notice))
        .layer(DefaultBodyLimit::max(LARGEST_EVENT))
        .with_state(gateway)
}

/// A security event token.
async fn event(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<PeerIdentity>,
    Path(institution): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Response> {
    let invalid = |why| refused(EventRefused::InvalidRequest(why));
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let declared = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !TOKEN_TYPES.contains(&declared.as_str()) {
        return Err(invalid("the body must be application/jwt"));
    }
    let token = std::str::from_utf8(&body).map_err(|_| invalid("the body is no token"))?;
    let taken = gateway.take_event(&bank(&institution)?, token.trim(), shown(&peer)).await;
    match taken {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(NotificationRefused::Certificate) => Err(refused(EventRefused::AuthenticationFailed)),
        Err(NotificationRefused::Event(why)) => Err(refused(why)),
        Err(other) => Err(problem(other).into_response()),
    }
}

/// A notice about one resource.
async fn notice(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<PeerIdentity>,
    Path((institution, subject, secret)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<StatusCode, Response> {
    let taken = gateway.take_notice(&bank(&institution)?, &subject, &secret, &body, shown(&peer)).await;
    taken.map(|()| StatusCode::NO_CONTENT).map_err(|refused| problem(refused).into_response())
}

fn bank(institution: &str) -> Result<InstitutionId, Response> {
    institution.parse().map_err(|_| problem(NotificationRefused::Unknown).into_response())
}

fn shown(peer: &PeerIdentity) -> ShownCertificate<'_> {
    match &peer.certificate {
        None => ShownCertificate::Nothing,
        Some(shown) => match shown.trust {
            Trust::Trusted => ShownCertificate::Of(shown.fields.organization_identifier.as_deref()),
            Trust::OutOfDate | Trust::Revoked | Trust::RevocationUnknown | Trust::Unfit | Trust::Unknown => {
                ShownCertificate::Untrusted
            }
        },
    }
}

/// RFC 8935 §2.3.
fn refused(why: EventRefused) -> Response {
    let body = json!({ "err": why.code(), "description": why.to_string() });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn problem(refused: NotificationRefused) -> Problem {
    match refused {
        NotificationRefused::Unknown => Problem::new(ProblemCode::NotFound),
        NotificationRefused::Certificate => Problem::new(ProblemCode::CertificateUntrusted),
        NotificationRefused::Notice | NotificationRefused::Event(_) => {
            Problem::new(ProblemCode::MalformedJson).detail("The body is no notice about this resource.")
        }
        NotificationRefused::Failed(error) => error.into(),
    }
}
