//! What an unsuccessful answer of a bank means: `{responseHeader, code, message}`.
//! Codes are each bank's own.

use connect::{BankError, BankErrorKind, BankResponse, CallContext, Effect};
use serde_json::Value;

/// Reads an answer that is no success.
pub(super) fn failure(cx: &CallContext<'_>, response: &BankResponse, effect: Effect) -> BankError {
    let status = response.status.as_u16();
    let body = crate::node::parse(&cx.profile.id, &response.body).unwrap_or(Value::Null);
    let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
    let kind = match status {
        // The consent is over, or does not reach that far.
        403 => BankErrorKind::ConsentRevoked,
        // RTS art. 36(5): what counts calls is the absence of the PSU.
        429 if cx.psu.is_none() => BankErrorKind::QuotaExceeded,
        _ => crate::status::kind_of_status(status),
    };
    let error = cx
        .error(kind)
        .with_status(status)
        .with_bank_code(code)
        .with_retry_after(response.retry_after())
        .at(crate::status::place_of("", code, "/code"));
    crate::status::with_outcome(error, status, effect)
}
