//! Registered clients (RFC 7591) and the assertions they used up.

use domain::Timestamp;
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, json_text};
use crate::{GlobalStore, StoreError, Tx};

/// A registered client as it is kept; `oauth` gives the metadata its meaning.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// The client identifier.
    pub client_id: String,
    /// `active` or `suspended`.
    pub status: String,
    /// RFC 7591 metadata.
    pub metadata: Value,
}

impl GlobalStore {
    /// Finds a client.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn client(&self, client_id: &str) -> Result<Option<ClientRow>, StoreError> {
        let row = sqlx::query("select client_id, status, metadata from clients where client_id = $1")
            .bind(client_id)
            .fetch_optional(self.0.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "clients", "client_id")?;
            Ok(ClientRow {
                client_id: columns.text("client_id")?,
                status: columns.text("status")?,
                metadata: columns.json("metadata")?,
            })
        })
        .transpose()
    }

    /// Removes used assertion ids, sessions, pushed requests and tokens whose time is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = micros(now);
        let hour_ago = now.saturating_sub(3_600_000_000);
        for (sql, before) in [
            ("delete from assertion_ids where expires_at < $1", now),
            ("delete from bank_states where expires_at < $1", now),
            (
                "delete from sessions where expires_at < $1 and not exists \
                 (select 1 from bank_states b where b.session_id = sessions.session_id)",
                now,
            ),
            // A session that began with it outlives it, and ends by completing it.
            ("delete from pushed_requests where expires_at < $1", hour_ago),
            // A late replay must still find the grant that it revokes.
            ("delete from codes where expires_at < $1", hour_ago),
            ("delete from tokens where expires_at < $1", now),
        ] {
            sqlx::query(sql).bind(before).execute(&mut *tx.0).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// Adds a client, or replaces its metadata.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn put_client(
        &mut self,
        client_id: &str,
        metadata: &Value,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into clients (client_id, status, metadata, created_at) values ($1, 'active', $2, $3) \
             on conflict (client_id) do update set metadata = excluded.metadata",
        )
        .bind(client_id)
        .bind(json_text(metadata)?)
        .bind(micros(at))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Uses up the id of a client assertion (RFC 7523 §3 (7)).
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was used before.
    pub async fn claim_assertion(
        &mut self,
        client_id: &str,
        jti_digest: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "insert into assertion_ids (client_id, jti_digest, expires_at) values ($1, $2, $3) \
             on conflict (client_id, jti_digest) do nothing",
        )
        .bind(client_id)
        .bind(jti_digest)
        .bind(micros(expires_at))
        .execute(&mut *self.0)
        .await?;
        crate::rows::exactly_one(&done)
    }
}
