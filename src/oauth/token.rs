//! The token endpoint: codes, refresh tokens, backchannel requests and client
//! credentials become opaque access tokens, bound to the certificate of the
//! connection (RFC 8705) or to the key of a DPoP proof (RFC 9449).

use axum::Json;
use axum::extract::State;
use crypto::Confirmation;
use domain::{GrantId, Timestamp};
use flows::{FlowError, Invalidated};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::StoreError;
use store::grants::GrantRow;
use store::tokens::{NewToken, RefreshRow};

use crate::authenticate::{ClientForm, ProofIds, Unspent};
use crate::client::{CIBA_GRANT, GRANT_TYPES, role_missing};
use crate::par::may_use;
use crate::{OAuth, OAuthError, backchannel, id_token, seconds_after};

/// Seconds that an access token of a grant lives.
const ACCESS_LIFE: i64 = 900;
/// Seconds that a client's own token lives.
const CLIENT_LIFE: i64 = 600;
/// Seconds that a refresh token lives: as long as a consent may (180 days).
pub(crate) const REFRESH_LIFE: i64 = 180 * 86_400;

/// `POST /oauth/token`.
pub(crate) async fn token(State(oauth): State<OAuth>, request: Unspent) -> Result<Json<Value>, OAuthError> {
    let Unspent { asked, ids } = request;
    if asked.form.get("grant_type") == Some("client_credentials") {
        return client_credentials(&oauth, &asked, ids).await.map(Json);
    }
    ids.spend(&oauth).await?;
    let grant_type = asked.form.need("grant_type", "grant_type is missing")?;
    if !GRANT_TYPES.contains(&grant_type) {
        return Err(OAuthError::new(
            "unsupported_grant_type",
            "grant_type is authorization_code, refresh_token, client_credentials or that of CIBA",
        ));
    }
    may_use(&asked, grant_type)?;
    match grant_type {
        "refresh_token" => refresh(&oauth, &asked).await,
        CIBA_GRANT => backchannel::redeem(&oauth, &asked).await,
        _ => redeem(&oauth, &asked).await,
    }
    .map(Json)
}

async fn redeem(oauth: &OAuth, asked: &ClientForm) -> Result<Value, OAuthError> {
    let refused = || OAuthError::grant("the code is not valid");
    let code = asked.form.need("code", "code is missing")?;
    let digest = crypto::digest::sha256_hex(code.as_bytes());
    let global = oauth.gateway.stores().global();
    let row = global.code(&digest).await?.ok_or_else(refused)?;
    let now = oauth.gateway.clock().now();
    // Bound to the client, the redirect_uri and the verifier.
    if row.client_id != asked.client.id {
        return Err(refused());
    }
    if row.redeemed_at.is_some() {
        return replayed(oauth, asked, row.grant).await;
    }
    // RFC 6749 §4.1.3: needed, as every pushed request has one.
    if asked.form.need("redirect_uri", "redirect_uri is missing")? != row.redirect_uri {
        return Err(OAuthError::grant("redirect_uri is not the one of the request"));
    }
    // RFC 7636 §4.6: none is as wrong as another.
    let verifier = asked.form.get("code_verifier").unwrap_or_default();
    if !crypto::digest::pkce_matches(verifier, &row.code_challenge) {
        return Err(OAuthError::grant("code_verifier does not fit the code_challenge"));
    }
    let cnf = asked.confirmation()?;
    // RFC 9449 §10: bound to the key that the request named.
    if row.dpop_key.is_some_and(|key| cnf != Confirmation::Key(key)) {
        return Err(OAuthError::grant("the code is bound to another DPoP key"));
    }
    let grant =
        global.grant(row.grant).await?.filter(|grant| grant.revoked_at.is_none()).ok_or_else(refused)?;
    let scope = still_covered(asked, &grant.scope)?;
    let issued = store::transaction!(global, tx => {
        tx.redeem_code(&digest, now).await?;
        issue(oauth, tx, asked, cnf, &grant, &scope, row.nonce.as_deref()).await
    });
    match issued {
        Err(NotIssued::Store(StoreError::Conflict)) if row.expires_at > now => {
            replayed(oauth, asked, row.grant).await
        }
        Err(NotIssued::Store(StoreError::Conflict)) => Err(refused()),
        issued => Ok(issued?),
    }
}

