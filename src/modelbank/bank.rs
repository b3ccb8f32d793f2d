//! One bank at work: its configuration, book and keys.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crypto::{Certificate, Jwks, SigningKey};
use domain::{Clock, Entropy, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::engine::book::{Decision, RegisteredClient, elapsed_ms};
use crate::engine::people;
use crate::engine::{Account, Consent, Movement, Vault, accounts, movements, users};
use crate::fault::Faults;
use crate::habit::{Habit, Habits};
use crate::journal::Journal;
use crate::registration::RegistrationDesk;
use crate::{BankConfig, BankKind, OauthClient, StartFailed};

/// How long the imagined customer takes to approve in the bank's app.
const APP_DELAY_MS: i64 = 200;

/// A known client with its keys parsed.
pub(crate) struct Client {
    pub(crate) registered: OauthClient,
    pub(crate) keys: Jwks,
    pub(crate) seal: Option<Certificate>,
    /// What it may ask for, if it said so when it registered.
    pub(crate) scope: Option<String>,
    /// Whether its certificate alone does not authenticate it: it registered assertions.
    pub(crate) asserts: bool,
}

impl Client {
    /// A client that registered by request, if its keys can be read.
    fn kept(client: &RegisteredClient) -> Option<Self> {
        Some(Self {
            registered: OauthClient {
                client_id: client.id.clone(),
                organization_identifier: client.organisation.clone(),
                redirect_uris: client.redirect_uris.clone(),
                jwks: client.jwks.clone(),
                seal_pem: None,
            },
            keys: Jwks::from_value(&client.jwks).ok()?,
            seal: None,
            scope: Some(client.scope.clone()),
            asserts: client
                .metadata
                .get("token_endpoint_auth_method")
                .is_some_and(|method| method == "private_key_jwt"),
        })
    }
}

/// Shared state of both listeners.
pub(crate) struct Bank {
    pub(crate) kind: BankKind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) api_url: String,
    pub(crate) pages_url: String,
    pub(crate) registration: Option<RegistrationDesk>,
    /// Those that are always there; those that registered are in the book.
    clients: Vec<Arc<Client>>,
    pub(crate) signing: Option<SigningKey>,
    pub(crate) auto_approve: bool,
    pub(crate) vault: Vault,
    pub(crate) faults: Faults,
    pub(crate) habits: Habits,
    pub(crate) journal: Journal,
    pub(crate) shutdown: CancellationToken,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    trust: Arc<dyn ClientCertVerifier>,
}

