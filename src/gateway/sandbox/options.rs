//! How a sandbox runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crypto::Scheme;
use domain::{Clock, Entropy, Region, ShiftedClock, SystemEntropy};
use edge::Revocation;
use ipnet::IpNet;

use super::{BlockFeed, LimitsFrom};
use crate::filter::{FilterFiles, FilterMode};
use crate::keys::KeySource;

/// What both ports show of themselves.
#[derive(Clone, Debug, Default)]
pub struct ServerFiles {
    /// The certificate with its chain (PEM), and its key, if not the sandbox's own.
    pub certificate: Option<(PathBuf, KeySource)>,
    /// What the authority says of the certificate: an OCSP response, DER.
    pub ocsp_response: Option<PathBuf>,
}

/// How a sandbox runs.
pub struct SandboxOptions {
    /// Where certificates, keys and databases are kept.
    pub data_dir: PathBuf,
    /// First of the sixteen ports; 0 takes free ones.
    pub port_base: u16,
    /// Approve without a click.
    pub auto_approve: bool,
    /// The model banks run in a process of their own ([`super::BanksApart`]), which has this
    /// first port.
    pub banks_apart: Option<u16>,
    /// Where the pages are reached, if that is not here: at another gateway on the
    /// same database and keys.
    pub issuer: Option<String>,
    /// Clients to preload: a JSON array of RFC 7591 metadata.
    pub clients: Option<PathBuf>,
    /// Further CAs of client certificates, PEM.
    pub trust_ca: Vec<PathBuf>,
    /// Further CAs whose certificates banks may show (PEM).
    pub trust_bank_ca: Vec<PathBuf>,
    /// What both ports show, if not the sandbox's own certificate.
    pub server: ServerFiles,
    /// By whose rules client certificates have to be: the files (PEM) of those who issue them.
    pub trust_profiles: Vec<(Scheme, PathBuf)>,
    /// What is asked of the revocation of client certificates.
    pub revocation: Revocation,
    /// Revocation lists: files and folders, PEM or DER.
    pub revocation_lists: Vec<PathBuf>,
    /// Hosts of OCSP responders that may be asked.
    pub ocsp_hosts: Vec<String>,
    /// Model banks that are in another region than they usually are.
    pub bank_regions: Vec<(String, Region)>,
    /// PostgreSQL of what is no person's, if not the one of everything.
    pub global_database_url: Option<String>,
    /// Which cell this is, if there are several: a file.
    pub cells: Option<PathBuf>,
    /// How long what is over is kept, if not as the binary says.
    pub retention: Option<PathBuf>,
    /// A folder as `policies/access`, instead of the rules of the binary.
    pub policies: Option<PathBuf>,
    /// Further banks: profile files.
    pub banks: Vec<PathBuf>,
    /// A folder of plugins.
    pub plugins: Option<PathBuf>,
    /// Whether the banks of the binary are there, too.
    pub embedded_banks: bool,
    /// Let clients register without a software statement.
    pub open_registration: bool,
    /// Issuers of software statements: a JSON array of `{issuer, jwks}`.
    pub software_issuers: Option<PathBuf>,
    /// Tell webhook endpoints of nothing until they have answered a challenge.
    pub webhook_challenge: bool,
    /// Refuse DPoP proofs without a nonce.
    pub require_dpop_nonce: bool,
    /// The banks tell the gateway of changes.
    pub bank_notifications: bool,
    /// Longest time an aggregated read waits for its banks.
    pub read_deadline: Duration,
    /// How often a client may ask on a day whether a payee goes by a name.
    pub payee_verifications_per_day: u32,
    /// Longest silence of an event stream.
    pub event_heartbeat: Duration,
    /// PostgreSQL instead of SQLite.
    pub database_url: Option<String>,
    /// How many requests may be made, of what kind and by whom.
    pub limits: LimitsFrom,
    /// Networks of load balancers, which say by a PROXY header for whom they come.
    pub proxies: Vec<IpNet>,
    /// Who is told which addresses are blocked.
    pub block_feed: BlockFeed,
    /// What becomes of requests that are not as described, or look like an attack.
    pub filter: FilterMode,
    /// Where the rules of the filter come from.
    pub filter_files: FilterFiles,
    /// The Redis through which several gateways on one database tell each other
    /// what was revoked.
    pub redis_url: Option<String>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The same clock, if `/v1/sandbox/clock` may move it.
    pub virtual_time: Option<Arc<ShiftedClock>>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl SandboxOptions {
    /// A sandbox in this folder, with the machine's time and chance, on SQLite
    /// and on free ports; a person clicks.
    #[must_use]
    pub fn at(data_dir: impl Into<PathBuf>) -> Self {
        let clock = Arc::new(ShiftedClock::default());
        Self {
            data_dir: data_dir.into(),
            port_base: 0,
            auto_approve: false,
            banks_apart: None,
            issuer: None,
            clients: None,
            trust_ca: Vec::new(),
            trust_bank_ca: Vec::new(),
            server: ServerFiles::default(),
            trust_profiles: Vec::new(),
            revocation: Revocation::Off,
            revocation_lists: Vec::new(),
            ocsp_hosts: Vec::new(),
            bank_regions: Vec::new(),
            global_database_url: None,
            cells: None,
            retention: None,
            policies: None,
            banks: Vec::new(),
            plugins: None,
            embedded_banks: true,
            open_registration: true,
            software_issuers: None,
            webhook_challenge: false,
            require_dpop_nonce: false,
            bank_notifications: false,
            read_deadline: Duration::from_secs(20),
            payee_verifications_per_day: 1_000,
            event_heartbeat: Duration::from_secs(15),
            limits: LimitsFrom::Binary,
            proxies: Vec::new(),
            block_feed: BlockFeed::default(),
            filter: FilterMode::Report,
            filter_files: FilterFiles::default(),
            database_url: None,
            redis_url: None,
            clock: clock.clone(),
            virtual_time: Some(clock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}
