//! `consentry config`.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{ConfigArgs, ConfigCommand};
use crate::config::{Config, annotated, schema, variables};
use crate::serve;

/// Runs one of the commands.
pub(crate) async fn run(command: ConfigCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match command {
        ConfigCommand::Check(ConfigArgs { config }) => {
            let config = Config::read(config.as_deref(), &variables())?;
            let wrong = serve::check(&config).await;
            for (what, why) in &wrong {
                writeln!(out, "{what}: {why}")?;
            }
            if !wrong.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            writeln!(out, "The configuration can be used ({}).", config.digest())?;
        }
        ConfigCommand::Show(ConfigArgs { config }) => {
            for (name, value) in Config::read(config.as_deref(), &variables())?.values() {
                writeln!(out, "{name} = {value}")?;
            }
        }
        ConfigCommand::Example => write!(out, "{}", annotated())?,
        ConfigCommand::Schema => writeln!(out, "{}", serde_json::to_string_pretty(&schema())?)?,
    }
    Ok(ExitCode::SUCCESS)
}
