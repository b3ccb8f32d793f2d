//! `authorization_details` (RFC 9396) that name accounts and people: kept in
//! their home region, known elsewhere by id.

use domain::{DetailId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::Columns;
use crate::{RegionalStore, StoreError, Tx, transaction};

impl RegionalStore {
    /// What a detail says, for the client that it belongs to.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn detail(&self, id: DetailId, client_id: &str) -> Result<Option<Value>, StoreError> {
        let row = sqlx::query("select * from authorization_details where detail_id = $1 and client_id = $2")
            .bind(id.to_string())
            .bind(client_id)
            .fetch_all(self.database.pool())
            .await?;
        let bodies = self.vault.read(&row, &["body"], |row, keys| {
            Columns::new(row, "authorization_details", "detail_id")?.sealed_json("body", keys)
        });
        bodies.await?.pop().transpose()
    }

    /// Removes the details whose time is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_details(&self, now: Timestamp) -> Result<(), StoreError> {
        let keys: Vec<_> = transaction!(self, tx => {
            let forgotten =
                sqlx::query("delete from authorization_details where expires_at < $1 returning detail_id")
                    .bind(micros(now))
                    .fetch_all(&mut tx.0)
                    .await?;
            let mut keys = Vec::new();
            for row in &forgotten {
                let detail = Columns::new(row, "authorization_details", "detail_id")?;
                let key =
                    sqlx::query("delete from subject_keys where subject_id = $1 returning subject_id, key_id")
                        .bind(detail.text("detail_id")?)
                        .fetch_optional(&mut tx.0)
                        .await?;
                if let Some(key) = key {
                    keys.push(Columns::new(&key, "subject_keys", "subject_id")?.parsed("key_id")?);
                }
            }
            Ok::<_, StoreError>(keys)
        })?;
        if keys.is_empty() { Ok(()) } else { self.vault.destroy(&keys).await }
    }
}

impl Tx {
    /// Keeps a detail until `expires_at`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_detail(
        &mut self,
        id: DetailId,
        client_id: &str,
        body: &Value,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let id = id.to_string();
        let key = self.key_of(&id).await?;
        sqlx::query(
            "insert into authorization_details (detail_id, client_id, body, expires_at) \
             values ($1, $2, $3, $4)",
        )
        .bind(&id)
        .bind(client_id)
        .bind(key.seal(("authorization_details", "body"), &id, body)?)
        .bind(micros(expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Keeps a detail longer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn prolong_detail(&mut self, id: DetailId, expires_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update authorization_details set expires_at = $2 where detail_id = $1")
            .bind(id.to_string())
            .bind(micros(expires_at))
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}
