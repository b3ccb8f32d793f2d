//! Several hosts of one database, and which of them takes changes.
//!
//! An address may name hosts as libpq has them: `postgres://user@one:5432,two:5432/name`. All are
//! asked, at the start and whenever a connection is lost, and the one that is no copy is used from
//! then on. An address that moves with the database, or a pooler in front of it, needs none of this.

use std::io::ErrorKind;
use std::pin::pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Error, Row};
use tokio::sync::{Notify, watch};

use crate::pooler::recognised;

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two times that all hosts are asked.
const PAUSE: Duration = Duration::from_millis(200);
/// How long something takes that may be because the database has moved.
const LONG: Duration = Duration::from_millis(500);

/// The hosts of a database.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// How each is reached; one, where the address names one.
    each: Arc<[AnyConnectOptions]>,
    /// Rings when the primary is to be looked for.
    wanted: Arc<Notify>,
    /// The place of the one that is in use.
    current: Arc<Mutex<usize>>,
    /// How often that was another one than before.
    moves: Arc<watch::Sender<u64>>,
}

/// Scheme, authority and rest of an address of a server.
pub(crate) fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite")?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Some((scheme, authority, rest))
}

/// The addresses of each host that an address names.
pub(crate) fn addresses(url: &str) -> Vec<String> {
    let Some((scheme, authority, rest)) = parts(url) else { return vec![url.to_owned()] };
    let (who, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let at = if who.is_empty() { "" } else { "@" };
    hosts.split(',').map(|host| format!("{scheme}://{who}{at}{host}{rest}")).collect()
}

/// The address of the host that takes changes.
pub(crate) async fn primary_of(url: &str) -> Result<String, Error> {
    let hosts = Hosts::of(&recognised(url)?.0)?;
    hosts.primary().await?;
    Ok(addresses(url).into_iter().nth(hosts.place()).unwrap_or_else(|| url.to_owned()))
}

/// An address on one of its hosts, on all hosts of another one.
pub(crate) fn on_all_hosts(url: &str, of: &str) -> String {
    match (parts(url), parts(of)) {
        (Some((scheme, _, rest)), Some((_, authority, _))) => format!("{scheme}://{authority}{rest}"),
        (Some(_) | None, _) => url.to_owned(),
    }
}

impl Hosts {
    pub(crate) fn of(url: &str) -> Result<Self, Error> {
        let each = addresses(url).into_iter().map(|url| AnyConnectOptions::from_str(&url));
        Ok(Self {
            each: each.collect::<Result<Vec<_>, _>>()?.into(),
            wanted: Arc::default(),
            current: Arc::default(),
            moves: Arc::default(),
        })
    }

    /// The one that takes changes; the first, where there is no choice.
    pub(crate) async fn primary(&self) -> Result<AnyConnectOptions, Error> {
        if let [only] = &*self.each {
            return Ok(only.clone());
        }
        let found = join_all(self.each.iter().map(takes_changes)).await;
        let place = found.into_iter().position(|takes| takes);
        let missing = || std::io::Error::other("none of the database's hosts takes changes");
        let place = place.ok_or_else(missing)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = place;
        self.each.get(place).cloned().ok_or_else(|| missing().into())
    }

    /// Whether there is a choice.
    pub(crate) fn several(&self) -> bool {
        self.each.len() > 1
    }

    /// Looks where the database is now, soon.
    pub(crate) fn look(&self) {
        self.wanted.notify_one();
    }

    /// Waits for something that the database does, and looks where it is while that takes long: a
    /// pool tries again and again where nobody answers.
    pub(crate) async fn watching<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.several() {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(LONG, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.look(),
            }
        }
    }

    /// Waits for something that the database does where it is now. If it is elsewhere before that is done,
    /// nobody may ever answer: a host that is frozen or cut off keeps its connections.
    pub(crate) async fn unless_moved<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if !self.several() {
            return work.await;
        }
        let mut moves = self.moves.subscribe();
        tokio::select! {
            biased;
            done = work => done,
            Ok(()) = moves.changed() => {
                Err(std::io::Error::new(ErrorKind::TimedOut, "the database has moved meanwhile").into())
            }
        }
    }

    /// Has a pool connect to the host that takes changes, whenever it is to be looked for, until the
    /// pool is closed. While there is none, it is looked for again and again.
    pub(crate) fn follow(&self, pool: AnyPool) {
        if !self.several() {
            return;
        }
        let hosts = self.clone();
        tokio::spawn(async move {
            let mut current = hosts.place();
            loop {
                tokio::select! {
                    () = pool.close_event() => return,
                    () = hosts.wanted.notified() => {}
                }
                let primary = loop {
                    match hosts.primary().await {
                        Ok(primary) => break primary,
                        Err(_) if pool.is_closed() => return,
                        Err(_) => tokio::time::sleep(PAUSE).await,
                    }
                };
                pool.set_connect_options(primary);
                let place = hosts.place();
                if place != current {
                    current = place;
                    hosts.moves.send_modify(|moves| *moves = moves.wrapping_add(1));
                    tracing::warn!("The database is at its host {} now", place.saturating_add(1));
                }
            }
        });
    }

    fn place(&self) -> usize {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a host answers, and is no copy.
async fn takes_changes(host: &AnyConnectOptions) -> bool {
    let ask = async {
        let mut connection = AnyConnection::connect_with(host).await?;
        let copy = sqlx::raw_sql("select pg_is_in_recovery()").fetch_one(&mut connection).await?;
        connection.close().await?;
        copy.try_get::<bool, _>(0)
    };
    matches!(tokio::time::timeout(PATIENCE, ask).await, Ok(Ok(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_name_several_hosts() {
        assert_eq!(
            addresses("postgres://me:pw@one:5432,two,[::1]:5433/name?schemas=yes"),
            [
                "postgres://me:pw@one:5432/name?schemas=yes",
                "postgres://me:pw@two/name?schemas=yes",
                "postgres://me:pw@[::1]:5433/name?schemas=yes",
            ]
        );
        assert_eq!(addresses("postgres://one,two"), ["postgres://one", "postgres://two"]);
        let all = "postgres://me@one,two/name";
        assert_eq!(on_all_hosts("postgres://me@two/name_eu?x=y", all), "postgres://me@one,two/name_eu?x=y");
        for one in ["postgres://me:a,b@one/name", "sqlite:///a,b.sqlite", "sqlite::memory:"] {
            assert_eq!(addresses(one), [one]);
        }
    }
}
