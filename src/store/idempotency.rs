//! Idempotent request handling (draft-ietf-httpapi-idempotency-key-header).
//!
//! A key belongs to one client, one operation and one request body. Claims are
//! rows in the transaction of what they guard, not locks in a cache: losing a
//! claim would let a payment run twice.

use domain::{Region, Timestamp};

use crate::database::micros;
use crate::rows::Columns;
use crate::vault::Unlocked;
use crate::{RegionalStore, StoreError, Tx};

/// Names one claim.
#[derive(Clone, Debug)]
pub struct ClaimKey {
    /// Client that sent the key.
    pub client_id: String,
    /// Method and path it was sent to.
    pub operation: &'static str,
    /// The key.
    pub key: String,
    /// Digest of the request body.
    pub fingerprint: String,
    /// Region of the rows it guards.
    pub region: Region,
}

/// What a claim found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is new: go on.
    New,
    /// The same request is still being worked on.
    InFlight,
    /// The same request was answered; this is the answer.
    Replay {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// The key was used for another request.
    Mismatch,
}

impl RegionalStore {
    /// The answer that a key of a client's got for the same request, if it got one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn answer_before(
        &self,
        client_id: &str,
        operation: &str,
        key: &str,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<(u16, String)>, StoreError> {
        let row = sqlx::query(
            "select * from idempotency_keys where client_id = $1 and operation = $2 \
             and idempotency_key = $3 and fingerprint = $4 and expires_at >= $5",
        )
        .bind(client_id)
        .bind(operation)
        .bind(key)
        .bind(fingerprint)
        .bind(micros(now))
        .fetch_all(self.database.pool())
        .await?;
        Ok(self.vault.read(&row, &["body"], answer).await?.pop().transpose()?.flatten())
    }

    /// Deletes answers to keys that were good until before an instant. How many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_answers(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query("delete from idempotency_keys where expires_at < $1")
            .bind(micros(before))
            .execute(self.database.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

/// The answer of a row.
fn answer(row: &sqlx::any::AnyRow, keys: &Unlocked) -> Result<Option<(u16, String)>, StoreError> {
    let columns = Columns::new(row, "idempotency_keys", "idempotency_key")?;
    let status = columns.optional_number("status")?.map(|status| u16::try_from(status).unwrap_or(500));
    let Some(status) = status else { return Ok(None) };
    Ok(Some((status, columns.sealed_text("body", keys)?)))
}

impl Tx {
    /// Claims a key, or finds what became of it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn claim(
        &mut self,
        key: &ClaimKey,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Claim, StoreError> {
        sqlx::query(
            "delete from idempotency_keys \
             where client_id = $1 and operation = $2 and idempotency_key = $3 and expires_at < $4",
        )
        .bind(&key.client_id)
        .bind(key.operation)
        .bind(&key.key)
        .bind(micros(now))
        .execute(&mut self.0)
        .await?;
        let done = sqlx::query(
            "insert into idempotency_keys (client_id, operation, idempotency_key, fingerprint, \
             created_at, expires_at) values ($1, $2, $3, $4, $5, $6) \
             on conflict (client_id, operation, idempotency_key) do nothing",
        )
        .bind(&key.client_id)
        .bind(key.operation)
        .bind(&key.key)
        .bind(&key.fingerprint)
        .bind(micros(now))
        .bind(micros(expires_at))
        .execute(&mut self.0)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(Claim::New);
        }
        let row = sqlx::query(
            "select * from idempotency_keys \
             where client_id = $1 and operation = $2 and idempotency_key = $3",
        )
        .bind(&key.client_id)
        .bind(key.operation)
        .bind(&key.key)
        .fetch_all(&mut self.0)
        .await?;
        let keys = self.vault()?.unlock(&row, &["body"]).await?;
        let row = row.first().ok_or(StoreError::Conflict)?;
        let columns = Columns::new(row, "idempotency_keys", "idempotency_key")?;
        if columns.text("fingerprint")? != key.fingerprint {
            return Ok(Claim::Mismatch);
        }
        Ok(answer(row, &keys)?.map_or(Claim::InFlight, |(status, body)| Claim::Replay { status, body }))
    }

    /// Keeps the answer, for whoever sends the key again; it is about the consent, payment or
    /// mandate `subject`, and erased with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn answer_claim(
        &mut self,
        key: &ClaimKey,
        subject: &str,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError> {
        let sealing = self.key_of(subject).await?;
        sqlx::query(
            "update idempotency_keys set status = $4, body = $5, subject_id = $6 \
             where client_id = $1 and operation = $2 and idempotency_key = $3",
        )
        .bind(&key.client_id)
        .bind(key.operation)
        .bind(&key.key)
        .bind(i64::from(status))
        .bind(sealing.seal_text(("idempotency_keys", "body"), &key.key, body)?)
        .bind(subject)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }
}
