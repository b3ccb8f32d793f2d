//! `consentry banks new|lint|test|diff|schema`: work on profile files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use connect::{Profile, ProfileKeys, Registry};
use domain::{InstitutionId, Region};
use serde_json::json;

use super::banks::embedded;
use crate::cli::{NewBankArgs, PluginFolderArgs};
use crate::plugged::Plugged;
use crate::service::bank_files::profile_files;

/// Prints the document that is checked in as `openapi/bank-profile.schema.json`.
pub(super) fn schema() -> anyhow::Result<ExitCode> {
    let mut schema = connect::profile_schema();
    // The same text, in whatever order it is made.
    schema.sort_all_objects();
    writeln!(std::io::stdout(), "{schema:#}")?;
    Ok(ExitCode::SUCCESS)
}

/// Checks files, their tests included.
pub(super) fn lint(files: &[PathBuf], plugins: &PluginFolderArgs) -> anyhow::Result<ExitCode> {
    let (registry, plugged) = with_plugins(plugins)?;
    let mut problems = Vec::new();
    if files.is_empty() {
        problems.extend(connect::lint_embedded().iter().map(ToString::to_string));
        problems.extend(failed(&registry, "", &all(&registry)));
    }
    for file in expanded(files)? {
        let (name, text) = read(&file)?;
        let (profiles, wrong) = connect::read_profiles(&name, &text);
        problems.extend(wrong.iter().map(ToString::to_string));
        let missing = profiles.iter().filter_map(|profile| plugged.require(&registry, profile).err());
        problems.extend(missing.map(|missing| format!("{name}: {missing}")));
        problems.extend(failed(&registry, &format!("{name}: "), &profiles));
    }
    let mut out = std::io::stdout().lock();
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(out, "{} problems", problems.len())?;
    Ok(success_if(problems.is_empty()))
}

