//! `consentry keys`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use domain::{Clock, SystemClock, SystemEntropy};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cli::{ConfigArgs, KeyChangeArgs, KeysCommand, RegionKeysCommand, TokenKeyArgs};
use crate::config::{Config, variables};
use crate::keys::{Change, Entry, KeySource, KeyStore, OnToken, Plan, Purpose, State};
use crate::region_keys::RegionKeyFile;
use crate::service::state::require_state;
use crate::{serve, stores};

/// Runs one of the commands.
pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Init(ConfigArgs { config }) => {
            let config = Config::read(config.as_deref(), &variables())?;
            serve::make_keys(&config).await?;
            writeln!(std::io::stdout(), "The keys are in {}.", config.key_dir().display())?;
            Ok(ExitCode::SUCCESS)
        }
        KeysCommand::List { purpose, data_dir, json } => list(&open(&data_dir, purpose)?, json),
        KeysCommand::Rotate { purpose, alg, change } => {
            if let Some(alg) = alg.filter(|alg| alg != purpose.signs().as_str()) {
                bail!("--alg {alg}: {}", purpose.why_only_one());
            }
            let done = open(&change.data_dir, purpose)?.rotate(plan(&change), SystemClock.now())?;
            tell(&done, change.json)
        }
        KeysCommand::Region(command) => region(command).await,
        KeysCommand::AddPkcs11 { on, change } => {
            let (on, plan, now) = (named(on)?, plan(&change), SystemClock.now());
            let store = open(&change.data_dir, Purpose::IdTokens)?;
            let done = store.add_token(on.place(), on.pin_file, plan, now)?;
            tell(&done, change.json)
        }
    }
}

/// The keys that wrap data keys.
async fn region(command: RegionKeysCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match command {
        RegionKeysCommand::List { data_dir } => {
            require_state(&data_dir)?;
            for region in stores::regions_of(&data_dir)? {
                let name = region.as_str();
                for key in RegionKeyFile::at(&data_dir, region).list()? {
                    writeln!(out, "{name:<4}  key {:<3}  wraps from {}", key.number, key.from)?;
                }
            }
        }
        RegionKeysCommand::Rotate { region, takes_over_in, on_token, data_dir } => {
            require_state(&data_dir)?;
            let from = SystemClock.now().checked_add(SignedDuration::from_secs(takes_over_in.into()))?;
            let made = RegionKeyFile::at(&data_dir, region).rotate(&SystemEntropy, from, on_token)?;
            writeln!(out, "Key {} of {region} wraps data keys from {}.", made.number, made.from)?;
            writeln!(
                out,
                "A running sandbox wraps those anew that another key wraps; nothing has to be restarted."
            )?;
        }
        RegionKeysCommand::ToPkcs11 { region, on, make, data_dir } => {
            require_state(&data_dir)?;
            RegionKeyFile::at(&data_dir, region).move_to(named(on)?, make, &SystemEntropy)?;
            writeln!(out, "The keys of {region} are sealed under the key of the token.")?;
            writeln!(out, "Backups of before hold them as they were: rotate, and drop the former key.")?;
        }
        RegionKeysCommand::Drop { region, number, at } => {
            let stores = stores::open_for(&at).await?;
            let wrapped = stores.region(region)?.vault().wrapped_by(number).await;
            stores.close().await;
            match wrapped? {
                0 => RegionKeyFile::at(&at.place()?.keys, region).drop_key(number)?,
                some => bail!(
                    "key {number} of {region} still wraps {some} data keys: a running sandbox wraps them anew"
                ),
            }
            writeln!(out, "Key {number} of {region} is gone.")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(data_dir: &Path, purpose: Purpose) -> anyhow::Result<KeyStore> {
    require_state(data_dir)?;
    KeyStore::open(data_dir, purpose, SystemClock.now())
}

fn plan(change: &KeyChangeArgs) -> Plan {
    Plan { publish_first: change.publish_first, overlap: change.overlap }
}

/// The key as it is written down, which holds wherever a gateway is started.
fn named(on: TokenKeyArgs) -> anyhow::Result<OnToken> {
    let TokenKeyArgs { module, token, key, pin_file } = on;
    Ok(OnToken { module: absolute(&module)?, token, key, pin_file: absolute(&pin_file)? })
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
        KeySource::File(file) => ("file", json!(file)),
        KeySource::Token { place, pin_file } => (
            "pkcs11",
            json!({ "module": place.module, "token": place.token, "key": place.key, "pin_file": pin_file }),
        ),
    };
    if let Some(members) = described.as_object_mut() {
        members.insert(place.0.to_owned(), place.1);
    }
    described
}

fn whereabouts(source: &KeySource) -> String {
    match source {
        KeySource::File(_) => "file".to_owned(),
        KeySource::Token { place, .. } => format!("token {}, key {}", place.token, place.key),
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
