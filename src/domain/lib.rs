//! The business vocabulary of the gateway: identifiers, money, accounts,
//! consents, payments, institutions, regions and time.
//!
//! Nothing here does input or output, and nothing here knows a wire shape of
//! a bank or of our own API. Every type parses, so a value that exists is valid.

mod account;
mod account_resource;
mod address;
mod batch;
mod clock;
mod consent;
mod event;
mod id;
mod identification;
mod institution;
#[cfg(feature = "leaks")]
pub mod leaks;
mod mandate;
mod money;
mod payee;
mod payment;
mod payment_order;
mod payment_policy;
mod period;
mod pii;
mod region;
mod violation;
mod words;

pub use account::{
    Account, AccountStatus, AccountUsage, Balance, BalanceSummary, BalanceType, BookingStatus, CreditDebit,
    Transaction,
};
pub use account_resource::{
    AccountResource, Beneficiary, DirectDebit, Frequency, Occurrence, OrderStatus, Party, Payee,
    PostalAddress, ResourceEntry, ScheduledPayment, StandingOrder, Statement,
};
pub use address::is_public;
pub use batch::{BatchOrder, Order};
pub use clock::{Clock, Entropy, ManualClock, ShiftedClock, SystemClock, SystemEntropy};
pub use consent::{
    ConsentKind, ConsentStatus, ExpirySource, Permission, ReadKind, SuspensionCause, WrongTransition,
};
pub use event::{EventType, WebhookStatus};
pub use id::{
    AccountId, ConsentId, DetailId, EventId, GrantId, InstitutionId, InvalidId, MandateId, PaymentId,
    RequestId, SessionId, TransactionId, WebhookId,
};
pub use identification::{AccountIdentification, Iban, InvalidIdentification, SortCodeAccount};
pub use institution::{Approach, Capability, Country, InvalidCountry};
pub use mandate::{Breach, MandateConstraints, MandateOrder, MandateScheme, MandateStatus};
pub use money::{Currency, InvalidAmount, InvalidCurrency, Money, plain_decimal};
pub use payee::{PayeeMatch, PayeeUnverified};
pub use payment::{IsoPaymentStatus, PaymentState};
pub use payment_order::{
    Abroad, ChargeBearer, Execution, ExecutionRule, PaymentContext, PaymentFrequency, PaymentOrder,
    PaymentRisk, PaymentScheme, PaymentType, Recurrence, RemittanceInformation, is_bic,
};
pub use payment_policy::{Others, PayeePolicy, PaymentPolicy};
pub use period::{Alignment, FortnightOfCalendar, Period, PeriodicLimit, Window, utc_day, utc_midnight};
pub use pii::Pii;
pub use region::{InvalidRegion, Region};
pub use violation::{Violation, Violations};

/// An instant, UTC, microsecond precision (what every store keeps).
pub type Timestamp = jiff::Timestamp;
/// A calendar date without a zone, as banks book in.
pub type Date = jiff::civil::Date;
/// A decimal number as banks state amounts; never a float.
pub type Decimal = rust_decimal::Decimal;
