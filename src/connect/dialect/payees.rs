//! Whether the holder of an account goes by a name: asked of the bank that holds it, before
//! somebody pays there. No consent is needed, and nobody's accounts are read.

use domain::{AccountIdentification, PayeeMatch};

use super::CallContext;
use crate::{BankError, BankRequest, BankResponse};

/// A question about one account.
#[derive(Clone, Copy)]
pub struct PayeeQuestion<'a> {
    /// The name that the payer knows, 1 to 140 characters.
    pub name: &'a str,
    /// The account.
    pub account: &'a AccountIdentification,
}

/// Verification of payees in one standard.
pub trait PayeeVerification: Send + Sync {
    /// Asks whether the holder of an account goes by a name.
    ///
    /// # Errors
    ///
    /// `unsupported` at `account` if the standard has no words for such an account, and
    /// `profile-error` if the profile lacks what the request needs.
    fn ask(&self, cx: &CallContext<'_>, question: &PayeeQuestion<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`PayeeVerification::ask`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn answer(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<PayeeMatch, BankError>;
}
