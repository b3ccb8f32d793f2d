//! Grants, authorization codes and tokens. Secrets are kept as digests only.

use crypto::certificate::Thumbprint;
use domain::{GrantId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{GlobalStore, StoreError, Tx};

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
    /// End of its life.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub redeemed_at: Option<Timestamp>,
}

/// An access token as it is kept, with the grant behind it.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Client it was issued to.
    pub client_id: String,
    /// Grant it stands for; none for `client_credentials`.
    pub grant: Option<GrantId>,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Certificate it is bound to (RFC 8705).
    pub thumbprint: Thumbprint,
    /// End of its life.
    pub expires_at: Timestamp,
    /// `authorization_details` (RFC 9396) of the grant.
    pub details: Value,
}

/// A new token.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    /// Digest of the token.
    pub digest: &'a str,
    /// Client it is issued to.
    pub client_id: &'a str,
    /// Grant it stands for.
    pub grant: Option<GrantId>,
    /// Scopes, separated by spaces.
    pub scope: &'a str,
    /// Certificate it is bound to.
    pub thumbprint: &'a Thumbprint,
    /// End of its life.
    pub expires_at: Timestamp,
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
            .fetch_optional(self.0.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "codes", "code_digest")?;
            Ok(CodeRow {
                client_id: columns.text("client_id")?,
                grant: columns.parsed("grant_id")?,
                redirect_uri: columns.text("redirect_uri")?,
                code_challenge: columns.text("code_challenge")?,
                nonce: columns.optional_text("nonce")?,
                expires_at: columns.time("expires_at")?,
                redeemed_at: columns.optional_time("redeemed_at")?,
            })
        })
        .transpose()
    }

    /// Finds a token that lives: not expired, not revoked, its grant not
    /// revoked, its client not suspended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn live_token(&self, digest: &str, now: Timestamp) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query(
            "select t.token_digest, t.client_id, t.grant_id, t.scope, t.thumbprint, t.expires_at, \
                    coalesce(g.details, '[]') as details \
             from tokens t join clients c on c.client_id = t.client_id \
             left join grants g on g.grant_id = t.grant_id \
             where t.token_digest = $1 and t.expires_at > $2 and t.revoked_at is null \
               and g.revoked_at is null and c.status = 'active'",
        )
        .bind(digest)
        .bind(micros(now))
        .fetch_optional(self.0.pool())
        .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "tokens", "token_digest")?;
            let grant = columns.optional_text("grant_id")?;
            Ok(TokenRow {
                client_id: columns.text("client_id")?,
                grant: grant.map(|_| columns.parsed("grant_id")).transpose()?,
                scope: columns.text("scope")?,
                thumbprint: columns.parsed("thumbprint")?,
                expires_at: columns.time("expires_at")?,
                details: columns.json("details")?,
            })
        })
        .transpose()
    }

    /// `authorization_details` of a grant that is not revoked.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn grant_details(&self, id: GrantId) -> Result<Option<(String, Value)>, StoreError> {
        let row = sqlx::query("select * from grants where grant_id = $1 and revoked_at is null")
            .bind(id.to_string())
            .fetch_optional(self.0.pool())
            .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "grants", "grant_id")?;
            Ok((columns.text("scope")?, columns.json("details")?))
        })
        .transpose()
    }
}

impl Tx {
    /// Records what the PSU allowed, with the code that stands for it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn grant(
        &mut self,
        id: GrantId,
        scope: &str,
        details: &Value,
        code_digest: &str,
        code: &CodeRow,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into grants (grant_id, client_id, scope, details, created_at) \
             values ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(&code.client_id)
        .bind(scope)
        .bind(json_text(details)?)
        .bind(micros(at))
        .execute(&mut *self.0)
        .await?;
        sqlx::query(
            "insert into codes (code_digest, client_id, grant_id, redirect_uri, code_challenge, nonce, \
             expires_at) values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(code_digest)
        .bind(&code.client_id)
        .bind(id.to_string())
        .bind(&code.redirect_uri)
        .bind(&code.code_challenge)
        .bind(&code.nonce)
        .bind(micros(code.expires_at))
        .execute(&mut *self.0)
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
        .execute(&mut *self.0)
        .await?;
        exactly_one(&done)
    }

    /// Revokes a grant: every token of it dies with it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_grant(&mut self, id: GrantId, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update grants set revoked_at = $2 where grant_id = $1 and revoked_at is null")
            .bind(id.to_string())
            .bind(micros(at))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Records a token that is about to be handed out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn issue_token(&mut self, token: &NewToken<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "insert into tokens (token_digest, client_id, grant_id, scope, thumbprint, expires_at) \
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.digest)
        .bind(token.client_id)
        .bind(token.grant.map(|grant| grant.to_string()))
        .bind(token.scope)
        .bind(token.thumbprint.to_string())
        .bind(micros(token.expires_at))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Revokes a token of a client (RFC 7009). An unknown token is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_token(
        &mut self,
        digest: &str,
        client_id: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update tokens set revoked_at = $3 \
             where token_digest = $1 and client_id = $2 and revoked_at is null",
        )
        .bind(digest)
        .bind(client_id)
        .bind(micros(at))
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }
}
