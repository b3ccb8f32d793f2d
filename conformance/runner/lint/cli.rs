//! The lints at the command line.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use url::Url;

use super::certificate::{self, Kind};
use super::webhook::{Receiver, SigningKey, Trust, check_receiver};
use super::{Finding, Severity, openapi};
use crate::clock::Clock;

/// Says what is wrong with a certificate, a description or a receiver of webhooks.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// What to look at.
    #[command(subcommand)]
    pub command: LintCommand,
}

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum LintCommand {
    /// Certificates of PSD2: QWAC, QSealC, OBWAC and OBSeal.
    Certificate {
        /// Files in PEM, the certificate first and its issuers after it, or in DER.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What the certificates have to be.
        #[arg(long = "as", value_enum, default_value_t = As::Auto)]
        kind: As,
        /// The moment to judge them at, such as 2026-06-01T00:00:00Z; now without it.
        #[arg(long)]
        at: Option<jiff::Timestamp>,
        /// JSON in place of text.
        #[arg(long)]
        json: bool,
    },
    /// A description of an interface: OpenAPI 3.0 or 3.1 in JSON.
    Openapi {
        /// The description.
        file: PathBuf,
        /// JSON in place of text.
        #[arg(long)]
        json: bool,
    },
    /// A receiver of webhooks that is running (Standard Webhooks 1.0). It will be sent deliveries.
    WebhookReceiver {
        /// Where it listens.
        url: Url,
        /// A file with the secret, whsec_….
        #[arg(long, required_unless_present = "key_file", conflicts_with = "key_file")]
        secret_file: Option<PathBuf>,
        /// A file with an Ed25519 key, whsk_… or PKCS#8 in PEM.
        #[arg(long)]
        key_file: Option<PathBuf>,
        /// A PEM file with the authorities to trust in place of the system's.
        #[arg(long)]
        ca: Option<PathBuf>,
        /// JSON in place of text.
        #[arg(long)]
        json: bool,
    },
}

/// What certificates have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum As {
    /// What they look like.
    Auto,
    /// A qualified certificate for connections.
    Qwac,
    /// A qualified certificate for seals.
    Qseal,
    /// The Open Banking directory's certificate for connections.
    Obwac,
    /// The Open Banking directory's certificate for seals.
    Obseal,
}

impl As {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Qwac => Some(Kind::Qwac),
            Self::Qseal => Some(Kind::QSeal),
            Self::Obwac => Some(Kind::Obwac),
            Self::Obseal => Some(Kind::ObSeal),
        }
    }
}

/// What was found out about one thing.
#[derive(Serialize)]
struct Report {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    findings: Vec<Finding>,
}

impl Report {
    fn new(subject: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self { subject: subject.into(), kind: None, unread: None, findings }
    }

    fn unread(subject: impl Into<String>, why: String) -> Self {
        Self { unread: Some(why), ..Self::new(subject, Vec::new()) }
    }
}

/// Looks, prints what was found, and ends with 0, with 1 where there are errors, or with 2 where
/// a file could not be read.
///
/// # Errors
///
/// If nothing can be printed.
pub async fn run(args: LintArgs) -> anyhow::Result<ExitCode> {
    let (reports, json) = match args.command {
        LintCommand::Certificate { files, kind, at, json } => {
            let at = at.unwrap_or_else(Clock::machine).as_second();
            let one = |file: &PathBuf| {
                of_file(file, |bytes| {
                    let judged = certificate::check(bytes, kind.kind(), at);
                    Report { kind: judged.kind, ..Report::new("", judged.findings) }
                })
            };
            (files.iter().map(one).collect(), json)
        }
        LintCommand::Openapi { file, json } => {
            (vec![of_file(&file, |bytes| Report::new("", openapi::check(bytes)))], json)
        }
        LintCommand::WebhookReceiver { url, secret_file, key_file, ca, json } => {
            let report = match signing_key(secret_file.as_deref(), key_file.as_deref()) {
                Ok(key) => {
                    let trust = ca.map_or(Trust::System, Trust::File);
                    let receiver = Receiver { trust, ..Receiver::new(url, key) };
                    let findings = check_receiver(&receiver, &Clock::default()).await;
                    Report::new(receiver.url, findings)
                }
                Err(why) => Report::unread(url, format!("{why:#}")),
            };
            (vec![report], json)
        }
    };
    print(&reports, json)?;
    Ok(code(&reports))
}

fn of_file(file: &Path, judge: impl FnOnce(&[u8]) -> Report) -> Report {
    let subject = file.display().to_string();
    match fs::read(file) {
        Ok(bytes) => Report { subject, ..judge(&bytes) },
        Err(why) => Report::unread(subject, why.to_string()),
    }
}

fn signing_key(secret: Option<&Path>, key: Option<&Path>) -> anyhow::Result<SigningKey> {
    let read =
        |file: &Path| fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
    match (secret, key) {
        (Some(file), _) => Ok(SigningKey::secret(&read(file)?)?),
        (None, Some(file)) => Ok(SigningKey::private(&read(file)?)?),
        (None, None) => anyhow::bail!("a secret or a key is needed"),
    }
}

fn code(reports: &[Report]) -> ExitCode {
    let has_error = |report: &Report| report.findings.iter().any(|one| one.severity == Severity::Error);
    if reports.iter().any(|report| report.unread.is_some()) {
        ExitCode::from(2)
    } else if reports.iter().any(has_error) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

fn print(reports: &[Report], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, reports)?;
        writeln!(out)?;
        return Ok(());
    }
    for report in reports {
        out.write_all(text(report).as_bytes())?;
    }
    Ok(())
}

/// One report for people: the worst first, what breaks the same rule together.
fn text(report: &Report) -> String {
    let kind = report.kind.map(|kind| format!(" ({})", kind.as_str())).unwrap_or_default();
    let mut out = format!("{}{kind}\n", report.subject);
    if let Some(why) = &report.unread {
        return out + &format!("  cannot be read: {why}\n");
    }
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|one| one.severity);
    for finding in &findings {
        out += &format!("  {:<8}{:<34}{}\n", finding.severity.as_str(), finding.rule, finding.says);
        let mut line = |name: &str, text: &str| out += &format!("{:42}{name}: {text}\n", "");
        if let Some(at) = finding.at.as_deref().filter(|at| !at.is_empty()) {
            line("at", at);
        }
        if let Some(meant) = &finding.meant {
            line("meant", meant);
        }
        line("see", &finding.clause);
    }
    let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
    if findings.is_empty() {
        return out + "  nothing to say\n";
    }
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    out + &format!("  errors: {errors}, warnings: {warnings}, notes: {notes}\n")
}
