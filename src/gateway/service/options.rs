//! What a gateway is run with, whoever runs it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crypto::{Certificate, Scheme, SigningKey};
use domain::{Clock, Entropy, Region};
use edge::{ListenerConfig, Revocation};
use flows::WebhookPolicy;
use ipnet::IpNet;
use secrecy::SecretString;

use super::{BlockFeed, LimitsFrom, Tracer};
use crate::filter::{FilterFiles, FilterMode};
use crate::keys::KeySource;

/// What a gateway is run with.
pub(crate) struct ServiceOptions {
    /// Where the databases of one machine are.
    pub(crate) folder: PathBuf,
    /// Where `keys/` and `audit/` are.
    pub(crate) keys: PathBuf,
    /// The regions that are held here, where no file of a cell says it.
    pub(crate) regions: Vec<Region>,
    /// Which cell this is, if there are several: a file.
    pub(crate) cells: Option<PathBuf>,
    /// Make keys that are missing.
    pub(crate) make_keys: bool,
    /// Work that nobody asks for is done here.
    pub(crate) works: bool,
    /// It listens, and answers.
    pub(crate) answers: bool,
    /// Where.
    pub(crate) listen: Listen,
    /// How it is reached.
    pub(crate) origins: Origins,
    /// TLS of both listeners, and the clients of one.
    pub(crate) tls: TlsOptions,
    /// Where state is kept.
    pub(crate) stores: StoreOptions,
    /// The Redis of several gateways on one database.
    pub(crate) redis_url: Option<SecretString>,
    /// The banks.
    pub(crate) banks: BankOptions,
    /// Rules that are data.
    pub(crate) rules: RuleOptions,
    /// What clients may.
    pub(crate) clients: ClientOptions,
    /// Where webhooks go, and how.
    pub(crate) webhooks: WebhookOptions,
    /// Approve at our pages without a click.
    pub(crate) auto_approve: bool,
    /// Longest time an aggregated read waits for its banks.
    pub(crate) read_deadline: Duration,
    /// Longest silence of an event stream.
    pub(crate) event_heartbeat: Duration,
    /// Who is told which addresses are blocked.
    pub(crate) block_feed: BlockFeed,
    /// Who keeps traces, if anybody does.
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
    /// How many of 1,000 requests are traced that nobody asks to trace.
    pub(crate) trace_per_mille: u16,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// Where a gateway listens.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    /// The pages.
    pub(crate) pages: SocketAddr,
    /// The API, with client certificates.
    pub(crate) api: SocketAddr,
    /// Bounds of both.
    pub(crate) bounds: ListenerConfig,
    /// Networks of load balancers, which say by a PROXY header for whom they come.
    pub(crate) proxies: Vec<IpNet>,
    /// What to say if one of the two is taken.
    pub(crate) taken: fn(SocketAddr) -> String,
}

/// How a gateway is reached: origins without a trailing slash. What is not said is localhost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Issuer (RFC 8414): the same for every cell.
    pub(crate) issuer: Option<String>,
    /// The pages of this cell; the issuer where there are no others.
    pub(crate) pages: Option<String>,
    /// The API.
    pub(crate) api: Option<String>,
}

/// TLS of both listeners, and the clients of one.
#[derive(Clone, Debug)]
pub(crate) struct TlsOptions {
    /// The certificate with its chain (PEM).
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: KeySource,
    /// What the authority says of the certificate: an OCSP response, DER.
    pub(crate) ocsp_response: Option<PathBuf>,
    /// Authorities of client certificates, PEM.
    pub(crate) authorities: Vec<PathBuf>,
    /// By whose rules client certificates have to be: the files (PEM) of those who issue them.
    pub(crate) trust_profiles: Vec<(Scheme, PathBuf)>,
    /// What is asked of the revocation of client certificates.
    pub(crate) revocation: Revocation,
    /// Revocation lists: files and folders, PEM or DER.
    pub(crate) revocation_lists: Vec<PathBuf>,
    /// Hosts of OCSP responders that may be asked.
    pub(crate) ocsp_hosts: Vec<String>,
    /// Responders in private networks may be asked, too.
    pub(crate) private_responders: bool,
}

