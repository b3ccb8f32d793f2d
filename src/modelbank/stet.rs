//! The STET face: PSD2 API 1.4, HAL answers. The customer's authorization is
//! the consent; requests are signed with a QSealC that `keyId` names by address;
//! a payment is carried out when the TPP confirms it.

mod accounts;
mod consents;
mod funds;
mod orders;
mod payments;
mod refusal;
mod signature;

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::Value;

use crate::bank::Bank;
use crate::oauth;
pub(crate) use consents::requested;
use refusal::Refusal;

/// Base path of the interface.
const BASE: &str = "/stet/psd2/v1.4";

pub(crate) fn router(bank: &Arc<Bank>) -> Router<Arc<Bank>> {
    let api = Router::new()
        .route("/accounts", get(accounts::list))
        .route("/accounts/{id}/balances", get(accounts::balances))
        .route("/accounts/{id}/transactions", get(accounts::transactions))
        .route("/end-user-identity", get(accounts::identity))
        .route("/trusted-beneficiaries", get(accounts::beneficiaries))
        .route("/consents", put(consents::replace))
        .route("/funds-confirmations", post(funds::confirm))
        .route("/payment-requests", post(payments::place))
        .route("/payment-requests/{id}", get(payments::read).put(payments::cancel))
        .route("/payment-requests/{id}/confirmation", post(payments::confirm))
        .layer(from_fn_with_state(Arc::clone(bank), signature::demanded))
        .layer(from_fn_with_state(Arc::clone(bank), dressed));
    Router::new().nest(BASE, api).route("/token", post(oauth::token::issue).layer(map_response(unstored)))
}

/// Tokens are kept by nobody on the way (RFC 6749 §5.1).
async fn unstored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Echoes `X-Request-ID`, and gives errors time and path.
async fn dressed(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").cloned();
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
    let path = uri.path().to_owned();
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions().get::<Refusal>() {
        response = refusal.answer(bank.now(), &path);
    }
    if let Some(id) = id {
        response.headers_mut().insert("x-request-id", id);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A HAL resource.
fn hal(status: StatusCode, body: &Value) -> Response {
    let media = HeaderValue::from_static("application/hal+json; charset=utf-8");
    (status, [(CONTENT_TYPE, media)], body.to_string()).into_response()
}
