//! The databases of an installation: one without persons, and for each region one of its data
//! and one of the keys of that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use domain::{Clock, Entropy, Region, SystemClock, SystemEntropy};
use secrecy::{ExposeSecret, SecretString};
use store::vault::Vault;
use store::{GlobalStore, Held, RegionalStore, SchemaUse, Stores};

use crate::cli::StoreArgs;
use crate::config::{Config, variables};
use crate::private_file;
use crate::region_keys::RegionKeyFile;
use crate::serve;
use crate::service::StoreOptions;
use crate::service::state::require_state;

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

/// Where stores are: on a PostgreSQL, or in a folder; and where the keys of regions are.
#[derive(Clone, Copy)]
pub(crate) struct StorePlace<'p> {
    pub(crate) folder: &'p Path,
    pub(crate) keys: &'p Path,
    pub(crate) stores: &'p StoreOptions,
}

/// Opens the stores of a gateway.
pub(crate) async fn open(
    StorePlace { folder, keys: home, stores: StoreOptions { url, global_url, schema } }: StorePlace<'_>,
    regions: &[Region],
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> anyhow::Result<Stores> {
    let urls = addresses(folder, url.as_ref(), global_url.as_ref(), *schema, regions).await?;
    let mut urls = urls.into_iter();
    let mut next = || urls.next().ok_or_else(|| anyhow!("a database is missing"));
    // On a server it may be the wrong one, and the folder has the keys.
    let hint =
        if url.is_none() { "; its state may be half-written: remove the folder and start again" } else { "" };
    let global = GlobalStore::open_as(&next()?, *schema)
        .await
        .with_context(|| format!("the global database of {} cannot be used{hint}", folder.display()))?;
    let mut opened = Vec::new();
    for region in regions {
        let (data, keys) = (next()?, next()?);
        let unusable =
            |what| format!("the {region} database of {what} of {} cannot be used{hint}", folder.display());
        let file = RegionKeyFile::at(home, *region).read()?;
        let vault = Vault::open_as(&keys, file, Arc::clone(&clock), Arc::clone(&entropy), *schema)
            .await
            .with_context(|| unusable("keys"))?;
        let store = RegionalStore::open_as(&data, vault, *schema).await;
        opened.push(store.with_context(|| unusable("data"))?);
    }
    Ok(Stores::new(global, opened))
}

/// The addresses of all databases: of what is no person's, and for each region of data and of keys.
async fn addresses(
    folder: &Path,
    url: Option<&SecretString>,
    global_url: Option<&SecretString>,
    schema: SchemaUse,
    regions: &[Region],
) -> anyhow::Result<Vec<String>> {
    let Some(url) = url.map(ExposeSecret::expose_secret) else {
        let file = |name| format!("sqlite://{}?mode=rwc", folder.join(format!("{name}.sqlite")).display());
        return Ok(names(regions, "global", "region-", "keys-").into_iter().map(file).collect());
    };
    let names = names(regions, "global", "", "keys_");
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let (global, others) = names.split_at(1);
    let mut urls = databases(global_url.map_or(url, ExposeSecret::expose_secret), global, schema).await?;
    urls.extend(databases(url, others, schema).await?);
    Ok(urls)
}

fn names(regions: &[Region], global: &str, data: &str, keys: &str) -> Vec<String> {
    let of = regions.iter().flat_map(|region| [format!("{data}{region}"), format!("{keys}{region}")]);
    std::iter::once(global.to_owned()).chain(of).collect()
}

/// Brings every schema up to date, one after the other: each database, and how many migrations it lacked.
pub(crate) async fn migrate(
    StorePlace { folder, stores: StoreOptions { url, global_url, .. }, .. }: StorePlace<'_>,
    regions: &[Region],
) -> anyhow::Result<Vec<(String, usize)>> {
    let schema = SchemaUse::BringUpToDate;
    let urls = addresses(folder, url.as_ref(), global_url.as_ref(), schema, regions).await?;
    let held = std::iter::once(Held::Global).chain([Held::Region, Held::Keys].into_iter().cycle());
    let mut done = Vec::new();
    for ((name, url), held) in names(regions, "global", "", "keys_").into_iter().zip(&urls).zip(held) {
        let migrations = store::bring_up_to_date(url, held).await.with_context(|| name.clone())?;
        done.push((name, migrations));
    }
    Ok(done)
}

async fn databases(url: &str, names: &[&str], schema: SchemaUse) -> anyhow::Result<Vec<String>> {
    let made = store::postgres_databases(url, names, schema).await;
    made.context("the databases could not be made; the role needs the right to create databases")
}

/// What a command works on.
pub(crate) struct Place {
    folder: PathBuf,
    /// Where `keys/` and `audit/` are.
    pub(crate) keys: PathBuf,
    pub(crate) stores: StoreOptions,
    regions: Vec<Region>,
}

impl Place {
    /// The file of a database of this name, where there is no PostgreSQL.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("sqlite://{}", self.folder.join(format!("{name}.sqlite")).display())
    }
}

impl StoreArgs {
    /// What is said: by a configuration, or by each of the others.
    ///
    /// # Errors
    ///
    /// A configuration that is none, or a folder without a gateway.
    pub(crate) fn place(&self) -> anyhow::Result<Place> {
        // A command is no reason to change what gateways are running on.
        let schema = SchemaUse::AsItIs;
        if let Some(file) = &self.config {
            let config = Config::read(Some(file), &variables())?;
            let stores = serve::store_options(&config, schema)?;
            let (folder, keys) = (config.node.data_dir.clone(), config.key_dir().to_owned());
            return Ok(Place { folder, keys, stores, regions: serve::regions(&config)? });
        }
        let url = self.database_url.clone().map(Into::into);
        let schema = if url.is_some() { schema } else { SchemaUse::BringUpToDate };
        let stores =
            StoreOptions { url, global_url: self.global_database_url.clone().map(Into::into), schema };
        require_state(&self.data_dir)?;
        let (folder, keys) = (self.data_dir.clone(), self.data_dir.clone());
        Ok(Place { regions: regions_of(&folder)?, folder, keys, stores })
    }
}

/// Opens the stores that a command works on.
pub(crate) async fn open_for(at: &StoreArgs) -> anyhow::Result<Stores> {
    let Place { folder, keys, stores, regions } = at.place()?;
    let place = StorePlace { folder: &folder, keys: &keys, stores: &stores };
    open(place, &regions, Arc::new(SystemClock), Arc::new(SystemEntropy)).await
}