/// Where state is kept: in the folder, if no PostgreSQL is named.
#[derive(Clone, Default)]
pub(crate) struct StoreOptions {
    /// PostgreSQL.
    pub(crate) url: Option<SecretString>,
    /// PostgreSQL of what is no person's, if not the same.
    pub(crate) global_url: Option<SecretString>,
    /// What becomes of a schema that is behind.
    pub(crate) schema: store::SchemaUse,
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The banks, and who we are to them.
pub(crate) struct BankOptions {
    /// Profile files, and folders of them.
    pub(crate) files: Vec<PathBuf>,
    /// Whether the banks of the binary are there, too.
    pub(crate) embedded: bool,
    /// A folder of plugins.
    pub(crate) plugins: Option<PathBuf>,
    /// Who signs what banks show: PEM.
    pub(crate) roots_pem: String,
    /// What we show them, our certificate first (PEM), and its key.
    pub(crate) identity: (String, SecretString),
    /// Where both come from, if that is watched.
    pub(crate) identity_files: Option<BankIdentityFiles>,
    /// What we sign with.
    pub(crate) seal: BankSeal,
}

/// The files of what banks are shown, and of who signs what they show.
#[derive(Clone, Debug)]
pub(crate) struct BankIdentityFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authorities: Vec<PathBuf>,
}

/// The gateway's seal, parsed.
#[derive(Clone)]
pub(crate) struct BankSeal {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) certificate: Arc<Certificate>,
    /// As it is published.
    pub(crate) certificate_pem: String,
}

impl BankSeal {
    /// A seal of its two files' texts.
    pub(crate) fn of(certificate_pem: &str, key_pem: &str) -> anyhow::Result<Self> {
        let certificate = Certificate::from_pem(certificate_pem)?;
        let key = SigningKey::from_pem(key_pem, certificate.thumbprint.to_string())?;
        let (key, certificate) = (Arc::new(key), Arc::new(certificate));
        Ok(Self { key, certificate, certificate_pem: certificate_pem.to_owned() })
    }
}

/// Rules that are data.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleOptions {
    /// A folder as `policies/access`, instead of the rules of the binary.
    pub(crate) access: Option<PathBuf>,
    /// How long what is over is kept, if not as the binary says.
    pub(crate) retention: Option<PathBuf>,
    /// How many requests may be made, of what kind and by whom.
    pub(crate) limits: LimitsFrom,
    /// What becomes of requests that are not as described, or look like an attack.
    pub(crate) filter: FilterMode,
    /// Where the rules of the filter come from.
    pub(crate) filter_files: FilterFiles,
    /// Addresses in private networks are taken where clients name some, too.
    pub(crate) private_addresses: bool,
}

/// What clients may, and what is asked of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientOptions {
    /// Register without a software statement.
    pub(crate) open_registration: bool,
    /// Issuers of software statements: a JSON array of `{issuer, jwks}`.
    pub(crate) software_issuers: Option<PathBuf>,
    /// Refuse DPoP proofs without a nonce.
    pub(crate) require_dpop_nonce: bool,
    /// How often a client may ask on a day whether a payee goes by a name.
    pub(crate) payee_verifications_per_day: u32,
}

/// Where webhooks go, and how.
#[derive(Clone, Debug)]
pub(crate) struct WebhookOptions {
    /// Tell endpoints of nothing until they have answered a challenge.
    pub(crate) challenge: bool,
    /// Which addresses are taken.
    pub(crate) policy: WebhookPolicy,
    /// Who signs what endpoints show: PEM.
    pub(crate) roots_pem: String,
    /// The proxy (`host:port`) that they are reached through, if there is one.
    pub(crate) proxy: Option<String>,
}
