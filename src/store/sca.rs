//! Steps of an authentication on our pages: what the bank wants next of the PSU.
//! Each is answered once; of two answers one gets [`StoreError::Conflict`].

use domain::{SessionId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, exactly_one};
use crate::{RegionalStore, StoreError, Tx};

/// What a bank wants next.
#[derive(Clone)]
pub struct ScaStepRow {
    /// The session in which the PSU is asked.
    pub session: SessionId,
    /// Counts the steps: an answer to another one is none to this.
    pub step: i64,
    /// What is wanted.
    pub body: Value,
    /// An answer is on its way to the bank, which has until then.
    pub busy_until: Option<Timestamp>,
    /// End of its life.
    pub expires_at: Timestamp,
}

impl RegionalStore {
    /// What the bank of a consent or payment wants next.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn sca_step(&self, subject_id: &str) -> Result<Option<ScaStepRow>, StoreError> {
        let row = sqlx::query("select * from sca_steps where subject_id = $1")
            .bind(subject_id)
            .fetch_all(self.database.pool())
            .await?;
        let steps = self.vault.read(&row, &["body"], |row, keys| {
            let columns = Columns::new(row, "sca_steps", "subject_id")?;
            Ok(ScaStepRow {
                session: columns.parsed("session_id")?,
                step: columns.number("step")?,
                body: columns.sealed_json("body", keys)?,
                busy_until: columns.optional_time("busy_until")?,
                expires_at: columns.time("expires_at")?,
            })
        });
        steps.await?.pop().transpose()
    }

    /// Removes the steps that nobody took in time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_sca_steps(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from sca_steps where expires_at < $1")
            .bind(micros(now))
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}

impl Tx {
    /// Keeps what the bank wants next, in the place of what it wanted before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_sca_step(
        &mut self,
        subject_id: &str,
        session: SessionId,
        body: &Value,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = self.key_of(subject_id).await?;
        sqlx::query(
            "insert into sca_steps (subject_id, session_id, step, body, expires_at) \
             values ($1, $2, 1, $3, $4) on conflict (subject_id) do update set \
             session_id = $2, step = sca_steps.step + 1, body = $3, busy_until = null, expires_at = $4",
        )
        .bind(subject_id)
        .bind(session.to_string())
        .bind(key.seal(("sca_steps", "body"), subject_id, body)?)
        .bind(micros(expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Takes a step: whoever does may ask the bank.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was taken before.
    pub async fn take_sca_step(
        &mut self,
        subject_id: &str,
        step: i64,
        busy_until: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update sca_steps set step = step + 1, busy_until = $3 where subject_id = $1 and step = $2",
        )
        .bind(subject_id)
        .bind(step)
        .bind(micros(busy_until))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Forgets what the bank wanted: it wants nothing more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_sca_step(&mut self, subject_id: &str) -> Result<(), StoreError> {
        sqlx::query("delete from sca_steps where subject_id = $1")
            .bind(subject_id)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}
