//! The one place where SQLite and PostgreSQL differ.
//!
//! All SQL here is a portable subset (text, bigint, `$n` parameters, `on
//! conflict`), run through sqlx's `Any` driver. SQLite wants its pragmas and a
//! write lock taken at `begin`; PostgreSQL wants neither.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use domain::{Region, Timestamp};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Connection, Row};
use tokio::time::timeout;

use crate::hosts::{Hosts, addresses, on_all_hosts, primary_of};
use crate::kept::{Kept, Lent};
use crate::statements::{Statements, Unheard};
use crate::transactions::code_of;
use crate::wal::{Turn, Writers};
use crate::{pooler, upgrade};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row is not in the state the change needs: somebody else was first.
    #[error("the record has changed meanwhile")]
    Conflict,
    /// There is no such row.
    #[error("there is no such record")]
    NotFound,
    /// A row that cannot be understood.
    #[error("column {table}.{column} of {id} cannot be read")]
    Corrupt {
        /// Table of the row.
        table: &'static str,
        /// Column of the row.
        column: &'static str,
        /// Primary key of the row.
        id: String,
    },
    /// Personal data of a region that this installation does not hold.
    #[error("region {0} is not held here")]
    NoSuchRegion(Region),
    /// A database that holds another region than it is opened for: an address or a backup of another
    /// place.
    #[error("this is the database of region {held}, not of {wanted}")]
    OtherRegion {
        /// Whose data it holds.
        held: String,
        /// Whose it was taken for.
        wanted: Region,
    },
    /// What is sealed in a row has no key any more: it was erased, or the database of keys
    /// is not the one that belongs to this data.
    #[error("the key of {table} {id} is missing")]
    Locked {
        /// Table of the row.
        table: &'static str,
        /// Its primary key.
        id: String,
    },
    /// The database failed, and changed nothing.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The database did not say whether it made a change last: read again, by its key.
    #[error("it is not known whether the change was made")]
    OutcomeUnknown(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The schema lacks what this version works with, and is not to be changed from here.
    #[error("the schema is {lacks} migrations behind: `consentry migrate` brings it up to date")]
    Behind {
        /// How many migrations it lacks.
        lacks: usize,
    },
}

/// What becomes of a schema that is behind. One that is ahead is fine for who only uses it: a migration
/// adds what the next version needs, and takes away what the last one used, in different releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaUse {
    /// It is brought up to date.
    #[default]
    BringUpToDate,
    /// It is refused: somebody else brings it up to date.
    AsItIs,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::AnyDriverError(of_driver) = error else { return Self::Database(error) };
        match of_driver.downcast::<Unheard>() {
            Ok(unheard) => Self::OutcomeUnknown(unheard.0),
            Err(of_driver) => Self::Database(sqlx::Error::AnyDriverError(of_driver)),
        }
    }
}

/// Migrations of one kind of store: version, name, SQL.
pub(crate) type Schema = &'static [(i64, &'static str, &'static str)];

/// Schema of the store without persons.
pub(crate) const GLOBAL: Schema = &[
    (1, "clients and tokens", include_str!("../../migrations/global/0001_clients_and_tokens.sql")),
    (2, "authorization server", include_str!("../../migrations/global/0002_authorization_server.sql")),
    (3, "token indexes", include_str!("../../migrations/global/0003_token_indexes.sql")),
    (20, "webhook secrets", include_str!("../../migrations/global/0020_webhook_secrets.sql")),
    (21, "webhook certificates", include_str!("../../migrations/global/0021_webhook_certificates.sql")),
    (30, "payment policies", include_str!("../../migrations/global/0030_payment_policies.sql")),
    (40, "payee verifications", include_str!("../../migrations/global/0040_payee_verifications.sql")),
];

/// Schema of a region's store.
pub(crate) const REGION: Schema = &[
    (1, "consents and payments", include_str!("../../migrations/region/0001_consents_and_payments.sql")),
    (2, "consent life", include_str!("../../migrations/region/0002_consent_life.sql")),
    (3, "authorization details", include_str!("../../migrations/region/0003_authorization_details.sql")),
    (4, "institution health", include_str!("../../migrations/region/0004_institution_health.sql")),
    (5, "snapshots", include_str!("../../migrations/region/0005_snapshots.sql")),
    (6, "sca steps", include_str!("../../migrations/region/0006_sca_steps.sql")),
    (7, "mandates", include_str!("../../migrations/region/0007_mandates.sql")),
    (8, "consent kinds", include_str!("../../migrations/region/0008_consent_kinds.sql")),
    (9, "turns", include_str!("../../migrations/region/0009_turns.sql")),
    (10, "event order", include_str!("../../migrations/region/0010_event_order.sql")),
    (11, "event positions", include_str!("../../migrations/region/0011_event_positions.sql")),
    (20, "client spending", include_str!("../../migrations/region/0020_client_spending.sql")),
    (30, "bank notices", include_str!("../../migrations/region/0030_bank_notices.sql")),
    (40, "refunds", include_str!("../../migrations/region/0040_refunds.sql")),
    (50, "payment revisions", include_str!("../../migrations/region/0050_payment_revisions.sql")),
    (60, "unattended accesses", include_str!("../../migrations/region/0060_unattended_accesses.sql")),
    (70, "audit log", include_str!("../../migrations/region/0070_audit_log.sql")),
    (80, "sealed columns", include_str!("../../migrations/region/0080_sealed_columns.sql")),
    (90, "region", include_str!("../../migrations/region/0090_region.sql")),
    (100, "bank days", include_str!("../../migrations/region/0100_bank_days.sql")),
    (110, "requests", include_str!("../../migrations/region/0110_requests.sql")),
];

