//! Orders of each kind: authorised in all their parts, placed once, followed and taken
//! back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::orders::Kind;
use super::parsed_with_token;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Consent, ConsentState, Order, Outcome, Plan, Transfer};
use crate::journal::Fact;

/// Parts of an order that it must repeat as they were authorised.
const PARTS: [&str; 18] = [
    "recipient",
    "recipientBank",
    "sender",
    "transferData",
    "transferCharges",
    "deliveryMode",
    "system",
    "executionMode",
    "transfersTotalAmount",
    "typeOfTransfers",
    "domesticTransfers",
    "EEATransfers",
    "nonEEATransfers",
    "recurrence",
    "typeOfPayment",
    "domesticPayment",
    "EEAPayment",
    "nonEEAPayment",
];

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(kind): Extension<Kind>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let name = body.get(kind.tpp_name()).and_then(Value::as_str);
    let name = name.filter(|id| (1..=64).contains(&id.len()));
    let name = name.ok_or(Refusal::format("The name that the TPP gives is missing"))?.to_owned();
    let authorised = kind.authorised(&consent.body).cloned().unwrap_or_default();
    if PARTS.iter().any(|part| body.get(part) != authorised.get(part)) {
        return Err(Refusal::unprocessable("The order is not what was authorised"));
    }
    let mut asked = kind.instruction(&body)?;
    if let (false, Some(transfer)) = (kind == Kind::Bundle, asked.transfers.first_mut()) {
        transfer.end_to_end = Some(name);
    }
    caller.facts.note(Fact::Consent);
    let now = bank.now();
    let order = Order {
        consent: Some(consent.id.clone()),
        user: consent.user.clone(),
        ..Order::received(bank.fresh("pay-"), organisation, kind.name(), asked, now, body)
    };
    let debtor = consent.accounts.first().cloned().unwrap_or_default();
    let declined = bank.faults.take_decline();
    let placed = bank.vault.change(|book| {
        book.note_asked(&order.transfers);
        // Once: two orders that arrive together must not both be carried out.
        let consent = book.consents.get_mut(&consent.id)?;
        if !consent.is_live(now) {
            return None;
        }
        consent.becomes(ConsentState::Consumed, now);
        let id = order.id.clone();
        book.orders.insert(id.clone(), order);
        book.execute(bank.kind, &id, &debtor, now, declined);
        book.orders.get(&id).cloned()
    });
    let placed = placed.ok_or_else(Refusal::forbidden)?;
    bank.vault.keep().await?;
    Ok(Json(match kind {
        Kind::Domestic | Kind::Eea | Kind::NonEea => payment(&bank, &placed),
        Kind::Bundle => bundle(&bank, &placed, true),
        Kind::Recurring => {
            let mut view = recurring(&bank, &placed);
            let recurrence = placed.body.get("recurrence").cloned();
            extend(&mut view, json!({ "recurrence": recurrence }));
            view
        }
    }))
}

/// Answers about one transfer, alone or of a bundle.
pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (id, name) = (text("paymentId"), text("tppTransactionId"));
    let infos: Vec<(Value, bool)> = bank.vault.read(|book| {
        let own = book.orders.values().filter(|order| is_of(order, organisation, &consent));
        let each = own.flat_map(|order| {
            order.transfers.iter().enumerate().map(|(number, transfer)| {
                let found = match id {
                    Some(id) => payment_id(order, number) == id,
                    None => name.is_some() && transfer.end_to_end.as_deref() == name,
                };
                (info(&bank, order, number, transfer), found)
            })
        });
        each.collect()
    });
    let found = infos.into_iter().find(|(_, found)| *found);
    found.map(|(info, _)| Json(info)).ok_or(Refusal::unprocessable("There is no such payment"))
}

pub(super) async fn read_bundle(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (order, body) = named(&bank, &caller, &body, Kind::Bundle, "bundleId")?;
    let whole = body.get("transactionsIncluded") == Some(&Value::Bool(true));
    let mut view = bundle(&bank, &order, whole);
    extend(&mut view, json!({ "tppBundleId": order.body.get("tppBundleId") }));
    Ok(Json(view))
}

pub(super) async fn read_recurring(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (order, _) = named(&bank, &caller, &body, Kind::Recurring, "recurringPaymentId")?;
    Ok(Json(named_recurring(&bank, &order)))
}

/// Takes back a payment or a bundle. What cannot be is told.
pub(super) async fn cancel(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let id = text("paymentId").or(text("bundleId"));
    let id = id.ok_or(Refusal::format("paymentId or bundleId is missing"))?;
    let order = cancellable(&bank, organisation, &consent, id)?;
    if order.product == Kind::Recurring.name() {
        return Err(Refusal::unprocessable("There is no such payment"));
    }
    if cancelled(&bank, id).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let left = order.transfers.iter().enumerate();
    let left: Vec<Value> = left.map(|(number, transfer)| info(&bank, &order, number, transfer)).collect();
    Ok(Json(json!({ "payments": left })).into_response())
}

pub(super) async fn cancel_recurring(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    let body = parsed_with_token(&caller, &body)?;
    let consent = caller.bound_consent(&bank, "pis")?;
    let id = body.get("recurringPaymentId").and_then(Value::as_str);
    let id = id.ok_or(Refusal::format("recurringPaymentId is missing"))?;
    let order = cancellable(&bank, organisation, &consent, id)?;
    if order.product != Kind::Recurring.name() || !cancelled(&bank, id).await? {
        return Err(Refusal::unprocessable("There is no such recurring payment to be cancelled"));
    }
    let order = cancellable(&bank, organisation, &consent, id)?;
    Ok(Json(named_recurring(&bank, &order)))
}

