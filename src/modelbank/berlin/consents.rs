//! Consents to account access.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use domain::{Date, Timestamp};
use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::authorisations::{approach, explicit_links, links, prepared, with_message};
use super::notices;
use super::refusal::Refusal;
use super::signature::{demand, object, require_psu_address};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Consent, ConsentState, Purpose, Subject};

pub(super) async fn create(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?.to_owned();
    require_psu_address(&caller)?;
    demand(&bank, &caller, &body)?;
    let body = object(&body)?;
    check_access(&body)?;
    let recurring = body.get("recurringIndicator").and_then(Value::as_bool);
    let recurring = recurring.ok_or(Refusal::format("recurringIndicator is missing"))?;
    if !body.get("combinedServiceIndicator").is_some_and(Value::is_boolean) {
        return Err(Refusal::format("combinedServiceIndicator is missing"));
    }
    let frequency = body.get("frequencyPerDay").and_then(Value::as_u64);
    let frequency = frequency.and_then(|frequency| u32::try_from(frequency).ok());
    let frequency =
        frequency.filter(|frequency| (1..=4).contains(frequency) && (recurring || *frequency == 1));
    let frequency =
        frequency.ok_or(Refusal::format("frequencyPerDay is 1 to 4, and 1 for a single access"))?;
    let now = bank.now();
    let consent = Consent {
        expires: Some(valid_until(&body, now)?),
        frequency,
        ..Consent::asked(bank.fresh("con-"), organisation, Purpose::Accounts, now, body)
    };
    let path = format!("/v1/consents/{}", consent.id);
    lodge(&bank, &caller, consent, path).await
}

/// Takes a consent on, and begins its authorisation unless the TPP wants to do that.
pub(super) async fn lodge(
    bank: &Bank,
    caller: &Caller,
    consent: Consent,
    path: String,
) -> Result<Response, Refusal> {
    let explicit = caller.header("tpp-explicit-authorisation-preferred") == Some("true");
    let started =
        if explicit { None } else { Some(prepared(bank, caller, Subject::Consent(consent.id.clone()))?) };
    let links = match &started {
        Some(authorisation) => links(bank, &path, authorisation),
        None => explicit_links(bank, &path),
    };
    let answer = json!({"consentStatus": "received", "consentId": consent.id, "_links": links});
    let answer = with_message(bank, started.is_some(), answer);
    let id = consent.id.clone();
    bank.vault.change(|book| {
        book.prune(consent.created);
        book.names.insert(consent.tpp.clone(), caller.name());
        book.consents.insert(consent.id.clone(), consent);
        if let Some(authorisation) = started {
            book.authorisations.insert(authorisation.id.clone(), authorisation);
        }
    });
    bank.vault.keep().await?;
    let answer = (StatusCode::CREATED, approach(bank), [(LOCATION, path)], Json(answer)).into_response();
    notices::remember(bank, caller, &id, answer).await
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = own_consent(&bank, &caller, &id)?;
    let asked = |name: &str| consent.body.get(name).cloned().unwrap_or_default();
    Ok(Json(json!({
        "access": granted_access(&bank, &consent),
        "recurringIndicator": asked("recurringIndicator"),
        "validUntil": asked("validUntil"),
        "frequencyPerDay": consent.frequency,
        "lastActionDate": consent.changed.to_zoned(TimeZone::UTC).date().to_string(),
        "consentStatus": status_word(&consent, bank.now()),
        "_links": {"account": {"href": format!("{}/v1/accounts", bank.api_url)}},
    })))
}

pub(super) async fn status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let consent = own_consent(&bank, &caller, &id)?;
    Ok(Json(json!({ "consentStatus": status_word(&consent, bank.now()) })))
}

pub(super) async fn end(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    own_consent(&bank, &caller, &id)?;
    ended(&bank, &id).await
}

