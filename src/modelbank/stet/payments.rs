//! Payment requests with one SEPA credit transfer: posted, approved, confirmed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use domain::{Currency, Iban, Money};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{BASE, hal};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Authorisation, Instruction, Order, OrderState, ScaState, Subject, Transfer};
use crate::journal::Fact;

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
    let authorisation = Authorisation {
        id: bank.fresh("sca-"),
        subject: Subject::Order(order.id.clone()),
        user: None,
        state: ScaState::Received,
        embedded: false,
        wrong: 0,
        created: bank.now(),
        nok_redirect: nok_redirect.or_else(|| Some(redirect.clone())),
        redirect: Some(redirect),
        decides_itself: None,
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
    let body = json!({
        "appliedAuthenticationApproach": "REDIRECT",
        "_links": { "consentApproval": { "href": approval } },
    });
    Ok(([(LOCATION, location)], hal(StatusCode::CREATED, &body)).into_response())
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
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
    bank.vault.change(|book| book.note_asked([order.end_to_end()]));
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
    if let Some(transfer) = request.pointer_mut("/creditTransferTransaction/0").and_then(Value::as_object_mut)
    {
        transfer.insert("transactionStatus".into(), status.into());
    }
    if let Some(request) = request.as_object_mut() {
        request.insert("resourceId".into(), order.id.clone().into());
        request.insert("paymentInformationStatus".into(), status.into());
        if let Some(reason) = order.reason() {
            request.insert("statusReasonInformation".into(), reason.into());
        }
    }
    let itself = format!("{}{BASE}/payment-requests/{}", bank.api_url, order.id);
    let links =
        json!({ "self": { "href": itself }, "confirmation": { "href": format!("{itself}/confirmation") } });
    json!({ "paymentRequest": request, "_links": links })
}

fn address(body: &Value, name: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = body.pointer(&format!("/supplementaryData/{name}")) else { return Ok(None) };
    let url = text.as_str().and_then(|text| url::Url::parse(text).ok());
    let url = url.filter(|url| url.scheme() == "https");
    url.map(|url| Some(url.to_string())).ok_or(Refusal::format("A report URL is no https address"))
}

fn order(bank: &Bank, tpp: String, body: Value) -> Result<Order, Refusal> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    for required in ["/paymentInformationId", "/creationDateTime", "/initiatingParty/name"] {
        text(required).ok_or(Refusal::format("A required field is missing"))?;
    }
    let transfers = body.get("creditTransferTransaction").and_then(Value::as_array);
    let one = transfers.is_some_and(|transfers| transfers.len() == 1);
    if !one || body.get("numberOfTransactions").and_then(Value::as_u64) != Some(1) {
        return Err(Refusal::format("A payment request has one transfer here"));
    }
    if text("/paymentTypeInformation/serviceLevel") != Some("SEPA") {
        return Err(Refusal::format("The bank makes SEPA payments only"));
    }
    let instant = text("/paymentTypeInformation/localInstrument") == Some("INST");
    let redirect = body
        .pointer("/supplementaryData/acceptedAuthenticationApproach")
        .and_then(Value::as_array)
        .is_some_and(|approaches| approaches.iter().any(|approach| approach == "REDIRECT"));
    if !redirect {
        return Err(Refusal::format("The bank knows the approach REDIRECT only"));
    }
    let transfer = |rest: &str| text(&format!("/creditTransferTransaction/0{rest}"));
    let amount = || {
        let currency: Currency = transfer("/instructedAmount/currency")?.parse().ok()?;
        let money = Money::parse(transfer("/instructedAmount/amount")?, currency).ok()?;
        (!money.amount().is_zero() && currency.code() == "EUR").then_some(money)
    };
    let money = amount().ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    let beneficiary = |rest: &str| {
        let single = transfer(&format!("/beneficiary{rest}"));
        single.or_else(|| text(&format!("/beneficiary{rest}")))
    };
    let iban = |text: Option<&str>| text.and_then(|iban| iban.parse::<Iban>().ok());
    let creditor = iban(beneficiary("/creditorAccount/iban"));
    let creditor = creditor.ok_or(Refusal::format("creditorAccount has no valid IBAN"))?;
    if body.get("debtorAccount").is_some() && iban(text("/debtorAccount/iban")).is_none() {
        return Err(Refusal::format("debtorAccount has no valid IBAN"));
    }
    let name = beneficiary("/creditor/name").ok_or(Refusal::format("The creditor has no name"))?.to_owned();
    let end_to_end = transfer("/paymentId/endToEndId");
    let end_to_end = end_to_end.ok_or(Refusal::format("endToEndId is missing"))?.to_owned();
    let product = if instant { "SCTInst" } else { "SCT" };
    let asked = Instruction::single(Transfer {
        amount: money.amount(),
        currency: money.currency().code().to_owned(),
        creditor_name: name,
        creditor_account: creditor.as_str().to_owned(),
        remittance: transfer("/remittanceInformation/unstructured/0").unwrap_or_default().to_owned(),
        end_to_end: Some(end_to_end),
        outcome: None,
    });
    Ok(Order::received(bank.fresh("pr-"), tpp, product, asked, bank.now(), body))
}
