//! id_tokens (OpenID Connect Core §2). The gateway knows no person; `sub` is a
//! name for one grant of one client, and tells nothing beyond it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{GrantId, Timestamp};
use serde_json::json;
use store::grants::GrantRow;

use crate::{OAuth, OAuthError, response};

/// Seconds that an id_token lives.
const LIFE: i64 = 300;

/// The name of the PSU of a grant, for its client alone.
pub(crate) fn subject(oauth: &OAuth, client_id: &str, grant: GrantId) -> String {
    URL_SAFE_NO_PAD.encode(oauth.gateway.id_key().digest(&["sub", client_id, &grant.to_string()]))
}

pub(crate) fn sign(
    oauth: &OAuth,
    grant: &GrantRow,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<String, OAuthError> {
    let mut claims = json!({
        "iss": oauth.gateway.config().issuer,
        "sub": subject(oauth, &grant.client_id, grant.id),
        "aud": grant.client_id,
        "iat": now.as_second(),
        "exp": now.as_second().saturating_add(LIFE),
    });
    if let Some(members) = claims.as_object_mut() {
        if let Some(nonce) = nonce {
            members.insert("nonce".to_owned(), nonce.into());
        }
        if let Some(acr) = &grant.acr {
            members.insert("acr".to_owned(), acr.as_str().into());
        }
        if let Some(at) = grant.authenticated_at {
            members.insert("auth_time".to_owned(), at.as_second().into());
        }
    }
    Ok(response::signed(oauth, "JWT", &claims)?)
}
