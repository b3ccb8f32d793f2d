//! A pooler in front of PostgreSQL that hands its connections out for a transaction at a time, as
//! PgBouncer does with `pool_mode = transaction`.
//!
//! `?pooler=transaction` in an address says that there is one. What a session would keep from one
//! transaction to the next is not used then: statements have no names, single ones run in a
//! transaction of their own, and migrations are kept apart by a lock that ends with theirs.

use std::borrow::Cow;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection, Error};

/// What all that run migrations at a database wait for.
const LOCK: &str = "select pg_advisory_xact_lock(7210466183)";
/// How long it waits for what others have, and others behind it.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '1s'";
/// A server may have names that another client left.
const FORGET: &str = "deallocate all";

/// An address as drivers know it, and whether it is that of such a pooler.
///
/// # Errors
///
/// [`Error::Configuration`] if the address names another way of pooling, or wants schemas as well:
/// which one is meant is the session's matter.
pub(crate) fn recognised(url: &str) -> Result<(Cow<'_, str>, bool), Error> {
    let Some((address, query)) = url.split_once('?').filter(|_| !url.starts_with("sqlite:")) else {
        return Ok((url.into(), false));
    };
    let of_pooler = |pair: &&str| pair.split('=').next() == Some("pooler");
    let Some(pooler) = query.split('&').find(of_pooler) else { return Ok((url.into(), false)) };
    let wrong = |text: &'static str| Err(Error::Configuration(text.into()));
    if pooler != "pooler=transaction" {
        return wrong("the address's pooler is none that is known: transaction is");
    }
    if query.split('&').any(|pair| pair == "schemas=yes" || pair.starts_with("options")) {
        return wrong("behind a pooler there are databases and no schemas: the address asks for both");
    }
    let kept: Vec<_> = query.split('&').filter(|pair| !of_pooler(pair)).collect();
    let address = if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) };
    Ok((address.into(), true))
}

/// Runs the migrations that a database lacks, all in one transaction and on a connection of their
/// own: they name their statements.
pub(crate) async fn migrate(options: &AnyConnectOptions, mut migrator: Migrator) -> Result<(), MigrateError> {
    migrator.set_locking(false);
    let mut connection = AnyConnection::connect_with(options).await?;
    let mut transaction = connection.begin().await?;
    for sql in [FORGET, LOCK_TIMEOUT, LOCK] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await?;
    }
    migrator.run(&mut *transaction).await?;
    sqlx::raw_sql(FORGET).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_is_recognised_and_taken_out() {
        for (url, address, pooler) in [
            ("postgres://a@b/c?pooler=transaction", "postgres://a@b/c", true),
            ("postgres://b/c?sslmode=require&pooler=transaction", "postgres://b/c?sslmode=require", true),
            ("postgres://b/c?sslmode=require", "postgres://b/c?sslmode=require", false),
            ("postgres://b/c?schemas=yes", "postgres://b/c?schemas=yes", false),
            ("sqlite://c.sqlite?mode=rwc", "sqlite://c.sqlite?mode=rwc", false),
        ] {
            assert_eq!(recognised(url).unwrap(), (address.into(), pooler), "{url}");
        }
    }

    #[test]
    fn what_a_pooler_cannot_do_is_said() {
        for (url, why) in [
            ("postgres://b/c?pooler=session", "none that is known"),
            ("postgres://b/c?pooler", "none that is known"),
            ("postgres://b/c?schemas=yes&pooler=transaction", "no schemas"),
            ("postgres://b/c?pooler=transaction&options[search_path]=eu", "no schemas"),
        ] {
            let error = recognised(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
