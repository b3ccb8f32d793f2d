//! Whether an account covers an amount (PSD2 art. 65): a question under a consent,
//! and the bank's yes or no.

use domain::{AccountIdentification, Money};

use super::{CallContext, ConsentHandling};
use crate::{BankError, BankRequest, BankResponse, Profile};

/// A question about one account.
#[derive(Clone, Copy, Debug)]
pub struct FundsQuestion<'a> {
    /// The account that the consent is for.
    pub account: &'a AccountIdentification,
    /// How much is to be there.
    pub amount: Money,
    /// Our name for the question, at most 35 characters.
    pub reference: &'a str,
}

/// What a bank answered. It tells nothing else of the account (RTS art. 36(1)(c)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundsAnswer {
    /// Whether the amount is there.
    pub available: bool,
    /// Whether that is to be relied on; not at a bank that is known to answer
    /// untruly or not at all.
    pub reliable: bool,
    /// The bank's name for its answer, where it gives one.
    pub bank_reference: Option<String>,
}

/// Confirmation of funds in one standard.
pub trait FundsConfirmation: Send + Sync {
    /// How this bank learns of the PSU's consent through its interface; `None`
    /// where the PSU tells the bank in another way.
    fn handling(&self, profile: &Profile) -> Option<ConsentHandling<'_>>;

    /// Asks whether an account covers an amount.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked, and
    /// `consent-missing` if the context names no consent where one is needed.
    fn ask(&self, cx: &CallContext<'_>, question: &FundsQuestion<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`FundsConfirmation::ask`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response`, or `echo-mismatch` if it answers
    /// another question.
    fn answer(
        &self,
        cx: &CallContext<'_>,
        question: &FundsQuestion<'_>,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError>;
}
