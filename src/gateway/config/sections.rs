//! The sections of the file. What a value is for is said here, and read everywhere else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use domain::Region;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;
use crate::cli::RevocationCheck;
use crate::filter::FilterMode;

/// Where the system has the authorities that it believes.
pub(crate) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A section: what is not said is as by default, and what nobody knows is refused.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: $type,)*
        }
    };
}

/// Everywhere, at this port.
fn everywhere(port: u16) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, port).into()
}

section! {
    /// This process, and the folder that it writes to.
    NodeSection {
        /// Where the databases are, where no PostgreSQL is named. Nothing is written elsewhere.
        data_dir: PathBuf,
        /// The folder with `keys/` and `audit/`, if they are not in the data folder. It is only read.
        key_dir: Option<PathBuf>,
    }
}

impl Default for NodeSection {
    fn default() -> Self {
        Self { data_dir: "/var/lib/consentry".into(), key_dir: None }
    }
}

section! {
    /// How it is reached from outside: origins, without a trailing slash.
    #[derive(Default)]
    PublicSection {
        /// The issuer (RFC 8414): the same for every cell. Needed.
        issuer: String,
        /// The pages of this cell, where they are not at the issuer.
        pages: Option<String>,
        /// The API, reached with a client certificate. Needed.
        api: String,
    }
}

section! {
    /// Where it listens.
    ListenSection {
        /// The pages: TLS.
        #[schemars(with = "String")]
        pages: SocketAddr,
        /// The API and the back channel: TLS with client certificates.
        #[schemars(with = "String")]
        api: SocketAddr,
        /// The operators' interface and console: TLS with client certificates. Nowhere, if not said.
        #[schemars(with = "Option<String>")]
        admin: Option<SocketAddr>,
        /// `/livez`, `/readyz`, `/startupz`, `/metrics`: plain HTTP, for the cluster alone.
        #[schemars(with = "String")]
        operations: SocketAddr,
        /// Networks of load balancers: who comes from there says for whom by a PROXY header (version 1
        /// or 2), and nobody else may.
        #[schemars(with = "Vec<String>")]
        proxies: Vec<IpNet>,
        /// Connections that are held at the same time, at each of the pages and the API.
        connections: u32,
        /// Connections of one address (of IPv6, one /64).
        per_address: u32,
        /// Connections of one client certificate.
        per_client: u32,
    }
}

impl Default for ListenSection {
    fn default() -> Self {
        Self {
            pages: everywhere(8443),
            api: everywhere(8444),
            admin: None,
            operations: (Ipv4Addr::LOCALHOST, 9090).into(),
            proxies: Vec::new(),
            connections: 10_000,
            per_address: 1_000,
            per_client: 2_000,
        }
    }
}

section! {
    /// What its listeners show of themselves, and whose client certificates they take. All files are
    /// watched: changes are taken up without a restart.
    #[derive(Default)]
    TlsSection {
        /// The certificate with its chain (PEM). Needed.
        certificate: Option<PathBuf>,
        /// Its key (PEM). Needed.
        key: Option<PathBuf>,
        /// An OCSP response (DER) about the certificate, to be stapled.
        ocsp_response: Option<PathBuf>,
        /// Authorities of client certificates (PEM).
        client_authorities: Vec<PathBuf>,
        /// Issuers of QWACs (ETSI TS 119 495), PEM: certificates of theirs have to be QWACs.
        qwac_issuers: Vec<PathBuf>,
        /// Issuers of the Open Banking directory, PEM.
        open_banking_issuers: Vec<PathBuf>,
        /// What is asked of the revocation of client certificates: off, soft or hard.
        revocation: RevocationCheck,
        /// Revocation lists (PEM or DER): files, or folders.
        revocation_lists: Vec<PathBuf>,
        /// Hosts of OCSP responders that may be asked.
        ocsp_hosts: Vec<String>,
    }
}

