//! `consentry policy waf`: the filter's rules, tried without a gateway.

mod explain;
mod sent;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use domain::{Clock, Date, SystemClock};
use serde::Deserialize;
use serde_json::json;
use waf::seclang::EngineMode;
use waf::{Budget, RuleSet, Settings, Sources};

use crate::cli::{FilterFilesArgs, WafCommand};
use crate::filter::policy::FilterPolicy;
use crate::filter::{FilterMode, GatewayFilter};
use crate::read;
use sent::Sent;

/// Runs one of them.
pub(crate) async fn run(command: WafCommand) -> anyhow::Result<ExitCode> {
    let today = domain::utc_day(SystemClock.now());
    match command {
        WafCommand::Test { folder, filter_policy } => test(&folder, filter_policy, today),
        WafCommand::Crs { folder, json } => crs(&folder, json, today),
        WafCommand::Replay { file, filter_files, json } => {
            replay(&file, &*opened(FilterMode::Block, filter_files)?, json)
        }
        WafCommand::Explain { file, filter_files, filter, json } => {
            explain::run(&file, &*opened(filter, filter_files)?, json).await
        }
    }
}

/// The filter that a gateway would have.
fn opened(mode: FilterMode, files: FilterFilesArgs) -> anyhow::Result<Arc<GatewayFilter>> {
    GatewayFilter::of(mode, false, files.into(), Arc::new(SystemClock))?.context("the filter is off")
}

fn ended(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn test(folder: &Path, policy: Option<PathBuf>, today: Date) -> anyhow::Result<ExitCode> {
    let beside = || Some(folder.join("filter.toml")).filter(|file| file.exists());
    let policy = FilterPolicy::read(policy.or_else(beside).as_deref())?;
    let report = waf::policy::test(folder, &policy.bare_settings(today))?;
    let mut out = std::io::stdout();
    for expired in policy.expired(today) {
        writeln!(out, "{expired}")?;
    }
    writeln!(out, "{report}")?;
    Ok(ended(report.failures.is_empty()))
}

/// The tests of a release of the Core Rule Set, with its own rules.
fn crs(folder: &Path, as_json: bool, today: Date) -> anyhow::Result<ExitCode> {
    let sources = Sources::engine().and(Sources::folder(folder)?);
    let mut settings = Settings::new(today).at_level(4);
    for (name, value) in waf::regression::EXPECTED_VARIABLES {
        settings = settings.with(name, value);
    }
    // Everything is to be found, whatever it costs.
    settings.mode = Some(EngineMode::DetectionOnly);
    settings.budget = Budget { bytes: 1 << 20, values: 2_000, work: 1 << 28 };
    let (rules, _) = RuleSet::load(&sources, &settings)?;
    let report = waf::regression::run(folder, &rules)?;
    if !as_json {
        writeln!(std::io::stdout(), "{report}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let categories: std::collections::BTreeSet<u16> = report.tallies.keys().map(|(of, _)| *of).collect();
    let tally = |tally: waf::regression::Tally| json!({ "passed": tally.passed, "failed": tally.failed });
    let by_category: serde_json::Map<_, _> =
        categories.into_iter().map(|of| (of.to_string(), tally(report.category(of, 2)))).collect();
    let failures: Vec<_> = report.failures.iter().map(|failure| failure.test.as_str()).collect();
    let levels = json!({ "levels_1_2": tally(report.total(2)), "levels_1_4": tally(report.total(4)) });
    let told = json!({ "total": levels, "categories": by_category, "failures": failures });
    writeln!(std::io::stdout(), "{told}")?;
    Ok(ExitCode::SUCCESS)
}

/// Plays requests through the edge, short of the token check.
fn replay(file: &Path, filter: &GatewayFilter, as_json: bool) -> anyhow::Result<ExitCode> {
    let (mut total, mut right, mut wrong) = (0_usize, 0_usize, Vec::new());
    let text = read(file)?;
    let mut out = std::io::stdout();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let request: Replayed = serde_json::from_str(line)
            .with_context(|| format!("{}:{} is no request", file.display(), number.saturating_add(1)))?;
        let judged = request.sent.through(filter);
        total = total.saturating_add(1);
        if judged.is_err() == (request.expect == Expected::Block) {
            right = right.saturating_add(1);
        } else {
            if !as_json {
                let why = judged.err().unwrap_or_else(|| "let through".to_owned());
                writeln!(out, "{}: {why}", request.id)?;
            }
            wrong.push(request.id);
        }
    }
    if as_json {
        writeln!(out, "{}", json!({ "total": total, "right": right, "wrong": wrong }))?;
    } else {
        writeln!(out, "{right} of {total} as expected")?;
    }
    Ok(ended(wrong.is_empty()))
}

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Block,
}

/// One request of a file that is played through the edge.
#[derive(Debug, Deserialize)]
struct Replayed {
    /// Its name in the report.
    id: String,
    expect: Expected,
    #[serde(flatten)]
    sent: Sent,
}
