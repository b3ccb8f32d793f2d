//! Many transfers in one order.

use domain::BatchOrder;

use super::{
    BankPaymentIds, CallContext, ExplicitStart, LodgedPayment, PaymentReport, RedirectUris, TransferReport,
};
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

    /// Handing over the transfers after the batch was lodged, if the standard has that.
    fn filling(&self) -> Option<&dyn BatchFilling> {
        None
    }

    /// Starting authentication by a request of its own, if the standard has it.
    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

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

    /// Asking what became of each transfer, if the standard has a request of its own for that.
    fn reporting(&self) -> Option<&dyn BatchReporting> {
        None
    }
}

/// Asking what became of each transfer of a batch.
pub trait BatchReporting: Send + Sync {
    /// Asks for it; `None` where this bank is not asked, or a batch that stands so has no
    /// report.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn report(
        &self,
        cx: &CallContext<'_>,
        standing: &PaymentReport,
    ) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer: the transfers that it tells of, none as long as there is no report.
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response`, or `echo-mismatch` where it tells of another
    /// order.
    fn report_read(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<Vec<TransferReport>, BankError>;
}

/// Handing over the transfers of a batch that was lodged.
pub trait BatchFilling: Send + Sync {
    /// Sends them.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be sent them.
    fn fill(&self, cx: &CallContext<'_>, bank_id: &str, batch: &BatchOrder)
    -> Result<BankRequest, BankError>;

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// The bank's error.
    fn filled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;
}
