//! `consentry banks read` and `consentry banks replay`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use connect::Profile;
use dialects::recorded::{Difference, ReadOutcome, Shapes, Tally, read_exchange};
use flate2::read::GzDecoder;
use serde_json::json;

use super::bank_access::profile_of;
use crate::cli::ReplayArgs;

/// Runs `consentry banks replay`.
pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    if let Some(old) = &args.against {
        return compare(&args.file, old, args.json);
    }
    let profile = args.profile.as_ref().map(|file| profile_of(file, args.bank.as_deref())).transpose()?;
    read(&args.file, profile.as_ref(), args.json)
}

fn compare(file: &Path, old: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let differences = shapes(file)?.since(&shapes(old)?);
    let mut out = std::io::stdout().lock();
    for difference in &differences {
        let Difference { bank, operation, path, change } = difference;
        if as_json {
            let (code, detail) = (change.code(), change.to_string());
            let line = json!({ "bank": bank, "operation": operation, "path": path, "change": code, "detail": detail });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{bank} {operation} {path}: {change}")?;
        }
    }
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shapes(file: &Path) -> anyhow::Result<Shapes> {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).with_context(|| format!("{} cannot be read", file.display()))?;
    Shapes::of(&text).with_context(|| format!("{} is no recording", file.display()))
}

/// Reads a recording: what each exchange becomes, and how many went which way.
pub(super) fn read(file: &Path, profile: Option<&Profile>, only_tally: bool) -> anyhow::Result<ExitCode> {
    let reader = BufReader::new(open(file)?);
    let mut tally = Tally::default();
    let mut out = std::io::stdout().lock();
    for (number, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("{} cannot be read", file.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let outcome = read_exchange(&line, profile);
        tally.add(&outcome);
        if !only_tally {
            let number = number.saturating_add(1);
            match &outcome {
                ReadOutcome::Parsed { what, items } => writeln!(out, "{number}: {what}, {items}")?,
                ReadOutcome::TypedError(error) => writeln!(out, "{number}: error: {error}")?,
                ReadOutcome::Unread => writeln!(out, "{number}: UNREAD")?,
            }
        }
    }
    writeln!(
        out,
        "{}",
        json!({
            "total": tally.total,
            "parsed": tally.parsed,
            "typed_errors": tally.typed_errors,
            "unread": tally.unread,
        })
    )?;
    Ok(if tally.unread == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens a file, unpacked if it is gzip.
fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    let opened = || File::open(file).with_context(|| format!("{} cannot be read", file.display()));
    let mut magic = [0; 2];
    let gzip = opened()?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = opened()?;
    Ok(if gzip { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
}
