//! Many transfers in one order.

use domain::BatchOrder;

use super::{BankPaymentIds, CallContext, ExplicitStart, LodgedPayment, PaymentReport, RedirectUris};
use crate::{BankError, BankRequest, BankResponse};

/// Batches in one standard: as [`super::PaymentInitiation`], for all transfers together.
pub trait BatchInitiation: Send + Sync {
    /// [`BatchInitiation::submit`] must follow authentication, and without it no bank
    /// executes anything.
    fn submits_after_sca(&self) -> bool;

    /// Lodges a batch.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn lodge(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`BatchInitiation::lodge`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn lodged(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError>;

    /// Hands over the transfers, where the standard has them follow what was lodged.
    fn fill(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        batch: &BatchOrder,
    ) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`BatchInitiation::fill`].
    ///
    /// # Errors
    ///
    /// The bank's error.
    fn filled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;

    /// Starting authentication by a request of its own, if the standard has it.
    fn explicit_start(&self) -> Option<&dyn ExplicitStart>;

    /// Submits the batch after the PSU approved it; `None` where the standard has no such
    /// step because the order is with the bank already.
    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        batch: &BatchOrder,
    ) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`BatchInitiation::submit`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn submitted(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError>;

    /// Asks how the batch and its transfers stand.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`BatchInitiation::status`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError>;
}
