//! `authorization_details` (RFC 9396) that name accounts and people: kept in
//! their home region, known elsewhere by id.

use domain::{DetailId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, json_text};
use crate::{RegionalStore, StoreError, Tx};

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
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Columns::new(&row, "authorization_details", "detail_id")?.json("body")).transpose()
    }

    /// Removes the details whose time is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_details(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from authorization_details where expires_at < $1")
            .bind(micros(now))
            .execute(self.database.pool())
            .await?;
        Ok(())
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
        sqlx::query(
            "insert into authorization_details (detail_id, client_id, body, expires_at) \
             values ($1, $2, $3, $4)",
        )
        .bind(id.to_string())
        .bind(client_id)
        .bind(json_text(body)?)
        .bind(micros(expires_at))
        .execute(&mut *self.0)
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
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
