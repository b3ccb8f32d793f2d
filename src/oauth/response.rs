//! Authorization responses: with `iss` (RFC 9207), or as one signed JWT (JARM).

use crate::OAuth;
use crate::pages::{PageError, Reason};
use crate::par::Pushed;
use serde_json::{Map, Value, json};
use url::Url;

/// Seconds that a signed response lives (MS7: at most 600).
const LIFE: i64 = 300;

/// Where the browser goes, with `parameters` and the `state` as it came: an
/// address that is still registered, or nowhere (RFC 9700 §4.1).
pub(crate) async fn to(
    oauth: &OAuth,
    client_id: &str,
    request: &Pushed,
    parameters: &[(&str, &str)],
) -> Result<Url, PageError> {
    let mut url = registered(oauth, client_id, &request.redirect_uri).await?;
    let issuer = &oauth.gateway.config().issuer;
    if request.signed_response {
        let now = oauth.gateway.clock().now().as_second();
        let mut claims = Map::new();
        claims.insert("iss".into(), issuer.as_str().into());
        claims.insert("aud".into(), client_id.into());
        claims.insert("iat".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(LIFE).into());
        for (name, value) in parameters {
            claims.insert((*name).to_owned(), (*value).into());
        }
        if let Some(state) = &request.state {
            claims.insert("state".into(), state.as_str().into());
        }
        let response = signed(oauth, "JWT", &Value::Object(claims))?;
        url.query_pairs_mut().append_pair("response", &response);
        return Ok(url);
    }
    {
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(parameters);
        if let Some(state) = &request.state {
            pairs.append_pair("state", state);
        }
        pairs.append_pair("iss", issuer);
    }
    Ok(url)
}

/// An address of a client, if it is registered for it now.
pub(crate) async fn registered(oauth: &OAuth, client_id: &str, address: &str) -> Result<Url, PageError> {
    let client = oauth.client(client_id).await?;
    let known = client.is_some_and(|client| client.redirect_uris.iter().any(|known| known == address));
    let url = Url::parse(address).ok().filter(|_| known);
    url.ok_or_else(PageError::unknown_client)
}

/// Signing failed; the log knows why.
pub(crate) struct NotSigned;

impl From<NotSigned> for PageError {
    fn from(_: NotSigned) -> Self {
        Self::new(web::ProblemCode::Internal, Reason::Ours)
    }
}

impl From<NotSigned> for crate::OAuthError {
    fn from(_: NotSigned) -> Self {
        Self::server()
    }
}

/// Claims as a JWT of ours.
pub(crate) fn signed(oauth: &OAuth, typ: &str, claims: &Value) -> Result<String, NotSigned> {
    let mut header = Map::new();
    header.insert("typ".into(), json!(typ));
    crypto::jws::sign_compact(&oauth.keys.current(), &header, claims.to_string().as_bytes()).map_err(
        |error| {
            tracing::error!(error = %error, "A JWT could not be signed");
            NotSigned
        },
    )
}
