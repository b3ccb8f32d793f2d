//! Recurring payments: a mandate that the PSU gives once, and payments under it.

use domain::{MandateOrder, Money, PaymentOrder, Timestamp};

use super::{BankConsentStatus, CallContext, FundsAnswer, PaymentReport, ScaStart};
use crate::{BankError, BankRequest, BankResponse};

/// A mandate the bank has taken note of.
#[derive(Clone, PartialEq, Eq)]
pub struct LodgedMandate {
    /// The bank's identifier.
    pub bank_id: String,
    /// How authentication goes on.
    pub sca: ScaStart,
    /// When it began, which its periods are counted from; where the bank says it.
    pub created_at: Option<Timestamp>,
}

/// Recurring payments in one standard. Requests about a mandate carry the token of
/// [`crate::Operation::PaymentLodge`], a payment that of
/// [`crate::Operation::PaymentSubmit`], and so does a question about funds.
pub trait RecurringPayments: Send + Sync {
    /// Lodges a mandate.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn lodge(&self, cx: &CallContext<'_>, mandate: &MandateOrder) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`RecurringPayments::lodge`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn lodged(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        response: &BankResponse,
    ) -> Result<LodgedMandate, BankError>;

    /// Asks how the mandate `cx.bank_consent_id` stands.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn inquire(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`RecurringPayments::inquire`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn inquired(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError>;

    /// Tells the bank that the mandate `cx.bank_consent_id` is over.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`RecurringPayments::revoke`].
    ///
    /// # Errors
    ///
    /// The bank's error; none if the bank knew it was over.
    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;

    /// Asks whether the account of the mandate `cx.bank_consent_id` covers an amount;
    /// `None` if the bank answers no such question.
    fn ask_funds(&self, cx: &CallContext<'_>, amount: &Money) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`RecurringPayments::ask_funds`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response`, or `echo-mismatch` if it answers
    /// another question.
    fn funds_answer(
        &self,
        cx: &CallContext<'_>,
        amount: &Money,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError>;

    /// Submits a payment under the mandate `cx.bank_consent_id`. Send it once.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn submit(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`RecurringPayments::submit`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError>;

    /// Asks how the payment of this name of the bank's stands.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn status(&self, cx: &CallContext<'_>, bank_payment_id: &str) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`RecurringPayments::status`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn status_read(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError>;
}
