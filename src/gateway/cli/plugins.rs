//! `consentry plugins`, and where plugins lie.

use std::path::PathBuf;

use clap::Args;
#[cfg(feature = "plugins")]
use clap::Subcommand;

/// Where plugins lie.
#[derive(Clone, Debug, Args)]
pub struct PluginFolderArgs {
    /// Folder of plugins (WebAssembly components), for banks that no dialect fits.
    #[arg(long, env = "CONSENTRY_PLUGINS", value_name = "FOLDER")]
    pub plugins: Option<PathBuf>,
}

/// What to do with plugins.
#[cfg(feature = "plugins")]
#[derive(Debug, Args)]
pub struct PluginsArgs {
    /// The command.
    #[command(subcommand)]
    pub command: PluginsCommand,
}

/// What can be done with plugins.
#[cfg(feature = "plugins")]
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// Make a key that signs plugins (Ed25519). P-256 keys of your own do as well.
    Key {
        /// Where to write the key. What is there is not overwritten.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Where to write its public half: allowed-keys in the folder of the plugins.
        #[arg(long, value_name = "FILE")]
        public: PathBuf,
    },
    /// Sign plugins: writes FILE.sig beside each.
    Sign {
        /// The key (PEM).
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The plugins, NAME.wasm.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Load a folder as the gateway would, and say what is in it or what is wrong.
    Check {
        /// The folder.
        folder: PathBuf,
    },
}
