//! Token revocation (RFC 7009).

use axum::extract::State;
use flows::Invalidated;
use http::StatusCode;
use store::StoreError;

use crate::authenticate::ClientForm;
use crate::{OAuth, OAuthError};

/// `POST /oauth/revoke`. An unknown token, or one of another client, is
/// answered like a revoked one (§2.2) and stays what it is. Once this has
/// answered, no process accepts the token.
pub(crate) async fn revoke(State(oauth): State<OAuth>, asked: ClientForm) -> Result<StatusCode, OAuthError> {
    let token = asked.form.need("token", "token is missing")?;
    let digest = crypto::digest::sha256_hex(token.as_bytes());
    let gateway = &oauth.gateway;
    let now = gateway.clock().now();
    let global = gateway.stores().global();
    let refresh = global.live_refresh_token(&digest, now).await?;
    let refresh = refresh.filter(|row| row.client_id == asked.client.id);
    let revoked = store::transaction!(global, tx => {
        if let Some(row) = &refresh {
            // §2.1: with the refresh token go the access tokens of its grant.
            tx.revoke_tokens_of(row.grant, now).await?;
            return Ok(Some(gateway.invalidate(tx, Invalidated::Grant(row.grant)).await?));
        }
        if tx.revoke_token(&digest, &asked.client.id, now).await? {
            return Ok(Some(gateway.invalidate(tx, Invalidated::Token(&digest)).await?));
        }
        Ok::<_, StoreError>(None)
    })?;
    if let Some(revoked) = revoked {
        gateway.until_dropped(&revoked).await?;
    }
    Ok(StatusCode::OK)
}
