//! Consents to confirmation of funds (Confirmation of Funds Consent 2.0): for one account,
//! until somebody ends it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::authorisations::{list, start, status as sca};
use super::consents::{consent_of, ended, lodge, status_word};
use super::embedded;
use super::refusal::Refusal;
use super::signature::{demand, object, require_psu_address};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Account, Consent, ConsentState, Purpose, Subject, accounts};

fn place(id: &str) -> String {
    format!("/v2/consents/confirmation-of-funds/{id}")
}

fn own(bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
    consent_of(bank, caller, id, (Psd2Role::CardIssuing, Purpose::Funds))
}

/// The account that a consent or a question names by its IBAN.
pub(super) fn named(bank: &Bank, body: &Value) -> Result<&'static Account, Refusal> {
    let iban = body.pointer("/account/iban").and_then(Value::as_str);
    let iban = iban.ok_or(Refusal::format("account is missing, or not named by its IBAN"))?;
    let account = accounts(bank.kind).iter().find(|account| account.iban == iban);
    account.ok_or(Refusal::new(StatusCode::BAD_REQUEST, "RESOURCE_UNKNOWN", "There is no such account"))
}

pub(super) async fn create(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::CardIssuing)?.to_owned();
    require_psu_address(&caller)?;
    demand(&bank, &caller, &body)?;
    let body = object(&body)?;
    named(&bank, &body)?;
    let consent = Consent::asked(bank.fresh("cof-"), organisation, Purpose::Funds, bank.now(), body);
    let path = place(&consent.id);
    lodge(&bank, &caller, consent, path).await
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = own(&bank, &caller, &id)?;
    let status = status_word(&consent, bank.now());
    Ok(Json(json!({ "account": consent.body.get("account"), "consentStatus": status })))
}

pub(super) async fn status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = own(&bank, &caller, &id)?;
    Ok(Json(json!({ "consentStatus": status_word(&consent, bank.now()) })))
}

pub(super) async fn end(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    own(&bank, &caller, &id)?;
    ended(&bank, &id).await
}

pub(super) async fn authorise(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    let consent = own(&bank, &caller, &id)?;
    if !matches!(consent.state, ConsentState::Awaiting | ConsentState::Partly) {
        return Err(Refusal::new(StatusCode::CONFLICT, "STATUS_INVALID", "The consent is decided"));
    }
    start(&bank, &caller, Subject::Consent(id.clone()), &place(&id)).await
}

pub(super) async fn authorisations(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    own(&bank, &caller, &id)?;
    Ok(list(&bank, &Subject::Consent(id)))
}

pub(super) async fn authorisation(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, authorisation)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    own(&bank, &caller, &id)?;
    sca(&bank, &Subject::Consent(id), &authorisation)
}

pub(super) async fn update(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, authorisation)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    own(&bank, &caller, &id)?;
    let path = format!("{}/authorisations/{authorisation}", place(&id));
    let subject = Subject::Consent(id);
    embedded::update(&bank, &caller, &subject, (&authorisation, &path), &object(&body)?).await
}
