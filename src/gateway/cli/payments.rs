//! `consentry payments`.

use clap::{ArgGroup, Args, Subcommand};
use domain::PaymentId;

use super::StoreArgs;

/// What to do with payments.
#[derive(Debug, Args)]
pub struct PaymentsArgs {
    /// The command.
    #[command(subcommand)]
    pub command: PaymentsCommand,
}

/// What can be done with payments. A running sandbox takes changes up by itself.
#[derive(Debug, Subcommand)]
pub enum PaymentsCommand {
    /// List those that a person must look after at their bank.
    Flagged {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        /// Where they are kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Say what became of one, after a look at its bank. It cannot be taken back.
    #[command(group = ArgGroup::new("found").required(true))]
    End {
        /// Its id.
        id: PaymentId,
        /// The bank executed it.
        #[arg(long, group = "found")]
        executed: bool,
        /// The bank did not execute it, and never will.
        #[arg(long, group = "found")]
        not_executed: bool,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
}
