//! What an HTTP status means where the bank says no more.

use connect::{BankError, BankErrorKind, Effect};

/// The kind of a status without a code of the bank's.
pub(crate) fn kind_of_status(status: u16) -> BankErrorKind {
    match status {
        401 => BankErrorKind::TokenInvalid,
        403 => BankErrorKind::AccountNotAccessible,
        404 | 410 => BankErrorKind::ResourceUnknown,
        405 | 406 | 415 | 501 => BankErrorKind::Unsupported,
        408 | 504 => BankErrorKind::BankTimeout,
        409 => BankErrorKind::DuplicateRequest,
        429 => BankErrorKind::Throttled,
        503 => BankErrorKind::BankUnavailable,
        400..=499 => BankErrorKind::InvalidRequest,
        _ => BankErrorKind::BankFailed,
    }
}

/// A write that the bank failed to answer may have been done.
pub(crate) fn with_outcome(error: BankError, status: u16, effect: Effect) -> BankError {
    let refused = (400..500).contains(&status) && status != 408;
    match effect {
        Effect::Write if !refused => error.unknown(),
        Effect::Write | Effect::Read => error,
    }
}

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
