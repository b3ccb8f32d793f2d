//! `consentry policy check|test|explain|prove`: the rules of access and residency, tried without a
//! gateway.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Context;
use policy::Engine;
use serde::Serialize;

use crate::cli::AccessCommand;
use crate::read_or_piped;

/// Runs one of them, on a thread where waiting for a solver is in nobody's way.
pub(crate) async fn run(command: AccessCommand) -> anyhow::Result<ExitCode> {
    tokio::task::spawn_blocking(|| answer(command)).await?
}

fn answer(command: AccessCommand) -> anyhow::Result<ExitCode> {
    match command {
        AccessCommand::Check(access) => {
            tell(&policy::check(access.folder.as_deref())?, access.json)?;
            Ok(ExitCode::SUCCESS)
        }
        AccessCommand::Test(access) => {
            let tested = policy::test(access.folder.as_deref())?;
            tell(&tested, access.json)?;
            Ok(if tested.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        AccessCommand::Explain { file, access } => {
            let request = serde_json::from_str(&read_or_piped(&file)?);
            let request = request.with_context(|| format!("{} is no JSON", file.display()))?;
            let engine = Engine::open(access.folder)?;
            tell(&policy::explain(&engine, &request)?, access.json)?;
            Ok(ExitCode::SUCCESS)
        }
        AccessCommand::Prove { mutants, cvc5, access } => {
            tell(&policy::prove(access.folder.as_deref(), &cvc5, mutants)?, access.json)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn tell(what: &(impl Display + Serialize), json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(what)?);
    } else {
        println!("{what}");
    }
    Ok(())
}
