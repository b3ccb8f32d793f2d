//! Brings a schema up to date while others use it.
//!
//! A migration that waits for a table has all others wait behind it, for as long as somebody reads
//! that table in one transaction. So it waits for a second, gives up, lets the others pass, and tries again.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection};
use tokio::time::{Instant, sleep};

use crate::database::Schema;
use crate::pooler;
use crate::transactions::code_of;

/// How long a migration waits for a lock, and others behind it.
const LOCK_TIMEOUT: &str = "set lock_timeout = '1s'";
/// The pause in which others pass.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long it is tried again.
const LONGEST: Duration = Duration::from_secs(120);

/// The migrations of a schema, as their library has them.
pub(crate) fn migrations(schema: Schema) -> Migrator {
    let migrations = schema.iter().map(|(version, name, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Runs the migrations that a PostgreSQL lacks.
pub(crate) async fn on_postgres(
    options: &AnyConnectOptions,
    schema: Schema,
    behind_pooler: bool,
) -> Result<(), MigrateError> {
    let begun = Instant::now();
    loop {
        let done = match behind_pooler {
            true => pooler::migrate(options, migrations(schema)).await,
            false => directly(options, schema).await,
        };
        match done {
            Err(error) if kept_waiting(&error) && begun.elapsed() < LONGEST => {
                tracing::info!("A migration waits for a table that others use");
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

/// On a connection of its own: what is left of a run that failed, such as its lock, ends with it.
async fn directly(options: &AnyConnectOptions, schema: Schema) -> Result<(), MigrateError> {
    let mut connection = AnyConnection::connect_with(options).await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut connection).await?;
    migrations(schema).run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether somebody else has what it needs.
fn kept_waiting(error: &MigrateError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let said = error.downcast_ref::<sqlx::Error>().and_then(code_of);
        if said.is_some_and(|code| code == "55P03") {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(all(test, feature = "scratch"))]
mod tests {
    use std::str::FromStr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use domain::{Clock, SystemClock, SystemEntropy};
    use sqlx::AnyPool;

    use super::*;
    use crate::{GlobalStore, SchemaUse, ScratchDatabase, StoreError, postgres_databases, transaction};

    const NOTES: (i64, &str, &str) = (1, "notes", "create table notes (note text not null)");
    const BEFORE: Schema = &[NOTES];
    const AFTER: Schema = &[NOTES, (2, "by", "alter table notes add column written_by text")];

    /// Somebody reads a table for long, and a migration wants to change it: whoever writes to it meanwhile
    /// waits for a second at a time, and the migration is made when it can be.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_migration_that_waits_lets_others_pass() {
        let Ok(server) = std::env::var("CONSENTRY_TEST_POSTGRES") else {
            eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this");
            return;
        };
        let scratch = ScratchDatabase::beside(&server, &SystemEntropy).await.unwrap();
        let url = postgres_databases(&scratch, &["notes"], SchemaUse::BringUpToDate).await.unwrap().remove(0);
        let options = AnyConnectOptions::from_str(&url).unwrap();
        on_postgres(&options, BEFORE, false).await.unwrap();
        let pool = AnyPool::connect(&url).await.unwrap();

        let mut reading = AnyConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("begin; select count(*) from notes").execute(&mut reading).await.unwrap();
        let migrated = AtomicBool::new(false);
        let migrating = async {
            on_postgres(&options, AFTER, false).await.unwrap();
            migrated.store(true, Ordering::Relaxed);
        };
        let others = async {
            let (begun, mut longest) = (Instant::now(), Duration::ZERO);
            while begun.elapsed() < Duration::from_secs(4) {
                let one = Instant::now();
                sqlx::raw_sql("insert into notes (note) values ('one')").execute(&pool).await.unwrap();
                longest = longest.max(one.elapsed());
            }
            assert!(!migrated.load(Ordering::Relaxed), "somebody still reads");
            assert!(longest > Duration::from_millis(500), "nobody waited: {longest:?}");
            assert!(longest < Duration::from_millis(2_500), "{longest:?}");
            reading.close().await.unwrap();
        };
        tokio::join!(migrating, others);
        sqlx::raw_sql("insert into notes (note, written_by) values ('two', 'me')")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    /// A column more, and what was prepared before is of no use: nobody notices, whether a statement reads or
    /// writes, alone or in a transaction.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_gateway_goes_on_when_a_table_has_another_column() {
        let Ok(server) = std::env::var("CONSENTRY_TEST_POSTGRES") else {
            eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this");
            return;
        };
        let scratch = ScratchDatabase::beside(&server, &SystemEntropy).await.unwrap();
        let url =
            postgres_databases(&scratch, &["global"], SchemaUse::BringUpToDate).await.unwrap().remove(0);
        let store = GlobalStore::open(&url).await.unwrap();
        let put = async || {
            let now = SystemClock.now();
            transaction!(keyed store, tx => {
                tx.put_client("tpp", &serde_json::json!({}), now).await?;
                let read = sqlx::query("select * from clients where client_id = $1").bind("tpp");
                Ok::<_, StoreError>(read.fetch_optional(&mut tx.0).await?.is_some())
            })
        };
        // Each connection has prepared each of them.
        for _ in 0..3 {
            let all = futures_util::future::join_all(
                (0..10).map(|_| async { (put().await, store.client("tpp").await) }),
            );
            assert!(all.await.into_iter().all(|(put, read)| put.is_ok() && read.is_ok()));
        }
        let mut other = AnyConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("alter table clients add column note text").execute(&mut other).await.unwrap();
        let all = futures_util::future::join_all(
            (0..10).map(|_| async { (put().await, store.client("tpp").await) }),
        );
        for (put, read) in all.await {
            assert!(put.unwrap() && read.unwrap().is_some());
        }
        store.close().await;
    }
}
