//! Consents: how they come to be, where they stand, how they end. Standards
//! differ in which of these they have.

use domain::{AccountIdentification, Date, Permission};
use jiff::ToSpan;

use super::{AccountInformation, CallContext, ExplicitStart, Operation, RedirectUris, ScaStart};
use crate::{BankError, BankRequest, BankResponse};

/// A consent as we want it from the bank.
#[derive(Clone, Debug)]
pub struct ConsentOrder {
    /// What may be read; nothing, where funds are asked about.
    pub permissions: Vec<Permission>,
    /// Accounts; empty leaves the choice to the PSU at the bank.
    pub accounts: Vec<AccountIdentification>,
    /// Last day.
    pub valid_until: Option<Date>,
    /// More than one use.
    pub recurring: bool,
    /// Accesses a day without the PSU, 1 to 4.
    pub frequency_per_day: u8,
    /// Oldest transactions wanted.
    pub transactions_from: Option<Date>,
    /// Where the browser comes back to.
    pub redirects: RedirectUris,
}

/// A consent the bank has taken note of.
#[derive(Clone, PartialEq, Eq)]
pub struct LodgedConsent {
    /// The bank's identifier.
    pub bank_id: String,
    /// How authentication goes on.
    pub sca: ScaStart,
    /// Last day, where the bank sets its own.
    pub valid_until: Option<Date>,
    /// Where it stands.
    pub status: BankConsentStatus,
}

impl LodgedConsent {
    /// A consent under a name of ours, which the authorization with this scope
    /// makes. It ends on the last day that the profile allows.
    #[must_use]
    pub fn by_authorization(cx: &CallContext<'_>, scope: &str) -> Self {
        let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let days = cx.profile.max_consent_days;
        Self {
            bank_id: cx.request_id.to_string(),
            sca: ScaStart::OAuth { scope: scope.to_owned(), intent_id: None, metadata: None },
            valid_until: days.map(|days| today.saturating_add(i32::from(days).days())),
            status: BankConsentStatus::AwaitingAuthorisation,
        }
    }
}

/// Where a consent stands at the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankConsentStatus {
    /// Waits for the PSU.
    AwaitingAuthorisation,
    /// Some of the signatories have approved.
    PartiallyAuthorised,
    /// In force.
    Authorised,
    /// Refused.
    Rejected,
    /// Withdrawn by the PSU at the bank.
    RevokedByPsu,
    /// Ended by us.
    TerminatedByTpp,
    /// Past its end, or replaced.
    Expired,
    /// Used for its one payment.
    Consumed,
}

/// How consents come to be in a standard.
#[derive(Clone, Copy)]
pub enum Consents<'a> {
    /// The bank is told of a consent before the PSU comes.
    Lodged(&'a dyn ConsentLodging),
    /// The bank learns of a consent from the PSU's authorization.
    Authorized(&'a dyn ConsentByAuthorization),
}

/// All that a standard has for the consents of one service.
#[derive(Clone, Copy)]
pub struct ConsentHandling<'a> {
    /// How they come to be.
    pub consents: Consents<'a>,
    /// Asking where one stands.
    pub inquiry: Option<&'a dyn ConsentInquiry>,
    /// Ending one at the bank.
    pub revocation: Option<&'a dyn ConsentRevocation>,
    /// Starting authentication by a request of its own.
    pub explicit_start: Option<&'a dyn ExplicitStart>,
    /// The step that names the token of all of these.
    pub operation: Operation,
}

impl<'a> ConsentHandling<'a> {
    /// Of account information.
    #[must_use]
    pub fn of_accounts(accounts: &'a dyn AccountInformation) -> Self {
        Self {
            consents: accounts.consents(),
            inquiry: accounts.inquiry(),
            revocation: accounts.revocation(),
            explicit_start: accounts.explicit_start(),
            operation: Operation::Consent,
        }
    }
}

/// Lodging a consent by a request.
pub trait ConsentLodging: Send + Sync {
    /// Lodges a consent.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`ConsentLodging::lodge`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError>;

    /// How the PSU authorises the consent `cx.bank_consent_id`, where that can be told
    /// without the bank's answer.
    fn begun(&self, _cx: &CallContext<'_>) -> Option<ScaStart> {
        None
    }
}

/// A consent that the authorization makes: nothing is sent before.
pub trait ConsentByAuthorization: Send + Sync {
    /// The consent, under a name of ours, and how the PSU authorises it.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn begin(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<LodgedConsent, BankError>;
}

/// Asking where a consent stands.
pub trait ConsentInquiry: Send + Sync {
    /// Asks where the consent `cx.bank_consent_id` stands.
    ///
    /// # Errors
    ///
    /// `consent-missing` if the context names no consent.
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`ConsentInquiry::status`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError>;
}

/// Ending a consent at the bank.
pub trait ConsentRevocation: Send + Sync {
    /// Ends the consent `cx.bank_consent_id` at the bank.
    ///
    /// # Errors
    ///
    /// `consent-missing` if the context names no consent.
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`ConsentRevocation::revoke`]. A consent that the
    /// bank no longer knows is as good as ended.
    ///
    /// # Errors
    ///
    /// The bank's error.
    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;
}
