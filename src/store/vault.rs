//! The data keys of a region, in a database of their own: a backup of the region's data
//! holds none of them, so that a key that is destroyed takes what it sealed out of every
//! backup as well.
//!
//! Keys are made ahead, a few at a time: one that is handed out is on the disk already,
//! so that whoever seals something new waits for no commit besides its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crypto::envelope::{DataKey, DataKeyId, Place, RegionKeys, Unopened, Wrapped, sealed_under};
use domain::{Clock, Entropy, Region};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use crate::database::{Database, KEYS, SchemaUse, micros};
use crate::rows::Columns;
use crate::together::placeholders;
use crate::{StoreError, Tx, transaction};

/// Data keys made at a time.
const AHEAD: usize = 32;
/// Opened keys kept in memory: twice this many at most.
const KEPT: usize = 8_192;
/// Keys looked up or wrapped anew in one statement.
const AT_ONCE: usize = 500;

/// What seals and opens the personal data of a region.
#[derive(Clone, Debug)]
pub struct Vault(Arc<Inner>);

struct Inner {
    database: Database,
    keys: Mutex<Arc<RegionKeys>>,
    /// On the disk, and nobody's yet.
    spare: tokio::sync::Mutex<Vec<Arc<DataKey>>>,
    opened: Mutex<Opened>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("keys", &lock(&self.keys)).finish_non_exhaustive()
    }
}

/// Keys that were opened of late, in two generations: when the young one is full it
/// takes the place of the old one.
#[derive(Default)]
struct Opened {
    young: HashMap<DataKeyId, Arc<DataKey>>,
    old: HashMap<DataKeyId, Arc<DataKey>>,
}

impl Opened {
    fn get(&mut self, id: DataKeyId) -> Option<Arc<DataKey>> {
        if let Some(key) = self.young.get(&id) {
            return Some(Arc::clone(key));
        }
        let key = self.old.remove(&id)?;
        self.put(Arc::clone(&key));
        Some(key)
    }