/// Schema of the database of a region's data keys.
pub(crate) const KEYS: Schema = &[(1, "data keys", include_str!("../../migrations/keys/0001_data_keys.sql"))];

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// What is no person's.
    Global,
    /// The data of a region.
    Region,
    /// The data keys of a region.
    Keys,
}

impl Held {
    fn schema(self) -> Schema {
        match self {
            Self::Global => GLOBAL,
            Self::Region => REGION,
            Self::Keys => KEYS,
        }
    }
}

/// Brings the schema of the database at `url` up to date. How many migrations it lacked.
///
/// # Errors
///
/// [`StoreError`] if it cannot be reached or migrated.
pub async fn bring_up_to_date(url: &str, held: Held) -> Result<usize, StoreError> {
    #[cfg(not(feature = "crash-points"))]
    let schema = held.schema();
    #[cfg(feature = "crash-points")]
    let schema = crate::further::schema(held.schema(), held);
    let lacked = match Database::open(url, schema, SchemaUse::AsItIs).await {
        Ok(database) => {
            database.close().await;
            return Ok(0);
        }
        Err(StoreError::Behind { lacks }) => lacks,
        Err(error) => return Err(error),
    };
    Database::open(url, schema, SchemaUse::BringUpToDate).await?.close().await;
    Ok(lacked)
}

/// How long one waits for a connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a connection that is given back may be silent, where there are other hosts.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// A pool of connections to one database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    /// Where what is written together is written over one connection: what it knows of the file stays true
    /// as long as no other writes.
    alone: Option<AnyPool>,
    /// What single reads are made over.
    kept: Kept,
    /// What transactions are made over, where a connection is of another machine.
    transactions: Option<Kept>,
    engine: Engine,
    /// Connections that were made before this are not used any more.
    renewed: Arc<Mutex<Option<Instant>>>,
    hosts: Hosts,
    behind_pooler: bool,
    /// Where there is one writer at a time.
    writers: Option<Arc<Writers>>,
}

