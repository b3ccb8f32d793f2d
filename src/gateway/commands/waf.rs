//! `consentry policy waf`: the filter's rules, tried without a gateway.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use domain::{Clock, Date, SystemClock};
use edge::Filter;
use serde::Deserialize;
use serde_json::json;
use waf::seclang::EngineMode;
use waf::{Budget, RuleSet, Settings, Sources};
use web::MAX_BODY;

use crate::cli::WafCommand;
use crate::filter::{FilterMode, GatewayFilter};
use crate::read;

/// Runs one of them.
pub(crate) fn run(command: WafCommand) -> anyhow::Result<ExitCode> {
    let today = domain::utc_day(SystemClock.now());
    match command {
        WafCommand::Test { folder } => test(&folder, today),
        WafCommand::Crs { folder, json } => crs(&folder, json, today),
        WafCommand::Replay { file, crs, json } => replay(&file, crs.as_deref(), json, today),
    }
}

fn ended(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn test(folder: &Path, today: Date) -> anyhow::Result<ExitCode> {
    let report = waf::policy::test(folder, today)?;
    writeln!(std::io::stdout(), "{report}")?;
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
fn replay(file: &Path, crs: Option<&Path>, as_json: bool, today: Date) -> anyhow::Result<ExitCode> {
    let filter = GatewayFilter::of(FilterMode::Block, false, crs, today)?.context("the filter is off")?;
    let (mut total, mut right, mut wrong) = (0_usize, 0_usize, Vec::new());
    let text = read(file)?;
    let mut out = std::io::stdout();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let request: Replayed = serde_json::from_str(line)
            .with_context(|| format!("{}:{} is no request", file.display(), number.saturating_add(1)))?;
        let judged = request.through(&filter);
        total = total.saturating_add(1);
        if judged.is_err() == (request.expect == "block") {
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

/// One request of a file that is played through the edge.
#[derive(Debug, Deserialize)]
struct Replayed {
    /// Its name in the report.
    id: String,
    /// The method.
    method: String,
    /// Path and query.
    path: String,
    /// Names and values.
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    /// The body.
    #[serde(default)]
    body: Option<String>,
    /// `allow` or `block`.
    expect: String,
}

impl Replayed {
    /// What the edge, short of the token check, says of it: `allow`, or why it is refused.
    fn through(&self, filter: &GatewayFilter) -> Result<(), String> {
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        if body.len() > MAX_BODY {
            return Err("body".to_owned());
        }
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.path.as_str());
        for (name, value) in &self.headers {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                request = request.header(name.as_str(), text);
            }
        }
        if !self.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", "gateway.example");
        }
        // What no HTTP library takes, the listener does not take either.
        let (parts, ()) = request.body(()).map_err(|_| "malformed".to_owned())?.into_parts();
        if let Some(refusal) = edge::fault(&parts, MAX_BODY) {
            return Err(format!("{refusal:?}"));
        }
        let judgement = filter.judge(&parts, &body);
        if !judgement.refused {
            return Ok(());
        }
        Err(judgement.told())
    }
}