async fn cancelled(bank: &Bank, id: &str) -> Result<bool, Refusal> {
    let now = bank.now();
    let cancelled = bank.vault.change(|book| book.cancel(id, now));
    bank.vault.keep().await?;
    Ok(cancelled)
}

/// The order of this name, which the consent made or is to take back.
fn cancellable(bank: &Bank, organisation: &str, consent: &Consent, id: &str) -> Result<Order, Refusal> {
    let order = bank.vault.read(|book| book.orders.get(id).cloned());
    let order = order.filter(|order| order.tpp == organisation);
    let order = order.ok_or(Refusal::unprocessable("There is no such payment"))?;
    let theirs = order.consent.as_ref() == Some(&consent.id) || to_cancel(&consent.body) == Some(id);
    if theirs { Ok(order) } else { Err(Refusal::forbidden()) }
}

/// The order that an authorization is to take back.
pub(crate) fn to_cancel(details: &Value) -> Option<&str> {
    let list = details.pointer("/privilegeList/0")?;
    let payment = list.get("pis:cancelPayment");
    let id = payment.and_then(|asked| asked.get("paymentId").or_else(|| asked.get("bundleId")));
    let recurring = || list.get("pis:cancelRecurringPayment")?.get("recurringPaymentId");
    id.or_else(recurring)?.as_str()
}

fn is_of(order: &Order, organisation: &str, consent: &Consent) -> bool {
    order.tpp == organisation && order.consent.as_ref() == Some(&consent.id)
}

/// The order that a body names by the bank's name or the TPP's, and the body.
fn named(
    bank: &Bank,
    caller: &Caller,
    body: &[u8],
    kind: Kind,
    ours: &str,
) -> Result<(Order, Value), Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    let body = parsed_with_token(caller, body)?;
    let consent = caller.bound_consent(bank, "pis")?;
    let (id, name) = (body.get(ours).and_then(Value::as_str), body.get(kind.tpp_name()));
    let order = bank.vault.read(|book| {
        let own = |order: &&Order| order.product == kind.name() && is_of(order, organisation, &consent);
        let named = |order: &&Order| match id {
            Some(id) => order.id == id,
            None => name.is_some() && order.body.get(kind.tpp_name()) == name,
        };
        book.orders.values().filter(own).find(named).cloned()
    });
    let order = order.ok_or(Refusal::unprocessable("There is no such order"))?;
    Ok((order, body))
}

fn extend(view: &mut Value, more: Value) {
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
}

/// The name of a transfer: that of its order, where it is its only one.
fn payment_id(order: &Order, number: usize) -> String {
    if order.product == Kind::Bundle.name() { format!("{}-{number}", order.id) } else { order.id.clone() }
}

fn status(code: &str) -> &'static str {
    match code {
        "ACCP" => "scheduled",
        "ACSP" => "pending",
        "ACSC" => "done",
        "RJCT" => "rejected",
        "CANC" => "cancelled",
        _ => "submitted",
    }
}

fn payment(bank: &Bank, order: &Order) -> Value {
    let status = status(order.status(bank.now()));
    let detail = order.reason().unwrap_or(status);
    json!({ "paymentId": order.id, "generalStatus": status, "detailedStatus": detail })
}

/// A transfer as `PaymentInfo`.
fn info(bank: &Bank, order: &Order, number: usize, transfer: &Transfer) -> Value {
    let status = status(order.status_of(transfer, bank.now()));
    let detail = match &transfer.outcome {
        Some(Outcome::Rejected(reason, _)) => reason.as_str(),
        Some(Outcome::Executed(_)) | None => order.reason().unwrap_or(status),
    };
    let mode = if order.plan == Plan::AtOnce { "Immediate" } else { "FutureDated" };
    json!({
        "paymentId": payment_id(order, number),
        "tppTransactionId": transfer.end_to_end,
        "generalStatus": status,
        "detailedStatus": detail,
        "executionMode": mode,
    })
}

fn bundle(bank: &Bank, order: &Order, whole: bool) -> Value {
    let status = match order.status(bank.now()) {
        "ACSC" => "done",
        "PART" => "partiallyDone",
        "RJCT" | "CANC" => "cancelled",
        _ => "inProgress",
    };
    let mut view = json!({
        "bundleId": order.id,
        "bundleStatus": status,
        "bundleDetailedStatus": order.reason().unwrap_or(status),
    });
    if whole {
        let each = order.transfers.iter().enumerate();
        let each = each.map(|(number, transfer)| info(bank, order, number, transfer));
        extend(&mut view, json!({ "payments": each.collect::<Vec<_>>() }));
    }
    view
}

fn recurring(bank: &Bank, order: &Order) -> Value {
    let status = match order.status(bank.now()) {
        "ACSP" => "inProgress",
        "ACSC" => "close",
        "RJCT" | "CANC" => "cancelled",
        _ => "submitted",
    };
    json!({
        "recurringPaymentId": order.id,
        "recurringPaymentStatus": status,
        "recurringPaymentDetailedStatus": order.reason().unwrap_or(status),
    })
}

fn named_recurring(bank: &Bank, order: &Order) -> Value {
    let mut view = recurring(bank, order);
    extend(&mut view, json!({ "tppRecurringPaymentId": order.body.get("tppRecurringPaymentId") }));
    view
}
