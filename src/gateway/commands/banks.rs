//! `consentry banks`.

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use connect::{BankFilter, Profile, Registry};
use domain::InstitutionId;
use serde_json::json;
use store::{GlobalStore, StoreError};

use super::{discover, probe, profiles, register, replay};
use crate::cli::BanksCommand;
use crate::service::directory;
use crate::service::state::require_state;

/// Runs one of the commands.
pub(crate) async fn run(command: BanksCommand) -> anyhow::Result<ExitCode> {
    match command {
        BanksCommand::List { country, q, json } => list(country.as_deref(), q, json),
        BanksCommand::Show { id } => show(&id),
        BanksCommand::New(args) => profiles::new(&args),
        BanksCommand::Lint { files, plugins } => profiles::lint(&files, &plugins),
        BanksCommand::Test { files, plugins } => profiles::test(&files, &plugins),
        BanksCommand::Diff { left, right, json } => profiles::diff(&left, &right, json),
        BanksCommand::Schema => profiles::schema(),
        BanksCommand::Read { file, json } => replay::read(&file, None, json),
        BanksCommand::Probe(args) => probe::run(*args).await,
        BanksCommand::Record(args) => probe::record(*args).await,
        BanksCommand::Score(args) => probe::score(*args, None).await,
        BanksCommand::Replay(args) => replay::run(&args),
        BanksCommand::Register(args) => register::register(*args).await,
        BanksCommand::Registration(command) => register::manage(*command).await,
        BanksCommand::Discover(args) => discover::run(*args).await,
        BanksCommand::Import { file, data_dir } => import(&file, &data_dir).await,
    }
}

pub(super) fn embedded() -> Registry {
    Registry::embedded(dialects::all())
}

fn list(country: Option<&str>, q: Option<String>, as_json: bool) -> anyhow::Result<ExitCode> {
    let country = country.map(str::parse).transpose().context("--country")?;
    let filter = BankFilter { country, text: q, ..BankFilter::default() };
    let mut out = std::io::stdout().lock();
    let banks = embedded().list(&filter, None, usize::MAX);
    for bank in &banks {
        if as_json {
            writeln!(
                out,
                "{}",
                json!({
                    "id": bank.id.as_str(),
                    "name": bank.name,
                    "brand_group": bank.brand_group,
                    "environment": bank.environment.as_str(),
                    "connectable": bank.connectable(),
                    "quirks": bank.quirks.iter().count(),
                })
            )?;
        } else {
            writeln!(
                out,
                "{:<46} {:<34} {:<8} {:>2} quirks  {}",
                bank.id.as_str(),
                bank.name,
                bank.environment.as_str(),
                bank.quirks.iter().count(),
                if bank.connectable() {
                    "ready".to_owned()
                } else {
                    format!("needs {}", bank.missing.join(", "))
                },
            )?;
        }
    }
    if !as_json {
        writeln!(out, "{} banks", banks.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(id: &str) -> anyhow::Result<ExitCode> {
    let id: InstitutionId = id.parse()?;
    let profile =
        embedded().profile(&id).with_context(|| format!("no bank is called {id}; try banks list"))?;
    let mut out = std::io::stdout().lock();
    describe(&mut out, &profile)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(out: &mut impl Write, profile: &Profile) -> anyhow::Result<()> {
    let mut line = |name: &str, value: String| writeln!(out, "{name:<18} {value}");
    line("id", profile.id.to_string())?;
    line("name", profile.name.clone())?;
    line("group", profile.brand_group.clone())?;
    line("environment", profile.environment.as_str().to_owned())?;
    line("region", profile.region.to_string())?;
    line("countries", profile.countries.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))?;
    line("dialect", profile.dialect.clone())?;
    let capabilities: Vec<_> = profile.capabilities.iter().map(|capability| capability.as_str()).collect();
    line("capabilities", capabilities.join(", "))?;
    for (name, api) in [
        ("accounts API", &profile.accounts_api),
        ("payments API", &profile.payments_api),
        ("funds API", &profile.funds_api),
    ] {
        if let Some(api) = api {
            line(name, format!("{} ({})", api.url, api.version))?;
        }
    }
    if let Some(address) = &profile.payees.address {
        line("payees API", address.to_string())?;
    }
    if let Some(issuer) = profile.authorization_server.as_ref().and_then(|server| server.issuer.clone()) {
        line("issuer", issuer)?;
    }
    let ready = if profile.connectable() {
        "yes".to_owned()
    } else {
        format!("needs {}", profile.missing.join(", "))
    };
    line("connectable", ready)?;
    if let Some(note) = &profile.note {
        line("note", note.clone())?;
    }
    for quirk in profile.quirks.iter() {
        let parameters: Vec<String> =
            quirk.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        line(
            "quirk",
            format!("{} at {} {}", quirk.name.as_str(), quirk.at.join(" "), parameters.join(", ")),
        )?;
        line("", quirk.name.description().to_owned())?;
        if let (Some(unchecked), Some(reason)) = (quirk.weakens(), profile.allow_weaker.get(&quirk.name)) {
            line("", format!("weakens a check: {unchecked}; allowed because {reason}"))?;
        }
    }
    Ok(())
}

async fn import(file: &Path, data_dir: &Path) -> anyhow::Result<ExitCode> {
    require_state(data_dir)?;
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let bar = Bar::new(opened.metadata()?.len());
    let reader = BufReader::new(Counted { inner: opened, read: Arc::clone(&bar.read) });
    let url = format!("sqlite://{}", data_dir.join("global.sqlite").display());
    let store = GlobalStore::open(&url).await.context("the sandbox's database cannot be opened")?;
    let mut entries = Vec::new();
    let report = connect::directory::import(reader, |lines| bar.show(lines), |entry| entries.push(entry))
        .with_context(|| format!("{} cannot be read", file.display()))?;
    // What is put twice is there once.
    store::transaction!(keyed store, tx => {
        for entry in &entries {
            tx.put_directory_entry(&entry.id, &directory::line_of(entry)).await?;
        }
        Ok::<_, StoreError>(())
    })?;
    store.close().await;
    bar.finish();
    for skipped in &report.skipped {
        println!("line {}: skipped: {}", skipped.line, skipped.reason);
    }
    println!("{} imported, {} skipped", report.imported, report.skipped.len());
    Ok(ExitCode::SUCCESS)
}

/// A progress bar on the terminal, by the share of the file that was read.
struct Bar {
    read: Arc<AtomicU64>,
    total: u64,
    terminal: bool,
}

/// Width of the bar in characters.
const WIDTH: usize = 40;

impl Bar {
    fn new(total: u64) -> Self {
        Self { read: Arc::default(), total: total.max(1), terminal: std::io::stderr().is_terminal() }
    }

    fn show(&self, lines: usize) {
        if self.terminal {
            let percent = self.read.load(Ordering::Relaxed).saturating_mul(100) / self.total;
            let done = usize::try_from(percent.min(100)).unwrap_or(100).saturating_mul(WIDTH) / 100;
            let (full, empty) = ("#".repeat(done), " ".repeat(WIDTH.saturating_sub(done)));
            eprint!("\r[{full}{empty}] {percent:>3} %  {lines} lines");
        }
    }

    fn finish(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}
