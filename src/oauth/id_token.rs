//! id_tokens (OpenID Connect Core §2). The gateway knows no person; `sub` is a
//! name for one grant of one client, and tells nothing beyond it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{GrantId, Timestamp};
use serde_json::{Map, json};

use crate::{OAuth, OAuthError};

/// Seconds that an id_token lives.
const LIFE: i64 = 300;

pub(crate) fn sign(
    oauth: &OAuth,
    client_id: &str,
    grant: GrantId,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<String, OAuthError> {
    let sub = oauth.gateway.id_key().digest(&["sub", client_id, &grant.to_string()]);
    let mut claims = json!({
        "iss": oauth.gateway.config().issuer,
        "sub": URL_SAFE_NO_PAD.encode(sub),
        "aud": client_id,
        "iat": now.as_second(),
        "exp": now.as_second().saturating_add(LIFE),
    });
    if let (Some(nonce), Some(members)) = (nonce, claims.as_object_mut()) {
        members.insert("nonce".to_owned(), nonce.into());
    }
    crypto::jws::sign_compact(&oauth.signing_key, &Map::new(), claims.to_string().as_bytes()).map_err(
        |error| {
            tracing::error!(error = %error, "An id_token could not be signed");
            OAuthError::server()
        },
    )
}
