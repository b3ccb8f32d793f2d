//! A bank's own signature over its answer (UK Open Banking, message signing): a detached
//! JWS over the exact bytes of the body in `x-jws-signature`.

use crypto::jws::{self, InvalidJws};
use crypto::{Algorithm, Jwks};
use domain::Timestamp;
use serde_json::Value;

use crate::transport::{IAT, ISS, TAN};
use crate::{BankError, BankResponse, Profile, Signing};

/// The header.
const HEADER: &str = "x-jws-signature";
/// Seconds that a bank's clock may be ahead of ours.
const SKEW: i64 = 60;

/// Why an answer is not believed.
#[derive(Debug)]
pub enum AnswerRefused {
    /// It names a key that is none of the set; the bank may have newer ones.
    UnknownKey(BankError),
    /// It is not signed, or not by the bank, or not over these bytes.
    Invalid(BankError),
}

/// Whether the profile demands that this answer is signed: one of success that has a body.
/// What a bank refuses, and what has no body, it need not sign.
#[must_use]
pub fn answer_is_signed(profile: &Profile, response: &BankResponse) -> bool {
    let demanded = matches!(profile.signing, Signing::DetachedJws { verify_answers: true, .. });
    demanded && response.status.is_success() && !response.body.is_empty()
}

/// Checks the signature of an answer by the bank's keys.
///
/// # Errors
///
/// [`AnswerRefused`], with `malformed-response` at the header.
pub fn verify_answer(
    profile: &Profile,
    now: Timestamp,
    response: &BankResponse,
    keys: &Jwks,
) -> Result<(), AnswerRefused> {
    let at = |place: &str| BankError::malformed(&profile.id, place).with_status(response.status.as_u16());
    let invalid = |place: &str| AnswerRefused::Invalid(at(place));
    let signature = response.header_text(HEADER).ok_or_else(|| invalid(HEADER))?;
    // Banks on the rules before 3.1.4 sign the body as it is.
    let understood = ["b64", IAT, ISS, TAN];
    let verified = jws::verify_detached(signature, &response.body, keys, &[Algorithm::Ps256], &understood)
        .map_err(|refused| match refused {
            InvalidJws::UnknownKey => AnswerRefused::UnknownKey(at(HEADER)),
            InvalidJws::Malformed
            | InvalidJws::TooLarge
            | InvalidJws::Algorithm
            | InvalidJws::Critical
            | InvalidJws::Signature => invalid(HEADER),
        })?;
    let said =
        |name: &str| verified.header.get(name).and_then(Value::as_str).is_some_and(|it| !it.is_empty());
    let made = verified.header.get(IAT).and_then(Value::as_i64);
    let past = made.is_some_and(|made| made <= now.as_second().saturating_add(SKEW));
    if past && said(ISS) && said(TAN) { Ok(()) } else { Err(invalid("x-jws-signature/claims")) }
}

#[cfg(test)]
mod tests;