section! {
    /// Who may use the operators' interface, by the common name of their certificate.
    #[derive(Default)]
    AdminSection {
        /// The certificate that its listener shows (PEM); that of `[tls]`, if not said.
        certificate: Option<PathBuf>,
        /// Its key (PEM).
        key: Option<PathBuf>,
        /// Authorities of operators' certificates (PEM).
        authorities: Vec<PathBuf>,
        /// Who may look.
        viewers: Vec<String>,
        /// Who may change something, too.
        operators: Vec<String>,
    }
}

section! {
    /// Who we are to banks.
    BankSection {
        /// Our certificate for TLS (QWAC, OBWAC) with its chain (PEM). Needed.
        certificate: Option<PathBuf>,
        /// Its key (PEM). Needed.
        key: Option<PathBuf>,
        /// Our seal (QSealC, OBSeal), PEM. Needed.
        seal_certificate: Option<PathBuf>,
        /// Its key (PEM). Needed.
        seal_key: Option<PathBuf>,
        /// Who signs what banks show (PEM).
        authorities: Vec<PathBuf>,
    }
}

impl Default for BankSection {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            seal_certificate: None,
            seal_key: None,
            authorities: vec![SYSTEM_AUTHORITIES.into()],
        }
    }
}

section! {
    /// Where state is kept: SQLite in the data folder, if no PostgreSQL is named.
    DatabaseSection {
        /// PostgreSQL: `postgres://role@host/NAME`. The databases are NAME_global, and for each region
        /// NAME_uk and NAME_keys_uk. Several hosts: `one:5432,two:5432`. Behind PgBouncer in
        /// transaction mode: `?pooler=transaction`. A password stands in a file, or in the environment.
        url: Option<String>,
        /// A file that holds the address.
        url_file: Option<PathBuf>,
        /// PostgreSQL of what is no person's, which the cells share: NAME_global.
        global_url: Option<String>,
        /// A file that holds that address.
        global_url_file: Option<PathBuf>,
        /// How long a start waits for a database that is away, or whose schema is behind: until somebody
        /// has brought it up to date.
        patience: Span,
    }
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            global_url: None,
            global_url_file: None,
            patience: Span::seconds(0),
        }
    }
}

section! {
    /// What several gateways on one database tell each other through; nothing is lost with it.
    #[derive(Default)]
    RedisSection {
        /// `redis://host:6379`; with sentinels `redis+sentinel://one:26379,two:26379/SERVICE`.
        url: Option<String>,
        /// A file that holds the address.
        url_file: Option<PathBuf>,
    }
}

section! {
    /// Which regions' data is held here.
    RegionsSection {
        /// The regions, where there is one cell.
        #[schemars(with = "Vec<String>")]
        held: Vec<Region>,
        /// Which cell of several this is, and who holds the other regions: a file. It says the regions then.
        cell_file: Option<PathBuf>,
    }
}

impl Default for RegionsSection {
    fn default() -> Self {
        Self { held: "eu".parse().into_iter().collect(), cell_file: None }
    }
}

section! {
    /// Which banks there are.
    BanksSection {
        /// Profile files (TOML or YAML), and folders of them. Watched.
        folders: Vec<PathBuf>,
        /// Whether the banks of the binary are there, too.
        embedded: bool,
        /// A folder of plugins (WebAssembly components). Watched.
        plugins: Option<PathBuf>,
    }
}

impl Default for BanksSection {
    fn default() -> Self {
        Self { folders: Vec::new(), embedded: true, plugins: None }
    }
}

section! {
    /// Rules that are data, in the place of those that are compiled in. Watched.
    #[derive(Default)]
    PoliciesSection {
        /// Who may do what, and where data may lie and pass: a folder as policies/access.
        access: Option<PathBuf>,
        /// How many requests may be made: a file as policies/limits/limits.toml.
        limits: Option<PathBuf>,
        /// How long what is over is kept: a file as policies/retention/retention.toml.
        retention: Option<PathBuf>,
    }
}

section! {
    /// What looks into requests.
    FilterSection {
        /// What becomes of requests that are not as described, or look like an attack: off, report or block.
        mode: FilterMode,
        /// Levels, thresholds, modes of routes, exclusions: a file as policies/waf/filter.toml. Watched.
        policy: Option<PathBuf>,
        /// Rules in the place of our own: a folder as policies/waf. Watched.
        rules: Option<PathBuf>,
        /// A release of the OWASP Core Rule Set: the folder with rules/. Watched.
        core_rule_set: Option<PathBuf>,
        /// A file of the addresses that are blocked, a network a line.
        block_list: Option<PathBuf>,
        /// An address (https) that is sent the addresses that are blocked whenever they change.
        block_webhook: Option<String>,
    }
}