/// The TPP ends a consent.
pub(super) async fn ended(bank: &Bank, id: &str) -> Result<StatusCode, Refusal> {
    let now = bank.now();
    bank.vault.change(|book| {
        if let Some(consent) = book.consents.get_mut(id) {
            consent.becomes(ConsentState::Ended, now);
        }
    });
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The consent to account access of a path, if it is the caller's.
pub(super) fn own_consent(bank: &Bank, caller: &Caller, id: &str) -> Result<Consent, Refusal> {
    consent_of(bank, caller, id, (Psd2Role::AccountInformation, Purpose::Accounts))
}

/// The consent of a path, if it is the caller's and to this.
pub(super) fn consent_of(
    bank: &Bank,
    caller: &Caller,
    id: &str,
    (role, purpose): (Psd2Role, Purpose),
) -> Result<Consent, Refusal> {
    let organisation = caller.organisation(role)?;
    bank.settle();
    let consent = bank.vault.read(|book| book.consents.get(id).cloned());
    let unknown = Refusal::new(StatusCode::FORBIDDEN, "CONSENT_UNKNOWN", "There is no such consent");
    consent.filter(|consent| consent.tpp == organisation && consent.purpose == purpose).ok_or(unknown)
}

pub(super) fn status_word(consent: &Consent, now: Timestamp) -> &'static str {
    match consent.state {
        ConsentState::Authorised if consent.has_expired(now) => "expired",
        ConsentState::Authorised | ConsentState::Consumed => "valid",
        ConsentState::Incomplete | ConsentState::Awaiting => "received",
        ConsentState::Partly => "partiallyAuthorised",
        ConsentState::Rejected => "rejected",
        ConsentState::Ended => "terminatedByTpp",
        ConsentState::Withdrawn => "revokedByPsu",
    }
}

/// What the consent lets be read beside the list of accounts.
pub(super) fn allows(consent: &Consent, what: &str) -> bool {
    let access = consent.body.get("access");
    let has = |name: &str| access.is_some_and(|access| access.get(name).is_some());
    has("allPsd2") || has(what) || (what == "balances" && has("availableAccountsWithBalance"))
}

fn granted_access(bank: &Bank, consent: &Consent) -> Value {
    let asked = consent.body.get("access").cloned().unwrap_or_default();
    if consent.state != ConsentState::Authorised {
        return asked;
    }
    let accounts: Vec<Value> = consent
        .accounts
        .iter()
        .filter_map(|id| bank.account(id))
        .map(|account| {
            let mut reference = super::accounts::reference(account);
            if let Some(reference) = reference.as_object_mut() {
                reference.insert("currency".into(), account.currency.into());
            }
            reference
        })
        .collect();
    let mut access = json!({ "accounts": accounts });
    if let Some(access) = access.as_object_mut() {
        for what in ["balances", "transactions"] {
            if allows(consent, what) {
                access.insert(what.to_owned(), accounts.clone().into());
            }
        }
    }
    access
}

fn check_access(body: &Value) -> Result<(), Refusal> {
    let access = body.get("access").and_then(Value::as_object).ok_or(Refusal::format("access is missing"))?;
    let lists = ["accounts", "balances", "transactions"];
    let words = ["allPsd2", "availableAccounts", "availableAccountsWithBalance"];
    let any = lists.iter().chain(&words).any(|name| access.contains_key(*name));
    let lists_fit = lists.iter().filter_map(|name| access.get(*name)).all(|list| {
        list.as_array().is_some_and(|list| {
            list.iter().all(|account| {
                let text = |name| account.get(name).and_then(Value::as_str);
                let iban = text("iban").is_some_and(|iban| iban.parse::<domain::Iban>().is_ok());
                iban || text("maskedPan").is_some()
            })
        })
    });
    let words_fit = words.iter().filter_map(|name| access.get(*name)).all(|word| {
        word.as_str().is_some_and(|word| word == "allAccounts" || word == "allAccountsWithOwnerName")
    });
    if any && lists_fit && words_fit { Ok(()) } else { Err(Refusal::format("access is not valid")) }
}

/// The end of the day `validUntil`.
fn valid_until(body: &Value, now: Timestamp) -> Result<Timestamp, Refusal> {
    let date = body.get("validUntil").and_then(Value::as_str).and_then(|text| text.parse::<Date>().ok());
    let date = date.ok_or(Refusal::format("validUntil is missing or no date"))?;
    if date < now.to_zoned(TimeZone::UTC).date() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "PERIOD_INVALID", "validUntil has passed"));
    }
    // 9999-12-31 asks for as long as the bank allows, which is 180 days here.
    let longest = now.checked_add((180 * 24).hours()).unwrap_or(now);
    let end = date.checked_add(1.day()).unwrap_or(date).to_zoned(TimeZone::UTC);
    Ok(end.map_or(longest, |end| end.timestamp().min(longest)))
}
