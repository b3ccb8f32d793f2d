//! Grants: what a PSU allowed a client, and the codes that stand for them.
//! Secrets are kept as digests only.

use crypto::certificate::Thumbprint;
use domain::{GrantId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{GlobalStore, StoreError, Tx};

/// What a PSU allowed a client.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// The grant.
    pub id: GrantId,
    /// Client it was given to.
    pub client_id: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// `authorization_details` (RFC 9396).
    pub details: Value,
    /// What the PSU's authentication was worth (`acr`).
    pub acr: Option<String>,
    /// When the PSU was authenticated.
    pub authenticated_at: Option<Timestamp>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An authorization code (RFC 6749 §4.1.2) as it is kept.
#[derive(Clone, Debug)]
pub struct CodeRow {
    /// Client it was issued to.
    pub client_id: String,
    /// Grant it stands for.
    pub grant: GrantId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// PKCE challenge (RFC 7636, S256).
    pub code_challenge: String,
    /// Value for the id_token (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
    /// DPoP key it is bound to (RFC 9449 §10).
    pub dpop_key: Option<Thumbprint>,
    /// End of its life.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub redeemed_at: Option<Timestamp>,
}

impl GlobalStore {
    /// Finds a code by its digest, redeemed or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn code(&self, digest: &str) -> Result<Option<CodeRow>, StoreError> {
        let row = sqlx::query("select * from codes where code_digest = $1")
            .bind(digest)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "codes", "code_digest")?;
            let dpop_key = columns.optional_text("dpop_key")?;
            Ok(CodeRow {
                client_id: columns.text("client_id")?,
                grant: columns.parsed("grant_id")?,
                redirect_uri: columns.text("redirect_uri")?,
                code_challenge: columns.text("code_challenge")?,
                nonce: columns.optional_text("nonce")?,
                dpop_key: dpop_key.map(|_| columns.parsed("dpop_key")).transpose()?,
                expires_at: columns.time("expires_at")?,
                redeemed_at: columns.optional_time("redeemed_at")?,
            })
        })
        .transpose()
    }

    /// Finds a grant, revoked or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn grant(&self, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
        let row = sqlx::query("select * from grants where grant_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "grants", "grant_id")?;
            Ok(GrantRow {
                id: columns.parsed("grant_id")?,
                client_id: columns.text("client_id")?,
                scope: columns.text("scope")?,
                details: columns.json("details")?,
                acr: columns.optional_text("acr")?,
                authenticated_at: columns.optional_time("authenticated_at")?,
                created_at: columns.time("created_at")?,
                revoked_at: columns.optional_time("revoked_at")?,
            })
        })
        .transpose()
    }
}

impl Tx {
    /// Records what a PSU allowed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn give_grant(&mut self, grant: &GrantRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into grants (grant_id, client_id, scope, details, acr, authenticated_at, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(grant.id.to_string())
        .bind(&grant.client_id)
        .bind(&grant.scope)
        .bind(json_text(&grant.details)?)
        .bind(&grant.acr)
        .bind(grant.authenticated_at.map(micros))
        .bind(micros(grant.created_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Changes what a grant covers, provided it still covers what the caller
    /// read and was not revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was changed or revoked meanwhile.
    pub async fn change_grant(&mut self, was: &GrantRow, now: &GrantRow) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update grants set scope = $2, details = $3, acr = $4, authenticated_at = $5 \
             where grant_id = $1 and scope = $6 and details = $7 and revoked_at is null",
        )
        .bind(now.id.to_string())
        .bind(&now.scope)
        .bind(json_text(&now.details)?)
        .bind(&now.acr)
        .bind(now.authenticated_at.map(micros))
        .bind(&was.scope)
        .bind(json_text(&was.details)?)
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Records a code.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn issue_code(&mut self, digest: &str, code: &CodeRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into codes (code_digest, client_id, grant_id, redirect_uri, code_challenge, nonce, \
             dpop_key, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(digest)
        .bind(&code.client_id)
        .bind(code.grant.to_string())
        .bind(&code.redirect_uri)
        .bind(&code.code_challenge)
        .bind(&code.nonce)
        .bind(code.dpop_key.map(|key| key.to_string()))
        .bind(micros(code.expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Redeems a code: once, in time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was redeemed before or its time is over.
    pub async fn redeem_code(&mut self, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update codes set redeemed_at = $2 \
             where code_digest = $1 and redeemed_at is null and expires_at > $2",
        )
        .bind(digest)
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }

    /// Revokes a grant of a client, and with it every token of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the client has no such grant, or it was
    /// revoked before.
    pub async fn revoke_grant(
        &mut self,
        id: GrantId,
        client_id: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update grants set revoked_at = $3 \
             where grant_id = $1 and client_id = $2 and revoked_at is null",
        )
        .bind(id.to_string())
        .bind(client_id)
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)
    }
}
