//! The way to banks: profiles, the contract of dialects, and the only place
//! where bytes go to a bank.
//!
//! Dialects are pure: they build [`BankRequest`]s and read [`BankResponse`]s.
//! What is particular about one bank is data, its [`Profile`].

pub mod bank_oauth;
mod dialect;
pub mod directory;
mod error;
mod exchange;
mod profile;
mod profile_file;
mod quirk;
mod registry;
mod transport;

pub use dialect::{
    AccountInformation, BankConsentStatus, BankPaymentIds, CallContext, ConsentByAuthorization,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Dialect, Echo, ExplicitStart,
    LodgedConsent, LodgedPayment, NextPage, Operation, Page, PageGuard, PaymentInitiation, PaymentReport,
    PsuPresence, RedirectUris, ScaStart, TokenEndpoint, TokenKind, TransactionQuery, TransactionSelection,
};
pub use error::{BankError, BankErrorKind, Outcome};
pub use exchange::{BankRequest, BankResponse, Effect, Signature, http_date};
pub use profile::{
    ApiBase, AuthorizationServer, ClientAuth, Deployment, Environment, Limits, Profile, Registration,
    ResponseType, SandboxUser, ScaFlow, Signing,
};
pub use profile_file::{ProfileProblem, lint, lint_embedded, read_profiles};
pub use quirk::{Quirk, QuirkName, Quirks};
pub use registry::{BankFilter, Registry};
pub use transport::{InvalidTransport, Seal, TlsIdentity, Transport, TransportConfig};
