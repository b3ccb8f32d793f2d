//! `consentry banks`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PluginFolderArgs;

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
    /// Write the profile of a bank that keeps to its standard.
    New(NewBankArgs),
    /// Check profile files and run their tests; without files, the embedded ones.
    Lint {
        /// Profile files (TOML or YAML), or folders of them.
        files: Vec<PathBuf>,
        /// Where plugins lie.
        #[command(flatten)]
        plugins: PluginFolderArgs,
    },
    /// Run the tests that profiles bring with them and say what became of each;
    /// without files, those of the embedded ones.
    Test {
        /// Profile files (TOML or YAML), or folders of them.
        files: Vec<PathBuf>,
        /// Where plugins lie.
        #[command(flatten)]
        plugins: PluginFolderArgs,
    },
    /// Compare two profiles key by key, group defaults and brand as one. Exits
    /// with 1 if they differ.
    Diff {
        /// A profile file, or an embedded bank by its id.
        left: String,
        /// The same.
        right: String,
        /// One JSON object per line: bank, key, left, right.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of a profile file.
    Schema,
    /// Read recorded exchanges with banks and say what became of each.
    Read {
        /// JSON Lines, one exchange each.
        file: PathBuf,
        /// Print only the tally, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make one authorisation at a bank, with a browser that approves by
    /// itself, and say whether the bank gave it and if not why.
    Probe(Box<ProbeArgs>),
    /// Probe a bank and keep what it tells of accounts, without the person: every
    /// value that is not a code is replaced by one of the same shape.
    Record(Box<RecordArgs>),
    /// Probe a bank, read everything twice, and say what its interface is worth: whether
    /// ids are stable, paging ends, history is whole, and more.
    Score(Box<ProbeArgs>),
    /// Read a recording as its profile says, or say what a bank answers otherwise
    /// than in an older one. Exits with 1 if anything differs.
    Replay(ReplayArgs),
    /// Register at a bank by request (UK Dynamic Client Registration, RFC 7591).
    /// What it answers is kept in ID.deployment.toml beside the profile.
    Register(Box<RegisterArgs>),
    /// Show, replace or end a registration at a bank.
    #[command(subcommand)]
    Registration(Box<RegistrationCommand>),
    /// Read what a bank publishes of its authorization server, and say what does
    /// not fit its profile and what has changed. Exits with 1 if there is anything.
    Discover(Box<DiscoverArgs>),
    /// Import an institution directory (JSON Lines, gzip or plain).
    Import {
        /// The file.
        file: PathBuf,
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
    },
}

/// What a new profile says.
#[derive(Debug, Args)]
pub struct NewBankArgs {
    /// Our name of the bank, such as de-examplebank.
    #[arg(long)]
    pub id: String,
    /// The bank's name as its customers know it.
    #[arg(long)]
    pub name: String,
    /// The standard that it speaks: uk-open-banking, berlin-group, stet, polish-api;
    /// or plugin:NAME.
    #[arg(long)]
    pub dialect: String,
    /// Where its customers' data lives, such as eu or uk.
    #[arg(long)]
    pub region: String,
    /// Home country (ISO 3166-1).
    #[arg(long)]
    pub country: Option<String>,
    /// Base address of account information; otherwise a slot that the operator fills.
    #[arg(long, value_name = "URL")]
    pub accounts_api: Option<url::Url>,
    /// Where to write it (TOML); ID.toml otherwise. What is there is not overwritten.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which bank, and as whom.
#[derive(Debug, Args)]
pub struct BankAccessArgs {
    /// Profile of the bank (TOML or YAML), or the id of one that ships. What the
    /// operator knows of it is read from ID.deployment.toml beside it.
    #[arg(long, value_name = "FILE")]
    pub profile: PathBuf,
    /// Which bank of the file, if it holds several.
    #[arg(long, value_name = "ID")]
    pub bank: Option<String>,
    /// Where plugins lie.
    #[command(flatten)]
    pub plugins: PluginFolderArgs,
    /// Where the sandbox keeps its state: who we are, if nothing else says it.
    #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Our certificate for TLS (PEM).
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM). It signs, too, if no other key is named.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Key that signs request objects and assertions (PEM).
    #[arg(long, value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// Name of that key, as the bank knows it.
    #[arg(long, value_name = "KID")]
    pub signing_kid: Option<String>,
    /// Who signs the bank's certificate (PEM); may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub trust_ca: Vec<PathBuf>,
}

/// How a bank is probed.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Which bank, and as whom.
    #[command(flatten)]
    pub access: BankAccessArgs,
    /// Where the bank sends the browser back to, as registered there. Nothing
    /// has to listen.
    #[arg(long, value_name = "URL")]
    pub redirect_uri: Option<url::Url>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How a bank is recorded.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// How it is probed.
    #[command(flatten)]
    pub probe: ProbeArgs,
    /// Where to write the recording (JSON Lines).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    pub force: bool,
}

/// Which recording, and what it is compared with.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// JSON Lines, one exchange each.
    pub file: PathBuf,
    /// An older recording of the same bank.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub against: Option<PathBuf>,
    /// Profile to read it by (TOML or YAML), its mapping and quirks included, or the
    /// id of a bank that ships. Otherwise no deviation is tolerated.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Which bank of that file, if it holds several.
    #[arg(long, value_name = "ID", requires = "profile")]
    pub bank: Option<String>,
    /// Print JSON: the tally, or one object per difference.
    #[arg(long)]
    pub json: bool,
}

/// What we register at a bank as.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// Which bank, and as whom.
    #[command(flatten)]
    pub access: BankAccessArgs,
    /// What the directory says of our software: a signed JWT. Needed unless the
    /// bank takes JSON (RFC 7591).
    #[arg(long, value_name = "FILE")]
    pub software_statement: Option<PathBuf>,
    /// A service to register for; may be given more than once. Otherwise those
    /// that the bank has and the statement covers.
    #[arg(long, value_name = "ROLE", value_parser = ["aisp", "pisp", "cbpii"])]
    pub role: Vec<String>,
    /// Where the bank may send the browser back to; may be given more than once.
    /// Otherwise the addresses of the statement that end in /callback/ID.
    #[arg(long, value_name = "URL")]
    pub redirect_uri: Vec<url::Url>,
    /// Print one JSON object per registration.
    #[arg(long)]
    pub json: bool,
}

/// Which registration.
#[derive(Debug, Args)]
pub struct RegistrationArgs {
    /// Which bank, and as whom.
    #[command(flatten)]
    pub access: BankAccessArgs,
    /// Only the registration of this service, where each has its own.
    #[arg(long, value_name = "ROLE", value_parser = ["aisp", "pisp", "cbpii"])]
    pub role: Option<String>,
    /// Print one JSON object per registration.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with a registration (RFC 7592).
#[derive(Debug, Subcommand)]
pub enum RegistrationCommand {
    /// Show it as the bank has it.
    Show(RegistrationArgs),
    /// Replace it by what would be registered now.
    Update(RegisterArgs),
    /// End it at the bank, and forget it here.
    Delete(RegistrationArgs),
}

/// Which bank's metadata, and what it is compared with.
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Which bank, and as whom.
    #[command(flatten)]
    pub access: BankAccessArgs,
    /// What the bank published before: what this command printed with --json, or
    /// the bank's document itself.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Print one JSON object, the whole document in it.
    #[arg(long)]
    pub json: bool,
}
