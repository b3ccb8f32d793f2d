//! What an HTTP status means where the bank says no more.

use connect::{BankError, BankErrorKind, BankResponse, CallContext, Effect};
use serde_json::Value;

use crate::tree::Tree;

/// The place an error is about: what the bank names, else where it was read
/// from, its code or the status.
pub(crate) fn place_of(path: &str, code: &str, code_at: &str) -> String {
    match plain_path(path) {
        Some(path) => path.to_owned(),
        None if code.is_empty() => "status".to_owned(),
        None => code_at.to_owned(),
    }
}

/// A path of the bank's, if it is one: free text could hold personal data.
fn plain_path(path: &str) -> Option<&str> {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b'[' | b']' | b'$');
    let letters = path.bytes().any(|b| b.is_ascii_alphabetic());
    ((1..=128).contains(&path.len()) && letters && path.bytes().all(plain)).then_some(path)
}

/// An answer that cannot be read leaves a write open.
pub(crate) fn after(effect: Effect, error: BankError) -> BankError {
    match effect {
        Effect::Read => error,
        Effect::Write => error.unknown(),
    }
}

/// The JSON of a successful answer.
pub(crate) fn parsed<'r>(
    cx: &CallContext<'_>,
    response: &'r BankResponse,
    effect: Effect,
) -> Result<Tree<'r>, BankError> {
    crate::node::parse(&cx.profile.id, &response.body)
        .map_err(|error| after(effect, error.with_status(response.status.as_u16())))
}

/// Reads an answer that is no success, of a standard whose codes are each bank's
/// own; `member` is what the code is called.
pub(crate) fn failure(
    cx: &CallContext<'_>,
    response: &BankResponse,
    effect: Effect,
    member: &str,
) -> BankError {
    let status = response.status.as_u16();
    let body = crate::node::error_body(&response.body);
    let code = body.get(member).and_then(Value::as_str).unwrap_or_default();
    let kind = match status {
        // The authorization is over, or does not reach that far.
        403 => BankErrorKind::ConsentRevoked,
        // RTS art. 36(5): what counts calls is the absence of the PSU.
        429 if cx.psu.is_none() => BankErrorKind::QuotaExceeded,
        _ => BankErrorKind::of_status(status),
    };
    let error = cx
        .error(kind)
        .with_status(status)
        .with_bank_code(code)
        .with_retry_after(response.retry_after())
        .at(place_of("", code, &format!("/{member}")));
    error.after_status(status, effect)
}

/// A reason of four letters and digits (ISO 20022 ExternalStatusReason1Code).
pub(crate) fn iso_reason(code: Option<String>) -> Option<String> {
    code.filter(|code| code.len() == 4 && code.bytes().all(|b| b.is_ascii_alphanumeric()))
}
