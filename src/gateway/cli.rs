//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;

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
    /// Run everything on this machine: gateway, three model banks, a demo
    /// fintech. Nothing to install or configure, works offline.
    Sandbox(SandboxArgs),
    /// The banks that the gateway knows.
    Banks(BanksArgs),
    /// Print the OpenAPI document of the API.
    Openapi,
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
    /// Add banks: a profile file (TOML); may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub banks: Vec<PathBuf>,
    /// Believe software statements (RFC 7591) of these issuers: a JSON array of
    /// `{"issuer": …, "jwks": …}`.
    #[arg(long, value_name = "FILE")]
    pub software_issuers: Option<PathBuf>,
    /// Refuse DPoP proofs without a nonce of ours (RFC 9449 §8).
    #[arg(long)]
    pub require_dpop_nonce: bool,
    /// Keep state in PostgreSQL instead of SQLite: the databases NAME_global,
    /// NAME_uk and NAME_eu are made beside the one named.
    #[arg(long, env = "CONSENTRY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Play the whole journey through the public interface, then stop.
    #[arg(long)]
    pub demo: bool,
    /// With --demo: print one JSON object instead of tables.
    #[arg(long, requires = "demo")]
    pub json: bool,
}

/// What to do with banks.
#[derive(Debug, Args)]
pub struct BanksArgs {
    /// The command.
    #[command(subcommand)]
    pub command: BanksCommand,
}

/// What can be done with banks.
#[derive(Debug, Subcommand)]
pub enum BanksCommand {
    /// List banks.
    List {
        /// ISO 3166-1 code.
        #[arg(long)]
        country: Option<String>,
        /// Text in the name.
        #[arg(long, short)]
        q: Option<String>,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show one bank: everything its profile says, quirks included.
    Show {
        /// The institution, such as gb-monzo.
        id: String,
    },
    /// Check profile files; without files, the embedded ones.
    Lint {
        /// TOML files.
        files: Vec<PathBuf>,
    },
    /// Read recorded exchanges with banks and say what became of each.
    Read {
        /// JSON Lines, one exchange each.
        file: PathBuf,
        /// Print only the tally, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Import an institution directory (JSON Lines, gzip or plain).
    Import {
        /// The file.
        file: PathBuf,
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
    },
}

/// Runs a command.
///
/// # Errors
///
/// What went wrong, in words for the person at the keyboard.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Sandbox(args) => commands::sandbox::run(args).await,
        Command::Banks(args) => commands::banks::run(args.command).await,
        Command::Openapi => commands::openapi::run(),
    }
}