impl Default for FilterSection {
    fn default() -> Self {
        Self {
            mode: FilterMode::Block,
            policy: None,
            rules: None,
            core_rule_set: None,
            block_list: None,
            block_webhook: None,
        }
    }
}

section! {
    /// What clients may, and what is asked of them.
    ClientsSection {
        /// Whether anybody with a certificate that is taken may register without a software statement.
        open_registration: bool,
        /// Issuers of software statements (RFC 7591): a JSON array of `{"issuer": …, "jwks": …}`.
        software_issuers: Option<PathBuf>,
        /// Refuse DPoP proofs without a nonce of ours (RFC 9449 §8).
        require_dpop_nonce: bool,
        /// Questions about payees' names that one client may ask per day.
        payee_verifications_per_day: u32,
    }
}

impl Default for ClientsSection {
    fn default() -> Self {
        Self {
            open_registration: false,
            software_issuers: None,
            require_dpop_nonce: false,
            payee_verifications_per_day: 1_000,
        }
    }
}

section! {
    /// Where webhooks go, and how.
    WebhooksSection {
        /// Tell endpoints of nothing until they have answered a challenge.
        challenge: bool,
        /// Who signs what endpoints show (PEM).
        authorities: Vec<PathBuf>,
        /// The proxy that they are reached through, such as http://proxy:3128: it takes CONNECT, and is told
        /// addresses and no names.
        proxy: Option<String>,
        /// Endpoints in private networks, too: loopback alone, for a machine that tests itself.
        loopback: bool,
    }
}

impl Default for WebhooksSection {
    fn default() -> Self {
        Self { challenge: true, proxy: None, authorities: vec![SYSTEM_AUTHORITIES.into()], loopback: false }
    }
}

section! {
    /// Aggregated reads.
    ReadsSection {
        /// Longest time that one waits for its banks; those that have not answered are named.
        deadline: Span,
        /// Longest silence of an event stream.
        heartbeat: Span,
    }
}

impl Default for ReadsSection {
    fn default() -> Self {
        Self { deadline: Span::seconds(20), heartbeat: Span::seconds(15) }
    }
}

section! {
    /// Work that nobody asks for: reconciliation, deliveries, retention.
    WorkSection {
        /// Whether `serve` does it, too. `consentry worker` does it in any case.
        here: bool,
    }
}

impl Default for WorkSection {
    fn default() -> Self {
        Self { here: true }
    }
}

section! {
    /// How a stop goes: on SIGTERM it is not ready any more, then it takes nothing new, then it ends.
    DrainSection {
        /// How long it still takes new connections while it is not ready: until balancers have noticed.
        before: Span,
        /// Longest time that open requests get afterwards.
        longest: Span,
    }
}

impl Default for DrainSection {
    fn default() -> Self {
        Self { before: Span::seconds(5), longest: Span::seconds(30) }
    }
}

section! {
    /// Traces. They leave this process for an address of the same region.
    TelemetrySection {
        /// Where traces go: OTLP over HTTP, such as http://collector:4318. Nowhere, if not said.
        otlp_endpoint: Option<String>,
        /// How many of 1,000 requests are traced that nobody asks to trace.
        sample_per_mille: u16,
    }
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_per_mille: 50 }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For eyes.
    Text,
    /// One JSON object.
    #[default]
    Json,
}

section! {
    /// The log, to the standard error.
    LogSection {
        /// How a line is written: text or json.
        format: LogFormat,
        /// What is written: error, warn, info, debug or trace, also by module
        /// (`warn,consentry_flows=debug`). Taken up on SIGHUP.
        level: String,
        /// A folder of files, one for each region, instead of the standard error.
        folder: Option<PathBuf>,
    }
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".to_owned(), folder: None }
    }
}
