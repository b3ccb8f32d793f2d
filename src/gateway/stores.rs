//! The databases of an installation: one without persons, and for each region one of its data
//! and one of the keys of that.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use domain::{Clock, Entropy, Region, SystemClock, SystemEntropy};
use store::vault::Vault;
use store::{GlobalStore, RegionalStore, Stores};

use crate::cli::StoreArgs;
use crate::private_file;
use crate::region_keys::RegionKeyFile;
use crate::sandbox::state::require_sandbox;

/// The regions of a sandbox that is alone.
pub(crate) fn sandbox_regions() -> anyhow::Result<Vec<Region>> {
    ["uk", "eu"].iter().map(|name| Ok(name.parse()?)).collect()
}

/// Which regions a folder holds, for commands.
const REGIONS: &str = "regions.json";

/// Writes down which regions a folder holds.
pub(crate) fn note_regions(folder: &Path, regions: &[Region]) -> anyhow::Result<()> {
    let (file, text) = (folder.join(REGIONS), serde_json::to_string(regions)?);
    if std::fs::read_to_string(&file).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    private_file::replace(&file, &text)
}

/// The regions that a folder holds.
pub(crate) fn regions_of(folder: &Path) -> anyhow::Result<Vec<Region>> {
    let file = folder.join(REGIONS);
    serde_json::from_str(&crate::read(&file)?).with_context(|| format!("{} names no regions", file.display()))
}

/// Opens the stores of a sandbox: on a PostgreSQL, or in its folder, where the keys are.
pub(crate) async fn open(
    (database_url, global_url): (Option<&str>, Option<&str>),
    folder: &Path,
    regions: &[Region],
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<Stores> {
    let named = |global: &str, data: &str, keys: &str| {
        let of = regions.iter().flat_map(|region| [format!("{data}{region}"), format!("{keys}{region}")]);
        std::iter::once(global.to_owned()).chain(of).collect::<Vec<_>>()
    };
    let urls = match database_url {
        Some(url) => {
            let names = named("global", "", "keys_");
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let (global, others) = names.split_at(1);
            let mut urls = databases(global_url.unwrap_or(url), global).await?;
            urls.extend(databases(url, others).await?);
            urls
        }
        None => named("global", "region-", "keys-")
            .iter()
            .map(|name| format!("sqlite://{}?mode=rwc", folder.join(format!("{name}.sqlite")).display()))
            .collect(),
    };
    let mut urls = urls.into_iter();
    let mut next = || urls.next().ok_or_else(|| anyhow!("a database is missing"));
    let hint = "its state may be half-written: remove the folder and start again";
    let global = GlobalStore::open(&next()?)
        .await
        .with_context(|| format!("the global database of {} cannot be used; {hint}", folder.display()))?;
    let mut opened = Vec::new();
    for region in regions {
        let (data, keys) = (next()?, next()?);
        let unusable =
            |what| format!("the {region} database of {what} of {} cannot be used; {hint}", folder.display());
        let file = RegionKeyFile::at(folder, *region).read()?;
        let vault = Vault::open(&keys, file, Arc::clone(&clock), Arc::clone(&entropy))
            .await
            .with_context(|| unusable("keys"))?;
        opened.push(RegionalStore::open(&data, vault).await.with_context(|| unusable("data"))?);
    }
    Ok(Stores::new(global, opened))
}

async fn databases(url: &str, names: &[&str]) -> anyhow::Result<Vec<String>> {
    let made = store::postgres_databases(url, names).await;
    made.context("the databases could not be made; the role needs the right to create databases")
}

/// Opens the stores that a command works on.
pub(crate) async fn open_for(at: &StoreArgs) -> anyhow::Result<Stores> {
    require_sandbox(&at.data_dir)?;
    let regions = regions_of(&at.data_dir)?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    open(
        (at.database_url.as_deref(), at.global_database_url.as_deref()),
        &at.data_dir,
        &regions,
        clock,
        entropy,
    )
    .await
}
