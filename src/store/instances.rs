//! What several processes on one store must drop from their memory.
//!
//! Whoever revokes something writes an invalidation in the same transaction,
//! and answers when every process whose lease runs has said that it dropped its
//! copy. A process whose lease is over uses no copy, so one that died or hangs
//! is waited for until then and no longer.

use domain::Timestamp;

use crate::database::micros;
use crate::rows::Columns;
use crate::{GlobalStore, StoreError, Tx};

/// Something of which no copy may be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// Its place in the order of commits, from 1.
    pub sequence: i64,
    /// What it is about: a token's digest, a grant or a client.
    pub subject: String,
}

impl GlobalStore {
    /// The sequence of the newest invalidation; 0 where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn newest_invalidation(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("select name, value from counters where name = 'invalidations'")
            .fetch_one(self.database.pool())
            .await?;
        Columns::new(&row, "counters", "name")?.number("value")
    }

    /// The invalidations after `seen`, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn invalidations_after(&self, seen: i64) -> Result<Vec<Invalidation>, StoreError> {
        let rows = sqlx::query("select * from invalidations where sequence > $1 order by sequence")
            .bind(seen)
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "invalidations", "subject")?;
                Ok(Invalidation { sequence: columns.number("sequence")?, subject: columns.text("subject")? })
            })
            .collect()
    }

    /// Says that a process has dropped everything up to `seen`, and that it may
    /// use what it keeps until `lease_until`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn note_instance(
        &self,
        instance: &str,
        seen: i64,
        lease_until: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into instances (instance_id, lease_until, seen) values ($1, $2, $3) \
             on conflict (instance_id) do update set lease_until = excluded.lease_until, \
             seen = excluded.seen",
        )
        .bind(instance)
        .bind(micros(lease_until))
        .bind(seen)
        .execute(self.database.pool())
        .await?;
        Ok(())
    }

    /// Ends the lease of a process that stops.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_instance(&self, instance: &str) -> Result<(), StoreError> {
        sqlx::query("delete from instances where instance_id = $1")
            .bind(instance)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// How many processes but the asking one may still use a copy of what
    /// `sequence` invalidates: their lease runs beyond `at` and they have not
    /// seen it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn instances_behind(
        &self,
        sequence: i64,
        at: Timestamp,
        except: &str,
    ) -> Result<usize, StoreError> {
        let sql = "select instance_id from instances \
                   where seen < $1 and lease_until > $2 and instance_id <> $3";
        let rows = sqlx::query(sql)
            .bind(sequence)
            .bind(micros(at))
            .bind(except)
            .fetch_all(self.database.pool())
            .await?;
        Ok(rows.len())
    }
}

impl Tx {
    /// Notes that no copy of `subject` may be used once this commits. Its place
    /// in the order of commits.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn invalidate(&mut self, subject: &str, at: Timestamp) -> Result<i64, StoreError> {
        sqlx::query("update counters set value = value + 1 where name = 'invalidations'")
            .execute(&mut self.0)
            .await?;
        let row = sqlx::query("select name, value from counters where name = 'invalidations'")
            .fetch_one(&mut self.0)
            .await?;
        let sequence = Columns::new(&row, "counters", "name")?.number("value")?;
        sqlx::query("insert into invalidations (sequence, subject, at) values ($1, $2, $3)")
            .bind(sequence)
            .bind(subject)
            .bind(micros(at))
            .execute(&mut self.0)
            .await?;
        Ok(sequence)
    }
}
