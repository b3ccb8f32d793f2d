//! What a standard tells of an account beside balances and transactions.

use domain::{AccountResource, ResourceEntry};

use crate::{BankError, BankRequest, BankResponse, CallContext, Page, Profile};

/// Further information on accounts in one standard.
pub trait AccountResources: Send + Sync {
    /// What a bank with this profile offers.
    fn offered(&self, profile: &Profile) -> Vec<AccountResource>;

    /// Asks for one kind of information on an account.
    ///
    /// # Errors
    ///
    /// `unsupported` if the bank does not offer it.
    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        resource_id: &str,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountResources::resource`], or a later page of it;
    /// `asked` is what it answers.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn resource_read(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<ResourceEntry>, BankError>;
}
