//! `consentry banks probe`, `consentry banks record` and `consentry banks score`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use connect::{Profile, Registry};
use dialects::recorded::Redactor;
use domain::{Clock, SystemClock, SystemEntropy};
use serde_json::Value;
use url::Url;

use super::bank_access::{ChosenBank, Material};
use crate::cli::{ProbeArgs, RecordArgs};
use crate::demo::{Browser, Client};
use crate::plugged::Plugged;
use crate::private_file;
use crate::probe::{Probe, Report, Then};
use crate::scorecard::{self, Pace, Scorecard};
use crate::tape::Tape;

/// Runs the command.
pub(crate) async fn run(args: ProbeArgs) -> anyhow::Result<ExitCode> {
    let profile = ChosenBank::of(&args.access)?.profile;
    let report = probed(&args, &profile, Then::Look).await?;
    finished(&report, args.json)
}

/// Probes, and keeps what the bank tells of accounts.
pub(crate) async fn record(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let out = &args.out;
    if !args.force && out.exists() {
        bail!("{} is there already: --force replaces it", out.display());
    }
    let profile = ChosenBank::of(&args.probe.access)?.profile;
    let tape = Tape::new(Redactor::new(&profile, Arc::new(SystemEntropy)));
    let report = probed(&args.probe, &profile, Then::Record(&tape)).await?;
    let lines = tape.into_lines();
    if !lines.is_empty() {
        let text = lines.join("\n") + "\n";
        if args.force { private_file::replace(out, &text)? } else { private_file::create(out, &text)? }
    }
    finished(&report, args.probe.json)
}

/// Probes, and judges what the bank tells of accounts. The scorecard goes to a file, too, if one is named.
pub(crate) async fn score(args: ProbeArgs, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let profile = ChosenBank::of(&args.access)?.profile;
    let card = Scorecard::default();
    let report = probed(&args, &profile, Then::Examine(&card)).await?;
    if report.refused.is_some() {
        return finished(&report, args.json);
    }
    let (marks, pace) = card.finish();
    let mut line = report.json();
    if let (Some(line), Value::Object(marks)) = (line.as_object_mut(), scorecard::json(&marks, pace)) {
        line.extend(marks);
        line.insert("judged_at".to_owned(), Value::from(SystemClock.now().to_string()));
    }
    if let Some(file) = file {
        std::fs::write(file, format!("{line:#}\n"))
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{line}")?;
        return Ok(ExitCode::SUCCESS);
    }
    for mark in &marks {
        writeln!(out, "  {:<7} {:<24} {}", mark.verdict.word(), mark.name, mark.detail)?;
    }
    let Pace { calls, median_ms, slowest_ms } = pace;
    writeln!(
        out,
        "{} answered {calls} calls in {median_ms} ms (median), {slowest_ms} ms at most.",
        report.bank
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn probed(args: &ProbeArgs, profile: &Profile, then: Then<'_>) -> anyhow::Result<Report> {
    profile.filled()?;
    let registry = Registry::new(dialects::all());
    let plugged = Plugged::open(args.access.plugins.plugins.as_deref())?;
    registry.replace_plugins(plugged.dialects());
    plugged.require(&registry, profile)?;
    let dialect =
        registry.dialect(profile).with_context(|| format!("there is no dialect {}", profile.dialect))?;
    let material = Material::of(&args.access)?;
    let transport = material.transport()?;
    let redirect_uri = match &args.redirect_uri {
        Some(url) => url.clone(),
        None => Url::parse(&format!("https://localhost:8440/callback/{}", profile.id))?,
    };
    let user = profile.sandbox_users.first();
    let name = user.map_or("", |user| user.username.as_str());
    let password = user.map_or("", |user| secrecy::ExposeSecret::expose_secret(&user.password));
    let mut browser = Browser::new(Client::new(&material.roots, None)?, name, password);
    let probe = Probe {
        profile,
        dialect: &*dialect,
        transport: &transport,
        key: &material.signing_key,
        redirect_uri,
        clock: &SystemClock,
        entropy: &SystemEntropy,
        then,
    };
    Ok(probe.run(&mut browser).await)
}

fn finished(report: &Report, as_json: bool) -> anyhow::Result<ExitCode> {
    tell(report, as_json)?;
    Ok(if report.refused.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(report: &Report, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", report.json())?;
        return Ok(());
    }
    for step in &report.steps {
        let note = step.note.as_deref().unwrap_or_default();
        writeln!(out, "  ok    {:<15} {:>5} ms  {note}", step.name, step.ms)?;
    }
    match &report.refused {
        None => writeln!(out, "{} authorised us.", report.bank)?,
        Some((step, why)) => {
            writeln!(out, "  ends  {step:<15}           {why}")?;
            writeln!(out, "Nothing was authorised at {}: {}.", report.bank, why.code())?;
        }
    }
    Ok(())
}
