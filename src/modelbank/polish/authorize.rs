//! Asking for an authorization, and ending what it gave.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use crypto::Psd2Role;
use domain::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::orders;
use super::parsed;
use super::payments::to_cancel;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::Pushed;
use crate::engine::{Consent, ConsentState, Purpose};
use crate::oauth;

/// Takes the request and says where the customer goes.
pub(super) async fn authorize(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let body = parsed(&caller, &body)?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let client = caller.client(&bank).ok_or_else(Refusal::forbidden)?;
    let redirect = text("/redirect_uri").unwrap_or_default();
    let registered = client.registered.redirect_uris.iter().any(|uri| uri == redirect);
    let ours = text("/client_id") == Some(client.registered.client_id.as_str());
    if text("/response_type") != Some("code") || !registered || !ours {
        return Err(Refusal::format("response_type, client_id or redirect_uri is not valid"));
    }
    let state = text("/state").ok_or(Refusal::format("state is missing"))?;
    let scope = text("/scope").ok_or(Refusal::format("scope is missing"))?;
    let details = body.get("scope_details").ok_or(Refusal::format("scope_details is missing"))?;
    let (consent, expires) = checked(scope, details, bank.now())?;
    let role = if scope == "pis" { Psd2Role::PaymentInitiation } else { Psd2Role::AccountInformation };
    let organisation = caller.organisation(role)?;
    let taken = bank.vault.read(|book| book.consents.contains_key(consent));
    if taken {
        return Err(Refusal::unprocessable("consentId was used before"));
    }
    let now = bank.now();
    let made = Consent {
        expires: Some(expires),
        frequency: 4,
        ..Consent::asked(
            consent.to_owned(),
            organisation.to_owned(),
            if scope == "pis" { Purpose::Payment } else { Purpose::Accounts },
            now,
            details.clone(),
        )
    };
    let pushed = Pushed {
        consent: consent.to_owned(),
        redirect_uri: redirect.to_owned(),
        scope: scope.to_owned(),
        state: Some(state.to_owned()),
        nonce: None,
        challenge: String::new(),
        hybrid: false,
        client: String::new(),
        expires: oauth::request_end(&bank),
    };
    let name = oauth::keep_request(&bank, made, pushed);
    bank.vault.change(|book| book.names.insert(organisation.to_owned(), caller.name()));
    bank.vault.keep().await?;
    let page = oauth::page_of(&bank, &client.registered.client_id, &name);
    Ok(Json(json!({ "aspspRedirectUri": page })))
}

/// The consent's name and end, if its details fit its scope.
fn checked<'a>(scope: &str, details: &'a Value, now: Timestamp) -> Result<(&'a str, Timestamp), Refusal> {
    let text = |name: &str| details.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let consent = text("consentId").filter(|id| id.len() <= 64);
    let consent = consent.ok_or(Refusal::format("consentId is missing"))?;
    if text("scopeGroupType") != Some(scope) || text("throttlingPolicy") != Some("psd2Regulatory") {
        return Err(Refusal::format("scopeGroupType or throttlingPolicy is not valid"));
    }
    let until = text("scopeTimeLimit").and_then(|text| text.parse::<Timestamp>().ok());
    let until = until.filter(|until| *until > now).ok_or(Refusal::format("scopeTimeLimit is not valid"))?;
    let privileges = details.get("privilegeList").and_then(Value::as_array).filter(|list| !list.is_empty());
    let privileges = privileges.ok_or(Refusal::format("privilegeList is missing"))?;
    match scope {
        "ais" => {
            let named = |list: &Value| {
                ["ais-accounts:getAccounts", "ais:getAccount"].iter().any(|name| list.get(name).is_some())
            };
            if !privileges.iter().all(named) {
                return Err(Refusal::format("A list of privileges has none"));
            }
        }
        "pis" => {
            if to_cancel(details).is_none() {
                orders::checked(details, now.to_zoned(TimeZone::UTC).date())?;
            }
        }
        _ => return Err(Refusal::unprocessable("The bank knows the scopes ais and pis only")),
    }
    Ok((consent, until))
}

/// Ends a consent. Asked for with the certificate alone.
pub(super) async fn delete(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    let id = body.get("consentId").and_then(Value::as_str).ok_or(Refusal::format("consentId is missing"))?;
    let now = bank.now();
    let ended = bank.vault.change(|book| {
        let consent = book.consents.get_mut(id).filter(|consent| consent.tpp == organisation)?;
        consent.becomes(ConsentState::Ended, now);
        book.tokens.retain(|_, token| token.consent.as_deref() != Some(id));
        Some(())
    });
    ended.ok_or_else(Refusal::forbidden)?;
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}