impl Bank {
    pub(crate) fn new(
        config: BankConfig,
        api: SocketAddr,
        pages: SocketAddr,
        trust: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, StartFailed> {
        if let Some(directory) = &config.state_dir {
            std::fs::create_dir_all(directory).map_err(StartFailed::State)?;
        }
        let signing = signing_key(&config)?;
        let clients = config
            .clients
            .into_iter()
            .map(|registered| {
                let keys = Jwks::from_value(&registered.jwks)
                    .map_err(|error| StartFailed::ClientKeys(registered.client_id.clone(), error))?;
                let seal = registered.seal_pem.as_deref().map(Certificate::from_pem).transpose();
                let seal =
                    seal.map_err(|error| StartFailed::ClientSeal(registered.client_id.clone(), error))?;
                Ok(Arc::new(Client { registered, keys, seal, scope: None, asserts: false }))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let file = config.state_dir.map(|directory| directory.join(format!("{}.json", config.id)));
        Ok(Self {
            kind: config.kind,
            api_url: format!("https://{}:{}", config.host, api.port()),
            pages_url: format!("https://{}:{}", config.host, pages.port()),
            id: config.id,
            name: config.name,
            registration: config.registration,
            clients,
            signing,
            auto_approve: config.auto_approve,
            vault: Vault::open(file).map_err(StartFailed::State)?,
            faults: Faults::default(),
            habits: Habits::default(),
            journal: Journal::default(),
            shutdown: config.shutdown,
            clock: config.clock,
            entropy: config.entropy,
            trust,
        })
    }

    /// Whether the bank has this habit.
    pub(crate) fn has(&self, habit: Habit) -> bool {
        self.habits.has(habit)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The bank's day, which is that of UTC.
    pub(crate) fn today(&self) -> Date {
        self.now().to_zoned(TimeZone::UTC).date()
    }

    /// The client of this name.
    pub(crate) fn client_named(&self, id: &str) -> Option<Arc<Client>> {
        let fixed = self.clients.iter().find(|client| client.registered.client_id == id);
        let kept = || self.vault.read(|book| book.clients.get(id).and_then(Client::kept)).map(Arc::new);
        fixed.map(Arc::clone).or_else(kept)
    }

    /// A client of this organisation; all of them have the same keys.
    pub(crate) fn client_of(&self, organisation: &str) -> Option<Arc<Client>> {
        let fixed =
            self.clients.iter().find(|client| client.registered.organization_identifier == organisation);
        let kept = || {
            self.vault.read(|book| {
                let mut own = book.clients.values().filter(|client| client.organisation == organisation);
                own.find_map(Client::kept).map(Arc::new)
            })
        };
        fixed.map(Arc::clone).or_else(kept)
    }

    /// A fresh unguessable name.
    pub(crate) fn fresh(&self, prefix: &str) -> String {
        format!("{prefix}{}", crypto::token(self.entropy.as_ref(), 24).expose_secret())
    }

    pub(crate) fn uuid(&self) -> String {
        self.entropy.uuid_v4().to_string()
    }

    pub(crate) fn account(&self, id: &str) -> Option<&'static Account> {
        accounts(self.kind).iter().find(|account| account.id == id)
    }

    pub(crate) fn accounts_of<'a>(&self, user: &'a str) -> impl Iterator<Item = &'static Account> + use<'a> {
        let user = people::holder(self.kind, user);
        accounts(self.kind).iter().filter(move |account| account.is_of(user))
    }

    /// The user as we spell it, if there is one.
    pub(crate) fn user(&self, name: &str) -> Option<&'static str> {
        users(self.kind).into_iter().find(|user| *user == name).or_else(|| people::magic(name))
    }

    /// Entries of an account, newest first.
    pub(crate) fn movements(&self, account: &Account, now: Timestamp) -> Vec<Movement> {
        let mut all: Vec<Movement> = self.vault.read(|book| {
            let own = book.entries.iter().filter(|entry| entry.account == account.id);
            own.map(|entry| entry.movement(now)).collect()
        });
        all.extend(movements(account, now));
        all.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
        all
    }

    /// Counts an access without the customer: true if it is one too many of the
    /// day (RTS article 36(5): at most four).
    pub(crate) fn exceeds_quota(&self, consent: &Consent, operation: &str) -> bool {
        let day = self.today();
        let (today, counter) = (format!("{day} "), format!("{day} {} {operation}", consent.id));
        self.vault.change(|book| {
            book.accesses.retain(|key, _| key.starts_with(&today));
            let count = book.accesses.entry(counter).or_insert(0);
            *count = count.saturating_add(1);
            *count > consent.frequency
        })
    }

    /// True if the certificate chains to an authority the bank trusts.
    pub(crate) fn trusts(&self, der: &[u8]) -> bool {
        let seconds = u64::try_from(self.now().as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.trust.verify_client_cert(&CertificateDer::from_slice(der), &[], now).is_ok()
    }

    /// The answer of a customer who says yes to everything: the accounts
    /// asked for, or all; a payment is made from the first.
    pub(crate) fn agreeable(&self, user: &str, asked: Option<&[String]>, approved: bool) -> Decision {
        let declined = self.faults.take_decline();
        let named = |account: &&Account| asked.is_none_or(|asked| asked.iter().any(|id| id == account.id));
        let accounts = self.accounts_of(user).filter(named);
        Decision {
            user: user.to_owned(),
            approved: approved && !declined && user != people::DECLINES,
            accounts: accounts.map(|account| account.id.to_owned()).collect(),
        }
    }

    /// The authorisations that wait for this customer in the bank's app.
    pub(crate) fn waiting_in_app(&self, user: &str) -> Vec<String> {
        self.vault.read(|book| {
            let waiting = book.authorisations.values().filter(|authorisation| {
                authorisation.user.as_deref() == Some(user)
                    && authorisation.state.waits()
                    && !authorisation.embedded
            });
            waiting.map(|authorisation| authorisation.id.clone()).collect()
        })
    }

    /// Answers an authorisation as a customer would who agrees to all of it, or to
    /// nothing.
    pub(crate) fn answer(&self, id: &str, user: &str, approve: bool) {
        if user == people::ABANDONS {
            return;
        }
        let asked = self
            .vault
            .read(|book| crate::berlin::asked_accounts(book, self, &book.authorisations.get(id)?.subject));
        let decision = self.agreeable(user, asked.as_deref(), approve);
        let now = self.now();
        self.vault.change(|book| book.decide(self.kind, id, &decision, now));
    }

    /// Carries out the orders whose day has come.
    pub(crate) fn catch_up(&self) {
        let now = self.now();
        if self.vault.read(|book| book.lags(now)) {
            self.vault.change(|book| book.catch_up(self.kind, now));
        }
    }

    /// Lets those authorisations decide whose imagined customer has had time, and carries
    /// out what is due.
    pub(crate) fn settle(&self) {
        self.catch_up();
        let now = self.now();
        let due: Vec<(String, String, bool)> = self.vault.read(|book| {
            let waiting = book.authorisations.values().filter(|authorisation| {
                authorisation.state.waits() && elapsed_ms(authorisation.created, now) >= APP_DELAY_MS
            });
            let due = waiting.filter_map(|authorisation| {
                let user = authorisation.user.clone()?;
                Some((authorisation.id.clone(), user, authorisation.decides_itself?))
            });
            due.collect()
        });
        for (id, user, approve) in due {
            self.answer(&id, &user, approve);
        }
    }
}

/// Writes a file only its owner can read.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn signing_key(config: &BankConfig) -> Result<Option<SigningKey>, StartFailed> {
    if !matches!(config.kind, BankKind::UkOpenBanking | BankKind::PolishApi) {
        return Ok(None);
    }
    let kept =
        config.state_dir.as_ref().map(|directory| directory.join(format!("{}-signing.pem", config.id)));
    let pem = match (&config.signing_key_pem, &kept) {
        (Some(pem), _) => pem.clone(),
        (None, Some(file)) if file.exists() => std::fs::read_to_string(file).map_err(StartFailed::State)?,
        (None, _) => {
            let pem = crypto::pki::generate_rsa().map_err(|_| StartFailed::SigningKey)?;
            if let Some(file) = &kept {
                write_private(file, &pem).map_err(StartFailed::State)?;
            }
            pem
        }
    };
    let key = SigningKey::from_pem(&pem, "").map_err(|_| StartFailed::SigningKey)?;
    let kid = key.public_key().thumbprint();
    SigningKey::from_pem(&pem, kid).map(Some).map_err(|_| StartFailed::SigningKey)
}
