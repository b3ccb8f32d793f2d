//! The log of what was done with a region's personal data: appended under one row's lock, so
//! that its entries have one order, however many processes write.

use audit::{Frontier, Record, merkle};
use crypto::digest::hex;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use crate::rows::Columns;
use crate::together::{Entry, placeholders};
use crate::{RegionalStore, StoreError, Tx};

/// Entries that are appended by one statement. SQLite takes 32,766 parameters.
const AT_ONCE: usize = 1_000;

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedEntry {
    /// Its place, from 0.
    pub sequence: u64,
    /// What it says: a line of JSON.
    pub entry: String,
    /// Its hash as it was when it was appended.
    pub leaf_hash: Option<audit::Hash>,
}

impl RegionalStore {
    /// Appends what was done, and returns when that is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn audit(&self, record: &Record<'_>) -> Result<(), StoreError> {
        self.together.write(Entry::Audit(Some(record.to_string()))).await
    }

    /// Appends what was written with changes and is not in the log yet. True if there was any.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn settle_audit(&self) -> Result<bool, StoreError> {
        let waiting = sqlx::query("select 1 from audit_pending limit 1");
        let any = waiting.fetch_optional(self.database.pool()).await?.is_some();
        if any {
            self.together.write(Entry::Audit(None)).await?;
        }
        Ok(any)
    }

    /// Entries from a place on, in their order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn audit_entries(&self, from: u64, limit: u32) -> Result<Vec<LoggedEntry>, StoreError> {
        let sql = "select sequence, cast(sequence as text) as place, leaf_hash, entry from audit_log \
                   where sequence >= $1 order by sequence limit $2";
        let rows = sqlx::query(sql)
            .bind(i64::try_from(from).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "audit_log", "place")?;
                let sequence = columns.number("sequence")?.try_into();
                let mut leaf_hash = [0; 32];
                let readable = crypto::digest::from_hex(&columns.text("leaf_hash")?, &mut leaf_hash);
                Ok(LoggedEntry {
                    sequence: sequence.map_err(|_| columns.corrupt("sequence"))?,
                    entry: columns.text("entry")?,
                    leaf_hash: readable.then_some(leaf_hash),
                })
            })
            .collect()
    }

    /// What the next root depends on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn audit_frontier(&self) -> Result<Frontier, StoreError> {
        let row = sqlx::query("select frontier from audit_head where id = 1");
        let row = row.fetch_optional(self.database.pool()).await?;
        row.map_or_else(|| Ok(Frontier::empty()), |row| frontier(&row.try_get::<String, _>(0)?))
    }

    /// Signed checkpoints, from the smallest log to the largest.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn audit_checkpoints(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("select note from audit_checkpoints order by size");
        let rows = rows.fetch_all(self.database.pool()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The size of the log that was signed last; 0 if none was.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn audit_signed(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("select coalesce(max(size), 0) from audit_checkpoints");
        let size: i64 = row.fetch_one(self.database.pool()).await?.try_get(0)?;
        Ok(size.try_into().unwrap_or(0))
    }

    /// Keeps a signed checkpoint, unless there is one of a log of this size. True if it is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn add_audit_checkpoint(&self, size: u64, note: &str) -> Result<bool, StoreError> {
        let sql = "insert into audit_checkpoints (size, note) values ($1, $2) on conflict (size) do nothing";
        let done = sqlx::query(sql)
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .bind(note)
            .execute(self.database.pool())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Tx {
    /// Writes what is done with the transaction's change. It is in the log soon after.
    pub(crate) async fn audit(&mut self, event_id: &str, record: &Record<'_>) -> Result<(), StoreError> {
        sqlx::query("insert into audit_pending (event_id, entry) values ($1, $2)")
            .bind(event_id)
            .bind(record.to_string())
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

/// What an append begins with: whoever appends next waits for the first row. Their rows are for
/// [`Appending::to`].
pub(crate) fn beginning<'q>() -> [Query<'q, Any, AnyArguments>; 2] {
    let head = "insert into audit_head (id, frontier) values (1, $1) \
                on conflict (id) do update set frontier = audit_head.frontier returning frontier";
    let pending = "delete from audit_pending where event_id in \
                   (select event_id from audit_pending order by event_id limit 1000) returning event_id, entry";
    // No number of rows as a value: SQLite plans such a statement anew whenever it is given one.
    [sqlx::query(head).bind("0"), sqlx::query(pending)]
}

/// What this process appended last: if nobody has appended since, what is asked before an append is known, and
/// everything goes to the database at once.
#[derive(Debug, Default)]
pub(crate) struct Last {
    frontier: Option<Frontier>,
    /// How often it was in vain to expect that, one after the other.
    missed: u32,
    /// So many appends do not try.
    resting: u32,
}

impl Last {
    /// The log as it may still be.
    pub(crate) fn expected(&mut self) -> Option<Frontier> {
        match self.resting.checked_sub(1) {
            Some(left) => {
                self.resting = left;
                None
            }
            None => self.frontier.clone(),
        }
    }

    /// The log was not as expected.
    pub(crate) fn miss(&mut self) {
        self.resting = (1_u32 << self.missed).saturating_sub(1);
        self.missed = self.missed.saturating_add(1).min(LONGEST_REST);
    }

    /// The log as it is after an append, which was made as expected or not.
    pub(crate) fn append(&mut self, frontier: Frontier, as_expected: bool) {
        self.frontier = Some(frontier);
        if as_expected {
            self.missed = 0;
        }
    }
}

/// Appends that do not try after one that tried in vain: 2 to the power of this, less one, at most.
const LONGEST_REST: u32 = 6;

/// Says that the log goes on, where it is as expected and nothing waits to be appended: changes a row if so.
fn going_on<'q>(from: &Frontier, to: &Frontier) -> Query<'q, Any, AnyArguments> {
    let sql = "update audit_head set frontier = $1 where id = 1 and frontier = $2 \
               and not exists (select 1 from audit_pending)";
    sqlx::query(sql).bind(to.to_string()).bind(from.to_string())
}

/// What is appended after so much of the log.
pub(crate) struct Appending {
    frontier: Frontier,
    /// What was written with changes, and is not in the log yet.
    pending: Vec<(String, String)>,
}

impl Appending {
    /// To the log as the rows of [`beginning`] tell of it.
    pub(crate) fn to(head: &[AnyRow], pending: &[AnyRow]) -> Result<Self, StoreError> {
        let head = head.first().ok_or(StoreError::NotFound)?;
        let pending = pending.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let mut pending = pending.collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
        pending.sort_unstable();
        Ok(Self { frontier: frontier(&head.try_get::<String, _>(0)?)?, pending })
    }

    /// To the log as it may be, with nothing that waits.
    pub(crate) fn after(frontier: Frontier) -> Self {
        Self { frontier, pending: Vec::new() }
    }

    /// What changes a row if the log is as it may be, what appends `entries` then, and the log after that.
    pub(crate) fn expecting<'q>(
        self,
        entries: &[&str],
    ) -> (Query<'q, Any, AnyArguments>, Vec<Query<'q, Any, AnyArguments>>, Frontier) {
        let from = self.frontier.clone();
        let (inserts, to) = self.inserts(entries);
        (going_on(&from, &to), inserts, to)
    }

    /// What appends what was written with changes, and then `entries`; and the log then.
    pub(crate) fn statements<'q>(self, entries: &[&str]) -> (Vec<Query<'q, Any, AnyArguments>>, Frontier) {
        let (mut statements, frontier) = self.inserts(entries);
        if !statements.is_empty() {
            let head = sqlx::query("update audit_head set frontier = $1 where id = 1");
            statements.push(head.bind(frontier.to_string()));
        }
        (statements, frontier)
    }

    fn inserts<'q>(mut self, entries: &[&str]) -> (Vec<Query<'q, Any, AnyArguments>>, Frontier) {
        let pending = self.pending.iter().map(|(_, entry)| entry.as_str());
        let all: Vec<_> = pending.chain(entries.iter().copied()).collect();
        let mut statements = Vec::new();
        for some in all.chunks(AT_ONCE) {
            let sql = AssertSqlSafe(format!(
                "insert into audit_log (sequence, leaf_hash, entry) values {}",
                placeholders(some.len(), 3)
            ));
            let mut insert = sqlx::query(sql);
            for entry in some {
                let leaf = merkle::leaf(entry.as_bytes());
                let sequence = i64::try_from(self.frontier.size()).unwrap_or(i64::MAX);
                self.frontier.append(leaf);
                insert = insert.bind(sequence).bind(hex(&leaf)).bind((*entry).to_owned());
            }
            statements.push(insert);
        }
        (statements, self.frontier)
    }
}

fn frontier(text: &str) -> Result<Frontier, StoreError> {
    let corrupt = |_| StoreError::Corrupt { table: "audit_head", column: "frontier", id: "1".to_owned() };
    text.parse().map_err(corrupt)
}
