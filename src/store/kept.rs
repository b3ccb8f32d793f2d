//! Connections that single reads and transactions are made over.
//!
//! The pool asks a connection whether it lives whenever it gives it out, and again when it gets it back:
//! as much as a read itself, on either database. A read that fails because its connection is gone is
//! made again anyway, and so is the beginning of a transaction, so they need none of that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, AnyPool, Connection as _, Error};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long one is kept.
const FOR: Duration = Duration::from_secs(600);

/// Connections for one purpose, so many at most, beside those of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    most: u32,
    /// How long one waits for one.
    patience: Duration,
    /// Whether connections are made beside the pool, where nobody waits for whoever uses those of it.
    beside: bool,
}

/// A connection, and since when it is ours.
#[derive(Debug)]
struct Connection {
    connection: AnyConnection,
    since: Instant,
}

/// A connection that is being used. Whoever is done with it, and it did what it was asked, gives it back;
/// otherwise it ends.
#[derive(Debug)]
pub(crate) struct Lent {
    connection: Connection,
    of: Kept,
    new: bool,
    _place: OwnedSemaphorePermit,
}

impl Kept {
    pub(crate) fn at_most(most: u32, patience: Duration, beside: bool) -> Self {
        let places = Arc::new(Semaphore::new(most.try_into().unwrap_or(Semaphore::MAX_PERMITS)));
        Self { idle: Arc::default(), places, most, patience, beside }
    }

    /// One that is ours, and has been only after `renewed`, or a new one.
    pub(crate) async fn lend(&self, pool: &AnyPool, renewed: Option<Instant>) -> Result<Lent, Error> {
        let place = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)?;
        let kept = {
            let mut idle = self.idle();
            idle.retain(|one| one.since.elapsed() < FOR && renewed.is_none_or(|renewed| one.since > renewed));
            idle.pop()
        };
        let new = kept.is_none();
        let connection = match kept {
            Some(kept) => kept,
            None => self.made(pool).await?,
        };
        Ok(Lent { connection, of: self.clone(), new, _place: place })
    }

    async fn made(&self, pool: &AnyPool) -> Result<Connection, Error> {
        let since = Instant::now();
        let connection = if self.beside {
            let options = pool.connect_options();
            let made = timeout(self.patience, AnyConnection::connect_with(&options)).await;
            made.map_err(|_| Error::PoolTimedOut)??
        } else {
            pool.acquire().await?.detach()
        };
        Ok(Connection { connection, since })
    }

    /// Gives no more, and ends all of them, once whoever uses one is done with it or has had time for that.
    pub(crate) async fn end(&self) {
        let all = timeout(self.patience, self.places.acquire_many(self.most)).await;
        self.places.close();
        self.idle().clear();
        drop(all);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection.connection
    }

    /// Whether it was made for this use.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Gives it back.
    pub(crate) fn keep(self) {
        if !self.of.places.is_closed() {
            self.of.idle().push(self.connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::any::AnyPoolOptions;
    use sqlx::{Executor, Row};

    use super::*;

    async fn pool() -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap()
    }

    /// Whether a connection is the one that was marked.
    async fn marked(lent: &mut Lent) -> bool {
        let found = "select count(*) from sqlite_temp_master where name = 'mark'";
        lent.connection().fetch_one(found).await.unwrap().get::<i64, _>(0) == 1
    }

    #[tokio::test]
    async fn one_is_kept_until_the_database_has_moved() {
        let (pool, kept) = (pool().await, Kept::at_most(2, Duration::from_secs(5), false));
        let mut lent = kept.lend(&pool, None).await.unwrap();
        lent.connection().execute("create temp table mark (it text)").await.unwrap();
        lent.keep();
        let mut same = kept.lend(&pool, None).await.unwrap();
        assert!(marked(&mut same).await);
        same.keep();
        let mut other = kept.lend(&pool, Some(Instant::now())).await.unwrap();
        assert!(!marked(&mut other).await);
        // What is not used any more is gone, and takes no place of the pool's.
        assert!(kept.idle().is_empty());
        pool.close().await;
    }

    #[tokio::test]
    async fn there_are_only_so_many_and_none_after_the_end() {
        let (pool, kept) = (pool().await, Kept::at_most(1, Duration::ZERO, false));
        let only = kept.lend(&pool, None).await.unwrap();
        assert!(matches!(kept.lend(&pool, None).await, Err(Error::PoolTimedOut)));
        only.keep();
        let only = kept.lend(&pool, None).await.unwrap();
        kept.end().await;
        only.keep();
        assert!(kept.idle().is_empty());
        assert!(matches!(kept.lend(&pool, None).await, Err(Error::PoolClosed)));
    }
}