/// Runs the tests of profiles and says what became of each.
pub(super) fn test(files: &[PathBuf], plugins: &PluginFolderArgs) -> anyhow::Result<ExitCode> {
    let (registry, plugged) = with_plugins(plugins)?;
    let mut profiles = Vec::new();
    let mut problems = 0_usize;
    let mut out = std::io::stdout().lock();
    for file in expanded(files)? {
        let (name, text) = read(&file)?;
        let (read, wrong) = connect::read_profiles(&name, &text);
        for problem in &wrong {
            writeln!(out, "{problem}")?;
        }
        problems = problems.saturating_add(wrong.len());
        for missing in read.iter().filter_map(|profile| plugged.require(&registry, profile).err()) {
            writeln!(out, "{name}: {missing}")?;
            problems = problems.saturating_add(1);
        }
        profiles.extend(read);
    }
    if files.is_empty() {
        profiles = all(&registry);
    }
    let mut passed = 0_usize;
    let mut failed = 0_usize;
    for profile in &profiles {
        for outcome in outcomes(&registry, profile) {
            let fine = outcome.problems.is_empty();
            let count = if fine { &mut passed } else { &mut failed };
            *count = count.saturating_add(1);
            writeln!(out, "{} {}: {}", if fine { "ok    " } else { "FAILED" }, profile.id, outcome.name)?;
            for problem in outcome.problems {
                writeln!(out, "       {problem}")?;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(success_if(failed == 0 && problems == 0))
}

/// The embedded banks, and the operator's plugins.
fn with_plugins(args: &PluginFolderArgs) -> anyhow::Result<(Registry, Plugged)> {
    let (registry, plugged) = (embedded(), Plugged::open(args.plugins.as_deref())?);
    registry.replace_plugins(plugged.dialects());
    Ok((registry, plugged))
}

/// Compares two profiles, or two files of them, key by key.
pub(super) fn diff(left: &str, right: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    let pairs = pairs(side(left)?, side(right)?)?;
    let mut out = std::io::stdout().lock();
    let mut same = true;
    for (bank, left, right) in &pairs {
        let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        for key in keys {
            let (left, right) = (left.get(key), right.get(key));
            if left == right {
                continue;
            }
            same = false;
            if as_json {
                writeln!(out, "{}", json!({ "bank": bank, "key": key, "left": left, "right": right }))?;
            } else {
                let shown = |value: Option<&String>| value.map_or("(absent)".to_owned(), Clone::clone);
                writeln!(out, "{bank}: {key}: {} -> {}", shown(left), shown(right))?;
            }
        }
    }
    Ok(success_if(same))
}

type Brands = BTreeMap<String, ProfileKeys>;

/// A file with all its brands, or one embedded bank.
fn side(name: &str) -> anyhow::Result<Brands> {
    let path = Path::new(name);
    if path.exists() {
        let (name, text) = read(path)?;
        return connect::profile_keys(&name, &text).map_err(|problem| anyhow::anyhow!("{problem}"));
    }
    let keys = connect::embedded_profile_keys(name)
        .with_context(|| format!("{name} is no file, and no bank is called so; try banks list"))?;
    Ok(BTreeMap::from([(name.to_owned(), keys)]))
}

/// What is compared with what: two single banks with each other, otherwise
/// banks of the same identifier.
fn pairs(mut left: Brands, mut right: Brands) -> anyhow::Result<Vec<(String, ProfileKeys, ProfileKeys)>> {
    if left.len() == 1
        && right.len() == 1
        && let (Some((id, left)), Some((_, right))) = (left.pop_first(), right.pop_first())
    {
        return Ok(vec![(id, left, right)]);
    }
    let mut ids: BTreeSet<String> = left.keys().chain(right.keys()).cloned().collect();
    for alone in [&left, &right].into_iter().filter(|side| side.len() == 1) {
        ids.retain(|id| alone.contains_key(id));
        if ids.iter().any(|id| !(left.contains_key(id) && right.contains_key(id))) {
            bail!("the other file holds no bank of this identifier");
        }
    }
    let mut taken =
        |id: &String| (id.clone(), left.remove(id).unwrap_or_default(), right.remove(id).unwrap_or_default());
    Ok(ids.iter().map(&mut taken).collect())
}

/// Writes the profile of a bank that keeps to its standard.
pub(super) fn new(args: &NewBankArgs) -> anyhow::Result<ExitCode> {
    let id: InstitutionId = args.id.parse().context("--id")?;
    let _: Region = args.region.parse().context("--region")?;
    let file = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{id}.toml")));
    let text = template(args);
    let name = file.display().to_string();
    if let Some(problem) = connect::lint(&name, &text).first() {
        bail!("{problem}");
    }
    let mut created = match fs::File::create_new(&file) {
        Ok(created) => created,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("{name} is there already"),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be written")),
    };
    created.write_all(text.as_bytes()).with_context(|| format!("{name} cannot be written"))?;
    writeln!(std::io::stdout(), "{name}")?;
    Ok(ExitCode::SUCCESS)
}

fn template(args: &NewBankArgs) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let (version, sca) = match args.dialect.as_str() {
        "uk-open-banking" => ("4.0", "oauth"),
        "stet" => ("1.4", "oauth"),
        "polish-api" => ("2.1", "redirect"),
        plugin if plugin.starts_with(connect::PLUGIN) => ("1", "redirect"),
        _ => ("1.3", "redirect"),
    };
    let address = args.accounts_api.as_ref().map_or("deployment", |url| url.as_str());
    let country = args.country.as_ref().map(|country| format!("countries = [{}]\n", quoted(country)));
    let server = "client_id = \"deployment\"\nauthorization_server = { issuer = \"deployment\", response_type = \"code\" }\n";
    format!(
        "# Every key: docs/profiles.md. To check: consentry banks lint FILE\n\
         group = {name}\n\n\
         [[brand]]\n\
         id = {id}\n\
         name = {name}\n\
         dialect = {dialect}\n\
         region = {region}  # where its customers' data lives\n\
         {country}\
         environment = \"sandbox\"  # or \"live\"\n\
         capabilities = [\"accounts\", \"balances\", \"transactions\"]\n\
         sca = [\"{sca}\"]\n\
         client_auth = \"certificate\"\n\
         accounts_api = {{ use = \"{version}\", \"{version}\" = {address} }}  # \"deployment\": the operator fills it in\n\
         {server}",
        id = quoted(&args.id),
        name = quoted(&args.name),
        dialect = quoted(&args.dialect),
        region = quoted(&args.region),
        country = country.unwrap_or_default(),
        address = quoted(address),
        server = if sca == "oauth" { server } else { "" },
    )
}

/// The files, and those of folders.
fn expanded(places: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let found: Result<Vec<_>, _> = places.iter().map(|place| profile_files(place)).collect();
    Ok(found?.concat())
}

fn read(file: &Path) -> anyhow::Result<(String, String)> {
    Ok((file.display().to_string(), crate::read(file)?))
}

fn all(registry: &Registry) -> Vec<Profile> {
    let everything = registry.list(&connect::BankFilter::default(), None, usize::MAX);
    everything.iter().map(|profile| (**profile).clone()).collect()
}

fn outcomes(registry: &Registry, profile: &Profile) -> Vec<dialects::selftest::TestOutcome> {
    let dialect = registry.dialect(profile);
    dialect.map(|dialect| dialects::selftest::run(&*dialect, profile)).unwrap_or_default()
}

/// The problems of tests that fail, one a line.
fn failed(registry: &Registry, place: &str, profiles: &[Profile]) -> Vec<String> {
    let mut found = Vec::new();
    for profile in profiles {
        for outcome in outcomes(registry, profile) {
            let line = |problem| format!("{place}{}: test \"{}\": {problem}", profile.id, outcome.name);
            found.extend(outcome.problems.iter().map(line));
        }
    }
    found
}

fn success_if(fine: bool) -> ExitCode {
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