/// The scopes of a grant for which this certificate states the role: a token is
/// bound to it, and it need not be the one that pushed.
pub(crate) fn still_covered(asked: &ClientForm, scope: &str) -> Result<String, OAuthError> {
    let (kept, without): (Vec<_>, Vec<_>) = scope.split(' ').partition(|scope| asked.role_covers(scope));
    if kept.is_empty() {
        return Err(OAuthError::new("invalid_scope", role_missing(without)));
    }
    Ok(kept.join(" "))
}

/// Why no token is issued in a transaction.
pub(crate) enum NotIssued {
    /// The client is refused.
    Refused(OAuthError),
    /// The store failed.
    Store(StoreError),
}

impl From<OAuthError> for NotIssued {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for NotIssued {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FlowError> for NotIssued {
    fn from(error: FlowError) -> Self {
        if let FlowError::Store(error) = error { Self::Store(error) } else { Self::Refused(error.into()) }
    }
}

impl From<NotIssued> for OAuthError {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::Refused(error) => error,
            NotIssued::Store(error) => error.into(),
        }
    }
}

impl store::Passing for NotIssued {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Refused(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

/// Tokens of a grant, and the answer that hands them out.
pub(crate) async fn issue(
    oauth: &OAuth,
    tx: &mut store::Tx,
    asked: &ClientForm,
    cnf: Confirmation,
    grant: &GrantRow,
    scope: &str,
    nonce: Option<&str>,
) -> Result<Value, NotIssued> {
    let now = oauth.gateway.clock().now();
    let mut body = access(oauth, Some(tx), asked, cnf, Some(grant), scope, now).await?;
    let Some(members) = body.as_object_mut() else { return Err(OAuthError::server().into()) };
    if asked.client.may_use("refresh_token") {
        let token = oauth.gateway.token_from_home(32);
        let digest = crypto::digest::sha256_hex(token.expose_secret().as_bytes());
        let row = RefreshRow {
            client_id: asked.client.id.clone(),
            grant: grant.id,
            scope: scope.to_owned(),
            issued_at: now,
            expires_at: seconds_after(now, REFRESH_LIFE),
        };
        tx.issue_refresh_token(&digest, &row).await?;
        members.insert("refresh_token".to_owned(), token.expose_secret().into());
    }
    if scope.split(' ').any(|scope| scope == "openid") {
        members.insert("id_token".to_owned(), id_token::sign(oauth, grant, nonce, now)?.into());
    }
    Ok(body)
}

/// An access token, and the part of the answer that is about it. Without a
/// transaction the token is all that changes.
async fn access(
    oauth: &OAuth,
    tx: Option<&mut store::Tx>,
    asked: &ClientForm,
    cnf: Confirmation,
    grant: Option<&GrantRow>,
    scope: &str,
    now: Timestamp,
) -> Result<Value, NotIssued> {
    let token: SecretString = crypto::token(oauth.gateway.entropy(), 32);
    let life = if grant.is_some() { ACCESS_LIFE } else { CLIENT_LIFE };
    let digest = crypto::digest::sha256_hex(token.expose_secret().as_bytes());
    let new = NewToken {
        digest: &digest,
        client_id: &asked.client.id,
        grant: grant.map(|grant| grant.id),
        scope,
        cnf,
        issued_at: now,
        expires_at: seconds_after(now, life),
    };
    match tx {
        Some(tx) => tx.issue_token(&new).await?,
        None => oauth.gateway.stores().global().issue_token(&new).await?,
    }
    let mut body = json!({
        "access_token": token.expose_secret(),
        "token_type": cnf.token_type(),
        "expires_in": life,
        "scope": scope,
    });
    if let (Some(members), Some(grant)) = (body.as_object_mut(), grant) {
        members.insert("grant_id".to_owned(), grant.id.to_string().into());
        // RFC 9396 §7: what was granted, which may be less than was asked for.
        if grant.details.as_array().is_some_and(|details| !details.is_empty()) {
            let details = oauth.gateway.details_in_full(&grant.client_id, &grant.details).await?;
            members.insert("authorization_details".to_owned(), details);
        }
    }
    Ok(body)
}

/// RFC 6749 §4.1.2: a second use of a code revokes what the first one gave.
async fn replayed(oauth: &OAuth, asked: &ClientForm, grant: GrantId) -> Result<Value, OAuthError> {
    // What is revoked twice is revoked.
    let revoked = store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.revoke_tokens_of(grant, oauth.gateway.clock().now()).await?;
        oauth.gateway.invalidate(tx, Invalidated::Grant(grant)).await
    })?;
    oauth.gateway.until_dropped(&revoked).await?;
    tracing::warn!(grant.id = %grant, client.id = asked.client.id, "A code was used twice; the tokens of grant {grant} are revoked");
    Err(OAuthError::grant("the code is not valid"))
}

