//! Why a use case did not do what it was asked.

use connect::BankError;
use domain::{
    Breach, ConsentId, ConsentStatus, InstitutionId, MandateStatus, Money, PaymentState, Period, Region,
    SuspensionCause, Violations,
};
use policy::Denied;
use store::StoreError;

/// Why a use case did not do what it was asked. `web` gives each its HTTP form.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// There is no such thing for this caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The input is wrong.
    #[error("the request is invalid")]
    Invalid(#[from] Violations),
    /// The snapshot that a cursor names is not kept any more.
    #[error("the cursor is too old")]
    SnapshotGone,
    /// The institution is not in the directory.
    #[error("institution {0} is not known")]
    UnknownInstitution(InstitutionId),
    /// The institution is known but not set up here, or lacks the capability.
    #[error("institution {0} cannot do this here")]
    Unsupported(InstitutionId),
    /// Personal data of that region is not held here.
    #[error("region {0} is not held here")]
    RegionNotHeld(Region),
    /// The consent is not in force.
    #[error("the consent is {status}")]
    ConsentNotInForce {
        /// The consent.
        consent: ConsentId,
        /// Where it stands.
        status: ConsentStatus,
        /// What stops it, if it only is suspended.
        suspended_for: Option<SuspensionCause>,
    },
    /// The consent is in force but does not allow this.
    #[error("the consent does not allow this")]
    ConsentScope,
    /// The token is not one of this consent.
    #[error("the token does not carry the consent")]
    ConsentNotGranted,
    /// The day's calls without the PSU are used up.
    #[error("the day's calls without the customer are used up")]
    UnattendedUsedUp(crate::Unattended),
    /// Too many requests of a kind.
    #[error(transparent)]
    TooMany(#[from] limits::Exceeded),
    /// Transactions that old are given with the PSU present only.
    #[error("transactions that old need the customer to be present")]
    HistoryNeedsPsu,
    /// The consent's life has no such step.
    #[error("a consent that is {0} cannot do this")]
    ConsentState(ConsentStatus),
    /// Nobody has to confirm a consent in the institution's country.
    #[error("a consent at this institution needs no reconfirmation")]
    NothingToReconfirm,
    /// The consent was given by another person.
    #[error("the consent is another person's")]
    OtherPsu,
    /// The payment's life has no such step.
    #[error("a payment that is {0} cannot do this")]
    PaymentState(PaymentState),
    /// The mandate is not in force.
    #[error("a mandate that is {0} cannot do this")]
    MandateState(MandateStatus),
    /// A payment does not fit its mandate.
    #[error("the payment does not fit the mandate")]
    MandateBreach(#[from] Breach),
    /// A payment is more than one of its mandate's periods has left.
    #[error("the mandate has less left in this period")]
    MandateUsedUp {
        /// The period.
        period: Period,
        /// The most in it.
        max_amount: Money,
        /// When the next one begins.
        resets_at: domain::Timestamp,
    },
    /// The operator does not let the client pay this.
    #[error("the operator does not let the client pay this")]
    PolicyRefused(Violations),
    /// The client has ordered on this day what the operator lets it order on one.
    #[error("the day's payments of the client are used up")]
    DayUsedUp {
        /// The limit, in words.
        limit: String,
        /// When the next day begins.
        resets_at: domain::Timestamp,
    },
    /// The token was granted for another mandate.
    #[error("the token was granted for another mandate")]
    MandateNotGranted,
    /// The token was granted for another payment.
    #[error("the token was granted for another payment")]
    OrderNotGranted,
    /// A payment cannot be refunded.
    #[error("the payment cannot be refunded: {0}")]
    RefundUnavailable(&'static str),
    /// A refund is more than is left of its payment.
    #[error("the refund is more than is left of the payment")]
    RefundExceeds {
        /// What is left, unless another refund came in between.
        left: Option<Money>,
    },
    /// What came back from the bank does not belong to what was sent.
    #[error("the answer from the bank does not belong to this session")]
    CallbackMismatch,
    /// The bank's answer was used before, or its time is over.
    #[error("the answer from the bank was used before or came too late")]
    CallbackSpent,
    /// The same idempotency key is being worked on.
    #[error("a request with this idempotency key is being worked on")]
    KeyInFlight,
    /// The idempotency key belongs to another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// A webhook endpoint is refused, or cannot do this.
    #[error("the webhook endpoint is refused")]
    Webhook(#[from] crate::WebhookRefused),
    /// The bank failed.
    #[error("the bank did not do what it was asked")]
    Bank(#[from] BankError),
    /// Every bank asked failed.
    #[error("none of the banks answered")]
    AllBanks(Vec<crate::SourceReport>),
    /// The client's verifications of payees of this day are used up.
    #[error("the day's verifications of payees are used up")]
    PayeeQuota {
        /// Verifications a day.
        limit: u32,
        /// When the next day begins (UTC).
        resets_at: domain::Timestamp,
        /// When this was so.
        as_of: domain::Timestamp,
    },
    /// A limit for concurrent work was reached.
    #[error("the gateway is busy")]
    Busy,
    /// The rules do not permit it.
    #[error("the rules do not permit it: {denied}")]
    Denied {
        /// Which, and what they say.
        denied: Denied,
        /// What that comes to.
        because: Box<FlowError>,
    },
    /// A rule of the operator's own forbids it.
    #[error("a rule of the operator's forbids it")]
    Forbidden,
    /// The rules of regions forbid it.
    #[error("this may not be done in this region")]
    RegionDenied,
    /// The rules could not be decided by.
    #[error("the rules failed")]
    RulesFailed,
    /// The store failed.
    #[error("the store failed")]
    Store(StoreError),
}

impl FlowError {
    /// What it comes to, whatever rules say of it.
    #[must_use]
    pub fn cause(&self) -> &Self {
        if let Self::Denied { because, .. } = self { because.cause() } else { self }
    }
}

impl From<StoreError> for FlowError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchRegion(region) => Self::RegionNotHeld(region),
            other @ (StoreError::Conflict
            | StoreError::NotFound
            | StoreError::OtherRegion { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Locked { .. }
            | StoreError::Database(_)
            | StoreError::OutcomeUnknown(_)
            | StoreError::Migrate(_)
            | StoreError::Behind { .. }) => Self::Store(other),
        }
    }
}

impl store::Passing for FlowError {
    fn store_error(&self) -> Option<&StoreError> {
        if let Self::Store(error) = self { Some(error) } else { None }
    }
}
