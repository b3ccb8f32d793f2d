//! Transactions, and how they are run again.
//!
//! A database moves to another machine, ends connections, and picks one of two transactions that
//! wait for each other. Whoever is hit has to begin anew, so every transaction is a block that may
//! run more than once: [`transaction!`](crate::transaction!). Nothing else begins or commits.
//!
//! Of a commit that was not answered nobody knows whether it happened. It is not simply done again:
//! either the block finds out by a key what became of it, or its caller is told that nobody knows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::database::Database;
use crate::recent::{Recent, Touched};
use crate::statements::Begun;
use crate::vault::Vault;
use crate::{GlobalStore, RegionalStore, StoreError};

/// How often a block is run at most.
const RUNS: u32 = 20;
/// For how long from its first beginning on a block is begun again: a request waits no longer.
const LONGEST: Duration = Duration::from_secs(10);
/// The first pause between two runs; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two runs.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For how long a rollback is waited for.
pub(crate) const ROLLBACK: Duration = Duration::from_secs(1);

/// Runs a block in a transaction: `transaction!(store, tx => { …; Ok(value) })`.
///
/// The block is an asynchronous one, in which `tx` is a `&mut Tx`, and `return` and `?` leave the
/// block. What it gives with `Ok` is committed, with `Err` rolled back. Where the database fails in
/// a way that passes, the block runs again, so it takes nothing that it borrows for good, and what
/// it does elsewhere it does each time. Its error tells by [`Passing`] what the database said.
///
/// A commit that was not answered is [`StoreError::OutcomeUnknown`]. `transaction!(keyed store, tx
/// => …)` runs the block again instead. That is for blocks that then find what the first run left, by
/// a key of their own; that fail on it, as an insert by its own id does, whereupon it stays unknown;
/// whose conflict makes their caller read again; or that may be done twice.
#[macro_export]
macro_rules! transaction {
    (@ $runs:expr, $tx:ident, $block:block) => {{
        let mut runs = $runs;
        loop {
            let mut begun = match runs.begin().await {
                ::std::result::Result::Ok(begun) => begun,
                ::std::result::Result::Err(error) => break ::std::result::Result::Err(error),
            };
            let outcome = {
                let $tx = &mut begun;
                // In its place: each wrapper that held it would hold it once more.
                let block = ::std::pin::pin!(async { $block });
                runs.unless_moved(block).await
            };
            if let ::std::option::Option::Some(outcome) = runs.end(begun, outcome).await {
                break outcome;
            }
        }
    }};
    (keyed $store:expr, $tx:ident => $block:block) => {
        $crate::transaction!(@ $store.runs(true), $tx, $block)
    };
    ($store:expr, $tx:ident => $block:block) => {
        $crate::transaction!(@ $store.runs(false), $tx, $block)
    };
}

/// A transaction. Dropped without a commit, it changes nothing.
#[derive(Debug)]
pub struct Tx(pub(crate) Begun, pub(crate) Option<Vault>, pub(crate) Touched);

impl Tx {
    /// What seals in this transaction. The store without persons has nothing to seal with.
    pub(crate) fn vault(&self) -> Result<&Vault, StoreError> {
        let missing = || StoreError::Database(sqlx::Error::Configuration("nothing is sealed here".into()));
        self.1.as_ref().ok_or_else(missing)
    }

    /// Makes the transaction's changes last.
    async fn commit(self) -> Result<(), sqlx::Error> {
        #[cfg(feature = "crash-points")]
        crate::crash::point(crate::crash::Side::Before);
        self.0.commit().await?;
        #[cfg(feature = "crash-points")]
        crate::crash::point(crate::crash::Side::After);
        Ok(())
    }

    /// Undoes the transaction's changes now, so that nobody waits for them.
    async fn undo(self) {
        // What is not undone here is undone when the connection goes back to its pool.
        let _ = tokio::time::timeout(ROLLBACK, self.0.rollback()).await;
    }
}

/// An error of a block of [`transaction!`](crate::transaction!).
pub trait Passing: From<StoreError> {
    /// What the store said, if that is what it is about.
    fn store_error(&self) -> Option<&StoreError>;
}

impl Passing for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl StoreError {
    /// Whether the same may succeed a little later: the database moves, restarts or is busy. A
    /// transaction has changed nothing then.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        let passes = |error| matches!(error, &sqlx::Error::PoolTimedOut) || passing(error);
        self.of_database().is_some_and(passes)
    }

    /// What the database said.
    fn of_database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            Self::Conflict
            | Self::NotFound
            | Self::Corrupt { .. }
            | Self::NoSuchRegion(_)
            | Self::OtherRegion { .. }
            | Self::Locked { .. }
            | Self::OutcomeUnknown(_)
            | Self::Behind { .. }
            | Self::Migrate(_) => None,
        }
    }
}

