//! `consentry erase`, `consentry export` and `consentry retention`: what a person may ask for,
//! and what the law asks for.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use domain::{AccountIdentification, Clock, SortCodeAccount, SystemClock};
use serde_json::{Value, json};
use store::erasure::{Erased, Subject};
use store::persons::Known;
use store::{StoreError, Stores};

use crate::cli::{EraseArgs, ExportArgs, RetentionCommand, SelectionArgs};
use crate::retention::Retention;
use crate::{read_or_piped, stores};

/// Erases.
pub(crate) async fn erase(args: EraseArgs) -> anyhow::Result<ExitCode> {
    let stores = stores::open_for(&args.at).await?;
    let done = erase_all(&stores, &args).await;
    stores.close().await;
    done
}

async fn erase_all(stores: &Stores, args: &EraseArgs) -> anyhow::Result<ExitCode> {
    let chosen = select(stores, &args.selection).await?;
    let (mut out, mut left) = (std::io::stdout().lock(), false);
    for subject in &chosen {
        let store = stores.region(subject.region()).context("its region is not held here")?;
        let told = match store.erase(*subject, &args.reason, SystemClock.now()).await? {
            Erased::Gone => "erased".to_owned(),
            Erased::Unknown => "is not there".to_owned(),
            Erased::NotOver(stands) => {
                left = true;
                format!("stays: it is {stands}, and has to be ended first")
            }
            Erased::Held(reason) => {
                left = true;
                format!("stays: it is held ({reason})")
            }
        };
        writeln!(out, "{subject} {told}")?;
    }
    writeln!(out, "{} found", chosen.len())?;
    Ok(if left { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Exports.
pub(crate) async fn export(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let stores = stores::open_for(&args.at).await?;
    let exported = export_all(&stores, &args.selection).await;
    stores.close().await;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&exported?)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn export_all(stores: &Stores, selection: &SelectionArgs) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    for subject in select(stores, selection).await? {
        let store = stores.region(subject.region()).context("its region is not held here")?;
        all.extend(store.export(subject).await?);
    }
    Ok(json!({ "exported_at": SystemClock.now().to_string(), "kept": all }))
}

/// What is meant, each once.
async fn select(stores: &Stores, selection: &SelectionArgs) -> anyhow::Result<BTreeSet<Subject>> {
    let SelectionArgs { ids, accounts, logins, region } = selection;
    if ids.is_empty() && accounts.is_none() && logins.is_none() {
        bail!("nothing is named: give ids, --accounts or --logins");
    }
    let mut chosen: BTreeSet<_> = ids.iter().copied().collect();
    let mut known = Vec::new();
    if let Some(file) = accounts {
        for (number, line) in lines(file)?.iter().enumerate() {
            let place = || {
                format!(
                    "line {} of --accounts is no IBAN and no sort code with account number",
                    number.saturating_add(1)
                )
            };
            known.push(Wanted::Account(account(line).with_context(place)?));
        }
    }
    if let Some(file) = logins {
        known.extend(lines(file)?.into_iter().map(Wanted::Login));
    }
    for store in stores.regions() {
        for wanted in &known {
            let known = match wanted {
                Wanted::Account(account) => Known::Account(account),
                Wanted::Login(name) => Known::Login(name),
            };
            chosen.extend(store.subjects_of(known).await?);
        }
    }
    chosen.retain(|subject| region.is_none_or(|only| subject.region() == only));
    Ok(chosen)
}

enum Wanted {
    Account(AccountIdentification),
    Login(String),
}

/// An account as somebody writes it.
fn account(line: &str) -> Option<AccountIdentification> {
    let joined: String = line.chars().filter(|it| !matches!(it, ' ' | '-')).collect();
    if let Ok(iban) = joined.parse() {
        return Some(AccountIdentification::Iban(iban));
    }
    let (sort_code, number) = joined.split_at_checked(6)?;
    SortCodeAccount::new(sort_code, number).ok().map(AccountIdentification::SortCode)
}

/// Lines that say something.
fn lines(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = read_or_piped(file)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Does something about the time that data is kept.
pub(crate) async fn retention(command: RetentionCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match command {
        RetentionCommand::Rules { retention } => {
            for (class, rule) in Retention::of(retention.as_deref())?.rules() {
                writeln!(out, "{class:<9} {:>5} days  {}", rule.keep_days, rule.what)?;
                writeln!(out, "{:>22}because {}", "", rule.why)?;
            }
        }
        RetentionCommand::Run { retention, at } => {
            let rules = Retention::of(retention.as_deref())?;
            let stores = stores::open_for(&at).await?;
            let removed = rules.keep(&stores, SystemClock.now()).await;
            stores.close().await;
            let removed = removed?;
            writeln!(out, "{} erased, {} events and answers deleted", removed.erased, removed.deleted)?;
        }
        RetentionCommand::Hold { id, reason, at } => {
            let stores = stores::open_for(&at).await?;
            let held = stores.region(id.region())?.hold(id, &reason, SystemClock.now()).await;
            stores.close().await;
            match held {
                Ok(()) => writeln!(out, "{id} is held ({reason}) until it is released")?,
                Err(StoreError::Conflict) => bail!("{id} is held already"),
                Err(StoreError::NotFound) => bail!("there is no {id}"),
                Err(error) => return Err(error.into()),
            }
        }
        RetentionCommand::Release { id, at } => {
            let stores = stores::open_for(&at).await?;
            let released = stores.region(id.region())?.release(id).await;
            stores.close().await;
            match released {
                Ok(()) => writeln!(out, "{id} is held no more")?,
                Err(StoreError::NotFound) => bail!("{id} is not held"),
                Err(error) => return Err(error.into()),
            }
        }
        RetentionCommand::Holds { at } => {
            let stores = stores::open_for(&at).await?;
            let mut held = Vec::new();
            for store in stores.regions() {
                held.extend(store.holds().await?);
            }
            stores.close().await;
            for hold in &held {
                writeln!(out, "{} since {} ({})", hold.subject, hold.since, hold.reason)?;
            }
            writeln!(out, "{} held", held.len())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
