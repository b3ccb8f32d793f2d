//! The way to banks: profiles, the contract of dialects, and the only place
//! where bytes go to a bank.
//!
//! Dialects are pure: they build [`BankRequest`]s and read [`BankResponse`]s.
//! What is particular about one bank is data, its [`Profile`].

mod account_resources;
mod answer_signature;
pub mod bank_oauth;
mod berlin_group_options;
mod deployment;
mod dialect;
pub mod directory;
mod error;
mod exchange;
mod health;
mod mapping;
mod notifications;
mod payee_options;
mod payment_constraints;
mod payment_rules;
mod profile;
mod profile_file;
mod profile_test;
mod quirk;
mod registry;
mod scorecard;
mod security_event;
mod statement_file;
mod transport;
mod uk_open_banking_options;

pub use account_resources::AccountResources;
pub use answer_signature::{AnswerRefused, answer_is_signed, verify_answer};
pub use berlin_group_options::{
    AccountReference, BerlinGroupOptions, BookingFilter, ConsentKind, PaymentField, StartAuthorisation,
};
pub use deployment::{Deployment, EmptySlots, RegisteredClient};
pub use dialect::{
    AccountInformation, BankConsentStatus, BankEvents, BankPaymentIds, BatchFilling, BatchInitiation,
    BatchReporting, CallContext, CancelAnswer, Challenge, ConsentByAuthorization, ConsentHandling,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Dialect, Echo,
    EmbeddedAuthentication, EmbeddedSca, EmbeddedStep, EventPoll, EventSubscription, EventWish,
    ExplicitStart, FundsAnswer, FundsConfirmation, FundsQuestion, LodgedConsent, LodgedMandate,
    LodgedPayment, NextPage, Operation, Page, PageGuard, PayeeQuestion, PayeeVerification,
    PaymentCancellation, PaymentInitiation, PaymentReport, PolledEvents, PsuInput, PsuPresence,
    RecurringPayments, RedirectUris, ResourceNotices, ScaMethod, ScaMethodKind, ScaStart, TokenEndpoint,
    TokenKind, TransactionDetails, TransactionQuery, TransactionSelection, TransferReport,
};
pub use error::{BankError, BankErrorKind, Outcome};
pub use exchange::{BankRequest, BankResponse, Effect, Signature, http_date};
pub use health::{Health, HealthChange, HealthStatus, Service, ServiceHealth, Tally};
pub use mapping::{EntryRules, MapTarget, Mapping, RuleBudget, RuleFailed};
pub use notifications::{NoticeContent, Notifications};
pub use payee_options::PayeeOptions;
pub use payment_constraints::{PaymentConstraints, RequiredField};
pub use payment_rules::PaymentRules;
pub use profile::{
    ApiBase, AuthorizationServer, ClientAuth, Environment, FreshHistory, Limits, Maintenance, PLUGIN,
    Profile, Registration, RegistrationForm, ResponseType, SandboxUser, ScaFlow, Signing, UnattendedCounting,
    is_plugin_name,
};
pub use profile_file::{
    ProfileKeys, ProfileProblem, deployment_of, deployment_text, embedded_profile_keys, is_profile_file,
    lint, lint_embedded, profile_keys, profile_schema, read_deployment, read_profiles,
};
pub use profile_test::{Expected, ProfileTest};
pub use quirk::{Quirk, QuirkName, Quirks};
pub use registry::{BankFilter, Registry};
pub use scorecard::{Scorecard, ScorecardMark, scorecard_of};
pub use security_event::{
    EVENT_SKEW, EventRefused, LARGEST_EVENT, OLDEST_EVENT, SecurityEvent, verify_event,
};
pub use statement_file::{StatementFile, StatementFiles, StatementFormat};
pub use transport::{InvalidTransport, PooledTls, Seal, TlsIdentity, Transport, TransportConfig};
pub use uk_open_banking_options::{FileReport, UkOpenBankingOptions};
