//! What a dialect is: pure functions that build requests and read answers.
//! A capability that a bank lacks is `None`, never a default that fails.

use std::collections::HashSet;
use std::net::IpAddr;

use domain::{
    Account, AccountIdentification, Balance, Date, IsoPaymentStatus, PaymentOrder, Permission, Timestamp,
    Transaction,
};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::{AccountResources, BankError, BankErrorKind, BankRequest, BankResponse, Profile, QuirkName};

/// What we know of a PSU who is present. Told to the bank; its absence makes
/// the call count against the unattended quota (RTS Art. 36(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsuPresence {
    /// Address of the PSU's device.
    pub ip_address: IpAddr,
    /// `User-Agent` of the PSU's browser.
    pub user_agent: Option<String>,
    /// `Accept-Language` of the PSU's browser.
    pub accept_language: Option<String>,
    /// When the PSU last authenticated with the TPP.
    pub last_authenticated: Option<Timestamp>,
}

/// What every request to a bank is built from.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// The bank.
    pub profile: &'a Profile,
    /// Identifies the request (`X-Request-ID`, `x-fapi-interaction-id`, and the
    /// idempotency key of writes): the same request sent again has the same.
    pub request_id: Uuid,
    /// Now.
    pub now: Timestamp,
    /// The PSU, if present.
    pub psu: Option<&'a PsuPresence>,
    /// The PSU's identifier at the bank, where the bank needs it.
    pub psu_id: Option<&'a str>,
    /// Access token of the kind that [`Dialect::token_for`] names.
    pub access_token: Option<&'a SecretString>,
    /// The consent at the bank.
    pub bank_consent_id: Option<&'a str>,
}

impl CallContext<'_> {
    /// An error of this bank.
    #[must_use]
    pub fn error(&self, kind: BankErrorKind) -> BankError {
        BankError::new(&self.profile.id, kind)
    }
}

/// A step whose access token a caller must bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Lodging, asking for or revoking a consent.
    Consent,
    /// Accounts, balances, transactions.
    AccountData,
    /// Lodging a payment (UK: the payment consent).
    PaymentLodge,
    /// Submitting a payment that the PSU approved.
    PaymentSubmit,
    /// Asking how a payment stands.
    PaymentStatus,
}

/// Which access token a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// None.
    None,
    /// Of the client credentials grant, with this scope.
    Client(&'static str),
    /// Of the PSU's authorization.
    Psu,
    /// Of the PSU's authorization, if authentication went through OAuth; none otherwise.
    PsuIfHeld,
}

/// One standard. Object-safe and without state; one value serves every bank.
pub trait Dialect: Send + Sync + 'static {
    /// Name that profiles use.
    fn name(&self) -> &'static str;

    /// The standard and version in words for people.
    fn standard(&self, profile: &Profile) -> String;

    /// Which token an operation needs.
    fn token_for(&self, profile: &Profile, operation: Operation) -> TokenKind;

    /// Account information, if the standard has it.
    fn accounts(&self) -> Option<&dyn AccountInformation>;

    /// Further information on accounts, if the standard has any.
    fn resources(&self) -> Option<&dyn AccountResources> {
        None
    }

    /// Payment initiation, if the standard has it.
    fn payments(&self) -> Option<&dyn PaymentInitiation>;
}

/// Where a bank sends the browser after authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUris {
    /// On success.
    pub ok: Url,
    /// On refusal.
    pub nok: Url,
}

/// A consent as we want it from the bank.
#[derive(Clone, Debug)]
pub struct ConsentOrder {
    /// What may be read.
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

/// How authentication goes on after lodging.
#[derive(Clone, PartialEq, Eq)]
pub enum ScaStart {
    /// The browser goes to this address and comes back to the redirect URIs.
    Redirect(Url),
    /// The browser goes through the bank's OAuth server.
    OAuth {
        /// Scope to ask for.
        scope: String,
        /// Value of the claim `openbanking_intent_id` in the request object.
        intent_id: Option<String>,
        /// Metadata of the server, where the answer gives it.
        metadata: Option<Url>,
    },
    /// The PSU confirms in the bank's app.
    Decoupled {
        /// What to show the PSU.
        message: Option<String>,
    },
    /// Authentication must be started by another request:
    /// [`AccountInformation::authorise`] or [`PaymentInitiation::authorise`].
    Explicit {
        /// Where.
        link: Url,
    },
    /// The bank wants the PSU's credentials from us (embedded approach), which
    /// we never take.
    Embedded,
    /// The bank asks for nothing more.
    NotNeeded,
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

/// A link to the next page that has passed the guards: it leads to the same
/// host and resource, and is not the page it stands on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NextPage(Url);

impl NextPage {
    /// Takes a link as the bank wrote it, absolute or relative to `base`.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads to a host that is not the profile's.
    pub fn of(profile: &Profile, base: &Url, link: &str, field: &str) -> Result<Self, BankError> {
        let refused = || BankError::malformed(&profile.id, field);
        let own = own_brand(profile, base, link);
        let mut url = base.join(own.as_deref().unwrap_or(link)).map_err(|_| refused())?;
        url.set_fragment(None);
        let same_host =
            url.host_str() == base.host_str() && url.port_or_known_default() == base.port_or_known_default();
        if same_host && profile.permits(&url) { Ok(Self(url)) } else { Err(refused()) }
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// The link of another brand of the group, written for this one: some groups
/// print one brand's address in the answers of all (a quirk of the profile).
fn own_brand(profile: &Profile, base: &Url, link: &str) -> Option<String> {
    let version = profile.accounts_api.as_ref().map_or("", |api| api.version.as_str());
    let quirk = profile.quirks.find(QuirkName::LinksOfAnotherBrand, "aisp.transactions", version)?;
    let other = quirk.text("also")?.replace("{version}", &format!("v{version}"));
    let rest = link.strip_prefix(&other)?;
    let complete = rest.is_empty() || rest.starts_with(['/', '?']);
    complete.then(|| format!("{}{rest}", base.as_str().trim_end_matches('/')))
}

/// Follows pages: refuses a page seen before and more pages than allowed.
#[derive(Debug)]
pub struct PageGuard {
    seen: HashSet<String>,
    left: usize,
}

impl PageGuard {
    /// At most `pages` links are followed.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        Self { seen: HashSet::new(), left: pages }
    }

    /// Notes a link before it is followed.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the bank's links run in a circle or do not end.
    pub fn admit(&mut self, profile: &Profile, link: &NextPage) -> Result<(), BankError> {
        let fresh = self.left > 0 && self.seen.insert(link.0.to_string());
        self.left = self.left.saturating_sub(1);
        if fresh { Ok(()) } else { Err(BankError::malformed(&profile.id, "next page")) }
    }
}

/// One page of a list.
#[derive(Clone)]
pub struct Page<T> {
    /// The entries, in the bank's order.
    pub items: Vec<T>,
    /// The next page, if there is one.
    pub next: Option<NextPage>,
}

/// Which transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionQuery {
    /// First booking day.
    pub from: Option<Date>,
    /// Last booking day.
    pub to: Option<Date>,
    /// Booked, pending or both.
    pub status: TransactionSelection,
}

/// Which transactions, by how far they have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionSelection {
    /// Booked and pending.
    #[default]
    Both,
    /// Booked.
    Booked,
    /// Pending.
    Pending,
}

/// Account information in one standard.
pub trait AccountInformation: Send + Sync {
    /// Lodges a consent.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::lodge`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError>;

