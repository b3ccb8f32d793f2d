//! The front channel: a PSU arrives with a pushed request.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use domain::{ConsentId, SessionId};
use http::HeaderMap;
use http::header::SET_COOKIE;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use store::grants::CodeRow;
use store::sessions::SessionRow;
use url::Url;
use web::ProblemCode;

use crate::granting::{self, NotGranted};
use crate::pages::{Browser, PageError};
use crate::par::{self, Pushed};
use crate::{OAuth, response, seconds_after};

/// What a PSU is asked in one session, and how far it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) request_digest: String,
    pub(crate) request: Pushed,
    /// Consents that came to nothing at their bank.
    pub(crate) refused: Vec<ConsentId>,
}

/// Seconds that a PSU has for our pages and the banks.
const SESSION_LIFE: i64 = 1_800;
/// Seconds that a code lives (FAPI 2.0 SP §5.3.2.1-11: at most 60).
const CODE_LIFE: i64 = 60;

/// `GET /oauth/authorize`. Only `client_id` and `request_uri` count; whatever
/// else is in the address is not looked at.
pub(crate) async fn authorize(
    State(oauth): State<OAuth>,
    headers: HeaderMap,
    uri: http::Uri,
) -> Result<Response, PageError> {
    let query = uri.query().unwrap_or_default();
    let once = |name: &'static str| {
        let mut found = url::form_urlencoded::parse(query.as_bytes()).filter(|(given, _)| given == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value.into_owned()),
            _ => Err(PageError::new(
                ProblemCode::AuthorizationLink,
                "The link lacks client_id or request_uri, or repeats one.",
            )),
        }
    };
    let (client_id, request_uri) = (once("client_id")?, once("request_uri")?);
    let gone =
        || PageError::new(ProblemCode::RequestUri, "This link is not valid, was used before, or is too old.");
    let digest = par::digest_of(&request_uri).ok_or_else(gone)?;
    let global = oauth.gateway.stores().global();
    let pushed = global.pushed_request(&digest).await?.ok_or_else(gone)?;
    let now = oauth.gateway.clock().now();
    if pushed.client_id != client_id || pushed.expires_at <= now || pushed.completed_at.is_some() {
        return Err(gone());
    }
    let request: Pushed = serde_json::from_value(pushed.params).map_err(|_| gone())?;
    let browser = Browser::of(&headers, oauth.gateway.entropy());
    let plan = Plan { request_digest: digest, request, refused: Vec::new() };
    let session = SessionRow {
        id: SessionId::new(oauth.gateway.clock(), oauth.gateway.entropy()),
        kind: "authorization".to_owned(),
        client_id,
        browser_digest: Some(browser.digest()),
        plan: serde_json::to_value(&plan).map_err(|_| gone())?,
        status: "open".to_owned(),
        expires_at: seconds_after(now, SESSION_LIFE),
    };
    let mut tx = global.begin().await?;
    tx.open_session(&session).await?;
    tx.commit().await?;
    let page = format!("/consent/{}", session.id);
    Ok(([(SET_COOKIE, browser.cookie())], Redirect::to(&page)).into_response())
}

/// Ends a session with a code for what the PSU allowed. The address the
/// browser goes to.
pub(crate) async fn complete(oauth: &OAuth, session: &SessionRow, plan: &Plan) -> Result<Url, PageError> {
    let request = &plan.request;
    let client_id = &session.client_id;
    let granted = match granting::of(oauth, client_id, &request.asked, &plan.refused).await {
        Ok(granted) => granted,
        Err(NotGranted::Denied) => return refuse(oauth, session, plan, "approved", "access_denied").await,
        Err(NotGranted::GrantGone) => {
            return refuse(oauth, session, plan, "approved", "invalid_grant_id").await;
        }
        Err(NotGranted::Store(error)) => return Err(error.into()),
    };
    let now = oauth.gateway.clock().now();
    let code = crypto::token(oauth.gateway.entropy(), 32);
    let row = CodeRow {
        client_id: client_id.clone(),
        grant: granted.id(),
        redirect_uri: request.redirect_uri.clone(),
        code_challenge: request.code_challenge.clone(),
        nonce: request.asked.nonce.clone(),
        dpop_key: request.dpop_key.as_deref().and_then(|key| key.parse().ok()),
        expires_at: seconds_after(now, CODE_LIFE),
        redeemed_at: None,
    };
    let digest = crypto::digest::sha256_hex(code.expose_secret().as_bytes());
    let mut tx = oauth.gateway.stores().global().begin().await?;
    // One answer per request: a second one, from whichever browser, fails here.
    tx.complete_request(&plan.request_digest, now).await.map_err(PageError::spent)?;
    tx.move_session(session.id, "approved", "done", &session.plan).await.map_err(PageError::spent)?;
    let changed = granted.record(&mut tx).await.map_err(PageError::spent)?;
    tx.issue_code(&digest, &row).await?;
    match changed {
        Some(grant) => oauth.gateway.commit_invalidating(tx, grant).await?,
        None => tx.commit().await?,
    }
    tracing::info!(grant.id = %row.grant, client.id = client_id, "Grant {} given", row.grant);
    response::to(oauth, client_id, request, &[("code", code.expose_secret())])
}

/// Ends a session with an error.
pub(crate) async fn refuse(
    oauth: &OAuth,
    session: &SessionRow,
    plan: &Plan,
    from: &str,
    error: &str,
) -> Result<Url, PageError> {
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.complete_request(&plan.request_digest, oauth.gateway.clock().now()).await.map_err(PageError::spent)?;
    tx.move_session(session.id, from, "declined", &session.plan).await.map_err(PageError::spent)?;
    tx.commit().await?;
    response::to(oauth, &session.client_id, &plan.request, &[("error", error)])
}
