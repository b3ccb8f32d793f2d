//! The command line.

mod audit;
mod banks;
mod clients;
mod conformance;
mod edge;
mod keys;
mod limits;
mod lint;
mod payments;
mod persons;
mod plugins;
mod policy;
mod serve;
mod statistics;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use domain::Region;

use crate::commands;
use crate::config::{Config, LogFormat, LogSection, variables};
use crate::filter::FilterMode;
use crate::log::{Level, LogSettings};
use crate::serve::Role;

pub use audit::{AuditArgs, AuditCommand};
pub use banks::{
    BankAccessArgs, BanksArgs, BanksCommand, DiscoverArgs, NewBankArgs, ProbeArgs, RecordArgs, RegisterArgs,
    RegistrationArgs, RegistrationCommand, ReplayArgs,
};
pub use clients::{ClientsArgs, ClientsCommand};
pub use conformance::{BankArgs, ConformanceArgs, ConformanceCommand};
pub use edge::{EdgeArgs, FilterFilesArgs, RevocationCheck};
pub use keys::{KeyChangeArgs, KeysArgs, KeysCommand, RegionKeysCommand, TokenKeyArgs};
pub use limits::LimitsArgs;
pub use lint::{LintArgs, LintCommand};
pub use payments::{PaymentsArgs, PaymentsCommand};
pub use persons::{EraseArgs, ExportArgs, RetentionCommand, SelectionArgs};
pub use plugins::PluginFolderArgs;
#[cfg(feature = "plugins")]
pub use plugins::{PluginsArgs, PluginsCommand};
pub use policy::{AccessCommand, PolicyCommand, WafCommand};
pub use serve::{ConfigArgs, ConfigCommand};
pub use statistics::StatisticsArgs;

/// An open-banking (PSD2) gateway: many banks behind one API.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: gateway, six model banks, a demo
    /// fintech. Nothing to install or configure, works offline.
    Sandbox(Box<SandboxArgs>),
    /// Run a gateway as a configuration says.
    Serve(ConfigArgs),
    /// Run what a gateway does without being asked, and answer nobody: reconciliation, deliveries,
    /// retention.
    Worker(ConfigArgs),
    /// Bring the schema of every database up to date. Gateways that run are not disturbed.
    Migrate(ConfigArgs),
    /// Look at everything that a gateway needs: configuration, certificates, names, disk, limits,
    /// databases, clocks, Redis, banks. Exits with 1 if anything does not work.
    Doctor {
        /// Which configuration.
        #[command(flatten)]
        at: ConfigArgs,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The configuration: checked, shown, described.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run the model banks of a sandbox alone, beside one that was started with
    /// --banks-apart: what they did outlives it.
    ModelBanks(ModelBanksArgs),
    /// The banks that the gateway knows.
    Banks(BanksArgs),
    /// The keys that sign id_tokens and webhooks, and those that wrap data keys.
    Keys(KeysArgs),
    /// Rules that are data: tried without a gateway.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The clients (TPPs) that are registered.
    Clients(ClientsArgs),
    /// The logs of what was done with personal data, and by whom.
    Audit(AuditArgs),
    /// Erase what is kept of a person: here, and by its key in every backup.
    Erase(EraseArgs),
    /// Export what is kept of a person, as JSON.
    Export(ExportArgs),
    /// How long personal data is kept, and what is held in spite of that.
    #[command(subcommand)]
    Retention(RetentionCommand),
    /// Figures of a quarter: how banks answered (RTS (EU) 2018/389 art. 32(4)), what consents there
    /// were, what was read under them.
    Statistics(StatisticsArgs),
    /// Payments of which nobody but a person can find out what became of them.
    Payments(PaymentsArgs),
    /// Plugins: banks that no dialect fits, as WebAssembly components.
    #[cfg(feature = "plugins")]
    Plugins(PluginsArgs),
    /// Judge a target by the standards' own words: this gateway, a bank, any other.
    Conformance(Box<ConformanceArgs>),
    /// What is wrong with a certificate, a description of an API, a bank profile or a receiver of
    /// webhooks, and what was probably meant.
    Lint(LintArgs),
    /// Print the OpenAPI document of the API.
    Openapi,
}

impl Cli {
    /// How its log is written.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be read.
    pub fn log(&self) -> anyhow::Result<LogSettings> {
        let (Command::Serve(ConfigArgs { config }) | Command::Worker(ConfigArgs { config })) = &self.command
        else {
            return Ok(LogSettings::of_environment());
        };
        let LogSection { format, level, folder } = Config::read(config.as_deref(), &variables())?.log;
        Ok(LogSettings { level, json: format == LogFormat::Json, folder })
    }
}

