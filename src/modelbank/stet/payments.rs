//! Payment requests: posted, approved, confirmed, and taken back.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::orders::instruction;
use super::refusal::Refusal;
use super::{BASE, hal};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Authorisation, Order, OrderState, ScaState, Subject, accounts};
use crate::journal::Fact;

/// The customer or the TPP took the order back.
const CANCELLED: &str = "DS02";
/// Why a request may be taken back.
const REASONS: [&str; 5] = [CANCELLED, "DUPL", "FRAD", "CUST", "TECH"];

pub(super) async fn place(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "pisp")?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let report = |name: &str| address(&body, name);
    let (redirect, nok_redirect) = (report("successfulReportUrl")?, report("unsuccessfulReportUrl")?);
    let redirect = redirect.ok_or(Refusal::format("successfulReportUrl is missing"))?;
    let order = order(&bank, organisation, body)?;
    let holder = in_the_app(&bank, &order.body);
    let authorisation = Authorisation {
        id: bank.fresh("sca-"),
        subject: Subject::Order(order.id.clone()),
        user: holder.map(str::to_owned),
        state: ScaState::Received,
        embedded: false,
        wrong: 0,
        created: bank.now(),
        nok_redirect: nok_redirect.or_else(|| Some(redirect.clone())),
        redirect: Some(redirect),
        decides_itself: holder.filter(|_| bank.auto_approve).map(|_| true),
    };
    let location = format!("{BASE}/payment-requests/{}", order.id);
    let approval = format!("{}/sca/{}", bank.pages_url, authorisation.id);
    bank.vault.change(|book| {
        book.prune(bank.now());
        book.names.insert(order.tpp.clone(), caller.name());
        book.orders.insert(order.id.clone(), order);
        book.authorisations.insert(authorisation.id.clone(), authorisation);
    });
    bank.vault.keep().await?;
    let body = match holder {
        Some(_) => json!({ "appliedAuthenticationApproach": "DECOUPLED" }),
        None => json!({
            "appliedAuthenticationApproach": "REDIRECT",
            "_links": { "consentApproval": { "href": approval } },
        }),
    };
    Ok(([(LOCATION, location)], hal(StatusCode::CREATED, &body)).into_response())
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    bank.settle();
    let order = own_order(&bank, &caller, &id)?;
    Ok(hal(StatusCode::OK, &view(&bank, &order)))
}

/// The TPP's confirmation, without which nothing is carried out.
pub(super) async fn confirm(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let order = own_order(&bank, &caller, &id)?;
    bank.vault.change(|book| book.note_asked(&order.transfers));
    match order.state {
        OrderState::Received => {
            return Err(Refusal::new(StatusCode::CONFLICT, "The customer has not approved the payment"));
        }
        OrderState::Approved(_) => {
            bank.vault.change(|book| book.confirm(bank.kind, &id, bank.now()));
        }
        // Confirmed before: the same answer, and no second payment.
        OrderState::Executed(_) | OrderState::Waiting(_) => caller.facts.note(Fact::Replay),
        OrderState::Rejected(..) | OrderState::Cancelled(_) => {}
    }
    bank.vault.keep().await?;
    let order = own_order(&bank, &caller, &id)?;
    Ok(hal(StatusCode::OK, &view(&bank, &order)))
}

/// Takes a request back: `paymentInformationStatus` becomes `CANC`, with the reason for it.
pub(super) async fn cancel(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    own_order(&bank, &caller, &id)?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let request = body.get("paymentRequest").unwrap_or(&body);
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("paymentInformationStatus") != "CANC" || !REASONS.contains(&text("statusReasonInformation")) {
        return Err(Refusal::format("A payment request is cancelled for a reason, and not changed else"));
    }
    let now = bank.now();
    if !bank.vault.change(|book| book.cancel(&id, now)) {
        return Err(Refusal::new(StatusCode::CONFLICT, "The payment can no longer be cancelled"));
    }
    bank.vault.keep().await?;
    let order = own_order(&bank, &caller, &id)?;
    Ok(hal(StatusCode::OK, &view(&bank, &order)))
}

fn own_order(bank: &Bank, caller: &Caller, id: &str) -> Result<Order, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(bank, "pisp")?;
    let order = bank.vault.read(|book| book.orders.get(id).cloned());
    order.filter(|order| order.tpp == organisation).ok_or_else(Refusal::unknown)
}

fn view(bank: &Bank, order: &Order) -> Value {
    let status = match order.status(bank.now()) {
        "RCVD" if order.state == OrderState::Received => "ACTC",
        status => status,
    };
    let mut request = order.body.clone();
    let listed = request.get_mut("creditTransferTransaction").and_then(Value::as_array_mut);
    for (listed, transfer) in listed.into_iter().flatten().zip(&order.transfers) {
        let status = match order.status_of(transfer, bank.now()) {
            "RCVD" => status,
            own => own,
        };
        if let Some(listed) = listed.as_object_mut() {
            listed.insert("transactionStatus".into(), status.into());
        }
    }
    if let Some(request) = request.as_object_mut() {
        request.insert("resourceId".into(), order.id.clone().into());
        request.insert("paymentInformationStatus".into(), status.into());
        let cancelled = matches!(order.state, OrderState::Cancelled(_)).then_some(CANCELLED);
        if let Some(reason) = order.reason().or(cancelled) {
            request.insert("statusReasonInformation".into(), reason.into());
        }
    }
    let itself = format!("{}{BASE}/payment-requests/{}", bank.api_url, order.id);
    let links =
        json!({ "self": { "href": itself }, "confirmation": { "href": format!("{itself}/confirmation") } });
    json!({ "paymentRequest": request, "_links": links })
}

fn accepts(body: &Value, approach: &str) -> bool {
    let approaches = body.pointer("/supplementaryData/acceptedAuthenticationApproach");
    approaches.and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == approach))
}

/// Who is asked in the bank's app, where the TPP accepts that: the holder of the account
/// that the request names. A second holder comes to the bank's pages.
fn in_the_app(bank: &Bank, body: &Value) -> Option<&'static str> {
    let iban = body.pointer("/debtorAccount/iban").and_then(Value::as_str)?;
    let mut accounts = accounts(bank.kind).iter().filter(|account| account.cosigner.is_none());
    accounts
        .find(|account| account.iban == iban)
        .filter(|_| accepts(body, "DECOUPLED"))
        .map(|account| account.user)
}

fn address(body: &Value, name: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = body.pointer(&format!("/supplementaryData/{name}")) else { return Ok(None) };
    let url = text.as_str().and_then(|text| url::Url::parse(text).ok());
    let url = url.filter(|url| url.scheme() == "https");
    url.map(|url| Some(url.to_string())).ok_or(Refusal::format("A report URL is no https address"))
}

fn order(bank: &Bank, tpp: String, body: Value) -> Result<Order, Refusal> {
    let (product, asked) = instruction(&body, bank.today())?;
    if !accepts(&body, "REDIRECT") {
        return Err(Refusal::format("The bank must be free to choose the approach REDIRECT"));
    }
    Ok(Order::received(bank.fresh("pr-"), tpp, product, asked, bank.now(), body))
}
