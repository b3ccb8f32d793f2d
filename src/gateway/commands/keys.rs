//! `consentry keys`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use crypto::pkcs11::Place;
use domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::cli::{KeyChangeArgs, KeysCommand};
use crate::keys::{Change, Entry, KeyStore, Plan, Purpose, Source, State};
use crate::sandbox::state::require_sandbox;

/// Runs one of the commands.
pub(crate) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::List { purpose, data_dir, json } => list(&open(&data_dir, purpose)?, json),
        KeysCommand::Rotate { purpose, alg, change } => {
            if let Some(alg) = alg.filter(|alg| alg != purpose.signs().as_str()) {
                bail!("--alg {alg}: {}", purpose.why_only_one());
            }
            let done = open(&change.data_dir, purpose)?.rotate(plan(&change), SystemClock.now())?;
            tell(&done, change.json)
        }
        KeysCommand::AddPkcs11 { module, token, key, pin_file, change } => {
            // What is written down holds wherever a gateway is started.
            let place = Place { module: absolute(&module)?, token, key };
            let (plan, now) = (plan(&change), SystemClock.now());
            let store = open(&change.data_dir, Purpose::IdTokens)?;
            let done = store.add_token(place, absolute(&pin_file)?, plan, now)?;
            tell(&done, change.json)
        }
    }
}

fn open(data_dir: &Path, purpose: Purpose) -> anyhow::Result<KeyStore> {
    require_sandbox(data_dir)?;
    KeyStore::open(data_dir, purpose, SystemClock.now())
}

fn plan(change: &KeyChangeArgs) -> Plan {
    Plan { publish_first: change.publish_first, overlap: change.overlap }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

fn list(keys: &KeyStore, as_json: bool) -> anyhow::Result<ExitCode> {
    let manifest = keys.read()?;
    let now = SystemClock.now();
    let mut out = std::io::stdout().lock();
    for key in &manifest.keys {
        let state = manifest.state(key, now);
        if as_json {
            writeln!(out, "{}", described(key, state))?;
        } else {
            let until =
                key.published_until.map(|until| format!(", published until {until}")).unwrap_or_default();
            writeln!(
                out,
                "{:<16}  {:<5}  {:<7}  {}  signs from {}{until}",
                key.kid,
                key.algorithm.as_str(),
                state.as_str(),
                whereabouts(&key.source),
                key.signs_from,
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn described(key: &Entry, state: State) -> Value {
    let mut described = json!({
        "kid": key.kid,
        "alg": key.algorithm.as_str(),
        "state": state.as_str(),
        "signs_from": key.signs_from,
        "published_until": key.published_until,
    });
    let place = match &key.source {
        Source::File(file) => ("file", json!(file)),
        Source::Token { place, pin_file } => (
            "pkcs11",
            json!({ "module": place.module, "token": place.token, "key": place.key, "pin_file": pin_file }),
        ),
    };
    if let Some(members) = described.as_object_mut() {
        members.insert(place.0.to_owned(), place.1);
    }
    described
}

fn whereabouts(source: &Source) -> String {
    match source {
        Source::File(_) => "file".to_owned(),
        Source::Token { place, .. } => format!("token {}, key {}", place.token, place.key),
    }
}

fn tell(change: &Change, as_json: bool) -> anyhow::Result<ExitCode> {
    let Change { key, former, dropped } = change;
    let at_once = key.signs_from <= SystemClock.now();
    let state = if at_once { State::Current } else { State::Next };
    let mut out = std::io::stdout().lock();
    if as_json {
        let former_state = if at_once { State::Retired } else { State::Current };
        let report = json!({
            "key": described(key, state),
            "former": former.as_ref().map(|former| described(former, former_state)),
            "dropped": dropped.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(),
        });
        writeln!(out, "{report}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (kid, algorithm, from) = (&key.kid, key.algorithm, key.signs_from);
    if at_once {
        writeln!(out, "Key {kid} ({algorithm}) is published and signs now.")?;
    } else {
        writeln!(out, "Key {kid} ({algorithm}) is published now and signs from {from}.")?;
    }
    if let Some(former) = former
        && let Some(until) = former.published_until
    {
        let signs = if at_once { "signs no more" } else { "signs until then" };
        writeln!(out, "Key {} {signs} and stays published until {until}.", former.kid)?;
    }
    for dropped in dropped {
        writeln!(out, "Key {} was published until its time was over, and is gone.", dropped.kid)?;
    }
    writeln!(out, "A running sandbox takes this up within two seconds; nothing has to be restarted.")?;
    Ok(ExitCode::SUCCESS)
}
