//! Confirmation of the availability of funds. The customer has agreed to it at the
//! bank, or not: here, with every current account and with no other.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use crypto::Psd2Role;
use domain::Money;
use serde_json::{Value, json};

use super::parsed;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Account, accounts};
use crate::journal::Fact;

pub(super) async fn confirm(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    caller.organisation(Psd2Role::CardIssuing)?;
    let body = parsed(&caller, &body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let number = text("accountNumber").ok_or(Refusal::format("accountNumber is missing"))?;
    let named = |account: &&Account| account.iban == number || account.iban.get(2..) == Some(number);
    let account = accounts(bank.kind).iter().find(named);
    let account = account.ok_or(Refusal::unprocessable("There is no such account"))?;
    let currency = text("currency").ok_or(Refusal::format("currency is missing"))?;
    if currency != account.currency {
        return Err(Refusal::unprocessable("The account has another currency"));
    }
    // Two places, always.
    let two = |text: &&str| text.split_once('.').is_some_and(|(_, places)| places.len() == 2);
    let amount = text("amount").filter(two);
    let amount = amount.and_then(|amount| Money::parse(amount, currency.parse().ok()?).ok());
    let amount = amount.ok_or(Refusal::format("amount is missing or not valid"))?;
    if !account.answers_card_issuers() {
        return Err(Refusal::forbidden());
    }
    caller.facts.note(Fact::Consent);
    let now = bank.now();
    let available = bank.vault.read(|book| book.covers(account, amount.amount(), now));
    Ok(Json(json!({ "fundsAvailable": available })))
}
