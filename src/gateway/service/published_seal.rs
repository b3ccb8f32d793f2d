//! The certificate of our seal, where STET signatures say that it is: banks that
//! are told an address have to find it there (STET 1.4, `keyId`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::BankSeal;

/// The address on the pages' origin, as profiles write it.
pub(crate) fn key_url(issuer: &str) -> String {
    format!("{issuer}/seals/{{sha256}}.pem")
}

/// What serves it. Public, like the certificate in every signature of others.
pub(crate) fn routes(seal: &BankSeal) -> Router {
    let fingerprint = crypto::digest::hex(seal.certificate.thumbprint.as_bytes());
    let published = (format!("{fingerprint}.pem"), seal.certificate_pem.clone());
    Router::new().route("/seals/{file}", get(serve)).with_state(Arc::new(published))
}

async fn serve(State(published): State<Arc<(String, String)>>, Path(file): Path<String>) -> Response {
    let (name, pem) = &*published;
    if file != *name {
        return StatusCode::NOT_FOUND.into_response();
    }
    let media: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/pem-certificate-chain")];
    (media, pem.clone()).into_response()
}
