//! The banks of the sandbox: one engine, one face per standard.
//!
//! A model bank is a peer, not a mock: it demands client certificates with the
//! right PSD2 role, verifies message signatures, keeps consents, moves money
//! and survives a restart. It shares no protocol code with the gateway's
//! dialects, so a mistake there cannot hide here.
//!
//! Each bank listens twice: its interface, where a client certificate is
//! required, and its pages, where its customers log in.

mod bank;
mod berlin;
mod caller;
mod engine;
mod fault;
mod habit;
mod journal;
mod listen;
mod media;
mod notices;
mod oauth;
mod observe;
mod pages;
mod pain;
mod payees;
mod polish;
mod registration;
mod stet;
mod twist;
mod uk;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use domain::{Clock, Entropy};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bank::Bank;
use crate::engine::ConsentState;

pub use berlin::CODE;
pub use engine::magic::{MAGIC_AMOUNTS, MAGIC_NAMES};
pub use engine::people::MAGIC_USERS;
pub use engine::people::PASSWORD;
pub use fault::{Armed, Fault, Faults, Operation, Target, Twist};
pub use habit::{Habit, Habits};
pub use journal::{Fact, Journal, JournalEntry};
pub use registration::{Directory, RegistrationDesk, RegistrationWay};

/// Which bank: its standard, customers and way of approving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BankKind {
    /// UK Open Banking 4.0, pounds, redirect with OAuth.
    UkOpenBanking,
    /// Berlin Group NextGenPSD2 1.3, euros, redirect.
    BerlinGroupRedirect,
    /// Berlin Group NextGenPSD2 1.3, euros, approval in the bank's app.
    BerlinGroupDecoupled,
    /// Berlin Group NextGenPSD2 1.3, euros, password and code through the TPP; wants
    /// signatures of RFC 9421.
    BerlinGroupEmbedded,
    /// STET 1.4, euros, redirect with OAuth.
    Stet,
    /// PolishAPI 2.1, zloty, redirect.
    PolishApi,
}

/// A client that a bank's authorization server knows.
#[derive(Clone, Debug)]
pub struct OauthClient {
    /// `client_id`.
    pub client_id: String,
    /// `organizationIdentifier` its certificates carry.
    pub organization_identifier: String,
    /// Redirect addresses, compared character by character.
    pub redirect_uris: Vec<String>,
    /// Public key set: message signatures, request objects and assertions.
    pub jwks: serde_json::Value,
    /// Certificate of its seal, PEM: what is found at the `keyId` of its
    /// signatures (STET).
    pub seal_pem: Option<String>,
}

/// How one bank runs.
#[derive(Clone)]
pub struct BankConfig {
    /// Which bank.
    pub kind: BankKind,
    /// Short name, also that of its state file.
    pub id: String,
    /// Name on its pages.
    pub name: String,
    /// Where the interface listens; port 0 takes a free one.
    pub api_addr: SocketAddr,
    /// Where the pages listen; port 0 takes a free one.
    pub pages_addr: SocketAddr,
    /// Host name in the addresses it gives out; the server certificate has it.
    pub host: String,
    /// Server certificate chain, PEM.
    pub server_certificate_pem: String,
    /// Its key, PEM.
    pub server_key_pem: String,
    /// Authorities of client certificates and seals, PEM.
    pub client_ca_pem: String,
    /// Private RSA key that a bank signs its answers with, PEM. Without it the bank makes
    /// one, and keeps it in `state_dir`.
    pub signing_key_pem: Option<String>,
    /// The clients of the bank's authorization server.
    pub clients: Vec<OauthClient>,
    /// How it takes further clients by request, if it does (UK Open Banking).
    pub registration: Option<RegistrationDesk>,
    /// Approve without a click.
    pub auto_approve: bool,
    /// Where the state file lies; none forgets everything at the end.
    pub state_dir: Option<PathBuf>,
    /// The bank's clock.
    pub clock: Arc<dyn Clock>,
    /// The bank's randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Ends the bank.
    pub shutdown: CancellationToken,
}

