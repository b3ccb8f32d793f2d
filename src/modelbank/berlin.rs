//! The Berlin Group face: NextGenPSD2 XS2A 1.3, redirect, decoupled or
//! embedded.
//! The client certificate is the caller's only credential; requests that
//! change something are signed with a QSealC.

mod accounts;
mod authorisations;
mod cards;
mod consents;
mod embedded;
mod funds;
mod funds_consents;
pub(crate) mod notices;
mod orders;
mod pain;
mod payments;
mod refusal;
mod signature;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::Value;

pub use embedded::CODE;

use crate::bank::Bank;
use crate::engine::{Book, ConsentState, Purpose, Subject, accounts};
use crate::media;
use orders::Service;
use refusal::Refusal;

pub(crate) fn router(_: &Arc<Bank>) -> Router<Arc<Bank>> {
    let v1 = Router::new()
        .route("/consents", post(consents::create))
        .route("/consents/{id}", get(consents::read).delete(consents::end))
        .route("/consents/{id}/status", get(consents::status))
        .route(
            "/consents/{id}/authorisations",
            post(authorisations::start_consent).get(authorisations::list_consent),
        )
        .route(
            "/consents/{id}/authorisations/{authorisation}",
            get(authorisations::consent_status).put(embedded::update_consent),
        )
        .route("/accounts", get(accounts::list::<false>))
        .route("/accounts/{id}", get(accounts::one::<false>))
        .route("/accounts/{id}/balances", get(accounts::balances::<false>))
        .route("/accounts/{id}/transactions", get(accounts::transactions::<false>))
        .route("/accounts/{id}/transactions/{entry}", get(accounts::entry))
        .route("/card-accounts", get(accounts::list::<true>))
        .route("/card-accounts/{id}", get(accounts::one::<true>))
        .route("/card-accounts/{id}/balances", get(accounts::balances::<true>))
        .route("/card-accounts/{id}/transactions", get(accounts::transactions::<true>))
        .route("/funds-confirmations", post(funds::confirm))
        .route("/trusted-beneficiaries", get(accounts::trusted_beneficiaries));
    let services = Service::ALL.into_iter();
    let v1 = services.fold(v1, |v1, service| v1.nest(&format!("/{}", service.name()), orders_of(service)));
    let v2 = Router::new()
        .route("/", post(funds_consents::create))
        .route("/{id}", get(funds_consents::read).delete(funds_consents::end))
        .route("/{id}/status", get(funds_consents::status))
        .route("/{id}/authorisations", post(funds_consents::authorise).get(funds_consents::authorisations))
        .route(
            "/{id}/authorisations/{authorisation}",
            get(funds_consents::authorisation).put(funds_consents::update),
        );
    Router::new()
        .nest("/v1", v1)
        .nest("/v2/consents/confirmation-of-funds", v2)
        .route_layer(from_fn(negotiated))
        .layer(from_fn(echo))
}

/// The orders of a payment service.
fn orders_of(service: Service) -> Router<Arc<Bank>> {
    Router::new()
        .route("/{product}", post(payments::place))
        .route("/{product}/{id}", get(payments::read).delete(payments::cancel))
        .route("/{product}/{id}/status", get(payments::status))
        .route(
            "/{product}/{id}/authorisations",
            post(authorisations::start_payment).get(authorisations::list_payment),
        )
        .route(
            "/{product}/{id}/authorisations/{authorisation}",
            get(authorisations::payment_status).put(embedded::update_payment),
        )
        .route(
            "/{product}/{id}/cancellation-authorisations",
            post(authorisations::start_cancellation).get(authorisations::list_cancellation),
        )
        .route(
            "/{product}/{id}/cancellation-authorisations/{authorisation}",
            get(authorisations::cancellation_status).put(embedded::update_cancellation),
        )
        .layer(Extension(service))
}

/// The accounts a consent or payment names, by our ids. `None` if it leaves
/// the choice to the customer.
pub(crate) fn asked_accounts(book: &Book, bank: &Bank, subject: &Subject) -> Option<Vec<String>> {
    let ids = |numbers: Vec<&str>| {
        let named = accounts(bank.kind).iter().filter(|account| match account.masked_pan() {
            Some(number) => numbers.contains(&number.as_str()),
            None => numbers.contains(&account.iban),
        });
        named.map(|account| account.id.to_owned()).collect()
    };
    match subject {
        Subject::Order(id) | Subject::Cancellation(id) => {
            let order = book.orders.get(id)?;
            if let Some(debtor) = &order.debtor {
                // The first customer has chosen.
                return Some(vec![debtor.clone()]);
            }
            let iban = order.body.pointer("/debtorAccount/iban")?.as_str()?;
            Some(ids(vec![iban]))
        }
        Subject::Consent(id) => {
            let consent = book.consents.get(id)?;
            if consent.state == ConsentState::Partly {
                // The first customer has chosen.
                return Some(consent.accounts.clone());
            }
            if consent.purpose == Purpose::Funds {
                return Some(ids(consent.body.get("account").and_then(number).into_iter().collect()));
            }
            let access = consent.body.get("access")?;
            let lists = ["accounts", "balances", "transactions"].into_iter();
            let lists = lists.filter_map(|name| access.get(name).and_then(Value::as_array));
            let numbers: Vec<&str> = lists.flatten().filter_map(number).collect();
            (!numbers.is_empty()).then(|| ids(numbers))
        }
    }
}

/// The IBAN or card number of an `accountReference`.
fn number(reference: &Value) -> Option<&str> {
    reference.get("iban").or_else(|| reference.get("maskedPan"))?.as_str()
}

/// Bodies and answers are JSON. Orders of some products come in XML, and their status can be
/// had in it.
async fn negotiated(request: Request, next: Next) -> Response {
    let mut segments = request.uri().path().rsplit('/');
    let body = if segments.clone().next().is_some_and(pain::is_xml) { media::XML } else { media::JSON };
    let offered: &[&str] =
        if segments.any(pain::is_xml) { &[media::JSON, media::XML] } else { &[media::JSON] };
    if media::is(request.headers(), body) == Some(false) {
        // Without a body, as the standard has no code for it.
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    if !media::takes(request.headers(), offered) {
        let text = "The bank has no answer in the formats that Accept names";
        let refusal = Refusal::new(StatusCode::NOT_ACCEPTABLE, "REQUESTED_FORMATS_INVALID", text);
        return refusal.into_response();
    }
    next.run(request).await
}

/// `X-Request-ID` is required, a UUID, and echoed.
async fn echo(request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").cloned();
    let well_formed = |value: &HeaderValue| value.to_str().is_ok_and(|id| uuid::Uuid::parse_str(id).is_ok());
    let mut response = if id.as_ref().is_some_and(well_formed) {
        next.run(request).await
    } else {
        Refusal::format("X-Request-ID is missing or no UUID").into_response()
    };
    if let Some(id) = id {
        response.headers_mut().insert("x-request-id", id);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
