//! The token endpoint: codes and client credentials become opaque access
//! tokens, bound to the certificate of the connection (RFC 8705).

use axum::Json;
use axum::extract::State;
use domain::GrantId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::StoreError;
use store::grants::NewToken;

use crate::authenticate::ClientForm;
use crate::authorize::seconds_after;
use crate::par::{invalid_scope, roles_cover};
use crate::{OAuth, OAuthError, id_token};

/// Seconds that an access token of a grant lives.
const ACCESS_LIFE: i64 = 900;
/// Seconds that a client's own token lives.
const CLIENT_LIFE: i64 = 600;

/// `POST /oauth/token`.
pub(crate) async fn token(State(oauth): State<OAuth>, asked: ClientForm) -> Result<Json<Value>, OAuthError> {
    let grant_type = asked.form.need("grant_type", "grant_type is missing")?;
    if !["authorization_code", "client_credentials"].contains(&grant_type) {
        return Err(OAuthError::new(
            "unsupported_grant_type",
            "grant_type is authorization_code or client_credentials",
        ));
    }
    if !asked.client.may_use(grant_type) {
        return Err(OAuthError::new(
            "unauthorized_client",
            "the client is not registered for this grant type",
        ));
    }
    match grant_type {
        "authorization_code" => redeem(&oauth, &asked).await,
        _ => client_credentials(&oauth, &asked).await,
    }
}

async fn redeem(oauth: &OAuth, asked: &ClientForm) -> Result<Json<Value>, OAuthError> {
    let refused = OAuthError::grant("the code is not valid");
    let code = asked.form.need("code", "code is missing")?;
    let digest = crypto::digest::sha256_hex(code.as_bytes());
    let global = oauth.gateway.stores().global();
    let row = global.code(&digest).await?.ok_or(refused)?;
    let now = oauth.gateway.clock().now();
    // Bound to the client, the redirect_uri and the verifier.
    if row.client_id != asked.client.id {
        return Err(refused);
    }
    if row.redeemed_at.is_some() {
        return replayed(oauth, asked, row.grant).await;
    }
    // RFC 6749 §4.1.3: needed, as every pushed request has one.
    if asked.form.need("redirect_uri", "redirect_uri is missing")? != row.redirect_uri {
        return Err(OAuthError::grant("redirect_uri is not the one of the request"));
    }
    let verifier = asked.form.need("code_verifier", "code_verifier is missing")?;
    if !crypto::digest::pkce_matches(verifier, &row.code_challenge) {
        return Err(OAuthError::grant("code_verifier does not fit the code_challenge"));
    }
    let (scope, details) = global.grant_details(row.grant).await?.ok_or(refused)?;
    // The token is bound to this certificate, which need not be the one that pushed.
    for scope in scope.split(' ') {
        roles_cover(asked, scope)?;
    }
    let access = crypto::token(oauth.gateway.entropy(), 32);
    let mut tx = global.begin().await?;
    match tx.redeem_code(&digest, now).await {
        Ok(()) => {}
        Err(StoreError::Conflict) if row.expires_at > now => {
            drop(tx);
            return replayed(oauth, asked, row.grant).await;
        }
        Err(StoreError::Conflict) => return Err(refused),
        Err(other) => return Err(other.into()),
    }
    issue(&mut tx, asked, &access, Some(row.grant), &scope, seconds_after(now, ACCESS_LIFE)).await?;
    tx.commit().await?;
    let mut body = answer(&access, ACCESS_LIFE, &scope);
    if let Some(members) = body.as_object_mut() {
        if details.as_array().is_some_and(|details| !details.is_empty()) {
            members.insert("authorization_details".to_owned(), details);
        }
        if scope.split(' ').any(|scope| scope == "openid") {
            let token = id_token::sign(oauth, &asked.client.id, row.grant, row.nonce.as_deref(), now)?;
            members.insert("id_token".to_owned(), token.into());
        }
    }
    Ok(Json(body))
}

/// RFC 6749 §4.1.2: a second use of a code revokes what the first one gave.
async fn replayed(oauth: &OAuth, asked: &ClientForm, grant: GrantId) -> Result<Json<Value>, OAuthError> {
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.revoke_grant(grant, oauth.gateway.clock().now()).await?;
    tx.commit().await?;
    tracing::warn!(grant.id = %grant, client.id = asked.client.id, "A code was used twice; grant {grant} is revoked");
    Err(OAuthError::grant("the code is not valid"))
}

async fn client_credentials(oauth: &OAuth, asked: &ClientForm) -> Result<Json<Value>, OAuthError> {
    let scope = asked.form.need("scope", "scope is missing")?;
    let scopes = asked.client.scope_of(scope).ok_or_else(invalid_scope)?;
    // openid is about a person; a client's own token is about none.
    let scopes: Vec<_> = scopes.into_iter().filter(|scope| *scope != "openid").collect();
    if scopes.is_empty() {
        return Err(invalid_scope());
    }
    for scope in &scopes {
        roles_cover(asked, scope)?;
    }
    let scope = scopes.join(" ");
    let access = crypto::token(oauth.gateway.entropy(), 32);
    let end = seconds_after(oauth.gateway.clock().now(), CLIENT_LIFE);
    let mut tx = oauth.gateway.stores().global().begin().await?;
    issue(&mut tx, asked, &access, None, &scope, end).await?;
    tx.commit().await?;
    Ok(Json(answer(&access, CLIENT_LIFE, &scope)))
}

async fn issue(
    tx: &mut store::Tx,
    asked: &ClientForm,
    access: &SecretString,
    grant: Option<GrantId>,
    scope: &str,
    expires_at: domain::Timestamp,
) -> Result<(), StoreError> {
    let digest = crypto::digest::sha256_hex(access.expose_secret().as_bytes());
    tx.issue_token(&NewToken {
        digest: &digest,
        client_id: &asked.client.id,
        grant,
        scope,
        thumbprint: &asked.certificate.thumbprint,
        expires_at,
    })
    .await
}

fn answer(access: &SecretString, lifetime: i64, scope: &str) -> Value {
    json!({
        "access_token": access.expose_secret(),
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": scope,
    })
}
