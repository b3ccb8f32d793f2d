//! Starting and following the customer's approval.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use crypto::Psd2Role;
use serde_json::{Value, json};

use super::consents::own_consent;
use super::orders::Service;
use super::payments::own_order;
use super::refusal::Refusal;
use super::signature::demand;
use crate::BankKind;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Authorisation, ConsentState, OrderState, ScaState, Subject};

/// How this bank lets its customers approve.
pub(super) fn approach(bank: &Bank) -> [(HeaderName, HeaderValue); 1] {
    let approach = match bank.kind {
        BankKind::BerlinGroupDecoupled => "DECOUPLED",
        BankKind::BerlinGroupEmbedded => "EMBEDDED",
        BankKind::UkOpenBanking | BankKind::BerlinGroupRedirect | BankKind::Stet | BankKind::PolishApi => {
            "REDIRECT"
        }
    };
    approach_header(approach)
}

pub(super) fn approach_header(approach: &'static str) -> [(HeaderName, HeaderValue); 1] {
    [(HeaderName::from_static("aspsp-sca-approach"), HeaderValue::from_static(approach))]
}

/// An authorisation as the headers ask for it, not yet in the book.
pub(super) fn prepared(bank: &Bank, caller: &Caller, subject: Subject) -> Result<Authorisation, Refusal> {
    let decoupled = bank.kind == BankKind::BerlinGroupDecoupled;
    let embedded = bank.kind == BankKind::BerlinGroupEmbedded;
    let user = match caller.header("psu-id") {
        Some(name) => {
            let unknown = Refusal::unauthorised("PSU_CREDENTIALS_INVALID", "The bank knows no such PSU-ID");
            Some(bank.user(name).ok_or(unknown)?.to_owned())
        }
        None if decoupled => return Err(Refusal::format("PSU-ID is missing")),
        // This bank asks for it.
        None => None,
    };
    let address = |name: &str| match caller.header(name) {
        None => Ok(None),
        Some(text) => match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(Some(url.to_string())),
            Ok(_) | Err(_) => Err(Refusal::format("A redirect address is not valid")),
        },
    };
    let redirect = address("tpp-redirect-uri")?;
    let nok_redirect = address("tpp-nok-redirect-uri")?;
    if redirect.is_none() && !decoupled && !embedded {
        return Err(Refusal::format("TPP-Redirect-URI is missing"));
    }
    let denied = caller.header("x-sandbox-psu") == Some("deny");
    Ok(Authorisation {
        id: bank.fresh("sca-"),
        subject,
        user,
        state: ScaState::Received,
        embedded,
        wrong: 0,
        created: bank.now(),
        redirect,
        nok_redirect,
        decides_itself: (decoupled && (denied || bank.auto_approve)).then_some(!denied),
    })
}

/// Links of a resource at `path` whose authorisation has begun.
pub(super) fn links(bank: &Bank, path: &str, authorisation: &Authorisation) -> Value {
    let kind = match authorisation.subject {
        Subject::Consent(_) | Subject::Order(_) => "authorisations",
        Subject::Cancellation(_) => "cancellation-authorisations",
    };
    let sca = format!("{path}/{kind}/{}", authorisation.id);
    let mut links = json!({
        "self": {"href": format!("{}{path}", bank.api_url)},
        "status": {"href": format!("{}{path}/status", bank.api_url)},
        "scaStatus": {"href": format!("{}{sca}", bank.api_url)},
    });
    if let (BankKind::BerlinGroupRedirect, Some(links)) = (bank.kind, links.as_object_mut()) {
        let href = format!("{}/sca/{}", bank.pages_url, authorisation.id);
        links.insert("scaRedirect".into(), json!({ "href": href }));
    }
    if let (true, Some(links)) = (authorisation.embedded, links.as_object_mut()) {
        let href = format!("{}{sca}", bank.api_url);
        let known = authorisation.user.is_some();
        let name = if known { "updatePsuAuthentication" } else { "updatePsuIdentification" };
        links.insert(name.into(), json!({ "href": href }));
    }
    links
}

/// The answer with what the customer is to do, where a bank asks in its app and has begun to.
pub(super) fn with_message(bank: &Bank, begun: bool, mut answer: Value) -> Value {
    if begun
        && bank.kind == BankKind::BerlinGroupDecoupled
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("psuMessage".into(), "Confirm in the app.".into());
    }
    answer
}

/// Links of a resource whose authorisation the caller starts itself.
pub(super) fn explicit_links(bank: &Bank, path: &str) -> Value {
    json!({
        "self": {"href": format!("{}{path}", bank.api_url)},
        "status": {"href": format!("{}{path}/status", bank.api_url)},
        "startAuthorisation": {"href": format!("{}{path}/authorisations", bank.api_url)},
    })
}