impl Database {
    /// Opens the database and runs the migrations it lacks, if it is to be brought up to date.
    pub(crate) async fn open(url: &str, schema: Schema, used: SchemaUse) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);

        // A key that was destroyed is overwritten. Elsewhere what is deleted is sealed or says nothing.
        let forgets: &[_] = if schema == KEYS { &["pragma secure_delete = on"] } else { &[] };
        let engine = if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres };
        let (url, behind_pooler) = pooler::recognised(url)?;
        let hosts = Hosts::of(&url)?;
        let options = hosts.primary().await?;
        let up_to_date = used == SchemaUse::BringUpToDate;
        if engine == Engine::Postgres && up_to_date {
            upgrade::on_postgres(&options, schema, behind_pooler).await?;
        }
        let renewed = Arc::<Mutex<Option<Instant>>>::default();
        let limit = Arc::clone(&renewed);
        let several = hosts.several();
        let reads = if engine == Engine::Sqlite { 2 } else { 4 };
        let pools = AnyPoolOptions::new()
            .after_release(move |connection, _| {
                Box::pin(async move {
                    // A connection whose host is silent must not keep its place in the pool.
                    if several && timeout(GOODBYE, connection.ping()).await.is_err() {
                        return Err(sqlx::Error::Io(ErrorKind::TimedOut.into()));
                    }
                    Ok(true)
                })
            })
            .max_connections(4)
            // What is a file does not go away.
            .test_before_acquire(engine == Engine::Postgres)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if engine == Engine::Sqlite {
                        for pragma in SQLITE_PRAGMAS.iter().chain(forgets) {
                            sqlx::query(*pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            })
            .before_acquire(move |_, connection| {
                let limit = *limit.lock().unwrap_or_else(PoisonError::into_inner);
                let made = Instant::now().checked_sub(connection.age);
                let outdated = limit.is_some_and(|limit| made.is_none_or(|made| made <= limit));
                Box::pin(std::future::ready(Ok(!outdated)))
            });
        let alone = pools.clone().max_connections(1).connect_lazy_with(options.clone());
        let alone = (engine == Engine::Sqlite && schema != KEYS).then_some(alone);
        let pool = pools.connect_with(options).await?;
        if engine == Engine::Sqlite && up_to_date {
            upgrade::migrations(schema).run(&pool).await?;
        }
        hosts.follow(pool.clone());
        let kept = Kept::at_most(reads, PATIENCE, engine == Engine::Postgres);
        let transactions = (engine == Engine::Postgres).then(|| Kept::at_most(8, PATIENCE, true));
        let writers = (engine == Engine::Sqlite).then(|| Writers::new(PATIENCE));
        if let Some(writers) = &writers
            && schema != KEYS
        {
            writers.follow(pool.clone());
        }
        let database =
            Self { pool, alone, kept, transactions, engine, renewed, hosts, behind_pooler, writers };
        if !up_to_date {
            database.is_not_behind(schema).await?;
        }
        Ok(database)
    }

    /// Refuses a schema that lacks migrations.
    async fn is_not_behind(&self, schema: Schema) -> Result<(), StoreError> {
        let told =
            sqlx::query("select version from _sqlx_migrations where success").fetch_all(self.pool()).await;
        let there: Vec<i64> = match told {
            Ok(rows) => rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            // Nobody has ever brought it up to date.
            Err(error) if no_such_table(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let lacks = schema.iter().filter(|(version, ..)| !there.contains(version)).count();
        if lacks == 0 { Ok(()) } else { Err(StoreError::Behind { lacks }) }
    }

    /// The same database, for who writes much and one thing after the other.
    pub(crate) fn alone(&self) -> Self {
        Self { pool: self.alone.as_ref().unwrap_or(&self.pool).clone(), ..self.clone() }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.engine == Engine::Sqlite
    }

    /// Whether a pooler hands out connections for a transaction at a time.
    pub(crate) fn behind_pooler(&self) -> bool {
        self.behind_pooler
    }

    /// Has every connection made anew before it is used again: the database moved elsewhere, and
    /// where it was may go on answering, as a copy that takes no changes.
    pub(crate) fn renew(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.hosts.look();
    }

    /// Waits for something that the database does where it is now.
    pub(crate) async fn unless_moved<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        self.hosts.unless_moved(work).await
    }

    /// Waits for something that the database does, wherever it is meanwhile.
    pub(crate) async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        self.hosts.watching(work).await
    }

    /// A turn to write, where there is one writer at a time.
    ///
    /// # Errors
    ///
    /// That of a pool without a free connection, if nobody's turn ends in time.
    pub(crate) async fn turn(&self) -> Result<Option<Turn>, sqlx::Error> {
        match &self.writers {
            Some(writers) => writers.next().await.map(Some),
            None => Ok(None),
        }
    }

    /// How a transaction begins. On SQLite it takes the write lock at once: taking
    /// it later fails when another writer came between.
    pub(crate) fn beginning(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "begin immediate",
            Engine::Postgres => "begin",
        }
    }

    /// Takes what was deleted off the disk, as far as the database can: SQLite overwrites it and
    /// empties its log, PostgreSQL takes it out of the table and not out of its log.
    pub(crate) async fn sweep(&self) -> Result<(), StoreError> {
        let sql = match self.engine {
            Engine::Sqlite => "pragma wal_checkpoint(truncate)",
            Engine::Postgres => "vacuum data_keys",
        };
        let _turn = self.turn().await?;
        sqlx::raw_sql(sql).execute(&self.pool).await?;
        Ok(())
    }

    /// What runs single statements, which need no transaction.
    pub(crate) fn pool(&self) -> Statements<'_> {
        Statements(self)
    }

    /// What single reads are made over.
    pub(crate) fn for_reads(&self) -> &Kept {
        &self.kept
    }

    /// What transactions are made over, where connections are kept for them.
    pub(crate) fn for_transactions(&self) -> Option<&Kept> {
        self.transactions.as_ref()
    }

    /// A connection, to be given back when it did what it was to do.
    pub(crate) async fn lend_of(&self, kept: &Kept) -> Result<Lent, sqlx::Error> {
        kept.lend(&self.pool, self.renewed()).await
    }

    fn renewed(&self) -> Option<Instant> {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections.
    pub(crate) fn connections(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::raw_sql("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// The time by the database's own clock, microseconds since 1970; none where it is ours.
    pub(crate) async fn time(&self) -> Result<Option<i64>, StoreError> {
        match self.engine {
            Engine::Sqlite => Ok(None),
            Engine::Postgres => {
                let sql = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as micros";
                Ok(Some(sqlx::query(sql).fetch_one(self.pool()).await?.try_get("micros")?))
            }
        }
    }

    pub(crate) async fn close(&self) {
        // What is under way is done first.
        if let Some(transactions) = &self.transactions {
            transactions.end().await;
        }
        self.kept.end().await;
        self.pool.close().await;
        if let Some(alone) = &self.alone {
            alone.close().await;
        }
    }
}

/// PostgreSQL has a code for it, SQLite words.
fn no_such_table(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code == "42P01") || error.to_string().contains("no such table")
}

const SQLITE_PRAGMAS: &[&str] = &[
    "pragma journal_mode = wal",
    // A payment that was answered is on the disk.
    "pragma synchronous = full",
    "pragma foreign_keys = on",
    "pragma busy_timeout = 10000",
    // Reads of pages that other connections wrote come from the page cache of
    // the system, without a call each.
    "pragma mmap_size = 268435456",
    "pragma cache_size = -8000",
    // That is done beside who writes (`wal`), unless it falls far behind.
    "pragma wal_autocheckpoint = 64000",
];

/// Makes the databases `NAME_suffix` beside the one that `url` names, where they
/// are missing. Their addresses, in the order of the suffixes.
///
/// With `?schemas=yes` in the address they are schemas of that one database: for roles that
/// may make no databases.
///
/// # Errors
///
/// [`StoreError`] if the server cannot be reached or refuses. Nobody is asked where they are used
/// [`SchemaUse::AsItIs`].
pub async fn postgres_databases(
    url: &str,
    suffixes: &[&str],
    schema: SchemaUse,
) -> Result<Vec<String>, StoreError> {
    sqlx::any::install_default_drivers();
    let made = match schema {
        SchemaUse::BringUpToDate => databases_at(&primary_of(url).await?, suffixes, true).await?,
        SchemaUse::AsItIs => {
            let one = addresses(url).into_iter().next();
            databases_at(&one.unwrap_or_else(|| url.to_owned()), suffixes, false).await?
        }
    };
    Ok(made.iter().map(|made| on_all_hosts(made, url)).collect())
}

/// The same at one host; they are there already, if they are not to be made.
async fn databases_at(url: &str, suffixes: &[&str], make: bool) -> Result<Vec<String>, StoreError> {
    let invalid = || StoreError::Database(sqlx::Error::Configuration("the address names no database".into()));
    let mut address = url::Url::parse(url).map_err(|_| invalid())?;
    let name = address.path().trim_start_matches('/').to_owned();
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !plain(&name) || !suffixes.iter().all(|suffix| plain(suffix)) {
        return Err(invalid());
    }
    let in_schemas = address.query_pairs().any(|pair| pair == ("schemas".into(), "yes".into()));
    let kept: Vec<_> = address.query_pairs().into_owned().filter(|(name, _)| name != "schemas").collect();
    address.set_query(None);
    if !kept.is_empty() {
        address.query_pairs_mut().extend_pairs(kept);
    }
    let (plain_address, _) = pooler::recognised(address.as_str())?;
    let server = match make {
        true => Some(AnyPoolOptions::new().max_connections(1).connect(&plain_address).await?),
        false => None,
    };
    let mut urls = Vec::new();
    for suffix in suffixes {
        // A name cannot be a parameter; it was checked above.
        if in_schemas {
            if let Some(server) = &server {
                made(server, format!("create schema if not exists \"{suffix}\"")).await?;
            }
            let mut of_schema = address.clone();
            of_schema.query_pairs_mut().append_pair("options[search_path]", suffix);
            urls.push(of_schema.to_string());
            continue;
        }
        let database = format!("{name}_{suffix}");
        if let Some(server) = &server {
            let sql = format!("select 1 from pg_database where datname = '{database}'");
            let there = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_optional(server).await?;
            if there.is_none() {
                made(server, format!("create database \"{database}\"")).await?;
            }
        }
        address.set_path(&database);
        urls.push(address.to_string());
    }
    if let Some(server) = server {
        server.close().await;
    }
    Ok(urls)
}

/// Makes something, unless somebody else is making it at the same time.
async fn made(server: &AnyPool, sql: String) -> Result<(), StoreError> {
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(server).await;
    // A name that is taken, of a database or a schema; or it was while it was being written.
    let there = |error: &sqlx::Error| {
        code_of(error).is_some_and(|code| matches!(code.as_str(), "42P04" | "42P06" | "23505"))
    };
    match done {
        Err(error) if !there(&error) => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// An instant as the databases keep it: microseconds since 1970, UTC.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}
