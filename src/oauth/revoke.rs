//! Token revocation (RFC 7009).

use axum::extract::State;
use http::StatusCode;

use crate::authenticate::ClientForm;
use crate::{OAuth, OAuthError};

/// `POST /oauth/revoke`. An unknown token, or one of another client, is
/// answered like a revoked one (§2.2) and stays what it is.
pub(crate) async fn revoke(State(oauth): State<OAuth>, asked: ClientForm) -> Result<StatusCode, OAuthError> {
    let token = asked.form.need("token", "token is missing")?;
    let digest = crypto::digest::sha256_hex(token.as_bytes());
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.revoke_token(&digest, &asked.client.id, oauth.gateway.clock().now()).await?;
    tx.commit().await?;
    Ok(StatusCode::OK)
}
