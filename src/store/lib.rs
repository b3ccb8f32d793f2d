//! Where the gateway keeps what must not be lost.
//!
//! One [`GlobalStore`] holds clients, grants, tokens and the institution
//! directory: no person. One [`RegionalStore`] per region holds consents,
//! payments, idempotency keys and the outbox: personal rows exist only there.
//! Both run the same SQL on SQLite and on PostgreSQL; what differs between the
//! two is in [`database`].

pub mod accounts;
pub mod audit_log;
pub mod backchannel;
pub mod bell;
pub mod clients;
pub mod consents;
#[cfg(feature = "crash-points")]
mod crash;
mod database;
pub mod details;
pub mod directory;
pub mod erasure;
pub mod events;
#[cfg(feature = "crash-points")]
mod further;
pub mod grants;
pub mod health;
mod hosts;
pub mod idempotency;
mod identification;
pub mod instances;
mod kept;
pub mod mandates;
pub mod notices;
pub mod occasion;
mod orders;
pub mod payments;
pub mod persons;
pub mod policies;
mod pooler;
pub mod quotas;
mod recent;
mod refunds;
pub mod requests;
mod rows;
pub mod sca;
#[cfg(feature = "scratch")]
mod scratch;
mod servers;
pub mod sessions;
pub mod snapshots;
pub mod standing;
mod statements;
pub mod statistics;
mod together;
pub mod tokens;
mod transactions;
mod turns;
mod upgrade;
pub mod usage;
pub mod vault;
mod verifications;
mod wal;
pub mod webhooks;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Region;
use futures_util::future::join_all;
use sqlx::Row;

use recent::Recent;
use together::Together;
use vault::Vault;

pub use database::{Database, Held, SchemaUse, StoreError, bring_up_to_date, postgres_databases};
#[cfg(feature = "scratch")]
pub use scratch::{ScratchDatabase, multiply_consents};
pub use transactions::{Passing, Runs, Tx};

/// How long a database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(15);

/// The store without persons.
#[derive(Clone, Debug)]
pub struct GlobalStore {
    database: Database,
    together: Together,
}

impl GlobalStore {
    /// Opens the store at `url` (`sqlite://…` or `postgres://…`) and brings its
    /// schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be reached or migrated.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_as(url, SchemaUse::BringUpToDate).await
    }

    /// The same; `schema` says what becomes of a schema that is behind.
    ///
    /// # Errors
    ///
    /// As [`GlobalStore::open`], and [`StoreError::Behind`].
    pub async fn open_as(url: &str, schema: SchemaUse) -> Result<Self, StoreError> {
        let database = Database::open(url, database::GLOBAL, schema).await?;
        Ok(Self { together: Together::on(database.alone()), database })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// The store of one region's personal data.
#[derive(Clone, Debug)]
pub struct RegionalStore {
    region: Region,
    database: Database,
    vault: Vault,
    together: Together,
    recent: Recent,
}

/// Whether a database holds this region; a new one does from now on.
async fn is_of(database: &Database, wanted: Region) -> Result<(), StoreError> {
    sqlx::query("insert into held_region (id, region) values (1, $1) on conflict (id) do nothing")
        .bind(wanted.as_str())
        .execute(database.pool())
        .await?;
    let held = sqlx::query("select region from held_region where id = 1").fetch_one(database.pool()).await?;
    let held: String = held.try_get(0)?;
    if held == wanted.as_str() { Ok(()) } else { Err(StoreError::OtherRegion { held, wanted }) }
}

impl RegionalStore {
    /// Opens the store at `url` of the region whose vault this is, and brings its schema up
    /// to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be reached or migrated; [`StoreError::OtherRegion`] if it is
    /// another region's.
    pub async fn open(url: &str, vault: Vault) -> Result<Self, StoreError> {
        Self::open_as(url, vault, SchemaUse::BringUpToDate).await
    }

    /// The same; `schema` says what becomes of a schema that is behind.
    ///
    /// # Errors
    ///
    /// As [`RegionalStore::open`], and [`StoreError::Behind`].
    pub async fn open_as(url: &str, vault: Vault, schema: SchemaUse) -> Result<Self, StoreError> {
        let database = Database::open(url, database::REGION, schema).await?;
        is_of(&database, vault.region()).await?;
        let together = Together::on(database.alone());
        Ok(Self { region: vault.region(), together, database, vault, recent: Recent::new() })
    }

    /// What seals and opens the personal data of this region.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The region whose data this is.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region
    }
}

/// Every store of one installation. Residency is a type: a personal row is
/// reached through its region, or not at all.
#[derive(Clone, Debug)]
pub struct Stores {
    global: GlobalStore,
    regions: BTreeMap<Region, RegionalStore>,
}

impl Stores {
    /// Puts the stores of one installation together.
    pub fn new(global: GlobalStore, regions: impl IntoIterator<Item = RegionalStore>) -> Self {
        Self { global, regions: regions.into_iter().map(|store| (store.region, store)).collect() }
    }

    /// The store without persons.
    #[must_use]
    pub fn global(&self) -> &GlobalStore {
        &self.global
    }

    /// The store of one region.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchRegion`] if this installation does not hold it.
    pub fn region(&self, region: Region) -> Result<&RegionalStore, StoreError> {
        self.regions.get(&region).ok_or(StoreError::NoSuchRegion(region))
    }

    /// The regions held here, in name order.
    pub fn regions(&self) -> impl Iterator<Item = &RegionalStore> {
        self.regions.values()
    }

    /// Asks every database whether it answers.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the first one that does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let asked = self.ask_all(PATIENCE).await;
        asked.into_iter().try_for_each(|(_, answer)| answer)
    }

    /// Asks every database whether it answers within `patience`, all at once. What each is called:
    /// `global`, `eu`, `keys_eu`.
    pub async fn ask_all(&self, patience: Duration) -> Vec<(String, Result<(), StoreError>)> {
        let of_regions = self.regions.values().flat_map(|store| {
            let region = store.region;
            [(region.to_string(), &store.database), (format!("keys_{region}"), store.vault.database())]
        });
        let all = std::iter::once(("global".to_owned(), &self.global.database)).chain(of_regions);
        join_all(all.map(|(name, database)| async move {
            let asked = tokio::time::timeout(patience, database.ping()).await;
            (name, asked.unwrap_or(Err(StoreError::Database(sqlx::Error::PoolTimedOut))))
        }))
        .await
    }

    /// The time by the clock of each database that has one, microseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if one does not answer.
    pub async fn times(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let of_regions = self.regions.values().map(|store| (store.region.to_string(), &store.database));
        let mut times = Vec::new();
        for (name, database) in
            std::iter::once(("global".to_owned(), &self.global.database)).chain(of_regions)
        {
            times.extend(database.time().await?.map(|micros| (name, micros)));
        }
        Ok(times)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.global.close().await;
        for store in self.regions.values() {
            store.database.close().await;
            store.vault.close().await;
        }
    }
}
