//! Confirmation of funds. The customer has agreed to it at the bank, or not: here,
//! with every current account and with no other.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use crypto::Psd2Role;
use domain::Money;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::signature::{demand, object};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::accounts;
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
    let iban =
        text("/account/iban").ok_or(Refusal::format("account is missing, or not named by its IBAN"))?;
    let bad = |code, text| Refusal::new(StatusCode::BAD_REQUEST, code, text);
    let account = accounts(bank.kind).iter().find(|account| account.iban == iban);
    let account = account.ok_or(bad("RESOURCE_UNKNOWN", "There is no such account"))?;
    let amount = text("/instructedAmount/currency").zip(text("/instructedAmount/amount"));
    let amount = amount.and_then(|(currency, amount)| Money::parse(amount, currency.parse().ok()?).ok());
    let amount = amount.filter(|amount| !amount.amount().is_zero());
    let amount = amount.ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    if amount.currency().code() != account.currency {
        return Err(bad("PARAMETER_NOT_CONSISTENT", "The account has another currency"));
    }
    if !account.answers_card_issuers() {
        return Err(bad("NO_PIIS_ACTIVATION", "The customer has not agreed to it"));
    }
    caller.facts.note(Fact::Consent);
    let now = bank.now();
    let available = bank.vault.read(|book| book.covers(account, amount.amount(), now));
    Ok(Json(json!({ "fundsAvailable": available })))
}
