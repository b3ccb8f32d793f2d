//! SEPA credit transfers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use domain::{Currency, Iban, Money};
use serde_json::{Value, json};

use super::authorisations::{approach, explicit_links, links, prepared};
use super::pain;
use super::refusal::Refusal;
use super::signature::{demand, object, require_psu_address};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Seen;
use crate::engine::{Instruction, Order, Subject, Transfer};
use crate::journal::Fact;

const PRODUCTS: [&str; 4] = [
    "sepa-credit-transfers",
    "instant-sepa-credit-transfers",
    "pain.001-sepa-credit-transfers",
    "pain.001-instant-sepa-credit-transfers",
];

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(product): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    known(&product)?;
    require_psu_address(&caller)?;
    demand(&bank, &caller, &body)?;
    let digest = crypto::digest::sha256_hex(&body);
    let body = if pain::is_xml(&product) { pain::order(&product, &body)? } else { object(&body)? };
    let order = order(&bank, organisation.clone(), product, body)?;
    // The same X-Request-ID again is the same request (section 4.1): answer as before, or refuse.
    let request = caller.header("x-request-id").unwrap_or_default().to_ascii_lowercase();
    let key = format!("{organisation}/payment/{request}");
    let seen = bank.vault.read(|book| book.seen.get(&key).map(|seen| seen.resource.clone()));
    if let Some(made) = seen {
        caller.facts.note(Fact::Replay);
        return again(&bank, &made, &digest);
    }
    let path = format!("/v1/payments/{}/{}", order.product, order.id);
    let explicit = caller.header("tpp-explicit-authorisation-preferred") == Some("true");
    let started =
        if explicit { None } else { Some(prepared(&bank, &caller, Subject::Order(order.id.clone()))?) };
    let links = match &started {
        Some(authorisation) => links(&bank, &path, authorisation),
        None => explicit_links(&bank, &path),
    };
    let answer = json!({"transactionStatus": "RCVD", "paymentId": order.id, "_links": links});
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
    Ok((StatusCode::CREATED, approach(&bank), [(LOCATION, path)], Json(answer)).into_response())
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((product, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    let order = own_order(&bank, &caller, &product, &id)?;
    let mut view = order.body.clone();
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
    Path((product, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let order = own_order(&bank, &caller, &product, &id)?;
    let wanted = caller.header("accept").unwrap_or_default();
    if pain::is_xml(&product) && wanted.starts_with("application/xml") {
        let report = pain::status(&order, order.status(bank.now()));
        return Ok(([(CONTENT_TYPE, "application/xml")], report).into_response());
    }
    let mut view = json!({ "transactionStatus": order.status(bank.now()) });
    if let (Some(reason), Some(view)) = (order.reason(), view.as_object_mut()) {
        view.insert("reasonCode".into(), reason.into());
        view.insert("psuMessage".into(), format!("The payment was rejected ({reason})").into());
    }
    Ok(Json(view).into_response())
}

/// The order of a path, if it is the caller's.
pub(super) fn own_order(bank: &Bank, caller: &Caller, product: &str, id: &str) -> Result<Order, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    known(product)?;
    bank.settle();
    let order = bank.vault.read(|book| book.orders.get(id).cloned());
    let ours = |order: &Order| order.tpp == organisation && order.product == product;
    order.filter(ours).ok_or_else(Refusal::unknown)
}

fn known(product: &str) -> Result<(), Refusal> {
    if PRODUCTS.contains(&product) {
        Ok(())
    } else {
        Err(Refusal::new(StatusCode::NOT_FOUND, "PRODUCT_UNKNOWN", "The bank has no such product"))
    }
}

fn again(bank: &Bank, made: &str, digest: &str) -> Result<Response, Refusal> {
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
    let path = format!("/v1/payments/{}/{}", order.product, order.id);
    let links = match &started {
        Some(authorisation) => links(bank, &path, authorisation),
        None => explicit_links(bank, &path),
    };
    let answer =
        json!({"transactionStatus": order.status(bank.now()), "paymentId": order.id, "_links": links});
    Ok((StatusCode::CREATED, approach(bank), [(LOCATION, path)], Json(answer)).into_response())
}

fn order(bank: &Bank, tpp: String, product: String, body: Value) -> Result<Order, Refusal> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let amount = || {
        let currency: Currency = text("/instructedAmount/currency")?.parse().ok()?;
        let money = Money::parse(text("/instructedAmount/amount")?, currency).ok()?;
        (!money.amount().is_zero()).then_some(money)
    };
    let money = amount().ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    if money.currency().code() != "EUR" {
        return Err(Refusal::format("SEPA payments are in EUR"));
    }
    let iban = |pointer: &str| text(pointer).and_then(|iban| iban.parse::<Iban>().ok());
    let creditor = iban("/creditorAccount/iban");
    let creditor = creditor.ok_or(Refusal::format("creditorAccount has no valid IBAN"))?;
    if body.get("debtorAccount").is_some() && iban("/debtorAccount/iban").is_none() {
        return Err(Refusal::format("debtorAccount has no valid IBAN"));
    }
    let name = text("/creditorName").filter(|name| name.chars().count() <= 70);
    let name = name.ok_or(Refusal::format("creditorName is missing or too long"))?.to_owned();
    let asked = Instruction::single(Transfer {
        amount: money.amount(),
        currency: money.currency().code().to_owned(),
        creditor_name: name,
        creditor_account: creditor.as_str().to_owned(),
        remittance: text("/remittanceInformationUnstructured").unwrap_or_default().to_owned(),
        end_to_end: text("/endToEndIdentification").map(str::to_owned),
        outcome: None,
    });
    Ok(Order::received(bank.fresh("pay-"), tpp, product, asked, bank.now(), body))
}
