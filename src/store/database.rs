//! The one place where SQLite and PostgreSQL differ.
//!
//! All SQL here is a portable subset (text, bigint, `$n` parameters, `on
//! conflict`), run through sqlx's `Any` driver. SQLite wants its pragmas and a
//! write lock taken at `begin`; PostgreSQL wants neither.

use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use domain::{Region, Timestamp};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, Transaction};

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
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
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
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// A pool of connections to one database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    engine: Engine,
}

/// A transaction. Dropped without [`Tx::commit`], it changes nothing.
#[derive(Debug)]
pub struct Tx(pub(crate) Transaction<'static, Any>);

impl Database {
    /// Opens the database and runs the migrations it lacks.
    pub(crate) async fn open(url: &str, schema: Schema) -> Result<Self, StoreError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);

        let engine = if url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres };
        let options = AnyConnectOptions::from_str(url)?;
        let pool = AnyPoolOptions::new()
            .max_connections(if engine == Engine::Sqlite { 4 } else { 10 })
            .acquire_timeout(Duration::from_secs(15))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if engine == Engine::Sqlite {
                        for pragma in SQLITE_PRAGMAS {
                            sqlx::query(*pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        migrations(schema).run(&pool).await?;
        Ok(Self { pool, engine })
    }

    /// Starts a transaction. On SQLite it takes the write lock at once: taking
    /// it later fails when another writer came between.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let tx = match self.engine {
            Engine::Sqlite => self.pool.begin_with("begin immediate").await?,
            Engine::Postgres => self.pool.begin().await?,
        };
        Ok(Tx(tx))
    }

    /// The pool, for reads that need no transaction.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Tx {
    /// Makes the transaction's changes last.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; the outcome is then unknown.
    pub async fn commit(self) -> Result<(), StoreError> {
        #[cfg(feature = "crash-points")]
        crate::crash::point(crate::crash::Side::Before);
        self.0.commit().await?;
        #[cfg(feature = "crash-points")]
        crate::crash::point(crate::crash::Side::After);
        Ok(())
    }
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
    // Tokens scatter over pages: fewer checkpoints write each page fewer times.
    "pragma wal_autocheckpoint = 16000",
];

fn migrations(schema: Schema) -> Migrator {
    let migrations = schema.iter().map(|(version, name, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Makes the databases `NAME_suffix` beside the one that `url` names, where they
/// are missing. Their addresses, in the order of the suffixes.
///
/// # Errors
///
/// [`StoreError`] if the server cannot be reached or refuses.
pub async fn postgres_databases(url: &str, suffixes: &[&str]) -> Result<Vec<String>, StoreError> {
    sqlx::any::install_default_drivers();
    let invalid = || StoreError::Database(sqlx::Error::Configuration("the address names no database".into()));
    let mut address = url::Url::parse(url).map_err(|_| invalid())?;
    let name = address.path().trim_start_matches('/').to_owned();
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !plain(&name) || !suffixes.iter().all(|suffix| plain(suffix)) {
        return Err(invalid());
    }
    let server = AnyPoolOptions::new().max_connections(1).connect(url).await?;
    let mut urls = Vec::new();
    for suffix in suffixes {
        let database = format!("{name}_{suffix}");
        let there = sqlx::query("select 1 from pg_database where datname = $1")
            .bind(&database)
            .fetch_optional(&server)
            .await?;
        if there.is_none() {
            // A name cannot be a parameter; it was checked above.
            let sql = sqlx::AssertSqlSafe(format!("create database \"{database}\""));
            sqlx::raw_sql(sql).execute(&server).await?;
        }
        address.set_path(&database);
        urls.push(address.to_string());
    }
    server.close().await;
    Ok(urls)
}

/// An instant as the databases keep it: microseconds since 1970, UTC.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}
