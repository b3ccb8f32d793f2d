//! `consentry erase`, `consentry export` and `consentry retention`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::Region;
use store::erasure::Subject;

use super::StoreArgs;

/// Of whom, or of what.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Ids of consents, payments and mandates.
    #[arg(value_name = "ID")]
    pub ids: Vec<Subject>,
    /// All that name one of these accounts: a file with an IBAN, or a sort code and account
    /// number, a line; - for what is piped in.
    #[arg(long, value_name = "FILE")]
    pub accounts: Option<PathBuf>,
    /// All that were given under one of these login names at a bank: a file with a name a
    /// line; - for what is piped in.
    #[arg(long, value_name = "FILE")]
    pub logins: Option<PathBuf>,
    /// Only in this region.
    #[arg(long)]
    pub region: Option<Region>,
}

/// What to erase.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Of whom.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Why, for the audit log: a code, such as `gdpr-17`.
    #[arg(long, value_name = "CODE", default_value = "request", value_parser = code)]
    pub reason: String,
    /// Where it is kept.
    #[command(flatten)]
    pub at: StoreArgs,
}

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Of whom.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Where it is kept.
    #[command(flatten)]
    pub at: StoreArgs,
}

/// What can be done about the time that data is kept.
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Say how long what is kept, and why.
    Rules {
        /// Other rules, as policies/retention/retention.toml.
        #[arg(long, value_name = "FILE")]
        retention: Option<PathBuf>,
    },
    /// Remove what is kept long enough, now. A running sandbox does it by itself.
    Run {
        /// Other rules, as policies/retention/retention.toml.
        #[arg(long, value_name = "FILE")]
        retention: Option<PathBuf>,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Keep something whatever its time and whoever asks.
    Hold {
        /// Its id.
        id: Subject,
        /// Why: a code, such as the number of a case.
        #[arg(long, value_name = "CODE", value_parser = code)]
        reason: String,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Keep something no longer than its time.
    Release {
        /// Its id.
        id: Subject,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// List what is held.
    Holds {
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
}

/// A reason is a code: a sentence would end up naming somebody.
fn code(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    let ok = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    if ok { Ok(text.to_owned()) } else { Err("up to 64 letters, digits and -_./:".to_owned()) }
}
