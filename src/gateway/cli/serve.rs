//! What is said of a configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The file (TOML). Without one, the environment says it all.
    #[arg(long, env = "CONSENTRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read it and every file that it names, as a start would, and say what is wrong. Exits with 1 if
    /// anything is.
    Check(ConfigArgs),
    /// Show what holds: the file, the environment, and the defaults for the rest. Addresses that may
    /// hold secrets are not shown.
    Show(ConfigArgs),
    /// Print the file with every value there is, what it is for, and its default.
    Example,
    /// Print the JSON Schema of the file.
    Schema,
}
