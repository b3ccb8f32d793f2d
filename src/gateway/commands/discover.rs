//! `consentry banks discover`: what a bank publishes, what of it does not fit the
//! profile, and what has changed since it was kept.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use connect::bank_oauth::{Drift, Metadata, Published};
use serde_json::{Value, json};

use super::bank_access::{ChosenBank, Material};
use crate::cli::DiscoverArgs;
use crate::read;

/// Runs the command.
pub(super) async fn run(args: DiscoverArgs) -> anyhow::Result<ExitCode> {
    let before = args.against.as_deref().map(kept).transpose()?;
    let profile = ChosenBank::of(&args.access)?.profile;
    if Metadata::of_profile(&profile).is_some() {
        bail!("{} publishes no metadata: its profile states what there is", profile.id);
    }
    let transport = Material::of(&args.access)?.transport()?;
    let discovery = transport.discover(&profile, None).await?;
    let published = &discovery.published;
    let misfits = published.misfits(&profile);
    if misfits.is_empty() {
        discovery.metadata(&profile)?;
    }
    let drift = before.map(|before| published.since(&before)).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    if args.json {
        let all = |drifts: &[Drift]| drifts.iter().map(shown).collect::<Vec<_>>();
        let report = json!({
            "bank": profile.id.as_str(),
            "misfits": all(&misfits),
            "drift": all(&drift),
            "metadata": published.to_value(),
        });
        writeln!(out, "{report}")?;
    } else {
        for (what, drifts) in [("does not fit", &misfits), ("has changed", &drift)] {
            for drift in drifts {
                writeln!(out, "{what}: {}: {}{}", drift.member, drift.meaning.sentence(), values(drift))?;
            }
        }
        writeln!(out, "{}: {} that do not fit, {} changes", profile.id, misfits.len(), drift.len())?;
    }
    Ok(if misfits.is_empty() && drift.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a bank published before: a report of this command, or the document alone.
fn kept(file: &Path) -> anyhow::Result<Published> {
    let unreadable = || format!("{} holds no metadata", file.display());
    let mut kept: Value = serde_json::from_str(&read(file)?).with_context(unreadable)?;
    let document = match kept.get_mut("metadata") {
        Some(document) => document.take(),
        None => kept,
    };
    Published::from_value(document).with_context(unreadable)
}

fn shown(drift: &Drift) -> Value {
    json!({
        "member": drift.member,
        "meaning": drift.meaning.as_str(),
        "before": drift.before,
        "now": drift.now,
    })
}

fn values(drift: &Drift) -> String {
    match (&drift.before, &drift.now) {
        (Some(before), Some(now)) => format!(" ({before} -> {now})"),
        (Some(value), None) | (None, Some(value)) => format!(" ({value})"),
        (None, None) => String::new(),
    }
}