/// Why a bank did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailed {
    /// An address could not be listened on.
    #[error("the bank cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Certificate, key or authorities do not fit.
    #[error("the bank's TLS configuration is not usable")]
    Tls(#[source] rustls::Error),
    /// A PEM text holds nothing of its kind.
    #[error("the PEM text of {0} cannot be read")]
    Pem(&'static str),
    /// The signing key is not usable, or could not be made.
    #[error("the bank's signing key is not usable")]
    SigningKey,
    /// A client's key set is not usable.
    #[error("the key set of client {0} is not usable")]
    ClientKeys(String, #[source] crypto::InvalidJwks),
    /// A client's seal is not usable.
    #[error("the seal of client {0} is not usable")]
    ClientSeal(String, #[source] crypto::InvalidCertificate),
    /// The state file cannot be read or written.
    #[error("the bank's state file is not usable")]
    State(#[source] std::io::Error),
}

/// Starts model banks.
#[derive(Clone, Copy, Debug)]
pub struct ModelBank;

impl ModelBank {
    /// Starts one bank and returns when it listens.
    ///
    /// # Errors
    ///
    /// [`StartFailed`] says what is wrong with the configuration.
    pub async fn start(config: BankConfig) -> Result<RunningBank, StartFailed> {
        let api = listen::bind(config.api_addr).await?;
        let pages = listen::bind(config.pages_addr).await?;
        let tls = listen::Tls::new(&config)?;
        let shutdown = config.shutdown.clone();
        let crier = notices::Crier::new(&config)?;
        let bank = Arc::new(Bank::new(config, api.1, pages.1, tls.trust())?);
        let tracker = TaskTracker::new();
        let api_router = match bank.kind {
            BankKind::UkOpenBanking => uk::router(&bank),
            BankKind::BerlinGroupRedirect
            | BankKind::BerlinGroupDecoupled
            | BankKind::BerlinGroupEmbedded => berlin::router(&bank).merge(payees::router()),
            BankKind::Stet => stet::router(&bank).merge(payees::router()),
            BankKind::PolishApi => polish::router(&bank).merge(payees::router()),
        };
        let api_router = observe::layered(api_router, &bank).with_state(Arc::clone(&bank));
        let pages_router = observe::prompt(pages::router(bank.kind), &bank).with_state(Arc::clone(&bank));
        listen::serve(api.0, tls.requiring_clients()?, api_router, &bank, &shutdown, &tracker);
        listen::serve(pages.0, tls.open()?, pages_router, &bank, &shutdown, &tracker);
        tracker.spawn(crier.run(Arc::clone(&bank), shutdown.clone()));
        tracker.close();
        tracing::info!(bank.id = %bank.id, api = %bank.api_url, pages = %bank.pages_url, "Model bank {} listens", bank.id);
        Ok(RunningBank {
            api_url: bank.api_url.clone(),
            pages_url: bank.pages_url.clone(),
            issuer: bank.pages_url.clone(),
            bank,
            tracker,
        })
    }
}

/// A bank that listens. Dropping the handle does not stop it; the token does.
pub struct RunningBank {
    /// Base address of the interface, without trailing slash.
    pub api_url: String,
    /// Base address of the pages.
    pub pages_url: String,
    /// Issuer of the bank's authorization server, if it has one; metadata is below it.
    pub issuer: String,
    bank: Arc<Bank>,
    tracker: TaskTracker,
}

impl RunningBank {
    /// The faults of this bank.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.bank.faults.clone()
    }

    /// Answers what waits for this customer in the bank's app.
    pub fn answer_in_app(&self, user: &str, approve: bool) {
        for id in self.bank.waiting_in_app(user) {
            self.bank.answer(&id, user, approve);
        }
    }

    /// Withdraws a consent as its customer would; whether there is one that stands.
    #[must_use]
    pub fn withdraw(&self, consent: &str) -> bool {
        let now = self.bank.now();
        self.bank.vault.change(|book| {
            let standing = book.consents.get_mut(consent).filter(|consent| consent.is_live(now));
            standing.map(|consent| consent.becomes(ConsentState::Withdrawn, now)).is_some()
        })
    }

    /// How many changes TPPs are still to be told of.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.bank.vault.read(|book| book.notices.waiting.len())
    }

    /// Where a TPP wants to be told of a consent or order, if it said so with it.
    #[must_use]
    pub fn notice_address(&self, id: &str) -> Option<String> {
        self.bank.vault.read(|book| book.notices.addresses.get(id).cloned())
    }

    /// The habits of this bank.
    #[must_use]
    pub fn habits(&self) -> Habits {
        self.bank.habits.clone()
    }

    /// The journal of this bank.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.bank.journal.clone()
    }

    /// Every transfer that is here, and how often one was asked for. One that repeats has a
    /// line for each time that it moved money.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerLine> {
        self.bank.catch_up();
        self.bank.vault.read(|book| {
            let line = |moved: engine::Moved<'_>| LedgerLine {
                end_to_end_id: moved.transfer.end_to_end.clone().unwrap_or_default(),
                amount: moved.amount,
                executed_at: moved.at,
                asked: moved
                    .transfer
                    .end_to_end
                    .as_ref()
                    .and_then(|id| book.asked.get(id))
                    .copied()
                    .unwrap_or(0),
            };
            book.orders.values().flat_map(engine::Order::moved).map(line).collect()
        })
    }

    /// Returns when both listeners are closed, every connection has ended and
    /// the state is on disk.
    pub async fn stopped(&self) {
        self.tracker.wait().await;
        if let Err(error) = self.bank.vault.keep().await {
            tracing::error!(bank.id = %self.bank.id, %error, "Model bank {} could not keep its state", self.bank.id);
        }
    }
}

/// The users that a customer may log in as at a bank of this kind; the password is
/// `sandbox`.
#[must_use]
pub fn users(kind: BankKind) -> Vec<&'static str> {
    engine::users(kind)
}

/// A transfer as the bank has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// As ordered; empty where the order named none.
    pub end_to_end_id: String,
    /// As ordered, in units of its currency.
    pub amount: rust_decimal::Decimal,
    /// When money moved, if it did.
    pub executed_at: Option<domain::Timestamp>,
    /// Requests that would have moved money, had they been the first.
    pub asked: u32,
}

impl std::fmt::Debug for RunningBank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningBank").field("id", &self.bank.id).finish_non_exhaustive()
    }
}
