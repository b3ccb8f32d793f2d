//! Token introspection (RFC 7662), signed where the client wants it (RFC 9701).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{GrantId, Timestamp};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use crate::authenticate::ClientForm;
use crate::{OAuth, OAuthError, id_token, response};

const SIGNED: &str = "application/token-introspection+jwt";

/// `POST /oauth/introspect`. A client learns about its own tokens; any other
/// token, of whatever kind and state, is `{"active":false}` (§2.2, §4).
pub(crate) async fn introspect(
    State(oauth): State<OAuth>,
    headers: HeaderMap,
    asked: ClientForm,
) -> Result<Response, OAuthError> {
    let token = asked.form.need("token", "token is missing")?;
    let answer = describe(&oauth, &asked.client.id, token).await?;
    let answer = answer.map_or_else(|| json!({ "active": false }), Value::Object);
    let wanted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !asked.client.signed_introspection && !wanted.to_ascii_lowercase().contains(SIGNED) {
        return Ok(Json(answer).into_response());
    }
    // RFC 9701 §5: about no subject and without exp, so that it is no id_token.
    let claims = json!({
        "iss": oauth.gateway.config().issuer,
        "aud": asked.client.id,
        "iat": oauth.gateway.clock().now().as_second(),
        "token_introspection": answer,
    });
    let signed = response::signed(&oauth, "token-introspection+jwt", &claims)?;
    Ok(([(CONTENT_TYPE, SIGNED)], signed).into_response())
}

async fn describe(
    oauth: &OAuth,
    client_id: &str,
    token: &str,
) -> Result<Option<Map<String, Value>>, OAuthError> {
    let global = oauth.gateway.stores().global();
    let digest = crypto::digest::sha256_hex(token.as_bytes());
    let now = oauth.gateway.clock().now();
    // From the store, not from memory: this is asked for to be sure.
    if let Some(row) = global.live_token(&digest, now).await?.filter(|row| row.client_id == client_id) {
        let mut answer = common(oauth, client_id, row.grant, &row.scope, row.issued_at, row.expires_at);
        answer.insert("token_type".into(), row.cnf.token_type().into());
        answer.insert("cnf".into(), row.cnf.cnf());
        if row.details.as_array().is_some_and(|details| !details.is_empty()) {
            let details = oauth.gateway.details_in_full(client_id, &row.details).await?;
            answer.insert("authorization_details".into(), details);
        }
        return Ok(Some(answer));
    }
    let row = global.live_refresh_token(&digest, now).await?.filter(|row| row.client_id == client_id);
    Ok(row.map(|row| common(oauth, client_id, Some(row.grant), &row.scope, row.issued_at, row.expires_at)))
}

fn common(
    oauth: &OAuth,
    client_id: &str,
    grant: Option<GrantId>,
    scope: &str,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("active".into(), true.into());
    answer.insert("iss".into(), oauth.gateway.config().issuer.clone().into());
    answer.insert("client_id".into(), client_id.into());
    answer.insert("scope".into(), scope.into());
    answer.insert("iat".into(), issued_at.as_second().into());
    answer.insert("exp".into(), expires_at.as_second().into());
    if let Some(grant) = grant {
        answer.insert("grant_id".into(), grant.to_string().into());
        answer.insert("sub".into(), id_token::subject(oauth, client_id, grant).into());
    }
    answer
}
