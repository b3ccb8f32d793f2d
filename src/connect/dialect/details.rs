//! Everything a bank knows of one transaction, where it tells less in its lists.

use domain::Transaction;

use super::CallContext;
use crate::{BankError, BankRequest, BankResponse, Profile};

/// Asking for one transaction by the bank's own identifier.
pub trait TransactionDetails: Send + Sync {
    /// True if this bank has it.
    fn offered(&self, profile: &Profile) -> bool;

    /// Asks for the details of an entry of the account; `None` if the bank gave it
    /// nothing to ask by.
    fn detail(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        listed: &Transaction,
    ) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`TransactionDetails::detail`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn detail_read(
        &self,
        cx: &CallContext<'_>,
        listed: &Transaction,
        response: &BankResponse,
    ) -> Result<Transaction, BankError>;
}
