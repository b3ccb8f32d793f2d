//! What a dialect is: pure functions that build requests and read answers.
//! A capability that a bank lacks is `None`, never a default that fails.

mod batches;
mod consents;
mod details;
mod embedded;
mod funds;
mod notifications;
mod paging;
mod payees;
mod recurring;

use std::net::IpAddr;

use domain::{
    Account, AccountIdentification, Balance, Date, IsoPaymentStatus, Order, PaymentOrder, Timestamp,
    Transaction,
};
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::bank_oauth::BankTokens;
use crate::{AccountResources, BankError, BankErrorKind, BankRequest, BankResponse, Profile, StatementFiles};
pub use batches::{BatchFilling, BatchInitiation, BatchReporting};
pub use consents::{
    BankConsentStatus, ConsentByAuthorization, ConsentHandling, ConsentInquiry, ConsentLodging, ConsentOrder,
    ConsentRevocation, Consents, LodgedConsent,
};
pub use details::TransactionDetails;
pub use embedded::{
    Challenge, EmbeddedAuthentication, EmbeddedSca, EmbeddedStep, PsuInput, ScaMethod, ScaMethodKind,
};
pub use funds::{FundsAnswer, FundsConfirmation, FundsQuestion};
pub use notifications::{BankEvents, EventPoll, EventSubscription, EventWish, PolledEvents, ResourceNotices};
pub use paging::{NextPage, Page, PageGuard};
pub use payees::{PayeeQuestion, PayeeVerification};
pub use recurring::{LodgedMandate, RecurringPayments};

/// What we know of a PSU who is present. Told to the bank; its absence makes
/// the call count against the unattended quota (RTS Art. 36(5)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    /// The error of what this bank, or its standard, does not have.
    #[must_use]
    pub fn unsupported(&self, what: &str) -> BankError {
        self.error(BankErrorKind::Unsupported).at(what)
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
    /// Lodging, asking for or revoking a consent to confirmation of funds.
    FundsConsent,
    /// Asking whether an account covers an amount.
    Funds,
    /// Asking whether the holder of an account goes by a name.
    Payees,
}

/// Which access token a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind<'a> {
    /// None.
    None,
    /// Of the client credentials grant, with this scope.
    Client(&'a str),
    /// Of the PSU's authorization.
    Psu,
    /// Of the PSU's authorization, if authentication went through OAuth; none otherwise.
    PsuIfHeld,
}

/// One standard. Object-safe and without state; one value serves every bank that
/// speaks it.
pub trait Dialect: Send + Sync + 'static {
    /// Name that profiles use.
    fn name(&self) -> &str;

    /// The standard and version in words for people.
    fn standard(&self, profile: &Profile) -> String;

    /// Which token an operation needs.
    fn token_for(&self, profile: &Profile, operation: Operation) -> TokenKind<'_>;

    /// Account information, if the standard has it.
    fn accounts(&self) -> Option<&dyn AccountInformation>;

    /// Further information on accounts, if the standard has any.
    fn resources(&self) -> Option<&dyn AccountResources> {
        None
    }

    /// Files of statements, if the standard has them.
    fn statement_files(&self) -> Option<&dyn StatementFiles> {
        None
    }

    /// Payment initiation, if the standard has it.
    fn payments(&self) -> Option<&dyn PaymentInitiation>;

    /// Batches of payments, if the standard has them.
    fn batches(&self) -> Option<&dyn BatchInitiation> {
        None
    }

    /// Confirmation of funds, if the standard has it.
    fn funds(&self) -> Option<&dyn FundsConfirmation> {
        None
    }

    /// Verification of payees, if the standard has it.
    fn payees(&self) -> Option<&dyn PayeeVerification> {
        None
    }

    /// Recurring payments under a mandate, if the standard has them.
    fn recurring(&self) -> Option<&dyn RecurringPayments> {
        None
    }

    /// Events that banks push or have waiting, if the standard has them.
    fn events(&self) -> Option<&dyn BankEvents> {
        None
    }

    /// Notices about one resource, if the standard has them.
    fn notices(&self) -> Option<&dyn ResourceNotices> {
        None
    }

    /// The token endpoint, where the standard has one of its own in place of
    /// RFC 6749's.
    fn tokens(&self) -> Option<&dyn TokenEndpoint>;

    /// Authentication through our pages, if the standard has it.
    fn embedded(&self) -> Option<&dyn EmbeddedAuthentication> {
        None
    }
}

