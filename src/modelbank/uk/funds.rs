//! Confirmation of funds: consents to it, and its answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use domain::Timestamp;
use serde_json::{Value, json};

use super::CBPII;
use super::consents::{expiration, own_consent, parsed, status};
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Account, Consent, ConsentState, Purpose, accounts};
use crate::habit::Habit;
use crate::journal::Fact;

/// The scope of all of this.
const SCOPE: &str = "fundsconfirmations";
/// Longest reference.
const MAX_REFERENCE: usize = 35;
/// Longest name of an account.
const MAX_NAME: usize = 350;

pub(super) async fn create_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::CardIssuing)?.to_owned();
    caller.token(&bank, SCOPE)?;
    let body = parsed(&caller, &body)?;
    asked_account(&bank, &body)?;
    let name = body.pointer("/Data/DebtorAccount/Name").map(|name| name.as_str().unwrap_or_default());
    if name.is_some_and(|name| !(1..=MAX_NAME).contains(&name.chars().count())) {
        let message = "The name has 1 to 350 characters";
        return Err(Refusal::field("U002", message, "Data.DebtorAccount.Name"));
    }
    let now = bank.now();
    let expires = expiration(&body, now)?;
    let consent =
        Consent { expires, ..Consent::asked(bank.fresh("fcc-"), organisation, Purpose::Funds, now, body) };
    let view = consent_view(&bank, &consent, now);
    bank.vault.change(|book| {
        book.prune(now);
        book.names.insert(consent.tpp.clone(), caller.name());
        book.consents.insert(consent.id.clone(), consent);
    });
    bank.vault.keep().await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

pub(super) async fn read_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = standing(&bank, &caller, &id)?;
    Ok(Json(consent_view(&bank, &consent, bank.now())))
}

pub(super) async fn end_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    standing(&bank, &caller, &id)?;
    let now = bank.now();
    bank.vault.change(|book| book.end_consent(&id, now));
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn confirm(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::CardIssuing)?;
    let consent = caller.bound_consent(&bank, SCOPE)?;
    let now = bank.now();
    if consent.has_expired(now) {
        return Err(Refusal::Expired);
    }
    if !consent.is_live(now) {
        return Err(Refusal::NotAuthorised);
    }
    let body = parsed(&caller, &body)?;
    let named = text(&body, "/Data/ConsentId", "Data.ConsentId")?;
    let account = consent.accounts.first().and_then(|id| bank.account(id));
    let (true, Some(account)) = (consent.tpp == organisation && consent.id == named, account) else {
        return Err(Refusal::Forbidden);
    };
    caller.facts.note(Fact::Consent);
    let reference = text(&body, "/Data/Reference", "Data.Reference")?;
    if reference.chars().count() > MAX_REFERENCE {
        return Err(Refusal::field("U002", "The reference is too long", "Data.Reference"));
    }
    let (path, unit) = ("Data.InstructedAmount.Amount", "Data.InstructedAmount.Currency");
    let currency = text(&body, "/Data/InstructedAmount/Currency", unit)?;
    if currency != account.currency {
        return Err(Refusal::field("U023", "The account has another currency", unit));
    }
    let amount = super::initiation::amount(text(&body, "/Data/InstructedAmount/Amount", path)?);
    let amount = amount.ok_or_else(|| Refusal::field("U002", "The amount is not valid", path))?;
    let available = bank.vault.read(|book| book.covers(account, amount, now));
    let id = bank.fresh("fcf-");
    let itself = format!("{}{CBPII}/funds-confirmations/{id}", bank.api_url);
    let mut view = json!({
        "Data": {
            "FundsConfirmationId": id,
            "ConsentId": consent.id,
            "CreationDateTime": now.to_string(),
            "FundsAvailable": available,
            "Reference": reference,
            "InstructedAmount": body.pointer("/Data/InstructedAmount"),
        },
        "Links": { "Self": itself },
        "Meta": {},
    });
    if bank.has(Habit::FundsAnswerUnreliable)
        && let Some(data) = view.get_mut("Data").and_then(Value::as_object_mut)
    {
        data.remove("FundsAvailable");
    }
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// The account that a consent to be authorised is about.
pub(crate) fn asked(bank: &Bank, consent: &Consent) -> Option<&'static str> {
    asked_account(bank, &consent.body).ok().map(|account| account.id)
}

fn asked_account(bank: &Bank, body: &Value) -> Result<&'static Account, Refusal> {
    let (scheme_path, path) = ("Data.DebtorAccount.SchemeName", "Data.DebtorAccount.Identification");
    let scheme = text(body, "/Data/DebtorAccount/SchemeName", scheme_path)?;
    let identification = text(body, "/Data/DebtorAccount/Identification", path)?;
    let named = |account: &&Account| match scheme {
        "UK.OBIE.IBAN" => account.iban == identification,
        "UK.OBIE.SortCodeAccountNumber" => account.sort_code_account() == identification,
        _ => false,
    };
    if !["UK.OBIE.IBAN", "UK.OBIE.SortCodeAccountNumber"].contains(&scheme) {
        return Err(Refusal::field("U027", "The scheme is not supported", scheme_path));
    }
    let found = accounts(bank.kind).iter().find(named);
    found.ok_or_else(|| Refusal::field("U021", "The bank has no such account", path))
}

fn text<'a>(body: &'a Value, pointer: &str, path: &'static str) -> Result<&'a str, Refusal> {
    let found = body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Refusal::field("U004", "The field is missing", path))
}

/// The caller's consent of this path, if it was not ended.
fn standing(bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
    let organisation = caller.organisation(Psd2Role::CardIssuing)?;
    caller.token(bank, SCOPE)?;
    let consent = own_consent(bank, organisation, id, Purpose::Funds)?;
    if consent.state == ConsentState::Ended { Err(Refusal::not_found()) } else { Ok(consent) }
}

fn consent_view(bank: &Bank, consent: &Consent, now: Timestamp) -> Value {
    let mut data = json!({
        "ConsentId": consent.id,
        "CreationDateTime": consent.created.to_string(),
        "Status": status(consent, now),
        "StatusUpdateDateTime": consent.changed.to_string(),
        "DebtorAccount": consent.body.pointer("/Data/DebtorAccount"),
    });
    let expires = consent.body.pointer("/Data/ExpirationDateTime");
    if let (Some(data), Some(expires)) = (data.as_object_mut(), expires) {
        data.insert("ExpirationDateTime".to_owned(), expires.clone());
    }
    let itself = format!("{}{CBPII}/funds-confirmation-consents/{}", bank.api_url, consent.id);
    json!({"Data": data, "Links": {"Self": itself}, "Meta": {}})
}
