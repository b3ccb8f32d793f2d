//! Account access consents.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crypto::Psd2Role;
use domain::Timestamp;
use serde_json::{Value, json};

use super::AISP;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Consent, ConsentState, Purpose};
use crate::media;

/// The permissions of version 4.0.
const PERMISSIONS: [&str; 21] = [
    "ReadAccountsBasic",
    "ReadAccountsDetail",
    "ReadBalances",
    "ReadBeneficiariesBasic",
    "ReadBeneficiariesDetail",
    "ReadDirectDebits",
    "ReadOffers",
    "ReadPAN",
    "ReadParty",
    "ReadPartyPSU",
    "ReadProducts",
    "ReadScheduledPaymentsBasic",
    "ReadScheduledPaymentsDetail",
    "ReadStandingOrdersBasic",
    "ReadStandingOrdersDetail",
    "ReadStatementsBasic",
    "ReadStatementsDetail",
    "ReadTransactionsBasic",
    "ReadTransactionsCredits",
    "ReadTransactionsDebits",
    "ReadTransactionsDetail",
];

pub(super) async fn create(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?.to_owned();
    // No customer has logged in yet, whose token it could be.
    if caller.token(&bank, "accounts")?.consent.is_some() {
        return Err(Refusal::Token);
    }
    let body = parsed(&caller, &body)?;
    check_permissions(&body)?;
    let now = bank.now();
    let expires = expiration(&body, now)?;
    let consent = Consent {
        expires,
        frequency: 4,
        ..Consent::asked(bank.fresh("aac-"), organisation, Purpose::Accounts, now, body)
    };
    let view = view(&bank, &consent, now);
    bank.vault.change(|book| {
        book.prune(now);
        book.names.insert(consent.tpp.clone(), caller.name());
        book.consents.insert(consent.id.clone(), consent);
    });
    bank.vault.keep().await?;
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

pub(super) async fn read(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    caller.token(&bank, "accounts")?;
    let consent = own_consent(&bank, organisation, &id, Purpose::Accounts)?;
    if consent.state == ConsentState::Ended {
        return Err(Refusal::not_found());
    }
    Ok(Json(view(&bank, &consent, bank.now())))
}

pub(super) async fn end(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let organisation = caller.organisation(Psd2Role::AccountInformation)?;
    caller.token(&bank, "accounts")?;
    let consent = own_consent(&bank, organisation, &id, Purpose::Accounts)?;
    if consent.state == ConsentState::Ended {
        return Err(Refusal::not_found());
    }
    let now = bank.now();
    bank.vault.change(|book| book.end_consent(&id, now));
    bank.vault.keep().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The consent of this path, if it is the caller's.
pub(super) fn own_consent(
    bank: &Bank,
    organisation: &str,
    id: &str,
    purpose: Purpose,
) -> Result<Consent, Refusal> {
    let consent = bank.vault.read(|book| book.consents.get(id).cloned());
    let consent = consent.filter(|consent| consent.purpose == purpose);
    let consent = consent.ok_or_else(Refusal::not_found)?;
    if consent.tpp == organisation { Ok(consent) } else { Err(Refusal::Forbidden) }
}

/// The body as JSON, if its type says so.
pub(super) fn parsed(caller: &Caller, body: &Bytes) -> Result<Value, Refusal> {
    match media::is(&caller.headers, media::JSON) {
        Some(true) => {}
        Some(false) => return Err(Refusal::MediaType),
        None => return Err(Refusal::bad("U007", "Content-Type is missing")),
    }
    serde_json::from_slice(body).map_err(|_| Refusal::bad("U010", "The body is not valid JSON"))
}

/// True if the consent was asked to allow `permission`.
pub(super) fn permits(consent: &Consent, permission: &str) -> bool {
    let permissions = consent.body.pointer("/Data/Permissions").and_then(Value::as_array);
    permissions.is_some_and(|all| all.iter().any(|given| given == permission))
}

fn check_permissions(body: &Value) -> Result<(), Refusal> {
    let path = "Data.Permissions";
    let permissions = body.pointer("/Data/Permissions").and_then(Value::as_array);
    let permissions = permissions.ok_or_else(|| Refusal::field("U004", "Permissions are missing", path))?;
    let known = permissions.iter().all(|asked| PERMISSIONS.iter().any(|known| asked == known));
    if permissions.is_empty() || !known {
        return Err(Refusal::field("U002", "A permission is unknown", path));
    }
    let has = |wanted: &str| permissions.iter().any(|asked| asked == wanted);
    let depth = has("ReadTransactionsBasic") || has("ReadTransactionsDetail");
    let direction = has("ReadTransactionsCredits") || has("ReadTransactionsDebits");
    if depth != direction {
        let message = "Transactions need Basic or Detail, and Credits or Debits";
        return Err(Refusal::field("U002", message, path));
    }
    if !has("ReadAccountsBasic") && !has("ReadAccountsDetail") {
        let message = "ReadAccountsBasic or ReadAccountsDetail is needed";
        return Err(Refusal::field("U002", message, path));
    }
    if !body.get("Risk").is_some_and(Value::is_object) {
        return Err(Refusal::field("U004", "Risk is missing", "Risk"));
    }
    Ok(())
}

/// When a consent is to end, which is in the future.
pub(super) fn expiration(body: &Value, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let wrong = |message| Refusal::field("U003", message, "Data.ExpirationDateTime");
    let Some(value) = body.pointer("/Data/ExpirationDateTime") else { return Ok(None) };
    let expires: Option<Timestamp> = value.as_str().and_then(|text| text.parse().ok());
    let expires = expires.ok_or_else(|| wrong("The date cannot be read"))?;
    if expires <= now { Err(wrong("ExpirationDateTime must be in the future")) } else { Ok(Some(expires)) }
}

/// The word for where a consent stands.
pub(super) fn status(consent: &Consent, now: Timestamp) -> &'static str {
    match consent.state {
        _ if consent.has_expired(now) => "EXPD",
        ConsentState::Incomplete | ConsentState::Awaiting | ConsentState::Partly => "AWAU",
        ConsentState::Authorised | ConsentState::Consumed => "AUTH",
        ConsentState::Rejected => "RJCT",
        ConsentState::Ended | ConsentState::Withdrawn => "CANC",
    }
}

fn view(bank: &Bank, consent: &Consent, now: Timestamp) -> Value {
    let mut data = json!({
        "ConsentId": consent.id,
        "CreationDateTime": consent.created.to_string(),
        "Status": status(consent, now),
        "StatusUpdateDateTime": consent.changed.to_string(),
    });
    let asked = consent.body.get("Data").and_then(Value::as_object);
    if let (Some(data), Some(asked)) = (data.as_object_mut(), asked) {
        for name in ["Permissions", "ExpirationDateTime", "TransactionFromDateTime", "TransactionToDateTime"]
        {
            if let Some(value) = asked.get(name) {
                data.insert(name.to_owned(), value.clone());
            }
        }
    }
    let itself = format!("{}{AISP}/account-access-consents/{}", bank.api_url, consent.id);
    json!({"Data": data, "Risk": {}, "Links": {"Self": itself}, "Meta": {"TotalPages": 1}})
}
