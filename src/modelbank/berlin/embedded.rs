//! Authentication by what the TPP passes on: password, choice of a method, code.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::authorisations::{approach_header, sca_status};
use super::consents::own_consent;
use super::orders::Service;
use super::payments::own_order;
use super::refusal::Refusal;
use super::signature::{demand, object};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{Authorisation, PASSWORD, ScaState, Subject, people};

/// The code of every sandbox customer, by whatever method.
pub const CODE: &str = "123456";
/// Wrong passwords and codes after which an authentication has failed.
const MOST_WRONG: u8 = 3;
/// What photoTAN shows.
const PHOTO: &[u8] = include_bytes!("../templates/photo_tan.png");

/// A method of a customer.
struct Method {
    id: &'static str,
    kind: &'static str,
    name: &'static str,
}

const METHODS: [Method; 3] = [
    Method { id: "sms", kind: "SMS_OTP", name: "SMS to +43 *** *** 17" },
    Method { id: "photo", kind: "PHOTO_OTP", name: "photoTAN" },
    Method { id: "chip", kind: "CHIP_OTP", name: "chipTAN" },
];

/// The methods of a customer. Ben has one, and is asked by it without a choice.
fn methods(user: &str) -> &'static [Method] {
    if user == "ben" { &METHODS[..1] } else { &METHODS }
}

impl Method {
    fn view(&self) -> Value {
        json!({ "authenticationMethodId": self.id, "authenticationType": self.kind, "name": self.name })
    }

    /// What the customer is to answer.
    fn challenge(&self) -> Value {
        let mut challenge = json!({ "otpMaxLength": CODE.len(), "otpFormat": "integer" });
        let more = match self.kind {
            "PHOTO_OTP" => json!({
                "image": STANDARD.encode(PHOTO),
                "additionalInformation": "Scan the picture with the photoTAN app.",
            }),
            "CHIP_OTP" => json!({
                // What flickers on the screen of the bank's own page: 87112233445566, then 10017.
                "data": ["0E8701871122334455660310017F04"],
                "additionalInformation": "Put your card into the reader and press TAN.",
            }),
            _ => json!({ "additionalInformation": "The code is on its way to your telephone." }),
        };
        if let (Some(challenge), Value::Object(more)) = (challenge.as_object_mut(), more) {
            challenge.extend(more);
        }
        challenge
    }
}

pub(super) async fn update_consent(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path((id, authorisation)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    own_consent(&bank, &caller, &id)?;
    let path = format!("/v1/consents/{id}/authorisations/{authorisation}");
    update(&bank, &caller, &Subject::Consent(id), (&authorisation, &path), &object(&body)?).await
}

pub(super) async fn update_payment(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id, authorisation)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    own_order(&bank, &caller, service, &product, &id)?;
    let path = format!("{}/authorisations/{authorisation}", service.place(&product, &id));
    update(&bank, &caller, &Subject::Order(id), (&authorisation, &path), &object(&body)?).await
}

