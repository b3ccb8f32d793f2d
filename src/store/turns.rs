//! Turns: what one process at a time may do, and the others wait for.

use domain::Timestamp;

use crate::database::micros;
use crate::{RegionalStore, StoreError};

impl RegionalStore {
    /// Takes the turn at `subject` until `ends_at`. False if another holder has it
    /// and its end has not come.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn take_turn(
        &self,
        subject: &str,
        holder: &str,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into turns (subject, holder, ends_at) values ($1, $2, $3) \
             on conflict (subject) do update set holder = excluded.holder, ends_at = excluded.ends_at \
             where turns.ends_at <= $4",
        )
        .bind(subject)
        .bind(holder)
        .bind(micros(ends_at))
        .bind(micros(now))
        .execute(self.database.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Lets the turn at `subject` end at another time, if `holder` still has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; the turn then ends as it would have.
    pub async fn move_turn(&self, subject: &str, holder: &str, ends_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update turns set ends_at = $3 where subject = $1 and holder = $2")
            .bind(subject)
            .bind(holder)
            .bind(micros(ends_at))
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// Gives the turn at `subject` back, if `holder` still has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; the turn then ends by itself.
    pub async fn end_turn(&self, subject: &str, holder: &str) -> Result<(), StoreError> {
        sqlx::query("delete from turns where subject = $1 and holder = $2")
            .bind(subject)
            .bind(holder)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
