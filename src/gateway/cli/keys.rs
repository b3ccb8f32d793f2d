//! `consentry keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::Region;

use super::StoreArgs;
use crate::keys::Purpose;

/// What to do with keys.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// The command.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What can be done with keys. A running sandbox takes changes up by itself.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make the keys that are missing, for all processes that are to share them: id_tokens, webhooks,
    /// regions, audit logs.
    Init(super::ConfigArgs),
    /// List the keys: next, current, retired.
    List {
        /// Whose.
        #[arg(long = "use", value_enum, default_value = "id-tokens")]
        purpose: Purpose,
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Make a new key that takes over.
    Rotate {
        /// What it signs.
        #[arg(long = "use", value_enum, default_value = "id-tokens")]
        purpose: Purpose,
        /// What the new key signs with. id_tokens are PS256 and webhooks EdDSA, so far.
        #[arg(long, value_name = "ALGORITHM", value_parser = ["PS256", "ES256", "EdDSA"])]
        alg: Option<String>,
        /// When, and where.
        #[command(flatten)]
        change: KeyChangeArgs,
    },
    /// The keys that wrap the data keys of a region.
    #[command(subcommand)]
    Region(RegionKeysCommand),
    /// Let a key that is on a PKCS#11 token (an HSM) take over.
    AddPkcs11 {
        /// Which key.
        #[command(flatten)]
        on: TokenKeyArgs,
        /// When, and where.
        #[command(flatten)]
        change: KeyChangeArgs,
    },
}

/// What can be done with the keys that wrap a region's data keys.
#[derive(Debug, Subcommand)]
pub enum RegionKeysCommand {
    /// List the keys of the regions.
    List {
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
    },
    /// Make a new key that takes over; what the former one wraps is wrapped anew by a running
    /// sandbox.
    Rotate {
        /// Of which region.
        #[arg(long)]
        region: Region,
        /// In how long: every process has to have read it by then.
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        takes_over_in: u32,
        /// Make it on the token that to-pkcs11 has named: it never leaves that, which wraps and unwraps
        /// each data key.
        #[arg(long)]
        on_token: bool,
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
    },
    /// Seal the keys of a region under a key that a PKCS#11 token (an HSM) keeps. Backups of
    /// before hold them as they are: rotate afterwards.
    ToPkcs11 {
        /// Of which region.
        #[arg(long)]
        region: Region,
        /// Which key.
        #[command(flatten)]
        on: TokenKeyArgs,
        /// Make the key on the token.
        #[arg(long)]
        make: bool,
        /// Where the sandbox keeps its state.
        #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
        data_dir: PathBuf,
    },
    /// Take out a key that wraps nothing any more. Backups of wrapped keys that are older
    /// cannot be read then.
    Drop {
        /// Of which region.
        #[arg(long)]
        region: Region,
        /// Its number.
        number: u32,
        /// Where it is kept, and what it may still wrap.
        #[command(flatten)]
        at: StoreArgs,
    },
}

/// A key on a PKCS#11 token.
#[derive(Debug, Args)]
pub struct TokenKeyArgs {
    /// The library of the token's maker.
    #[arg(long, value_name = "FILE")]
    pub module: PathBuf,
    /// Label of the token.
    #[arg(long, value_name = "LABEL")]
    pub token: String,
    /// Label of the key on it; the one that both halves of a pair share.
    #[arg(long, value_name = "LABEL")]
    pub key: String,
    /// File that holds the PIN. It is read again at every start.
    #[arg(long, value_name = "FILE")]
    pub pin_file: PathBuf,
}

/// How a new key takes over.
#[derive(Debug, Args)]
pub struct KeyChangeArgs {
    /// Where the sandbox keeps its state.
    #[arg(long, default_value = "./.consentry", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// How long the new key is published before it signs. Clients may keep the
    /// key set for 300 seconds; 0 is for a key that must not sign any more.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub publish_first: u32,
    /// How long the former key stays published after it signed last.
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
    pub overlap: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
