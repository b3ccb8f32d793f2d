//! Registered clients (RFC 7591) and the assertions they used up.

use domain::{PaymentPolicy, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::policies::policy_of;
use crate::rows::{Columns, found, json_text};
use crate::together::{Claim, Entry};
use crate::{GlobalStore, StoreError, Tx, transaction};

/// A registered client as it is kept; `oauth` gives the metadata its meaning.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// The client identifier.
    pub client_id: String,
    /// `active`, `suspended`, `deleted` or `departed`.
    pub status: String,
    /// RFC 7591 metadata.
    pub metadata: Value,
    /// Digest of the token that manages the registration (RFC 7592 §3).
    pub registration_digest: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// What the operator lets it pay; none, if that is not limited.
    pub payment_policy: Option<PaymentPolicy>,
}

fn read(row: &sqlx::any::AnyRow) -> Result<ClientRow, StoreError> {
    let columns = Columns::new(row, "clients", "client_id")?;
    Ok(ClientRow {
        client_id: columns.text("client_id")?,
        status: columns.text("status")?,
        metadata: columns.json("metadata")?,
        registration_digest: columns.optional_text("registration_digest")?,
        created_at: columns.time("created_at")?,
        payment_policy: policy_of(&columns)?,
    })
}

impl GlobalStore {
    /// Finds a client.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn client(&self, client_id: &str) -> Result<Option<ClientRow>, StoreError> {
        let row = sqlx::query("select * from clients where client_id = $1")
            .bind(client_id)
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every client, by id.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn clients(&self) -> Result<Vec<ClientRow>, StoreError> {
        let rows =
            sqlx::query("select * from clients order by client_id").fetch_all(self.database.pool()).await?;
        rows.iter().map(read).collect()
    }

    /// Ids of the clients that were deleted and may have left something behind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn deleted_clients(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("select client_id from clients where status = 'deleted' order by client_id")
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(|row| Columns::new(row, "clients", "client_id")?.text("client_id")).collect()
    }

    /// Uses up the id of a client assertion (RFC 7523 §3 (7)), or another one
    /// of `owner`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was used before.
    pub async fn claim_id(&self, owner: &str, digest: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let claim = Claim { owner: owner.to_owned(), digest: digest.to_owned(), until: micros(expires_at) };
        self.together.write(Entry::Claim(claim)).await
    }

    /// Removes used assertion ids, sessions, pushed requests and tokens whose time is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_expired(&self, now: Timestamp) -> Result<(), StoreError> {
        // What is gone already is not missed.
        transaction!(keyed self, tx => {
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
                ("delete from access_tokens where expires_at < $1", now),
                ("delete from refresh_tokens where expires_at < $1", now),
                ("delete from backchannel_requests where expires_at < $1", hour_ago),
                ("delete from instances where lease_until < $1", hour_ago),
                ("delete from invalidations where at < $1", hour_ago),
            ] {
                sqlx::query(sql).bind(before).execute(&mut tx.0).await?;
            }
            Ok(())
        })
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
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Replaces a client's metadata, provided it is still what the caller read.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn change_client(&mut self, was: &ClientRow, metadata: &Value) -> Result<bool, StoreError> {
        let done = sqlx::query("update clients set metadata = $2 where client_id = $1 and metadata = $3")
            .bind(&was.client_id)
            .bind(json_text(metadata)?)
            .bind(json_text(&was.metadata)?)
            .execute(&mut self.0)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets the token that manages a registration (RFC 7592 §3).
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such client.
    pub async fn set_registration_token(&mut self, client_id: &str, digest: &str) -> Result<(), StoreError> {
        let done = sqlx::query("update clients set registration_digest = $2 where client_id = $1")
            .bind(client_id)
            .bind(digest)
            .execute(&mut self.0)
            .await?;
        found(&done)
    }

    /// Sets the status of a client: `active`, `suspended`, `deleted`, or
    /// `departed` when a deleted one has left nothing behind.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such client.
    pub async fn set_client_status(&mut self, client_id: &str, status: &str) -> Result<(), StoreError> {
        let done = sqlx::query("update clients set status = $2 where client_id = $1")
            .bind(client_id)
            .bind(status)
            .execute(&mut self.0)
            .await?;
        found(&done)
    }

    /// Ends everything a client holds: its grants, and with them its tokens.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_client(&mut self, client_id: &str, at: Timestamp) -> Result<(), StoreError> {
        for sql in [
            "update grants set revoked_at = $2 where client_id = $1 and revoked_at is null",
            "update access_tokens set revoked_at = $2 where client_id = $1 and revoked_at is null",
            "update refresh_tokens set revoked_at = $2 where client_id = $1 and revoked_at is null",
        ] {
            sqlx::query(sql).bind(client_id).bind(micros(at)).execute(&mut self.0).await?;
        }
        Ok(())
    }
}
