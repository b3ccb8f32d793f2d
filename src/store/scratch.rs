//! PostgreSQL databases that go when their test is over, so that a thousand tests
//! need no more room than those that run at a time. Only with the feature `scratch`.

use std::ops::Deref;

use domain::Entropy;
use sqlx::any::AnyPoolOptions;
use sqlx::{Column, Row};

use crate::{SchemaUse, StoreError, postgres_databases};

/// A database beside the one a test may use, whose address says that what is made in it are
/// schemas: five databases for each of hundreds of tests are minutes. Dropped together with this
/// value, and with all that were made beside it, whoever is still connected.
pub struct ScratchDatabase {
    server: String,
    name: String,
    url: String,
}

impl ScratchDatabase {
    /// Makes `NAME_t<hex>` beside the database NAME that `server` addresses.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server cannot be reached or refuses.
    pub async fn beside(server: &str, entropy: &dyn Entropy) -> Result<Self, StoreError> {
        let mut random = [0_u8; 8];
        entropy.fill(&mut random);
        let suffix = format!("t{:016x}", u64::from_be_bytes(random));
        let made = postgres_databases(server, &[&suffix], SchemaUse::BringUpToDate).await?;
        let url = made.into_iter().next().unwrap_or_default();
        let name = url.rsplit_once('/').map(|(_, name)| name.to_owned()).unwrap_or_default();
        Ok(Self { server: server.to_owned(), name, url: format!("{url}?schemas=yes") })
    }
}

impl Deref for ScratchDatabase {
    type Target = str;

    /// Its address.
    fn deref(&self) -> &str {
        &self.url
    }
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // Where a test ends there may be no runtime, or one that must not be blocked.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(drop_all(&server, &name)).map_err(|why| why.to_string()),
                Err(why) => Err(why.to_string()),
            }
        });
        match dropping.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(why, "the databases of a test stay"),
            Err(_) => tracing::warn!("the databases of a test stay"),
        }
    }
}

/// Puts copies of a consent that a region's database (SQLite, and nobody else's) has beside it until there are `count`, with ids of
/// their own, by which nobody was granted anything: for measurements.
///
/// # Errors
///
/// [`StoreError`] if the database cannot be reached, or has no consent.
pub async fn multiply_consents(url: &str, count: u64) -> Result<(), StoreError> {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(url).await?;
    // Whoever opens it next sets these for itself; until then nobody needs what is written to be safe.
    for pragma in ["journal_mode = memory", "synchronous = off", "cache_size = -4000000"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("pragma {pragma}"))).execute(&pool).await?;
    }
    let one = sqlx::query("select * from consents limit 1").fetch_one(&pool).await?;
    let others: Vec<&str> =
        one.columns().iter().map(|it| it.name()).filter(|it| *it != "consent_id").collect();
    let others = others.join(", ");
    let sql = format!(
        "with recursive numbers(n) as \
         (select count(*) from consents union all select n + 1 from numbers where n + 1 < $1) \
         insert into consents (consent_id, {others}) \
         select 'con_eu_0000000000000000' || (1000000000000000 + n), {others} \
         from numbers, (select * from consents limit 1) one"
    );
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(count).execute(&pool).await?;
    pool.close().await;
    Ok(())
}

async fn drop_all(server: &str, name: &str) -> Result<(), StoreError> {
    let pool = AnyPoolOptions::new().max_connections(1).connect(server).await?;
    // Names are of a type of their own, which the driver does not read.
    let of = "select cast(datname as text) from pg_database where datname = $1 or starts_with(datname, $2)";
    let names: Vec<String> =
        sqlx::query_scalar(of).bind(name).bind(format!("{name}_")).fetch_all(&pool).await?;
    for name in names {
        // A name cannot be a parameter; all of these were made from hex digits.
        let sql = sqlx::AssertSqlSafe(format!("drop database if exists \"{name}\" with (force)"));
        sqlx::raw_sql(sql).execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}
