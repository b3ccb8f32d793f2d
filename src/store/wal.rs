//! Turns to write on SQLite, and its log, which is taken into the file beside who writes.
//!
//! SQLite has one writer at a time. Who finds another one sleeps for milliseconds and looks again, so those of a
//! process wait for their turn here first. By itself SQLite takes its log into the file within the commit that
//! finds it long, and whoever waits for that commit waits for thousands of pages. Here most of them are taken over while
//! others write, and only what has come meanwhile within a turn. Then the log begins anew.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AnyPool, Row};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::timeout;

/// Pages that the log is to have when it is taken over: 32 MiB. Fewer would be written more often, as the same
/// ones change again and again.
const PAGES: u64 = 8_000;
/// Turns after which it is taken over first, before anybody knows how many pages a turn has.
const FIRST: u64 = 1_000;
/// Turns after which it is taken over at the earliest, and at the latest.
const EARLIEST: u64 = 100;
const LATEST: u64 = 16_000;

/// A writer at a time.
#[derive(Debug)]
pub(crate) struct Writers {
    log: Arc<Mutex<Log>>,
    is_long: Notify,
    /// For how long somebody waits for a turn at most.
    patience: Duration,
}

/// How long the log is.
#[derive(Debug)]
pub(crate) struct Log {
    /// Turns since it was taken over.
    turns: u64,
    /// Turns after which it is taken over.
    enough: u64,
}

/// A turn to write, until it is dropped.
pub(crate) type Turn = OwnedMutexGuard<Log>;

impl Writers {
    pub(crate) fn new(patience: Duration) -> Arc<Self> {
        let log = Arc::new(Mutex::new(Log { turns: 0, enough: FIRST }));
        Arc::new(Self { log, is_long: Notify::new(), patience })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// That of a pool without a free connection, if nobody's turn ends in time.
    pub(crate) async fn next(&self) -> Result<Turn, sqlx::Error> {
        let turn = timeout(self.patience, Arc::clone(&self.log).lock_owned()).await;
        let mut turn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        turn.turns = turn.turns.saturating_add(1);
        // Once more after as many, if it could not be taken over.
        if turn.turns.checked_rem(turn.enough) == Some(0) {
            self.is_long.notify_one();
        }
        Ok(turn)
    }

    /// Takes the log over whenever it is long, until the pool is closed.
    pub(crate) fn follow(self: &Arc<Self>, pool: AnyPool) {
        let writers = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = pool.close_event() => return,
                    () = writers.is_long.notified() => {}
                }
                if let Err(error) = writers.take_over(&pool).await
                    && !pool.is_closed()
                {
                    // It is tried again; and each connection does it by itself where the log is far too long.
                    tracing::warn!(error = %error, "SQLite's log cannot be taken into its file");
                }
            }
        });
    }

    async fn take_over(&self, pool: &AnyPool) -> Result<(), sqlx::Error> {
        taken_over(pool).await?;
        let mut turn = self.next().await?;
        let pages = taken_over(pool).await?;
        *turn = Log { turns: 0, enough: after(turn.turns, pages) };
        Ok(())
    }
}

/// Turns after which the log has as many pages as it is to have, if so many turns made so many.
fn after(turns: u64, pages: u64) -> u64 {
    let many = turns.saturating_mul(PAGES).checked_div(pages).unwrap_or(LATEST);
    many.clamp(EARLIEST, LATEST)
}

/// Takes the log over as far as no reader needs what is in the file, and waits for nobody. How many pages it has.
async fn taken_over(pool: &AnyPool) -> Result<u64, sqlx::Error> {
    let row = sqlx::raw_sql("pragma wal_checkpoint(passive)").fetch_one(pool).await?;
    // None, or less: there is no log.
    Ok(row.try_get::<i64, _>(1)?.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_taken_over_as_often_as_it_is_long() {
        assert_eq!(after(1_000, 8_000), 1_000);
        assert_eq!(after(1_000, 4_000), 2_000, "short turns");
        assert_eq!(after(1_000, 800_000), EARLIEST, "long turns");
        assert_eq!((after(1_000, 0), after(u64::MAX, 1)), (LATEST, LATEST));
    }
}
