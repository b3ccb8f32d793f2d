//! Pushed authorization requests, the PSU's walk through our pages, and what
//! went to a bank along with the PSU.

use domain::{SessionId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{GlobalStore, StoreError, Tx};

/// A pushed authorization request (RFC 9126).
#[derive(Clone, Debug)]
pub struct PushedRequest {
    /// Client that pushed it.
    pub client_id: String,
    /// Its parameters, checked.
    pub params: Value,
    /// End of its life.
    pub expires_at: Timestamp,
    /// When it led to an answer.
    pub completed_at: Option<Timestamp>,
}

/// One PSU's walk through our pages.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session.
    pub id: SessionId,
    /// `authorization` or `payment`.
    pub kind: String,
    /// Client on whose behalf the PSU is asked.
    pub client_id: String,
    /// Digest of the cookie of the one browser that may go on with it.
    pub browser_digest: Option<String>,
    /// What is asked, and how far it has come.
    pub plan: Value,
    /// `open`, `approved`, `done` or `declined`.
    pub status: String,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// What we must remember while the PSU is at a bank.
#[derive(Clone, Debug)]
pub struct BankState {
    /// Session the PSU comes back to.
    pub session: SessionId,
    /// Consent or payment the bank is asked about.
    pub subject_id: String,
    /// PKCE verifier and nonce.
    pub secrets: Value,
    /// End of its life.
    pub expires_at: Timestamp,
}

impl GlobalStore {
    /// Finds a pushed request by the digest of its `request_uri`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn pushed_request(&self, digest: &str) -> Result<Option<PushedRequest>, StoreError> {
        let row = sqlx::query("select * from pushed_requests where request_digest = $1")
            .bind(digest)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "pushed_requests", "request_digest")?;
            Ok(PushedRequest {
                client_id: columns.text("client_id")?,
                params: columns.json("params")?,
                expires_at: columns.time("expires_at")?,
                completed_at: columns.optional_time("completed_at")?,
            })
        })
        .transpose()
    }

    /// Finds a session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let row = sqlx::query("select * from sessions where session_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "sessions", "session_id")?;
            Ok(SessionRow {
                id: columns.parsed("session_id")?,
                kind: columns.text("kind")?,
                client_id: columns.text("client_id")?,
                browser_digest: columns.optional_text("browser_digest")?,
                plan: columns.json("plan")?,
                status: columns.text("status")?,
                expires_at: columns.time("expires_at")?,
            })
        })
        .transpose()
    }

    /// The session that a bank state belongs to, used or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn session_of_bank_state(&self, state_digest: &str) -> Result<Option<SessionId>, StoreError> {
        let row = sqlx::query("select session_id from bank_states where state_digest = $1")
            .bind(state_digest)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Columns::new(&row, "bank_states", "session_id")?.parsed("session_id")).transpose()
    }

    /// Looks at a bank state without using it up.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn bank_state(&self, state_digest: &str) -> Result<Option<BankState>, StoreError> {
        let row = sqlx::query("select * from bank_states where state_digest = $1 and used_at is null")
            .bind(state_digest)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "bank_states", "state_digest")?;
            Ok(BankState {
                session: columns.parsed("session_id")?,
                subject_id: columns.text("subject_id")?,
                secrets: columns.json("secrets")?,
                expires_at: columns.time("expires_at")?,
            })
        })
        .transpose()
    }
}

impl Tx {
    /// Keeps a pushed request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn push_request(
        &mut self,
        digest: &str,
        client_id: &str,
        params: &Value,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into pushed_requests (request_digest, client_id, params, expires_at) \
             values ($1, $2, $3, $4)",
        )
        .bind(digest)
        .bind(client_id)
        .bind(json_text(params)?)
        .bind(micros(expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Marks a pushed request as answered: it leads to one answer only.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was answered before.
    pub async fn complete_request(&mut self, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update pushed_requests set completed_at = $2 \
             where request_digest = $1 and completed_at is null",
        )
        .bind(digest)
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn open_session(&mut self, session: &SessionRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into sessions (session_id, kind, client_id, browser_digest, plan, status, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7) on conflict (session_id) do nothing",
        )
        .bind(session.id.to_string())
        .bind(&session.kind)
        .bind(&session.client_id)
        .bind(&session.browser_digest)
        .bind(json_text(&session.plan)?)
        .bind(&session.status)
        .bind(micros(session.expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Binds a session to the first browser that opens it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if a browser was there before.
    pub async fn bind_browser(&mut self, id: SessionId, browser_digest: &str) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update sessions set browser_digest = $2 where session_id = $1 and browser_digest is null",
        )
        .bind(id.to_string())
        .bind(browser_digest)
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Moves a session on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if its status is not `from` any more.
    pub async fn move_session(
        &mut self,
        id: SessionId,
        from: &str,
        to: &str,
        plan: &Value,
    ) -> Result<(), StoreError> {
        let done =
            sqlx::query("update sessions set status = $3, plan = $4 where session_id = $1 and status = $2")
                .bind(id.to_string())
                .bind(from)
                .bind(to)
                .bind(json_text(plan)?)
                .execute(&mut self.0)
                .await?;
        exactly_one(&done)
    }

    /// Gives a session that is not over more time; one that has more keeps it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn prolong_session(&mut self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "update sessions set expires_at = $2 where session_id = $1 and expires_at < $2 \
             and status in ('open', 'approved')",
        )
        .bind(id.to_string())
        .bind(micros(expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Remembers what goes to a bank along with the PSU.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn remember_bank_state(
        &mut self,
        state_digest: &str,
        state: &BankState,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into bank_states (state_digest, session_id, subject_id, secrets, expires_at) \
             values ($1, $2, $3, $4, $5)",
        )
        .bind(state_digest)
        .bind(state.session.to_string())
        .bind(&state.subject_id)
        .bind(json_text(&state.secrets)?)
        .bind(micros(state.expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Uses up a bank state.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was used before.
    pub async fn use_bank_state(&mut self, state_digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let done =
            sqlx::query("update bank_states set used_at = $2 where state_digest = $1 and used_at is null")
                .bind(state_digest)
                .bind(micros(at))
                .execute(&mut self.0)
                .await?;
        exactly_one(&done)
    }
}