/// How the sandbox runs.
#[derive(Clone, Debug, Args)]
pub struct SandboxArgs {
    /// Where certificates, keys and databases are kept.
    #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// First of the sixteen ports used.
    #[arg(long, default_value_t = 8440, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65519))]
    pub port_base: u16,
    /// The model banks run in a process of their own (`consentry model-banks`), which
    /// has this first port.
    #[arg(long, value_name = "PORT", conflicts_with = "demo")]
    pub banks_apart: Option<u16>,
    /// Where the pages are reached, if that is not this process: the origin of another
    /// gateway on the same database and keys.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Approve without a click, at our pages and at the model banks. The
    /// request header `x-sandbox-psu: deny` declines.
    #[arg(long)]
    pub auto_approve: bool,
    /// Preload clients: a JSON array of RFC 7591 metadata, each with its client_id.
    #[arg(long, value_name = "FILE")]
    pub clients: Option<PathBuf>,
    /// Trust client certificates of another CA (PEM); may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub trust_ca: Vec<PathBuf>,
    /// Trust another CA where banks are called, too (PEM); may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub trust_bank_ca: Vec<PathBuf>,
    /// Refuse client certificates that are revoked (soft), or all that are not known to
    /// be unrevoked (hard).
    #[arg(long, value_enum, default_value = "off")]
    pub revocation: RevocationCheck,
    /// Where revocation lists lie (PEM or DER): a file, or a folder; may be given more
    /// than once. Changes are taken up while the sandbox runs.
    #[arg(long, value_name = "PATH")]
    pub crl: Vec<PathBuf>,
    /// Ask the OCSP responder that a client certificate names, if it has this host and the
    /// lists say nothing; may be given more than once.
    #[arg(long, value_name = "HOST")]
    pub ocsp_host: Vec<String>,
    /// Add banks: a profile file (TOML or YAML), or a folder of them; may be given more
    /// than once. Changes are taken up while the sandbox runs.
    #[arg(long, value_name = "PATH")]
    pub banks: Vec<PathBuf>,
    /// Where plugins lie. Changes are taken up while the sandbox runs.
    #[command(flatten)]
    pub plugins: PluginFolderArgs,
    /// Leave out the banks of the binary.
    #[arg(long)]
    pub no_embedded_banks: bool,
    /// Believe software statements (RFC 7591) of these issuers: a JSON array of
    /// `{"issuer": …, "jwks": …}`.
    #[arg(long, value_name = "FILE")]
    pub software_issuers: Option<PathBuf>,
    /// Tell webhook endpoints of nothing until they have answered a challenge.
    #[arg(long)]
    pub webhook_challenge: bool,
    /// Refuse DPoP proofs without a nonce of ours (RFC 9449 §8).
    #[arg(long)]
    pub require_dpop_nonce: bool,
    /// Questions about payees' names that one client may ask per day.
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
    pub payee_verifications_per_day: u32,
    /// The banks tell the gateway of changes: by events (UK) and notices (Berlin Group).
    #[arg(long)]
    pub bank_notifications: bool,
    /// Put a model bank into another region, as ID=REGION; may be given more than once.
    #[arg(long, value_name = "ID=REGION", value_parser = bank_region)]
    pub bank_region: Vec<(String, Region)>,
    /// One cell of several: a file that says which regions it holds, and who holds the others.
    #[arg(long, value_name = "FILE")]
    pub cells: Option<PathBuf>,
    /// Who may do what, and where data may lie and pass: a folder as policies/access. Changes are taken
    /// up while the sandbox runs.
    #[arg(long, value_name = "FOLDER")]
    pub policies: Option<PathBuf>,
    /// How long what is over is kept: a file as policies/retention/retention.toml.
    #[arg(long, value_name = "FILE")]
    pub retention: Option<PathBuf>,
    /// How many requests may be made.
    #[command(flatten)]
    pub limits: LimitsArgs,
    /// What becomes of requests that are not as the interface describes them, or look like an
    /// attack: they pass unseen, pass with a header that tells of it, or are refused.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub filter: FilterMode,
    /// How the edge is.
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// Keep state in PostgreSQL instead of SQLite: the databases NAME_global, and for each region
    /// NAME_uk and NAME_keys_uk, are made beside the one named; as schemas of it with ?schemas=yes.
    /// Behind PgBouncer in transaction mode with ?pooler=transaction.
    #[arg(long, env = "CONSENTRY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Keep what is no person's in this PostgreSQL: the database NAME_global, which the cells share.
    #[arg(
        long,
        env = "CONSENTRY_DATABASE_GLOBAL_URL",
        value_name = "URL",
        hide_env_values = true,
        requires = "database_url"
    )]
    pub global_database_url: Option<String>,
    /// Tell other gateways on the same PostgreSQL through this Redis what was
    /// revoked; without it they ask the database ten times a second. With sentinels:
    /// redis+sentinel://one:26379,two:26379/SERVICE.
    #[arg(long, env = "CONSENTRY_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// Play the whole journey through the public interface, then stop.
    #[arg(long)]
    pub demo: bool,
    /// With --demo: print one JSON object instead of tables.
    #[arg(long, requires = "demo")]
    pub json: bool,
}