    /// Starts authentication where the bank wants that asked for ([`ScaStart::Explicit`]).
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads away from the bank.
    fn authorise(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::authorise`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn authorised(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<ScaStart, BankError>;

    /// Asks where the consent `cx.bank_consent_id` stands.
    ///
    /// # Errors
    ///
    /// `consent-missing` if the context names no consent.
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::status`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError>;

    /// Ends the consent `cx.bank_consent_id` at the bank.
    ///
    /// # Errors
    ///
    /// `consent-missing` if the context names no consent.
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::revoke`]. A consent that the
    /// bank no longer knows is as good as ended.
    ///
    /// # Errors
    ///
    /// The bank's error.
    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError>;

    /// Asks for the accounts.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn accounts(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::accounts`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError>;

    /// Asks for the balances of an account.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn balances(&self, cx: &CallContext<'_>, resource_id: &str) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::balances`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn balances_read(&self, cx: &CallContext<'_>, response: &BankResponse)
    -> Result<Vec<Balance>, BankError>;

    /// Asks for the transactions of an account.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`AccountInformation::transactions`] or a later page of it.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError>;

    /// Asks for the next page of any list. Admit the link with a [`PageGuard`] first.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads away from the bank.
    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError>;
}

/// A payment the bank has taken note of.
#[derive(Clone, PartialEq, Eq)]
pub struct LodgedPayment {
    /// The bank's identifier: of the payment consent (UK) or the payment (Berlin Group).
    pub bank_id: String,
    /// How authentication goes on.
    pub sca: ScaStart,
    /// Status, where the bank gives that of a payment.
    pub status: Option<IsoPaymentStatus>,
    /// [`PaymentInitiation::submit`] must follow authentication.
    pub submits_after_sca: bool,
}

/// What the bank calls a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankPaymentIds {
    /// [`LodgedPayment::bank_id`].
    pub lodged: String,
    /// [`PaymentReport::bank_payment_id`], once known.
    pub payment: Option<String>,
}

/// How a payment stands at the bank. Amount, currency and creditor, where the
/// bank repeated them, have been found equal to the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentReport {
    /// Status of the order, once the bank holds one.
    pub status: Option<IsoPaymentStatus>,
    /// Status of the payment consent, as long as there is no order (UK).
    pub consent: Option<BankConsentStatus>,
    /// ISO 20022 reason (`AM04`, `AC01`), where given.
    pub iso_reason: Option<String>,
    /// The bank's identifier of the order.
    pub bank_payment_id: Option<String>,
    /// Whether the bank repeated amount and creditor, so that they were compared.
    pub echo: Echo,
}

/// Whether an answer repeated what was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// It did, and it is the same.
    Same,
    /// It did not.
    Absent,
}

/// Payment initiation in one standard.
pub trait PaymentInitiation: Send + Sync {
    /// Lodges a single payment.
    ///
    /// # Errors
    ///
    /// `profile-error` or `unsupported` if this bank cannot be asked for it.
    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`PaymentInitiation::lodge`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn lodged(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError>;

    /// Starts authentication where the bank wants that asked for ([`ScaStart::Explicit`]).
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads away from the bank.
    fn authorise(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`PaymentInitiation::authorise`].
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn authorised(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<ScaStart, BankError>;

    /// Submits the payment after the PSU approved it; `None` where the standard
    /// has no such step because the order is with the bank already.
    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`PaymentInitiation::submit`].
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

    /// Asks how the payment stands.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`PaymentInitiation::status`].
    ///
    /// # Errors
    ///
    /// The bank's error, `malformed-response` or `echo-mismatch`.
    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError>;
}
