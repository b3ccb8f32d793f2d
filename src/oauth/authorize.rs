//! The front channel: a PSU arrives with a pushed request.

use axum::extract::State;
use axum::response::Response;
use domain::{ConsentId, SessionId};
use http::HeaderMap;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use store::grants::CodeRow;
use store::sessions::SessionRow;
use url::Url;
use web::ProblemCode;

use crate::granting::{self, NotGranted};
use crate::locale::Locale;
use crate::pages::time::STAY;
use crate::pages::{Browser, PageError, Reason, go, with_cookies};
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

/// Parameters of an answer without a code (RFC 6749 §4.1.2.1).
pub(crate) type Refusal = &'static [(&'static str, &'static str)];
/// The PSU or the bank refused.
pub(crate) const DECLINED: Refusal = &[("error", "access_denied")];
/// The PSU did not decide while there was time.
pub(crate) const RAN_OUT: Refusal =
    &[("error", "access_denied"), ("error_description", "the PSU did not decide in time")];
/// No bank answered.
pub(crate) const UNAVAILABLE: Refusal = &[("error", "temporarily_unavailable")];
/// The grant that was to change is gone (FAPI Grant Management §5).
const GRANT_GONE: Refusal = &[("error", "invalid_grant_id")];

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
            _ => Err(PageError::new(ProblemCode::AuthorizationLink, Reason::Link)),
        }
    };
    let (client_id, request_uri) = (once("client_id")?, once("request_uri")?);
    let gone = || PageError::new(ProblemCode::RequestUri, Reason::RequestUri);
    let digest = par::digest_of(&request_uri).ok_or_else(gone)?;
    let global = oauth.gateway.stores().global();
    let pushed = global.pushed_request(&digest).await?.ok_or_else(gone)?;
    let now = oauth.gateway.clock().now();
    if pushed.client_id != client_id {
        return Err(gone());
    }
    if pushed.expires_at <= now || pushed.completed_at.is_some() {
        // Known, if too late: to where the application can be started again.
        let locale = Locale::choose(pushed.params.get("locales").and_then(|all| all.as_str()), &headers);
        let client = oauth.client(&client_id).await?;
        return Err(gone().back_to(client.and_then(|client| client.home(locale))));
    }
    let request: Pushed = serde_json::from_value(pushed.params).map_err(|_| gone())?;
    let id = SessionId::new(oauth.gateway.clock(), oauth.gateway.entropy());
    let browser = Browser::opens(id, oauth.gateway.entropy());
    let plan = Plan { request_digest: digest, request, refused: Vec::new() };
    let session = SessionRow {
        id,
        kind: "authorization".to_owned(),
        client_id,
        browser_digest: Some(browser.digest()),
        plan: serde_json::to_value(&plan).map_err(|_| gone())?,
        status: "open".to_owned(),
        expires_at: seconds_after(now, STAY),
    };
    store::transaction!(keyed global, tx => { tx.open_session(&session).await })?;
    Ok(with_cookies(go(&format!("/consent/{id}")), browser.cookies(&headers)))
}

/// Ends a session with a code for what the PSU allowed. The address the
/// browser goes to.
pub(crate) async fn complete(oauth: &OAuth, session: &SessionRow, plan: &Plan) -> Result<Url, PageError> {
    let request = &plan.request;
    let client_id = &session.client_id;
    let granted = match granting::of(oauth, client_id, &request.asked, &plan.refused).await {
        Ok(granted) => granted,
        Err(NotGranted::Denied) => return refuse(oauth, session, plan, "approved", DECLINED).await,
        Err(NotGranted::GrantGone) => {
            return refuse(oauth, session, plan, "approved", GRANT_GONE).await;
        }
        Err(NotGranted::Store(error)) => return Err(error.into()),
    };
    let now = oauth.gateway.clock().now();
    let code = oauth.gateway.token_from_home(32);
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
    let changed = store::transaction!(oauth.gateway.stores().global(), tx => {
        // One answer per request: a second one, from whichever browser, fails here.
        tx.complete_request(&plan.request_digest, now).await?;
        tx.move_session(session.id, "approved", "done", &session.plan).await?;
        let changed = granted.record(&oauth.gateway, tx).await?;
        tx.issue_code(&digest, &row).await?;
        Ok(changed)
    });
    if let Some(changed) = changed.map_err(PageError::spent)? {
        oauth.gateway.until_dropped(&changed).await?;
    }
    tracing::info!(grant.id = %row.grant, client.id = client_id, "Grant {} given", row.grant);
    response::to(oauth, client_id, request, &[("code", code.expose_secret())]).await
}

/// Ends a session with an error.
pub(crate) async fn refuse(
    oauth: &OAuth,
    session: &SessionRow,
    plan: &Plan,
    from: &str,
    answer: Refusal,
) -> Result<Url, PageError> {
    let refused = store::transaction!(oauth.gateway.stores().global(), tx => {
        tx.complete_request(&plan.request_digest, oauth.gateway.clock().now()).await?;
        tx.move_session(session.id, from, "declined", &session.plan).await
    });
    refused.map_err(PageError::spent)?;
    response::to(oauth, &session.client_id, &plan.request, answer).await
}
