//! `x-jws-signature`: detached PS256 over the exact body, both ways.

use axum::Json;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use crypto::Algorithm;
use crypto::jws::{self, InvalidJws};
use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::habit::Habit;
use crate::journal::Fact;

const IAT: &str = "http://openbanking.org.uk/iat";
const ISS: &str = "http://openbanking.org.uk/iss";
const TAN: &str = "http://openbanking.org.uk/tan";

/// Seconds a signer's clock may be ahead of ours.
const SKEW: i64 = 10;

/// Demands a right signature over `body`.
pub(super) fn demand(bank: &Bank, caller: &Caller, body: &Bytes) -> Result<(), Refusal> {
    let signature =
        caller.header("x-jws-signature").ok_or_else(|| Refusal::bad("U019", "x-jws-signature is missing"))?;
    let malformed = || Refusal::bad("U018", "x-jws-signature cannot be read");
    let header = jws::peek_header(signature).map_err(|_| malformed())?;
    let raw = bank.has(Habit::JwsPayloadNotEncoded);
    claims(&header, bank.now(), raw)?;
    let client = caller.client(bank).ok_or(Refusal::Forbidden)?;
    let critical: &[&str] = if raw { &["b64", IAT, ISS, TAN] } else { &[IAT, ISS, TAN] };
    jws::verify_detached(signature, body, &client.keys, &[Algorithm::Ps256], critical).map_err(
        |refused| match refused {
            InvalidJws::Malformed | InvalidJws::TooLarge => malformed(),
            InvalidJws::Algorithm | InvalidJws::Critical => {
                Refusal::bad("U016", "A claim of x-jws-signature is not valid")
            }
            InvalidJws::UnknownKey | InvalidJws::Signature => {
                Refusal::bad("U015", "x-jws-signature does not match the body")
            }
        },
    )?;
    caller.facts.note(Fact::Signature);
    Ok(())
}

/// The three claims are there, critical, and make sense.
fn claims(header: &Map<String, Value>, now: Timestamp, raw: bool) -> Result<(), Refusal> {
    let missing = || Refusal::bad("U017", "A claim of x-jws-signature is missing");
    let invalid = || Refusal::bad("U016", "A claim of x-jws-signature is not valid");
    let crit = header.get("crit").and_then(Value::as_array).ok_or_else(missing)?;
    for name in ["alg", "kid", IAT, ISS, TAN] {
        let claim = header.get(name).ok_or_else(missing)?;
        let is_claim = name.starts_with("http");
        if is_claim && !crit.iter().any(|critical| critical == name) {
            return Err(missing());
        }
        if name != IAT && claim.as_str().is_none_or(str::is_empty) {
            return Err(invalid());
        }
    }
    let iat = header.get(IAT).and_then(Value::as_i64).ok_or_else(invalid)?;
    let only_ours = if raw {
        crit.len() == 4 && header.get("b64") == Some(&Value::Bool(false))
    } else {
        crit.len() == 3 && !header.contains_key("b64")
    };
    let typed = header.get("typ").is_none_or(|typ| typ == "JOSE");
    if iat > now.as_second().saturating_add(SKEW) || !only_ours || !typed {
        return Err(invalid());
    }
    Ok(())
}

/// An answer with the bank's own signature over its bytes.
pub(super) fn signed(bank: &Bank, status: StatusCode, body: &Value) -> Response {
    signed_as(bank, status, "application/json", body.to_string())
}

/// The same of a body of any media type.
pub(super) fn signed_as(bank: &Bank, status: StatusCode, media: &'static str, text: String) -> Response {
    let header = json!({
        "typ": "JOSE",
        "cty": media,
        IAT: bank.now().as_second(),
        ISS: format!("CN={}", bank.name),
        TAN: "modelbank.example",
        "crit": [IAT, ISS, TAN],
    });
    let signature = bank
        .signing
        .as_ref()
        .zip(header.as_object())
        .and_then(|(key, header)| jws::sign_detached(key, header, text.as_bytes()).ok())
        .and_then(|signature| HeaderValue::try_from(signature).ok());
    match signature {
        Some(signature) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static(media)),
                (axum::http::HeaderName::from_static("x-jws-signature"), signature),
            ];
            (status, headers, text).into_response()
        }
        None => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({}))).into_response(),
    }
}
