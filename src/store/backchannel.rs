//! CIBA: requests whose PSU is asked without a browser of ours.

use domain::{GrantId, SessionId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{GlobalStore, StoreError, Tx};

/// A backchannel authentication request (CIBA Core §7).
#[derive(Clone, Debug)]
pub struct BackchannelRow {
    /// Digest of the `auth_req_id`.
    pub digest: String,
    /// Client that asked.
    pub client_id: String,
    /// Session of it, at the banks.
    pub session: SessionId,
    /// What is asked, checked.
    pub plan: Value,
    /// `pending`, `approved`, `denied` or `redeemed`.
    pub status: String,
    /// What the PSU allowed.
    pub grant: Option<GrantId>,
    /// Before this the client is told to slow down.
    pub poll_after: Timestamp,
    /// When the banks are asked next.
    pub next_look_at: Option<Timestamp>,
    /// End of its life.
    pub expires_at: Timestamp,
}

fn read(row: &sqlx::any::AnyRow) -> Result<BackchannelRow, StoreError> {
    let columns = Columns::new(row, "backchannel_requests", "request_digest")?;
    let grant = columns.optional_text("grant_id")?;
    Ok(BackchannelRow {
        digest: columns.text("request_digest")?,
        client_id: columns.text("client_id")?,
        session: columns.parsed("session_id")?,
        plan: columns.json("plan")?,
        status: columns.text("status")?,
        grant: grant.map(|_| columns.parsed("grant_id")).transpose()?,
        poll_after: columns.time("poll_after")?,
        next_look_at: columns.optional_time("next_look_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

impl GlobalStore {
    /// Finds a backchannel request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn backchannel(&self, digest: &str) -> Result<Option<BackchannelRow>, StoreError> {
        let row = sqlx::query("select * from backchannel_requests where request_digest = $1")
            .bind(digest)
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Pending requests whose banks are due to be asked, longest due first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn backchannel_due(&self, now: Timestamp) -> Result<Vec<BackchannelRow>, StoreError> {
        let rows = sqlx::query(
            "select * from backchannel_requests where next_look_at <= $1 and status = 'pending' \
             order by next_look_at limit 100",
        )
        .bind(micros(now))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Tx {
    /// Keeps a backchannel request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn open_backchannel(&mut self, request: &BackchannelRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into backchannel_requests (request_digest, client_id, session_id, plan, status, \
             poll_after, next_look_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&request.digest)
        .bind(&request.client_id)
        .bind(request.session.to_string())
        .bind(json_text(&request.plan)?)
        .bind(&request.status)
        .bind(micros(request.poll_after))
        .bind(request.next_look_at.map(micros))
        .bind(micros(request.expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Takes the next look at the banks for this caller alone: until `next`
    /// nobody else does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if somebody else was first.
    pub async fn take_backchannel_look(
        &mut self,
        request: &BackchannelRow,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update backchannel_requests set next_look_at = $3 \
             where request_digest = $1 and next_look_at = $2 and status = 'pending'",
        )
        .bind(&request.digest)
        .bind(request.next_look_at.map(micros))
        .bind(micros(next))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Settles a pending request.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was settled before.
    pub async fn settle_backchannel(
        &mut self,
        digest: &str,
        status: &str,
        grant: Option<GrantId>,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update backchannel_requests set status = $2, grant_id = $3, next_look_at = null \
             where request_digest = $1 and status = 'pending'",
        )
        .bind(digest)
        .bind(status)
        .bind(grant.map(|grant| grant.to_string()))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Notes a poll that came in time (CIBA Core §7.3): the next one may come
    /// after `next`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it came too early.
    pub async fn note_backchannel_poll(
        &mut self,
        digest: &str,
        at: Timestamp,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update backchannel_requests set poll_after = $3 where request_digest = $1 and poll_after <= $2",
        )
        .bind(digest)
        .bind(micros(at))
        .bind(micros(next))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Exchanges an approved request for its tokens: once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it is not approved, or was redeemed before.
    pub async fn redeem_backchannel(&mut self, digest: &str) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update backchannel_requests set status = 'redeemed' \
             where request_digest = $1 and status = 'approved'",
        )
        .bind(digest)
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }
}