pub(super) async fn start_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    let consent = own_consent(&bank, &caller, &id)?;
    if !matches!(consent.state, ConsentState::Awaiting | ConsentState::Partly) {
        return Err(Refusal::new(StatusCode::CONFLICT, "STATUS_INVALID", "The consent is decided"));
    }
    start(&bank, &caller, Subject::Consent(id.clone()), &format!("/v1/consents/{id}")).await
}

pub(super) async fn start_payment(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    let order = own_order(&bank, &caller, service, &product, &id)?;
    if order.state != OrderState::Received {
        return Err(Refusal::new(StatusCode::CONFLICT, "STATUS_INVALID", "The payment is decided"));
    }
    start(&bank, &caller, Subject::Order(id.clone()), &service.place(&product, &id)).await
}

pub(super) async fn start_cancellation(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    let order = own_order(&bank, &caller, service, &product, &id)?;
    if !order.is_open() {
        return Err(Refusal::new(StatusCode::CONFLICT, "STATUS_INVALID", "The payment is carried out"));
    }
    start(&bank, &caller, Subject::Cancellation(id.clone()), &service.place(&product, &id)).await
}

pub(super) async fn list_cancellation(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    own_order(&bank, &caller, service, &product, &id)?;
    Ok(list(&bank, &Subject::Cancellation(id)))
}

pub(super) async fn cancellation_status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id, authorisation)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    own_order(&bank, &caller, service, &product, &id)?;
    status(&bank, &Subject::Cancellation(id), &authorisation)
}

pub(super) async fn start(
    bank: &Bank,
    caller: &Caller,
    subject: Subject,
    path: &str,
) -> Result<Response, Refusal> {
    let authorisation = prepared(bank, caller, subject)?;
    let mut links = links(bank, path, &authorisation);
    if let Some(links) = links.as_object_mut() {
        links.remove("self");
        links.remove("status");
    }
    let body = json!({
        "scaStatus": sca_status(bank, authorisation.state),
        "authorisationId": authorisation.id,
        "_links": links,
    });
    let body = with_message(bank, true, body);
    bank.vault.change(|book| book.authorisations.insert(authorisation.id.clone(), authorisation));
    bank.vault.keep().await?;
    Ok((StatusCode::CREATED, approach(bank), Json(body)).into_response())
}

pub(super) async fn list_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    own_consent(&bank, &caller, &id)?;
    Ok(list(&bank, &Subject::Consent(id)))
}

pub(super) async fn list_payment(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    own_order(&bank, &caller, service, &product, &id)?;
    Ok(list(&bank, &Subject::Order(id)))
}

pub(super) async fn consent_status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, authorisation)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    own_consent(&bank, &caller, &id)?;
    status(&bank, &Subject::Consent(id), &authorisation)
}

pub(super) async fn payment_status(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id, authorisation)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    caller.organisation(Psd2Role::PaymentInitiation)?;
    own_order(&bank, &caller, service, &product, &id)?;
    status(&bank, &Subject::Order(id), &authorisation)
}

pub(super) fn list(bank: &Bank, subject: &Subject) -> Json<Value> {
    let ids: Vec<String> = bank.vault.read(|book| {
        let ours = book.authorisations.values().filter(|authorisation| authorisation.subject == *subject);
        ours.map(|authorisation| authorisation.id.clone()).collect()
    });
    Json(json!({ "authorisationIds": ids }))
}

pub(super) fn status(bank: &Bank, subject: &Subject, id: &str) -> Result<Json<Value>, Refusal> {
    let found = bank.vault.read(|book| book.authorisations.get(id).cloned());
    let found =
        found.filter(|authorisation| authorisation.subject == *subject).ok_or_else(Refusal::unknown)?;
    Ok(Json(json!({ "scaStatus": sca_status(bank, found.state) })))
}

pub(super) fn sca_status(bank: &Bank, state: ScaState) -> &'static str {
    match state {
        ScaState::Received if bank.kind == BankKind::BerlinGroupDecoupled => "started",
        ScaState::Received if bank.kind == BankKind::BerlinGroupEmbedded => "psuIdentified",
        ScaState::Received => "received",
        ScaState::HalfAuthenticated => "psuIdentified",
        ScaState::Authenticated => "psuAuthenticated",
        ScaState::Selected => "scaMethodSelected",
        ScaState::Finalised => "finalised",
        ScaState::Failed => "failed",
    }
}