/// A model bank and its region.
fn bank_region(text: &str) -> Result<(String, Region), String> {
    let (bank, region) = text.split_once('=').ok_or("as in pl-bank-wisla=pl")?;
    Ok((bank.to_owned(), region.parse().map_err(|error: domain::InvalidRegion| error.to_string())?))
}

/// How model banks run without a gateway.
#[derive(Clone, Debug, Args)]
pub struct ModelBanksArgs {
    /// Where the sandbox keeps certificates and keys; it was started before. With --gateway certificates
    /// are made there, if there are none: pki/ has those of the gateway, too.
    #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// First of the sixteen ports, as the sandbox has it.
    #[arg(long, default_value_t = 8440, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65519))]
    pub port_base: u16,
    /// Approve without a click.
    #[arg(long)]
    pub auto_approve: bool,
    /// The origin of the pages of a gateway that is no sandbox, to which they send people back.
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// The name by which that gateway, and browsers, reach the banks.
    #[arg(long, value_name = "NAME", default_value = "localhost", requires = "gateway")]
    pub host: String,
    /// The address at which they listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", requires = "gateway")]
    pub address: std::net::IpAddr,
    /// Write their profiles to this folder, for banks.folders of that gateway.
    #[arg(long, value_name = "FOLDER", requires = "gateway")]
    pub profiles: Option<PathBuf>,
}

/// Where clients are kept.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The configuration of a gateway, which says the rest.
    #[arg(long, env = "CONSENTRY_CONFIG", value_name = "FILE", conflicts_with = "data_dir")]
    pub config: Option<PathBuf>,
    /// Where the sandbox keeps its state.
    #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// The PostgreSQL that the sandbox keeps its state in, if it does.
    #[arg(long, env = "CONSENTRY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The PostgreSQL of what is no person's, if that is another one.
    #[arg(long, env = "CONSENTRY_DATABASE_GLOBAL_URL", value_name = "URL", hide_env_values = true)]
    pub global_database_url: Option<String>,
}

/// Runs a command.
///
/// # Errors
///
/// What went wrong, in words for the person at the keyboard.
pub async fn run(cli: Cli, level: Level) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => commands::serve::run(args.config, level, Role::Gateway).await,
        Command::Worker(args) => commands::serve::run(args.config, level, Role::Worker).await,
        Command::Migrate(args) => commands::serve::migrate(args.config).await,
        Command::Doctor { at, json } => commands::doctor::run(at.config.as_deref(), json).await,
        Command::Config(command) => commands::config::run(command).await,
        Command::Sandbox(args) => commands::sandbox::run(*args).await,
        Command::ModelBanks(args) => commands::sandbox::run_banks(args).await,
        Command::Banks(args) => commands::banks::run(args.command).await,
        Command::Keys(args) => commands::keys::run(args.command).await,
        Command::Policy(PolicyCommand::Waf(command)) => commands::waf::run(command).await,
        Command::Policy(PolicyCommand::Access(command)) => commands::access::run(command).await,
        Command::Clients(args) => commands::clients::run(args.command).await,
        Command::Audit(args) => commands::audit::run(args.command).await,
        Command::Erase(args) => commands::persons::erase(args).await,
        Command::Export(args) => commands::persons::export(args).await,
        Command::Retention(command) => commands::persons::retention(command).await,
        Command::Statistics(args) => commands::statistics::run(args).await,
        Command::Payments(args) => commands::payments::run(args.command).await,
        #[cfg(feature = "plugins")]
        Command::Plugins(args) => commands::plugins::run(args.command),
        Command::Conformance(args) => conformance::run(*args).await,
        Command::Lint(args) => lint::run(args).await,
        Command::Openapi => commands::openapi::run(),
    }
}