pub(super) async fn update_cancellation(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(service): Extension<Service>,
    Path((product, id, authorisation)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    demand(&bank, &caller, &body)?;
    own_order(&bank, &caller, service, &product, &id)?;
    let path = format!("{}/cancellation-authorisations/{authorisation}", service.place(&product, &id));
    update(&bank, &caller, &Subject::Cancellation(id), (&authorisation, &path), &object(&body)?).await
}

pub(super) async fn update(
    bank: &Bank,
    caller: &Caller,
    subject: &Subject,
    (id, path): (&str, &str),
    body: &Value,
) -> Result<Response, Refusal> {
    let known = bank.vault.read(|book| book.authorisations.get(id).cloned());
    let known = known.filter(|known| known.subject == *subject && known.embedded);
    let known = known.ok_or_else(Refusal::unknown)?;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let Some(user) = known.user.clone() else {
        let answer = identified(bank, caller, &known, path)?;
        bank.vault.keep().await?;
        return Ok(answer.into_response());
    };
    let password = text("/psuData/password").or_else(|| text("/psuData/additionalPassword"));
    let second = text("/psuData/additionalPassword").is_some();
    let answer = match (
        known.state,
        password.filter(|_| second == (known.state == ScaState::HalfAuthenticated)),
        text("/authenticationMethodId"),
        text("/scaAuthenticationData"),
    ) {
        (ScaState::Received, Some(PASSWORD), None, None) if user == people::CAREFUL => {
            moved(bank, &known, ScaState::HalfAuthenticated);
            let link = Some("updateAdditionalPsuAuthentication");
            Ok(answer(bank, ScaState::HalfAuthenticated, path, link, json!({})))
        }
        (ScaState::Received, Some(PASSWORD), None, None)
        | (ScaState::HalfAuthenticated, Some(people::SECOND_PASSWORD), None, None) => {
            let only = methods(&user).first().filter(|_| methods(&user).len() == 1);
            moved(bank, &known, if only.is_some() { ScaState::Selected } else { ScaState::Authenticated });
            if user == people::ABANDONS {
                // Asked in the app instead, where nobody ever looks.
                Ok(in_the_app(path))
            } else {
                Ok(match only {
                    Some(method) => challenged(bank, method, path),
                    None => choice(bank, methods(&user), path),
                })
            }
        }
        (ScaState::Authenticated, None, Some(method), None) if user != people::ABANDONS => {
            let method = methods(&user).iter().find(|known| known.id == method);
            let unknown =
                Refusal::new(StatusCode::BAD_REQUEST, "SCA_METHOD_UNKNOWN", "There is no such method");
            method.ok_or(unknown).map(|method| {
                moved(bank, &known, ScaState::Selected);
                challenged(bank, method, path)
            })
        }
        (ScaState::Selected, None, None, Some(CODE)) => {
            let asked = bank.vault.read(|book| super::asked_accounts(book, bank, &known.subject));
            let decision = bank.agreeable(&user, asked.as_deref(), true);
            let now = bank.now();
            bank.vault.change(|book| book.decide(bank.kind, id, &decision, now));
            Ok(answer(
                bank,
                if decision.approved { ScaState::Finalised } else { ScaState::Failed },
                path,
                None,
                json!({}),
            ))
        }
        (ScaState::Received | ScaState::HalfAuthenticated, Some(_), None, None)
        | (ScaState::Selected, None, None, Some(_)) => Err(mistaken(bank, &known, &user)),
        _ => Err(Refusal::new(StatusCode::CONFLICT, "STATUS_INVALID", "That is not what is wanted now")),
    };
    // What was wrong counts also after a restart.
    bank.vault.keep().await?;
    answer.map(IntoResponse::into_response)
}

/// The customer is who the header says, and is asked for the password next.
fn identified(bank: &Bank, caller: &Caller, known: &Authorisation, path: &str) -> Result<Answer, Refusal> {
    let name = caller.header("psu-id").ok_or(Refusal::format("PSU-ID is missing"))?;
    let unknown = Refusal::unauthorised("PSU_CREDENTIALS_INVALID", "The bank knows no such PSU-ID");
    let user = bank.user(name).ok_or(unknown)?.to_owned();
    bank.vault.change(|book| {
        if let Some(authorisation) = book.authorisations.get_mut(&known.id) {
            authorisation.user = Some(user);
        }
    });
    Ok(answer(bank, ScaState::Received, path, Some("updatePsuAuthentication"), json!({})))
}

type Answer = ([(HeaderName, HeaderValue); 1], Json<Value>);

fn answer(bank: &Bank, state: ScaState, path: &str, link: Option<&str>, more: Value) -> Answer {
    let mut links = json!({ "scaStatus": { "href": path } });
    if let (Some(name), Some(links)) = (link, links.as_object_mut()) {
        links.insert(name.to_owned(), json!({ "href": path }));
    }
    let mut body = Map::new();
    body.insert("scaStatus".to_owned(), sca_status(bank, state).into());
    body.insert("_links".to_owned(), links);
    if let Value::Object(more) = more {
        body.extend(more);
    }
    (approach_header("EMBEDDED"), Json(Value::Object(body)))
}

fn choice(bank: &Bank, methods: &[Method], path: &str) -> Answer {
    let views: Vec<_> = methods.iter().map(Method::view).collect();
    let link = Some("selectAuthenticationMethod");
    answer(bank, ScaState::Authenticated, path, link, json!({ "scaMethods": views }))
}

fn challenged(bank: &Bank, method: &Method, path: &str) -> Answer {
    let more = json!({ "chosenScaMethod": method.view(), "challengeData": method.challenge() });
    answer(bank, ScaState::Selected, path, Some("authoriseTransaction"), more)
}

fn in_the_app(path: &str) -> Answer {
    let body = json!({
        "scaStatus": "started",
        "psuMessage": "Confirm in the app.",
        "_links": { "scaStatus": { "href": path } },
    });
    (approach_header("DECOUPLED"), Json(body))
}

fn moved(bank: &Bank, known: &Authorisation, state: ScaState) {
    bank.vault.change(|book| {
        if let Some(authorisation) = book.authorisations.get_mut(&known.id) {
            authorisation.state = state;
        }
    });
}

/// Counts a wrong password or code; the last one ends it.
fn mistaken(bank: &Bank, known: &Authorisation, user: &str) -> Refusal {
    let wrong = bank.vault.change(|book| {
        let authorisation = book.authorisations.get_mut(&known.id);
        authorisation.map_or(MOST_WRONG, |authorisation| {
            authorisation.wrong = authorisation.wrong.saturating_add(1);
            authorisation.wrong
        })
    });
    let refusal = Refusal::unauthorised("PSU_CREDENTIALS_INVALID", "That is not right");
    if wrong < MOST_WRONG {
        return refusal.at(sca_status(bank, known.state));
    }
    let decision = bank.agreeable(user, None, false);
    let now = bank.now();
    bank.vault.change(|book| book.decide(bank.kind, &known.id, &decision, now));
    refusal.at(sca_status(bank, ScaState::Failed))
}
