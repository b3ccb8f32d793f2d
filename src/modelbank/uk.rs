//! The UK face: Open Banking Read/Write 4.0, and payments of 3.1 too, with its own authorization server
//! (FAPI 2.0: pushed requests, PKCE, certificate-bound tokens).

mod accounts;
mod consents;
mod details;
pub(crate) mod events;
mod files;
pub(crate) mod funds;
mod initiation;
mod international;
mod limits;
pub(crate) mod orders;
mod payees;
mod payments;
pub(crate) mod recurring;
mod refund;
mod refusal;
mod resources;
mod scheduled;
mod signature;
mod standing_orders;
mod statement_file;
mod version;
mod wishes;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Router};

use crate::bank::Bank;
use crate::{media, oauth};
use orders::At;
use version::Version;

/// Base path of account information.
const AISP: &str = "/open-banking/v4.0/aisp";
/// Base path of payment initiation.
const PISP: &str = "/open-banking/v4.0/pisp";
/// Path of confirmation of payees.
const PAYEES: &str = "/open-banking/v4.0/confirmation-payee/name-verification";
/// Base path of confirmation of funds.
const CBPII: &str = "/open-banking/v4.0/cbpii";

pub(crate) fn router(bank: &Arc<Bank>) -> Router<Arc<Bank>> {
    let aisp = Router::new()
        .route("/account-access-consents", post(consents::create))
        .route("/account-access-consents/{id}", get(consents::read).delete(consents::end))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{id}", get(accounts::one))
        .route("/accounts/{id}/balances", get(accounts::balances))
        .route("/accounts/{id}/transactions", get(accounts::transactions))
        .route("/accounts/{id}/parties", get(resources::parties))
        .route("/accounts/{id}/beneficiaries", get(resources::beneficiaries))
        .route("/accounts/{id}/standing-orders", get(resources::standing_orders))
        .route("/accounts/{id}/direct-debits", get(resources::direct_debits))
        .route("/accounts/{id}/scheduled-payments", get(resources::scheduled))
        .route("/accounts/{id}/statements", get(resources::statements))
        .route("/accounts/{id}/statements/{statement}/file", get(statement_file::read))
        .route("/balances", get(accounts::all_balances))
        .route("/transactions", get(accounts::all_transactions));
    let pisp = Router::new()
        .route("/domestic-vrp-consents", post(recurring::create_consent))
        .route("/domestic-vrp-consents/{id}", get(recurring::read_consent).delete(recurring::end_consent))
        .route("/domestic-vrp-consents/{id}/funds-confirmation", post(recurring::funds))
        .route("/domestic-vrps", post(recurring::place))
        .route("/domestic-vrps/{id}", get(recurring::read));
    let cbpii = Router::new()
        .route("/funds-confirmation-consents", post(funds::create_consent))
        .route("/funds-confirmation-consents/{id}", get(funds::read_consent).delete(funds::end_consent))
        .route("/funds-confirmations", post(funds::confirm));
    let events = Router::new()
        .route("/event-subscriptions", get(events::list).post(events::create))
        .route("/event-subscriptions/{id}", put(events::change).delete(events::end))
        .route("/events", post(events::poll));
    let older = payments_of(Version::V3).layer(from_fn(version::errors_in_words));
    let mut all = Router::new()
        .nest(AISP, aisp)
        .nest(PISP, pisp.merge(payments_of(Version::V4)))
        .nest(&format!("{}/pisp", Version::V3.base()), older)
        .nest(CBPII, cbpii)
        .route(PAYEES, post(payees::verify))
        .nest(events::BASE, events)
        .route_layer(from_fn(acceptable))
        .route("/par", post(oauth::push))
        .route("/token", post(oauth::token::issue));
    if bank.registration.is_some() {
        use oauth::register::{create, delete, read, replace};
        all = all
            .route("/register", post(create))
            .route("/register/{id}", get(read).put(replace).delete(delete));
    }
    all.layer(from_fn_with_state(Arc::clone(bank), interaction))
}

/// Payments of every type, as a version has them.
fn payments_of(version: Version) -> Router<Arc<Bank>> {
    orders::ALL.into_iter().fold(Router::new(), |router, service| {
        let (consents, placed) = (format!("/{}-consents", service.name), format!("/{}s", service.name));
        let one = Router::new()
            .route(&consents, post(orders::create_consent))
            .route(&format!("{consents}/{{id}}"), get(orders::read_consent))
            .route(&placed, post(orders::place))
            .route(&format!("{placed}/{{id}}"), get(orders::read))
            .route(&format!("{placed}/{{id}}/payment-details"), get(details::read));
        let one = match service.name {
            "file-payment" => one
                .route(&format!("{consents}/{{id}}/file"), post(files::upload))
                .route(&format!("{placed}/{{id}}/report-file"), get(files::report)),
            "domestic-payment" | "international-payment" => {
                one.route(&format!("{consents}/{{id}}/funds-confirmation"), get(orders::funds))
            }
            _ => one,
        };
        router.merge(one.layer(Extension(At { service, version })))
    })
}

/// Refuses who takes none of the forms that answers have.
async fn acceptable(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let form = if path.ends_with("/report-file") {
        media::XML
    } else if path.contains("/statements/") {
        media::PDF
    } else {
        media::JSON
    };
    // Refusals are in JSON everywhere.
    if media::takes(request.headers(), &[form, media::JSON]) {
        next.run(request).await
    } else {
        refusal::Refusal::NotAcceptable.into_response()
    }
}

/// Echoes `x-fapi-interaction-id`, or makes one, on every answer.
async fn interaction(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    let given = request.headers().get("x-fapi-interaction-id").cloned();
    let well_formed = |value: &HeaderValue| value.to_str().is_ok_and(|id| uuid::Uuid::parse_str(id).is_ok());
    let id = given.filter(well_formed).or_else(|| HeaderValue::try_from(bank.uuid()).ok());
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert("x-fapi-interaction-id", id);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
