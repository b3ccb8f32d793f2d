//! `consentry serve`, `consentry worker` and `consentry migrate`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{Config, variables};
use crate::log::Level;
use crate::serve::{self, Role};

/// Serves until somebody stops it.
pub(crate) async fn run(file: Option<PathBuf>, level: Level, role: Role) -> anyhow::Result<ExitCode> {
    let config = Config::read(file.as_deref(), &variables())?;
    serve::run(file, config, level, role).await?;
    Ok(ExitCode::SUCCESS)
}

/// Brings every schema up to date.
pub(crate) async fn migrate(file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let config = Config::read(file.as_deref(), &variables())?;
    let done = serve::migrate(&config).await?;
    let mut out = std::io::stdout();
    for (database, migrations) in done {
        writeln!(out, "{database:<16} {migrations} migrations made")?;
    }
    Ok(ExitCode::SUCCESS)
}