    fn put(&mut self, key: Arc<DataKey>) {
        if self.young.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.id(), key);
    }

    fn forget(&mut self, id: DataKeyId) {
        self.young.remove(&id);
        self.old.remove(&id);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys of some rows.
#[derive(Debug)]
pub(crate) struct Unlocked {
    region: Region,
    keys: HashMap<DataKeyId, Arc<DataKey>>,
}

impl Unlocked {
    /// What is sealed in a column. What is not sealed is none of ours.
    pub(crate) fn open(
        &self,
        columns: &Columns<'_>,
        column: &'static str,
        text: &str,
    ) -> Result<String, StoreError> {
        let id = sealed_under(text).ok_or_else(|| columns.corrupt(column))?;
        let (table, row) = columns.of();
        let locked = || StoreError::Locked { table, id: row.to_owned() };
        let key = self.keys.get(&id).ok_or_else(locked)?;
        let place = Place { region: self.region, table, column, row };
        key.open(place, text).map(|plain| plain.as_str().to_owned()).map_err(|_| columns.corrupt(column))
    }
}

impl Vault {
    /// Opens the database of a region's data keys at `url` and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be reached or migrated.
    pub async fn open(
        url: &str,
        keys: RegionKeys,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        Self::open_as(url, keys, clock, entropy, SchemaUse::BringUpToDate).await
    }

    /// The same; `schema` says what becomes of a schema that is behind.
    ///
    /// # Errors
    ///
    /// As [`Vault::open`], and [`StoreError::Behind`].
    pub async fn open_as(
        url: &str,
        keys: RegionKeys,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        schema: SchemaUse,
    ) -> Result<Self, StoreError> {
        let database = Database::open(url, KEYS, schema).await?;
        Ok(Self(Arc::new(Inner {
            database,
            keys: Mutex::new(Arc::new(keys)),
            spare: tokio::sync::Mutex::default(),
            opened: Mutex::default(),
            clock,
            entropy,
        })))
    }

    /// The region whose data it seals.
    #[must_use]
    pub fn region(&self) -> Region {
        self.keys().region()
    }

    /// Takes up other keys of the same region: after a rotation.
    pub fn take_up(&self, keys: RegionKeys) {
        *lock(&self.0.keys) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<RegionKeys> {
        Arc::clone(&lock(&self.0.keys))
    }

    /// A value by which rows are found that hold this one (see [`RegionKeys::blind_index`]).
    pub(crate) fn blind_index(&self, kind: &str, value: &str) -> String {
        self.keys().blind_index(kind, value)
    }

    /// Has every connection to the keys made anew (see [`Database::renew`]).
    pub(crate) fn renew(&self) {
        self.0.database.renew();
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) async fn close(&self) {
        self.0.database.close().await;
    }

    /// Seals a value of a row.
    pub(crate) fn seal(
        &self,
        key: &DataKey,
        (table, column): (&'static str, &'static str),
        row: &str,
        plain: &str,
    ) -> Result<String, StoreError> {
        let place = Place { region: self.region(), table, column, row };
        key.seal(place, plain, &*self.0.entropy).map_err(cipher)
    }

    /// A data key that nobody has, and that is on the disk.
    pub(crate) async fn fresh(&self) -> Result<Arc<DataKey>, StoreError> {
        let mut spare = self.0.spare.lock().await;
        if spare.is_empty() {
            *spare = self.make().await?;
        }
        let key = spare.pop().ok_or_else(|| cipher(Unopened))?;
        lock(&self.0.opened).put(Arc::clone(&key));
        Ok(key)
    }

    async fn make(&self) -> Result<Vec<Arc<DataKey>>, StoreError> {
        let (keys, now) = (self.keys(), self.0.clock.now());
        let made = (0..AHEAD).map(|_| keys.make(now, &*self.0.entropy));
        let made = made.collect::<Result<Vec<_>, _>>().map_err(cipher)?;
        let sql = format!(
            "insert into data_keys (key_id, wrapped_by, wrapped, created_at) values {}",
            placeholders(made.len(), 4)
        );
        let mut insert = sqlx::query(AssertSqlSafe(sql));
        for (key, wrapped) in &made {
            insert = insert
                .bind(key.id().to_string())
                .bind(i64::from(wrapped.by))
                .bind(&wrapped.text)
                .bind(micros(now));
        }
        insert.execute(self.0.database.pool()).await?;
        Ok(made.into_iter().map(|(key, _)| Arc::new(key)).collect())
    }

    /// One data key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] if it is no more.
    pub(crate) async fn key(&self, id: DataKeyId, subject: &str) -> Result<Arc<DataKey>, StoreError> {
        let mut found = self.find(vec![id]).await?;
        found.remove(&id).ok_or_else(|| StoreError::Locked { table: "subject_keys", id: subject.to_owned() })
    }

    /// The keys of what is sealed in these columns of rows, as far as there still are any.
    pub(crate) async fn unlock(&self, rows: &[AnyRow], columns: &[&str]) -> Result<Unlocked, StoreError> {
        let texts =
            rows.iter().flat_map(|row| columns.iter().map(|column| row.try_get::<Option<&str>, _>(*column)));
        let ids = texts.filter_map(|text| sealed_under(text.ok()??)).collect();
        Ok(Unlocked { region: self.region(), keys: self.find(ids).await? })
    }

    /// Rows of which these columns are sealed, each as `read` reads it.
    pub(crate) async fn read<T>(
        &self,
        rows: &[AnyRow],
        columns: &[&str],
        read: fn(&AnyRow, &Unlocked) -> Result<T, StoreError>,
    ) -> Result<Vec<Result<T, StoreError>>, StoreError> {
        let keys = self.unlock(rows, columns).await?;
        Ok(rows.iter().map(|row| read(row, &keys)).collect())
    }

    async fn find(&self, ids: Vec<DataKeyId>) -> Result<HashMap<DataKeyId, Arc<DataKey>>, StoreError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        {
            let mut opened = lock(&self.0.opened);
            for id in ids {
                match opened.get(id) {
                    Some(key) => drop(found.insert(id, key)),
                    None => missing.push(id),
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        for some in missing.chunks(AT_ONCE) {
            let places: Vec<_> = (1..=some.len()).map(|place| format!("${place}")).collect();
            let sql = format!("select * from data_keys where key_id in ({})", places.join(", "));
            let query =
                some.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(id.to_string()));
            for row in query.fetch_all(self.0.database.pool()).await? {
                let (id, wrapped) = read(&row)?;
                let key = self.keys().unwrap(id, &wrapped).map_err(cipher)?;
                let key = Arc::new(key);
                lock(&self.0.opened).put(Arc::clone(&key));
                found.insert(id, key);
            }
        }
        Ok(found)
    }

    /// Destroys data keys: what they sealed opens nowhere any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; some may be gone then.
    pub(crate) async fn destroy(&self, ids: &[DataKeyId]) -> Result<(), StoreError> {
        for id in ids {
            sqlx::query("delete from data_keys where key_id = $1")
                .bind(id.to_string())
                .execute(self.0.database.pool())
                .await?;
            lock(&self.0.opened).forget(*id);
        }
        self.0.database.sweep().await
    }

    /// How many data keys a key of the region's wraps.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn wrapped_by(&self, number: u32) -> Result<i64, StoreError> {
        let row = sqlx::query("select count(*) from data_keys where wrapped_by = $1")
            .bind(i64::from(number))
            .fetch_one(self.0.database.pool())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Wraps some of the data keys anew that a former key wraps. How many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or if a key does not open.
    pub async fn rewrap(&self) -> Result<usize, StoreError> {
        let (keys, now) = (self.keys(), self.0.clock.now());
        let rows = sqlx::query("select * from data_keys where wrapped_by <> $1 limit $2")
            .bind(i64::from(keys.current(now)))
            .bind(i64::try_from(AT_ONCE).unwrap_or(i64::MAX))
            .fetch_all(self.0.database.pool())
            .await?;
        // What is wrapped anew already stays as it is.
        transaction!(keyed self.0.database, tx => {
            for row in &rows {
                let (id, old) = read(row)?;
                let new = keys.rewrap(id, &old, now, &*self.0.entropy).map_err(cipher)?;
                sqlx::query(
                    "update data_keys set wrapped_by = $3, wrapped = $4 where key_id = $1 and wrapped = $2",
                )
                .bind(id.to_string())
                .bind(&old.text)
                .bind(i64::from(new.by))
                .bind(&new.text)
                .execute(&mut tx.0)
                .await?;
            }
            Ok(rows.len())
        })
    }
}

fn cipher(error: Unopened) -> StoreError {
    StoreError::Database(sqlx::Error::Decode(error.into()))
}

fn read(row: &AnyRow) -> Result<(DataKeyId, Wrapped), StoreError> {
    let columns = Columns::new(row, "data_keys", "key_id")?;
    let by = u32::try_from(columns.number("wrapped_by")?).map_err(|_| columns.corrupt("wrapped_by"))?;
    Ok((columns.parsed("key_id")?, Wrapped { by, text: columns.text("wrapped")? }))
}

impl Tx {
    /// The key of what belongs to a consent, payment or mandate; a fresh one, if it has none.
    pub(crate) async fn key_of(&mut self, subject: &str) -> Result<SubjectKey, StoreError> {
        let vault = self.vault()?.clone();
        let row = sqlx::query("select * from subject_keys where subject_id = $1")
            .bind(subject)
            .fetch_optional(&mut self.0)
            .await?;
        let Some(row) = row else { return self.key_of_new(subject).await };
        let id = Columns::new(&row, "subject_keys", "subject_id")?.parsed("key_id")?;
        let key = vault.key(id, subject).await?;
        Ok(SubjectKey { vault, key })
    }

    /// A fresh key for what is written for the first time; if it has one already, that.
    pub(crate) async fn key_of_new(&mut self, subject: &str) -> Result<SubjectKey, StoreError> {
        let vault = self.vault()?.clone();
        let key = vault.fresh().await?;
        let insert = "insert into subject_keys (subject_id, key_id) values ($1, $2) on conflict (subject_id) do nothing";
        let done = sqlx::query(insert).bind(subject).bind(key.id().to_string()).execute(&mut self.0).await?;
        if done.rows_affected() == 0 {
            return Box::pin(self.key_of(subject)).await;
        }
        Ok(SubjectKey { vault, key })
    }
}

/// The data key of one consent, payment or mandate.
pub(crate) struct SubjectKey {
    vault: Vault,
    key: Arc<DataKey>,
}

impl SubjectKey {
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Seals the JSON of a value in a row of this primary key.
    pub(crate) fn seal<T: serde::Serialize>(
        &self,
        place: (&'static str, &'static str),
        row: &str,
        value: &T,
    ) -> Result<String, StoreError> {
        self.seal_text(place, row, &crate::rows::json_text(value)?)
    }

    /// Seals a text.
    pub(crate) fn seal_text(
        &self,
        place: (&'static str, &'static str),
        row: &str,
        text: &str,
    ) -> Result<String, StoreError> {
        self.vault.seal(&self.key, place, row, text)
    }

    /// By what a bank's name of it is found.
    pub(crate) fn bank_id(&self, name: Option<&String>) -> Option<String> {
        name.map(|name| self.vault.blind_index(BANK_ID, name))
    }
}

/// Kind of the blind index over banks' names of consents and orders.
pub(crate) const BANK_ID: &str = "bank id";
