//! The token endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::{date_time, parsed};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::oauth::token::grant;

/// Issues tokens.
pub(super) async fn issue(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body = parsed(&caller, &body)?;
    let client = caller.client(&bank).ok_or_else(Refusal::forbidden)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("grant_type").unwrap_or_default();
    if kind == "authorization_code" && text("client_id").as_ref() != Some(&client.registered.client_id) {
        return Err(Refusal::format("client_id is not valid"));
    }
    if !matches!(kind.as_str(), "authorization_code" | "refresh_token") {
        return Err(Refusal::unprocessable("The bank exchanges no tokens"));
    }
    let named = [
        ("grant_type", Some(kind)),
        ("code", text("Code").or_else(|| text("code"))),
        ("redirect_uri", text("redirect_uri")),
        ("refresh_token", text("refresh_token")),
    ];
    let form: BTreeMap<String, String> =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let granted = grant(&bank, &client, &caller, &form);
    // Also what a refusal changed, a used code, has to last.
    bank.vault.keep().await?;
    let (tokens, consent) = granted.map_err(|_| Refusal::token())?;
    let mut answer: Map<String, Value> = tokens.as_object().cloned().unwrap_or_default();
    let seconds = answer.get("expires_in").map(Value::to_string).unwrap_or_default();
    answer.insert("expires_in".into(), json!(seconds));
    let details = bank.vault.read(|book| {
        let consent = book.consents.get(&consent)?;
        let mut details = consent.body.clone();
        let list = consent.body.pointer("/privilegeList/0").cloned().unwrap_or_default();
        let covered = consent.accounts.iter().filter_map(|id| bank.account(id)).map(|account| {
            let mut list = list.as_object().cloned().unwrap_or_default();
            list.insert("accountNumber".into(), account.iban.into());
            Value::Object(list)
        });
        let covered: Vec<Value> = covered.collect();
        let details_of = details.as_object_mut()?;
        details_of.remove("scopeGroupType");
        details_of.insert("privilegeList".into(), covered.into());
        details_of.insert("scopeTimeLimit".into(), date_time(consent.expires?).into());
        Some(details)
    });
    answer.insert("scope_details".into(), details.ok_or_else(Refusal::token)?);
    Ok(Json(Value::Object(answer)))
}
