//! `consentry openapi`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

/// Prints the document that is checked in as `openapi/consentry.json`.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let document = api::document().to_pretty_json().context("the document cannot be written as JSON")?;
    writeln!(std::io::stdout(), "{document}")?;
    Ok(ExitCode::SUCCESS)
}