/// Whether a transaction that met this may succeed when it is run again.
pub(crate) fn passing(error: &sqlx::Error) -> bool {
    lost(error) || code_of(error).is_some_and(|code| refusal(&code) || code == "53300")
}

/// Whether the connection, and perhaps others like it, is of no use any more.
pub(crate) fn lost(error: &sqlx::Error) -> bool {
    // The server goes down or comes up, ends who was idle, or it is not the one that may be written to any more: it
    // says so and does not end the connection. Or a table has another column since a statement was
    // prepared there (0A000: the cached plan must not change the result's type).
    let told =
        |code: String| matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "0A000");
    let broken = matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed);
    broken || code_of(error).is_some_and(|code| (code.len() == 5 && code.starts_with("08")) || told(code))
}

/// Whether the database has undone the transaction in favour of another one. It says so of a
/// commit too, which then has not happened.
pub(crate) fn refusal(code: &str) -> bool {
    // Serialization failure and deadlock; of SQLite: busy, also with recovery or a snapshot.
    matches!(code, "40001" | "40P01" | "5" | "261" | "517")
}

pub(crate) fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

/// The runs of one block. Only [`transaction!`](crate::transaction!) makes any.
#[doc(hidden)]
#[derive(Debug)]
pub struct Runs {
    database: Database,
    vault: Option<Vault>,
    recent: Option<Recent>,
    keyed: bool,
    pace: Pace,
    /// Why it is not known whether an earlier run was committed.
    unknown: Option<sqlx::Error>,
}

impl Database {
    pub(crate) fn runs(&self, keyed: bool) -> Runs {
        self.runs_with(None, None, keyed)
    }

    fn runs_with(&self, vault: Option<Vault>, recent: Option<Recent>, keyed: bool) -> Runs {
        Runs { database: self.clone(), vault, recent, keyed, pace: Pace::new(), unknown: None }
    }
}

impl GlobalStore {
    #[doc(hidden)]
    #[must_use]
    pub fn runs(&self, keyed: bool) -> Runs {
        self.database.runs(keyed)
    }
}

impl RegionalStore {
    #[doc(hidden)]
    #[must_use]
    pub fn runs(&self, keyed: bool) -> Runs {
        self.database.runs_with(Some(self.vault.clone()), Some(self.recent.clone()), keyed)
    }
}

impl Runs {
    /// Begins the next run.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database stays away.
    pub async fn begin<E: From<StoreError>>(&mut self) -> Result<Tx, E> {
        loop {
            let beginning = self.database.watching(self.database.begin());
            let begun = tokio::time::timeout_at(self.pace.end, beginning).await;
            let error = match begun.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(begun) => return Ok(Tx(begun, self.vault.clone(), Touched::of(self.recent.clone()))),
                Err(error) => error,
            };
            self.look_at(&error);
            if !(passing(&error) && self.pace.pause().await) {
                return Err(self.told(error).into());
            }
        }
    }

    /// Runs the block where the database is now, and gives it up when that is elsewhere.
    ///
    /// # Errors
    ///
    /// What the block says, or that the database has moved.
    pub async fn unless_moved<T, E: Passing>(
        &self,
        block: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = self.database.watching(self.database.unless_moved(async { Ok(block.await) })).await;
        done.unwrap_or_else(|moved| Err(StoreError::Database(moved).into()))
    }

    /// Ends a run; how it ended, unless there is to be another one.
    pub async fn end<T, E: Passing>(&mut self, tx: Tx, outcome: Result<T, E>) -> Option<Result<T, E>> {
        let error = match outcome {
            Ok(value) => match self.database.unless_moved(tx.commit()).await {
                Ok(()) => return Some(Ok(value)),
                Err(error) => return self.not_committed(error).await.map(|error| Err(error.into())),
            },
            Err(error) => error,
        };
        let said = error.store_error().and_then(StoreError::of_database);
        let (failed, passes) = (said.is_some(), said.is_some_and(passing));
        if !said.is_some_and(|said| self.look_at(said)) {
            tx.undo().await;
        }
        if passes && self.pace.pause().await {
            return None;
        }
        match self.unknown.take() {
            // What the first run may have left was not seen.
            Some(unknown) if failed => Some(Err(StoreError::OutcomeUnknown(unknown).into())),
            Some(_) | None => Some(Err(error)),
        }
    }

    /// What to say of a commit that failed, unless there is to be another run.
    async fn not_committed(&mut self, error: sqlx::Error) -> Option<StoreError> {
        self.look_at(&error);
        if code_of(&error).is_some_and(|code| refusal(&code)) {
            return if self.pace.pause().await { None } else { Some(self.told(error)) };
        }
        if self.keyed && self.pace.pause().await {
            self.unknown = Some(error);
            return None;
        }
        Some(StoreError::OutcomeUnknown(error))
    }

    /// What to say of an error after which there is no other run.
    fn told(&mut self, error: sqlx::Error) -> StoreError {
        self.unknown.take().map_or(StoreError::Database(error), StoreError::OutcomeUnknown)
    }

    /// Whether the connection is lost. The others are then as old as it was, or older.
    fn look_at(&self, error: &sqlx::Error) -> bool {
        let lost = lost(error);
        if lost {
            self.database.renew();
            if let Some(vault) = &self.vault {
                vault.renew();
            }
        }
        lost
    }
}