/// Where a bank sends the browser after authentication.
#[derive(Clone, Debug)]
pub struct RedirectUris {
    /// On success.
    pub ok: Url,
    /// On refusal.
    pub nok: Url,
    /// Our callback as it is registered, for standards that add the outcome and
    /// [`RedirectUris::state`] themselves.
    pub callback: Url,
    /// Ties the callback to the browser.
    pub state: SecretString,
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
    /// The browser goes to this address and comes back to
    /// [`RedirectUris::callback`] with a code, which [`Dialect::tokens`] redeems.
    Code(Url),
    /// The PSU confirms in the bank's app.
    Decoupled {
        /// What to show the PSU.
        message: Option<String>,
    },
    /// Authentication must be started by another request, [`ExplicitStart`].
    Explicit {
        /// Where.
        link: Url,
    },
    /// The bank wants to know from us what the PSU knows; it goes on with
    /// [`Dialect::embedded`].
    Embedded(Box<EmbeddedSca>),
    /// The bank wants what we do not do, or what its profile does not let us do.
    Unsupported,
    /// The bank asks for nothing more.
    NotNeeded,
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

/// Starting authentication where the bank wants that asked for
/// ([`ScaStart::Explicit`]).
pub trait ExplicitStart: Send + Sync {
    /// Asks for it.
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

    /// Reads the answer to [`ExplicitStart::authorise`] with the same link.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn authorised(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        response: &BankResponse,
    ) -> Result<ScaStart, BankError>;
}

/// A token endpoint that is not RFC 6749's.
pub trait TokenEndpoint: Send + Sync {
    /// Exchanges the code of a callback for tokens of the consent
    /// `cx.bank_consent_id`. Send it once.
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if it cannot be asked for.
    fn exchange(
        &self,
        cx: &CallContext<'_>,
        code: &SecretString,
        callback: &Url,
    ) -> Result<BankRequest, BankError>;

    /// Asks for a new access token. Send it once.
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if it cannot be asked for.
    fn refresh(&self, cx: &CallContext<'_>, refresh_token: &SecretString) -> Result<BankRequest, BankError>;

    /// Reads the answer to either.
    ///
    /// # Errors
    ///
    /// What the bank's error means, or `malformed-response`.
    fn tokens_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<BankTokens, BankError>;
}

/// Account information in one standard.
pub trait AccountInformation: Send + Sync {
    /// How consents come to be.
    fn consents(&self) -> Consents<'_>;

    /// Asking where a consent stands; where the standard has no such request,
    /// the token that the consent gave is all there is to ask by.
    fn inquiry(&self) -> Option<&dyn ConsentInquiry>;

    /// Ending a consent at the bank, if the standard has it.
    fn revocation(&self) -> Option<&dyn ConsentRevocation>;

    /// Starting authentication by a request of its own, if the standard has it.
    fn explicit_start(&self) -> Option<&dyn ExplicitStart>;

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

    /// Reads the answer to `asked`: to [`AccountInformation::transactions`] or a
    /// later page of it.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError>;

    /// Asking for one transaction, if the standard has it.
    fn details(&self) -> Option<&dyn TransactionDetails> {
        None
    }

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The account to refund to, where it was asked for and the bank gives it.
    pub refund_account: Option<AccountIdentification>,
    /// The bank has taken the order into its books and says no more of it: its standard
    /// has no word for what becomes of it on its days.
    pub last_word: bool,
    /// How the transfers of a batch stand, in the batch's order; those that the bank says
    /// nothing of are absent.
    pub transfers: Vec<TransferReport>,
}

/// How one transfer of a batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferReport {
    /// Its place in the batch, the first is 0.
    pub index: usize,
    /// Its status.
    pub status: IsoPaymentStatus,
    /// ISO 20022 reason, where given.
    pub iso_reason: Option<String>,
}

/// Whether an answer repeated what was ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    /// It did, and it is the same.
    Same,
    /// It did not.
    #[default]
    Absent,
}

/// Payment initiation in one standard.
pub trait PaymentInitiation: Send + Sync {
    /// [`PaymentInitiation::submit`] must follow authentication, and without it no bank
    /// executes anything.
    fn submits_after_sca(&self) -> bool;

    /// Lodges a payment.
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

    /// Starting authentication by a request of its own, if the standard has it.
    fn explicit_start(&self) -> Option<&dyn ExplicitStart>;

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

    /// Taking back an order that the bank holds, if the standard has it.
    fn cancellation(&self) -> Option<&dyn PaymentCancellation> {
        None
    }

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

/// Taking back an order that the bank holds.
pub trait PaymentCancellation: Send + Sync {
    /// Asks for it.
    ///
    /// # Errors
    ///
    /// `profile-error` if the profile lacks the address.
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`PaymentCancellation::cancel`].
    ///
    /// # Errors
    ///
    /// The bank's error; `psu-action-required` where the PSU must approve that in a way that
    /// we do not know.
    fn cancelled(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
        response: &BankResponse,
    ) -> Result<CancelAnswer, BankError>;
}

/// What a bank answers when it is asked to take an order back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It took the request. Whether the order is gone its status says.
    Taken,
    /// The PSU must approve that, and the order stands until then.
    Approval {
        /// Where that begins, by the [`ExplicitStart`] of the order.
        link: Url,
    },
}
