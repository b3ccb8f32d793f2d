//! Account information by UK Open Banking Read/Write 4.0: as little as makes sense.

use serde_json::{Value, json};

use super::mode::Mode;
use super::token::USEFUL;
use super::world::{Asked, World, json_answer};
use crate::case::random;
use crate::clock::Clock;
use crate::http::Response;

/// Where it is below the issuer.
pub(super) const AISP: &str = "/open-banking/v4.0/aisp";

pub(super) fn answer(world: &World, mode: Mode, asked: &Asked, path: &str) -> Response {
    let path = path.strip_prefix(AISP).unwrap_or_default();
    let mut answer = match path.strip_prefix("/account-access-consents") {
        Some(rest) => consent(world, mode, asked, rest.trim_start_matches('/')),
        None => list(world, mode, asked, path),
    };
    let interaction = asked.interaction.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    answer.headers.push(("x-fapi-interaction-id".to_owned(), interaction));
    answer
}

/// The person approves a consent.
pub(super) fn approve(consent: &mut Value) {
    if let Some(consent) = consent.as_object_mut() {
        consent.insert("Status".to_owned(), json!("AUTH"));
        consent.insert("StatusUpdateDateTime".to_owned(), json!(Clock::machine().to_string()));
    }
}

fn refused(status: u16, code: &str) -> Response {
    let body = json!({
        "Id": random(16), "Code": status.to_string(), "Message": code,
        "Errors": [{"ErrorCode": code, "Message": code}],
    });
    json_answer(status, &body)
}

/// The token is none, or no longer one (RFC 6750 §3.1).
fn unauthorised() -> Response {
    let says = "Bearer error=\"invalid_token\"".to_owned();
    Response { status: 401, headers: vec![("www-authenticate".to_owned(), says)], ..Response::default() }
}

fn consent(world: &World, mode: Mode, asked: &Asked, id: &str) -> Response {
    if !asked.bearer.as_deref().is_some_and(|token| token.starts_with("own-")) {
        return unauthorised();
    }
    let view = |consent: &Value| {
        let id = consent.get("ConsentId").and_then(Value::as_str).unwrap_or_default();
        let this = format!("{}{AISP}/account-access-consents/{id}", world.issuer(mode));
        json!({"Data": consent, "Risk": {}, "Links": {"Self": this}, "Meta": {"TotalPages": 1}})
    };
    match asked.request.method.as_str() {
        "POST" => {
            let body: Value = serde_json::from_slice(&asked.request.body).unwrap_or_default();
            let mut made = body.get("Data").cloned().unwrap_or_else(|| json!({}));
            let id = format!("rp-{}", uuid::Uuid::new_v4());
            let now = Clock::machine().to_string();
            if let Some(made) = made.as_object_mut() {
                made.insert("ConsentId".to_owned(), json!(id));
                made.insert("Status".to_owned(), json!("AWAU"));
                made.insert("CreationDateTime".to_owned(), json!(now));
                made.insert("StatusUpdateDateTime".to_owned(), json!(now));
            }
            world.module(mode, |module| module.consents.insert(id, made.clone()));
            json_answer(201, &view(&made))
        }
        "DELETE" => {
            world.module(mode, |module| module.consents.remove(id));
            Response { status: 204, ..Response::default() }
        }
        _ => match world.module(mode, |module| module.consents.get(id).cloned()) {
            Some(consent) => json_answer(200, &view(&consent)),
            None => refused(404, "U011"),
        },
    }
}

fn list(world: &World, mode: Mode, asked: &Asked, path: &str) -> Response {
    let token = asked.bearer.as_deref().unwrap_or_default();
    let renewed = world.module(mode, |module| module.tokens.get(token).copied());
    // A token with a line break is shown as far as a header goes.
    match renewed.or((mode == Mode::TokenLineBreak && token.starts_with("user-")).then_some(0)) {
        None => return unauthorised(),
        Some(renewed) if mode == Mode::Refresh && renewed < USEFUL => {
            return unauthorised();
        }
        Some(_) => {}
    }
    let (name, entries) = match path {
        "/accounts" => (
            "Account",
            json!([{
                "AccountId": "rp-1", "Status": "Enabled", "StatusUpdateDateTime": "2026-01-31T08:00:00+00:00",
                "Currency": "GBP", "AccountCategory": "Personal", "AccountTypeCode": "CACC", "Nickname": "Bills",
                "Account": [{
                    "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "80200110203345",
                    "Name": "Ms Example",
                }],
            }]),
        ),
        "/accounts/rp-1/balances" | "/balances" => (
            "Balance",
            json!([{
                "AccountId": "rp-1", "CreditDebitIndicator": "Credit", "Type": "ITAV",
                "DateTime": "2026-01-31T08:00:00+00:00", "Amount": {"Amount": "1230.00", "Currency": "GBP"},
            }]),
        ),
        _ => return refused(404, "U011"),
    };
    let this = format!("{}{AISP}{path}", world.issuer(mode));
    json_answer(200, &json!({"Data": {name: entries}, "Links": {"Self": this}, "Meta": {"TotalPages": 1}}))
}
