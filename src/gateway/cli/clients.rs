//! `consentry clients`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::StoreArgs;

/// What to do with clients.
#[derive(Debug, Args)]
pub struct ClientsArgs {
    /// The command.
    #[command(subcommand)]
    pub command: ClientsCommand,
}

/// What can be done with clients. A running sandbox takes changes up by itself:
/// what a command took away is taken away when the command ends.
#[derive(Debug, Subcommand)]
pub enum ClientsCommand {
    /// Register a client.
    Add {
        /// RFC 7591 metadata: a JSON object, or an array of them; - for the
        /// standard input. Without a client_id, one is made.
        file: PathBuf,
        /// The client's certificate (PEM). The organisation and the PSD2 roles
        /// are then what it states, and tls_client_auth means its subject.
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// Replace the metadata of a client that is there already.
        #[arg(long)]
        replace: bool,
        /// Print the metadata in effect, one JSON object per line.
        #[arg(long)]
        json: bool,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// List the clients.
    List {
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
        /// Where they are kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Show the metadata of a client.
    Show {
        /// Its client_id.
        id: String,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Refuse a client and all its tokens, from now until it is activated.
    Suspend {
        /// Its client_id.
        id: String,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Let a suspended client in again.
    Activate {
        /// Its client_id.
        id: String,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Remove a client for good, with its grants and tokens.
    Remove {
        /// Its client_id.
        id: String,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
    /// Show, set or end what a client may pay. Institutions have limits of their own.
    Policy {
        /// Its client_id.
        id: String,
        /// What it may pay from now on (TOML, see docs/clients.md).
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
        /// It may pay whatever its institutions let it.
        #[arg(long, conflicts_with = "set")]
        none: bool,
        /// Where it is kept.
        #[command(flatten)]
        at: StoreArgs,
    },
}
