//! `consentry conformance`.

use std::path::PathBuf;
use std::process::ExitCode;

use ::conformance::cli as judge;
use clap::{Args, Subcommand};

use super::ProbeArgs;
use crate::commands;

/// Whether a target does what standards and its own description say.
#[derive(Debug, Args)]
pub struct ConformanceArgs {
    /// The command.
    #[command(subcommand)]
    pub command: ConformanceCommand,
}

/// What can be done about conformance.
#[derive(Debug, Subcommand)]
pub enum ConformanceCommand {
    /// Judge a live bank as its profile describes it, by reading only: one authorisation, a few
    /// calls one after the other, nothing ordered. You give the consent.
    Bank(Box<BankArgs>),
    /// What the judge does.
    #[command(flatten)]
    Judged(Box<judge::ConformanceCommand>),
}

/// Which bank, and where its scorecard goes.
#[derive(Debug, Args)]
pub struct BankArgs {
    /// As for `consentry banks score`.
    #[command(flatten)]
    pub probe: ProbeArgs,
    /// Write the scorecard here (JSON), too.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Does what the command says.
pub(super) async fn run(args: ConformanceArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ConformanceCommand::Bank(args) => commands::probe::score(args.probe, args.out.as_deref()).await,
        ConformanceCommand::Judged(command) => judge::run(judge::ConformanceArgs { command: *command }).await,
    }
}
