//! Payments: placed, read, followed and taken back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::authorisations::{approach, explicit_links, links, prepared, with_message};
use super::notices;
use super::orders::Service;
use super::pain;
use super::refusal::Refusal;
use super::signature::{demand, object, require_psu_address};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Seen;
use crate::engine::magic::is_kept;
use crate::engine::{Order, OrderState, Subject};
use crate::journal::Fact;

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path(product): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    service.knows(&product)?;
    require_psu_address(&caller)?;
    demand(&bank, &caller, &body)?;
    let digest = crypto::digest::sha256_hex(&body);
    let body = if pain::is_xml(&product) {
        pain::order(service, &product, &body, bank.today())?
    } else {
        object(&body)?
    };
    let asked = service.instruction(&product, &body, bank.today())?;
    let kept = service.kept(&product);
    let order = Order::received(bank.fresh("pay-"), organisation.clone(), kept, asked, bank.now(), body);
    // The same X-Request-ID again is the same request (section 4.1): answer as before, or refuse.
    let request = caller.header("x-request-id").unwrap_or_default().to_ascii_lowercase();
    let key = format!("{organisation}/payment/{request}");
    let seen = bank.vault.read(|book| book.seen.get(&key).map(|seen| seen.resource.clone()));
    if let Some(made) = seen {
        caller.facts.note(Fact::Replay);
        return again(&bank, &made, &digest, |id| service.place(&product, id));
    }
    let path = service.place(&product, &order.id);
    let explicit = caller.header("tpp-explicit-authorisation-preferred") == Some("true");
    let started =
        if explicit { None } else { Some(prepared(&bank, &caller, Subject::Order(order.id.clone()))?) };
    let links = match &started {
        Some(authorisation) => links(&bank, &path, authorisation),
        None => explicit_links(&bank, &path),
    };
    let answer = json!({"transactionStatus": "RCVD", "paymentId": order.id, "_links": links});
    let answer = with_message(&bank, started.is_some(), answer);
    let id = order.id.clone();
    let now = bank.now();
    let until = now.checked_add(jiff::SignedDuration::from_hours(24)).unwrap_or(now);
    bank.vault.change(|book| {
        book.prune(now);
        book.names.insert(order.tpp.clone(), caller.name());
        book.seen.insert(key, Seen { resource: format!("{} {digest}", order.id), until });
        book.orders.insert(order.id.clone(), order);
        if let Some(authorisation) = started {
            book.authorisations.insert(authorisation.id.clone(), authorisation);
        }
    });
    bank.vault.keep().await?;
    let answer = (StatusCode::CREATED, approach(&bank), [(LOCATION, path)], Json(answer)).into_response();
    notices::remember(&bank, &caller, &id, answer).await
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let order = own_order(&bank, &caller, service, &product, &id)?;
    let mut view = order.body.clone();
    let payments = view.get_mut("payments").and_then(Value::as_array_mut);
    for (payment, transfer) in payments.into_iter().flatten().zip(&order.transfers) {
        if let Some(payment) = payment.as_object_mut() {
            payment.insert("transactionStatus".into(), order.status_of(transfer, bank.now()).into());
        }
    }
    if let Some(view) = view.as_object_mut() {
        view.insert("transactionStatus".into(), order.status(bank.now()).into());
        let debtor = order.debtor.as_deref().and_then(|id| bank.account(id));
        if let (Some(debtor), false) = (debtor, view.contains_key("debtorAccount")) {
            view.insert("debtorAccount".into(), json!({ "iban": debtor.iban }));
        }
    }
    Ok(Json(view))
}

pub(super) async fn status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let order = own_order(&bank, &caller, service, &product, &id)?;
    let wanted = caller.header("accept").unwrap_or_default();
    if pain::is_xml(&product) && wanted.starts_with("application/xml") {
        let report = pain::status(&order, bank.now());
        return Ok(([(CONTENT_TYPE, "application/xml")], report).into_response());
    }
    let mut view = json!({ "transactionStatus": order.status(bank.now()) });
    if let (Some(reason), Some(view)) = (order.reason(), view.as_object_mut()) {
        view.insert("reasonCode".into(), reason.into());
        view.insert("psuMessage".into(), format!("The payment was rejected ({reason})").into());
    }
    Ok(Json(view).into_response())
}

/// Takes an order back until it is carried out. The bank asks nobody, a magic amount excepted:
/// then the customer has to approve it.
pub(super) async fn cancel(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let order = own_order(&bank, &caller, service, &product, &id)?;
    let now = bank.now();
    let kept = order.transfers.iter().any(|transfer| is_kept(transfer.amount));
    if kept && matches!(order.state, OrderState::Waiting(_)) {
        let start = format!("{}{}/cancellation-authorisations", bank.api_url, service.place(&product, &id));
        let links = json!({ "startAuthorisation": { "href": start } });
        let answer = json!({ "transactionStatus": order.status(now), "_links": links });
        return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
    }
    if !bank.vault.change(|book| book.cancel(&id, now)) {
        let text = "The payment can no longer be cancelled";
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "CANCELLATION_INVALID", text));
    }
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The order of a path, if it is the caller's.
pub(super) fn own_order(
    bank: &Bank,
    caller: &Caller,
    service: Service,
    product: &str,
    id: &str,
) -> Result<Order, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    service.knows(product)?;
    bank.settle();
    let order = bank.vault.read(|book| book.orders.get(id).cloned());
    let ours = |order: &Order| order.tpp == organisation && order.product == service.kept(product);
    order.filter(ours).ok_or_else(Refusal::unknown)
}

fn again(
    bank: &Bank,
    made: &str,
    digest: &str,
    place: impl FnOnce(&str) -> String,
) -> Result<Response, Refusal> {
    let (id, same) = made.split_once(' ').unwrap_or((made, ""));
    let order = bank.vault.read(|book| {
        let order = book.orders.get(id).cloned()?;
        let subject = Subject::Order(id.to_owned());
        let started = book.authorisations.values().find(|authorisation| authorisation.subject == subject);
        Some((order, started.cloned()))
    });
    let Some((order, started)) = order.filter(|_| same == digest) else {
        return Err(Refusal::format("X-Request-ID was used for another request"));
    };
    let path = place(&order.id);
    let links = match &started {
        Some(authorisation) => links(bank, &path, authorisation),
        None => explicit_links(bank, &path),
    };
    let answer =
        json!({"transactionStatus": order.status(bank.now()), "paymentId": order.id, "_links": links});
    let answer = with_message(bank, started.is_some(), answer);
    Ok((StatusCode::CREATED, approach(bank), [(LOCATION, path)], Json(answer)).into_response())
}
