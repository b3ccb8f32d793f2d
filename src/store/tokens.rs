//! Access and refresh tokens, as digests.

use crypto::Confirmation;
use domain::{GrantId, Timestamp};
use serde_json::Value;

use crate::database::micros;
use crate::rows::Columns;
use crate::together::{Entry, TokenRecord, insert_tokens};
use crate::{GlobalStore, StoreError, Tx};

/// An access token that lives, with what its grant covers.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Client it was issued to.
    pub client_id: String,
    /// Grant it stands for; none for `client_credentials`.
    pub grant: Option<GrantId>,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// What it is bound to.
    pub cnf: Confirmation,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// End of its life.
    pub expires_at: Timestamp,
    /// `authorization_details` (RFC 9396) of the grant.
    pub details: Value,
}

/// A refresh token that lives.
#[derive(Clone, Debug)]
pub struct RefreshRow {
    /// Client it was issued to.
    pub client_id: String,
    /// Grant it stands for.
    pub grant: GrantId,
    /// Scopes, separated by spaces: what it can be exchanged for at most.
    pub scope: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// A new access token.
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
    /// What it is bound to.
    pub cnf: Confirmation,
    /// Now.
    pub issued_at: Timestamp,
    /// End of its life.
    pub expires_at: Timestamp,
}

impl NewToken<'_> {
    fn record(&self) -> TokenRecord {
        TokenRecord {
            digest: self.digest.to_owned(),
            client_id: self.client_id.to_owned(),
            grant: self.grant.map(|grant| grant.to_string()),
            scope: self.scope.to_owned(),
            cnf: self.cnf.to_string(),
            issued_at: micros(self.issued_at),
            expires_at: micros(self.expires_at),
        }
    }
}

impl GlobalStore {
    /// Records an access token that is about to be handed out and that nothing
    /// else changes with.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn issue_token(&self, token: &NewToken<'_>) -> Result<(), StoreError> {
        self.together.write(Entry::Token(token.record())).await
    }

    /// Finds an access token that lives: not expired, not revoked, its grant
    /// not revoked, its client not suspended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn live_token(&self, digest: &str, now: Timestamp) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query(
            "select t.token_digest, t.client_id, t.grant_id, t.scope, t.cnf, t.issued_at, t.expires_at, \
                    coalesce(g.details, '[]') as details \
             from access_tokens t join clients c on c.client_id = t.client_id \
             left join grants g on g.grant_id = t.grant_id \
             where t.token_digest = $1 and t.expires_at > $2 and t.revoked_at is null \
               and g.revoked_at is null and c.status = 'active'",
        )
        .bind(digest)
        .bind(micros(now))
        .fetch_optional(self.database.pool())
        .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "access_tokens", "token_digest")?;
            let grant = columns.optional_text("grant_id")?;
            Ok(TokenRow {
                client_id: columns.text("client_id")?,
                grant: grant.map(|_| columns.parsed("grant_id")).transpose()?,
                scope: columns.text("scope")?,
                cnf: columns.parsed("cnf")?,
                issued_at: columns.time("issued_at")?,
                expires_at: columns.time("expires_at")?,
                details: columns.json("details")?,
            })
        })
        .transpose()
    }

    /// Finds a refresh token that lives, as [`GlobalStore::live_token`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn live_refresh_token(
        &self,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<RefreshRow>, StoreError> {
        let row = sqlx::query(
            "select t.* from refresh_tokens t join clients c on c.client_id = t.client_id \
             join grants g on g.grant_id = t.grant_id \
             where t.token_digest = $1 and t.expires_at > $2 and t.revoked_at is null \
               and g.revoked_at is null and c.status = 'active'",
        )
        .bind(digest)
        .bind(micros(now))
        .fetch_optional(self.database.pool())
        .await?;
        row.map(|row| {
            let columns = Columns::new(&row, "refresh_tokens", "token_digest")?;
            Ok(RefreshRow {
                client_id: columns.text("client_id")?,
                grant: columns.parsed("grant_id")?,
                scope: columns.text("scope")?,
                issued_at: columns.time("issued_at")?,
                expires_at: columns.time("expires_at")?,
            })
        })
        .transpose()
    }
}

impl Tx {
    /// Records an access token that is about to be handed out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn issue_token(&mut self, token: &NewToken<'_>) -> Result<(), StoreError> {
        insert_tokens(&mut self.0, &[&token.record()]).await
    }

    /// Records a refresh token that is about to be handed out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn issue_refresh_token(&mut self, digest: &str, token: &RefreshRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into refresh_tokens (token_digest, client_id, grant_id, scope, issued_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(digest)
        .bind(&token.client_id)
        .bind(token.grant.to_string())
        .bind(&token.scope)
        .bind(micros(token.issued_at))
        .bind(micros(token.expires_at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Revokes an access token of a client. False if the client has none such.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_token(
        &mut self,
        digest: &str,
        client_id: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update access_tokens set revoked_at = $3 \
             where token_digest = $1 and client_id = $2 and revoked_at is null",
        )
        .bind(digest)
        .bind(client_id)
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Revokes the access tokens of a client that are bound to this.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_tokens_bound_to(
        &mut self,
        client_id: &str,
        cnf: Confirmation,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update access_tokens set revoked_at = $3 \
             where client_id = $1 and cnf = $2 and revoked_at is null",
        )
        .bind(client_id)
        .bind(cnf.to_string())
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }

    /// Revokes every access and refresh token of a grant; the grant stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn revoke_tokens_of(&mut self, grant: GrantId, at: Timestamp) -> Result<(), StoreError> {
        for sql in [
            "update access_tokens set revoked_at = $2 where grant_id = $1 and revoked_at is null",
            "update refresh_tokens set revoked_at = $2 where grant_id = $1 and revoked_at is null",
        ] {
            sqlx::query(sql).bind(grant.to_string()).bind(micros(at)).execute(&mut self.0).await?;
        }
        Ok(())
    }
}
