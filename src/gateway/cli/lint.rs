//! `consentry lint`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::conformance::lint::cli as judge;
use clap::{Args, Subcommand};

use super::{BanksCommand, PluginFolderArgs};
use crate::commands;

/// What to look at.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// What it is.
    #[command(subcommand)]
    pub command: LintCommand,
}

/// What can be looked at.
#[derive(Debug, Subcommand)]
pub enum LintCommand {
    /// Bank profiles, as `consentry banks lint` does.
    Profile {
        /// Profile files (TOML or YAML), or folders of them; without any, those of the binary.
        files: Vec<PathBuf>,
        /// Where plugins lie.
        #[command(flatten)]
        plugins: PluginFolderArgs,
    },
    /// What the judge looks at.
    #[command(flatten)]
    Judged(judge::LintCommand),
}

/// Looks, and prints what was found.
pub(super) async fn run(args: LintArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        LintCommand::Profile { files, plugins } => {
            commands::banks::run(BanksCommand::Lint { files, plugins }).await
        }
        LintCommand::Judged(command) => judge::run(judge::LintArgs { command }).await,
    }
}