/// When something is tried again, and how often.
#[derive(Debug)]
pub(crate) struct Pace {
    failed: u32,
    end: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { failed: 0, end: now.checked_add(LONGEST).unwrap_or(now) }
    }

    /// Waits before the next try; false if there is to be none.
    pub(crate) async fn pause(&mut self) -> bool {
        self.failed = self.failed.saturating_add(1);
        let next = Instant::now().checked_add(pause_after(self.failed));
        let Some(next) = next.filter(|next| self.failed < RUNS && *next < self.end) else { return false };
        tokio::time::sleep_until(next).await;
        true
    }
}

/// The pause after so many failures, from a half to the whole of it: those who hindered each other
/// are not to meet again.
fn pause_after(failed: u32) -> Duration {
    static TURNS: AtomicU32 = AtomicU32::new(0);
    let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
    let half = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE) / 2;
    // The golden ratio spreads turns evenly; processes differ by their number.
    let turn = TURNS.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id());
    let share = turn.wrapping_mul(0x9e37_79b9) >> 22;
    half.saturating_add(half.saturating_mul(share) / 1_024)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::ErrorKind;

    use sqlx::error::{DatabaseError, ErrorKind as Kind};

    use super::*;

    /// What a database says.
    #[derive(Debug)]
    struct Said(&'static str);

    impl std::fmt::Display for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> Kind {
            Kind::Other
        }
    }

    fn said(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Said(code)))
    }

    #[test]
    fn what_passes_is_told_by_its_code() {
        for code in [
            "40001", "40P01", "53300", "57P01", "57P02", "57P03", "25006", "0A000", "08006", "5", "261",
            "517",
        ] {
            assert!(passing(&said(code)), "{code}");
        }
        // A unique violation, a syntax error, a cancelled statement, no such lock; of SQLite: no
        // such table, a table that is locked by its own connection, read-only, full.
        for code in ["23505", "42601", "57014", "55P03", "1", "6", "8", "13"] {
            assert!(!passing(&said(code)), "{code}");
        }
        for error in [sqlx::Error::Io(ErrorKind::UnexpectedEof.into()), sqlx::Error::WorkerCrashed] {
            assert!(passing(&error) && lost(&error), "{error}");
        }
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, sqlx::Error::RowNotFound] {
            assert!(!passing(&error), "{error}");
        }
    }

    /// A connection is of no use any more where the server went or became a copy, and is where two
    /// transactions met.
    #[test]
    fn connections_are_lost_where_the_database_moved() {
        for code in ["57P01", "57P02", "57P03", "25006", "0A000", "08003"] {
            assert!(lost(&said(code)), "{code}");
        }
        for code in ["40001", "40P01", "53300", "5", "8", "23505"] {
            assert!(!lost(&said(code)), "{code}");
        }
    }

    #[test]
    fn pauses_grow_to_a_second() {
        for failed in 1..100 {
            let pause = pause_after(failed);
            let whole = FIRST_PAUSE.saturating_mul(1 << (failed - 1).min(20)).min(LONGEST_PAUSE);
            assert!(pause >= whole / 2 && pause <= whole, "{failed}: {pause:?}");
        }
        let pauses: std::collections::BTreeSet<_> = (0..8).map(|_| pause_after(5)).collect();
        assert_eq!(pauses.len(), 8, "those who met do not meet again");
    }
}
