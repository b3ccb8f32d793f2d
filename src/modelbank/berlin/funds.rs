//! Confirmation of funds. The customer has agreed to it at the bank, or not: here,
//! with every current account and with no other, unless a consent was given through the
//! interface.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use crypto::Psd2Role;
use domain::Money;
use serde_json::{Value, json};

use super::consents::consent_of;
use super::funds_consents::named;
use super::refusal::Refusal;
use super::signature::{demand, object};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Account, Purpose};
use crate::journal::Fact;

pub(super) async fn confirm(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    caller.organisation(Psd2Role::CardIssuing)?;
    demand(&bank, &caller, &body)?;
    let body = object(&body)?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let bad = |code, text| Refusal::new(StatusCode::BAD_REQUEST, code, text);
    let account = named(&bank, &body)?;
    let amount = text("/instructedAmount/currency").zip(text("/instructedAmount/amount"));
    let amount = amount.and_then(|(currency, amount)| Money::parse(amount, currency.parse().ok()?).ok());
    let amount = amount.filter(|amount| !amount.amount().is_zero());
    let amount = amount.ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    if amount.currency().code() != account.currency {
        return Err(bad("PARAMETER_NOT_CONSISTENT", "The account has another currency"));
    }
    let agreed = match caller.header("consent-id") {
        Some(id) => under(&bank, &caller, id, account)?,
        None => account.answers_card_issuers(),
    };
    if !agreed {
        return Err(bad("NO_PIIS_ACTIVATION", "The customer has not agreed to it"));
    }
    caller.facts.note(Fact::Consent);
    let now = bank.now();
    let available = bank.vault.read(|book| book.covers(account, amount.amount(), now));
    Ok(Json(json!({ "fundsAvailable": available })))
}

/// Whether a consent of this name is in force and is for the account.
fn under(bank: &Bank, caller: &Caller, id: &str, account: &Account) -> Result<bool, Refusal> {
    let consent = consent_of(bank, caller, id, (Psd2Role::CardIssuing, Purpose::Funds))?;
    if !consent.is_live(bank.now()) {
        return Err(Refusal::unauthorised("CONSENT_INVALID", "The consent is not valid"));
    }
    Ok(consent.covers(account.id))
}
