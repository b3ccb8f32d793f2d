//! Payment coverage: asked with the token of an authorization of the scope `cbpii`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use crypto::Psd2Role;
use domain::Money;
use serde_json::{Value, json};

use super::consents::live;
use super::refusal::Refusal;
use super::{BASE, hal};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::journal::Fact;

pub(super) async fn confirm(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let consent = live(&bank, &caller, Psd2Role::CardIssuing, "cbpii")?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    text("/paymentCoverageRequestId")
        .filter(|id| (1..=35).contains(&id.chars().count()))
        .ok_or(Refusal::format("paymentCoverageRequestId is missing or too long"))?;
    let iban = text("/accountId/iban").ok_or(Refusal::format("accountId is missing"))?;
    let mut covered = consent.accounts.iter().filter_map(|id| bank.account(id));
    let account = covered.find(|account| account.iban == iban).ok_or_else(Refusal::forbidden)?;
    caller.facts.note(Fact::Consent);
    let amount = text("/instructedAmount/currency").zip(text("/instructedAmount/amount"));
    let amount = amount.and_then(|(currency, amount)| Money::parse(amount, currency.parse().ok()?).ok());
    let amount = amount.filter(|amount| amount.currency().code() == account.currency);
    let amount = amount.ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    let now = bank.now();
    let available = bank.vault.read(|book| book.covers(account, amount.amount(), now));
    let itself = json!({ "href": format!("{}{BASE}/funds-confirmations", bank.api_url) });
    let view = json!({ "request": body, "result": available, "_links": { "self": itself } });
    Ok(hal(StatusCode::OK, &view))
}
