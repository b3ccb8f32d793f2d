//! `consentry doctor`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{Config, variables};
use crate::doctor::{self, Verdict};

/// Looks at everything and says how it is. Fails if anything does not work.
pub(crate) async fn run(file: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = Config::read(file, &variables())?;
    let found = doctor::examine(&config).await;
    let mut out = std::io::stdout().lock();
    let worst = found.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good);
    if as_json {
        writeln!(out, "{}", json!({ "verdict": worst, "findings": found }))?;
    } else {
        for finding in &found {
            let sign = match finding.verdict {
                Verdict::Good => "ok  ",
                Verdict::Doubtful => "look",
                Verdict::Bad => "BAD ",
            };
            writeln!(out, "{sign}  {}: {}", finding.what, finding.says)?;
        }
        let bad = found.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
        let doubtful = found.iter().filter(|finding| finding.verdict == Verdict::Doubtful).count();
        writeln!(out, "{} things looked at, {bad} bad, {doubtful} to look at", found.len())?;
    }
    Ok(if worst == Verdict::Bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
