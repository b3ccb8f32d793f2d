//! `consentry audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::Region;

use super::StoreArgs;

/// What to do with the audit logs.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The command.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with the audit logs.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Find out whether anything was changed, taken out, put in or put elsewhere.
    Verify {
        /// An exported log or a proof, in the place of the store's logs.
        #[arg(requires = "key")]
        file: Option<PathBuf>,
        /// Key of the log, for a file: what `audit/<region>.key` has, from somebody you trust.
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
        /// A checkpoint that was kept elsewhere; may be given several times.
        #[arg(long, value_name = "FILE")]
        checkpoint: Vec<PathBuf>,
        /// Only this region's log.
        #[arg(long)]
        region: Option<Region>,
        /// Where the logs are kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Prove to somebody who has not the log that an entry is in it, or that it has only grown, as JSON.
    Prove {
        /// Which entry, from 0.
        #[arg(required_unless_present = "since")]
        sequence: Option<u64>,
        /// A checkpoint that somebody kept: the log still begins with all that it had then.
        #[arg(long, value_name = "FILE", conflicts_with = "sequence")]
        since: Option<PathBuf>,
        /// Of which region's log.
        #[arg(long)]
        region: Region,
        /// Where the log is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Write a log as lines of JSON, with its hashes and checkpoints.
    Export {
        /// Of which region.
        #[arg(long)]
        region: Region,
        /// Where the log is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
}