/// A new access token for a refresh token, which stays as it is: FAPI 2.0 SP
/// §5.3.2.1-10 wants no rotation.
async fn refresh(oauth: &OAuth, asked: &ClientForm) -> Result<Value, OAuthError> {
    let refused = || OAuthError::grant("the refresh token is not valid");
    let token = asked.form.need("refresh_token", "refresh_token is missing")?;
    let digest = crypto::digest::sha256_hex(token.as_bytes());
    let global = oauth.gateway.stores().global();
    let now = oauth.gateway.clock().now();
    let row = global.live_refresh_token(&digest, now).await?.ok_or_else(refused)?;
    if row.client_id != asked.client.id {
        return Err(refused());
    }
    let cnf = asked.confirmation()?;
    // RFC 6749 §6: less than was granted, never more.
    let wanted: Vec<_> = asked.form.get("scope").unwrap_or(&row.scope).split_ascii_whitespace().collect();
    let had: Vec<_> = row.scope.split(' ').collect();
    if wanted.is_empty() || !wanted.iter().all(|one| had.contains(one)) {
        return Err(OAuthError::new("invalid_scope", "the refresh token does not cover this scope"));
    }
    let scope = had.into_iter().filter(|one| wanted.contains(one)).collect::<Vec<_>>().join(" ");
    let scope = still_covered(asked, &scope)?;
    let grant = global.grant(row.grant).await?.ok_or_else(refused)?;
    let mut body = access(oauth, None, asked, cnf, Some(&grant), &scope, now).await?;
    if let (Some(members), true) = (body.as_object_mut(), scope.split(' ').any(|scope| scope == "openid")) {
        // OpenID Connect Core §12.2: no nonce in an id_token of a refresh.
        members.insert("id_token".to_owned(), id_token::sign(oauth, &grant, None, now)?.into());
    }
    Ok(body)
}

/// A token of the client's own. It is written together with the ids of the
/// proofs, in one commit; if one of those was used before, nobody gets to know
/// the token.
async fn client_credentials(oauth: &OAuth, asked: &ClientForm, ids: ProofIds) -> Result<Value, OAuthError> {
    let given = async {
        may_use(asked, "client_credentials")?;
        let scopes = asked.scopes(asked.form.need("scope", "scope is missing")?)?;
        // openid is about a person; a client's own token is about none.
        let scopes: Vec<_> = scopes.into_iter().filter(|scope| *scope != "openid").collect();
        if scopes.is_empty() {
            return Err(OAuthError::new("invalid_scope", "openid is about a person, and this token is not"));
        }
        let cnf = asked.confirmation()?;
        Ok(access(oauth, None, asked, cnf, None, &scopes.join(" "), oauth.gateway.clock().now()).await?)
    };
    let (spent, given) = tokio::join!(ids.spend(oauth), given);
    spent?;
    given
}
