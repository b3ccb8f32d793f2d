//! Identity tokens (OpenID Connect Core §2, Open Banking Security Profile).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::{digest, jws};
use domain::Timestamp;
use serde_json::{Map, Value, json};

use super::issuer_of;
use crate::bank::{Bank, Client};
use crate::engine::book::Code;
use crate::habit::Habit;

/// Seconds an id_token lives.
const LIFE: i64 = 600;

/// The one that comes with tokens. `None` if it cannot be signed.
pub(super) fn with_token(
    bank: &Bank,
    client: &Client,
    code: &Code,
    access: &str,
    refresh_expires: Timestamp,
) -> Option<String> {
    let mut claims = claims(bank, client, code);
    claims.insert("at_hash".into(), left_half(access).into());
    let end = "http://openbanking.org.uk/refresh_token_expires_at";
    claims.insert(end.into(), refresh_expires.as_second().into());
    signed(bank, claims)
}

/// The one that comes with a code (OpenID Connect Core §3.3.2.11). `None` if it
/// cannot be signed.
pub(super) fn with_code(bank: &Bank, issued: &Code, code: &str) -> Option<String> {
    let client = bank.client_named(&issued.request.client)?;
    let mut claims = claims(bank, &client, issued);
    claims.insert("c_hash".into(), left_half(code).into());
    signed(bank, claims)
}

fn claims(bank: &Bank, client: &Client, code: &Code) -> Map<String, Value> {
    let unit = if bank.has(Habit::IdTokenExpiryInMillis) { 1000 } else { 1 };
    let time = |seconds: i64| json!(seconds.saturating_mul(unit));
    let now = bank.now().as_second();
    // Pairwise: another client gets another name for the same customer.
    let customer = format!("{}/{}/{}", bank.id, client.registered.client_id, code.user);
    let subject = if bank.has(Habit::IdTokenSubject) {
        client.registered.client_id.clone()
    } else {
        digest::sha256_b64url(customer.as_bytes())
    };
    let acr = if bank.has(Habit::IdTokenAcrUnreliable) { "0" } else { "urn:openbanking:psd2:sca" };
    let all = [
        ("iss", Some(json!(issuer_of(bank)))),
        ("sub", Some(json!(subject))),
        ("aud", Some(json!(client.registered.client_id))),
        ("iat", Some(time(now))),
        ("exp", Some(time(now.saturating_add(LIFE)))),
        (
            "auth_time",
            Some(time(code.authenticated.as_second())).filter(|_| !bank.has(Habit::IdTokenAuthTimeMissing)),
        ),
        ("acr", Some(json!(acr)).filter(|_| !bank.has(Habit::IdTokenAcrMissing))),
        (
            "openbanking_intent_id",
            Some(json!(code.request.consent)).filter(|_| !bank.has(Habit::IdTokenIntentMissing)),
        ),
        (
            "nonce",
            code.request
                .nonce
                .as_ref()
                .map(|nonce| json!(nonce))
                .filter(|_| !bank.has(Habit::IdTokenNonceMissing)),
        ),
        ("s_hash", code.request.state.as_deref().map(|state| json!(left_half(state)))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn signed(bank: &Bank, claims: Map<String, Value>) -> Option<String> {
    let mut header = Map::new();
    header.insert("typ".into(), "JWT".into());
    let key = bank.signing.as_ref()?;
    let token = jws::sign_compact(key, &header, Value::Object(claims).to_string().as_bytes()).ok()?;
    if !bank.has(Habit::IdTokenUnreliable) {
        return Some(token);
    }
    let other = jws::sign_compact(key, &header, b"{}").ok()?;
    let (said, _) = token.rsplit_once('.')?;
    let (_, signature) = other.rsplit_once('.')?;
    Some(format!("{said}.{signature}"))
}

/// OpenID Connect Core §3.1.3.6: the left half of the digest.
fn left_half(text: &str) -> String {
    let digest = digest::sha256(text.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
}
