//! A PSU on one of our pages: the session, its browser, its language; and the
//! ways out of it.

use std::collections::HashMap;

use axum::extract::{Form, Path, State};
use axum::response::Response;
use domain::{ConsentStatus, SessionId};
use http::HeaderMap;
use store::sessions::SessionRow;
use url::Url;

use super::time::TimeLeft;
use super::{Browser, Frame, PageError, Reason, cancellation, go, mandate, payment};
use crate::authorize::{DECLINED, Plan, RAN_OUT, refuse};
use crate::locale::Locale;
use crate::{Client, OAuth};

/// A PSU on one of our pages.
pub(crate) struct Visit {
    pub(crate) session: SessionRow,
    pub(crate) browser: Browser,
    pub(crate) frame: Frame,
}

/// Whether a step may still be taken in a session.
pub(crate) fn is_open(session: &SessionRow) -> bool {
    matches!(session.status.as_str(), "open" | "approved")
}

/// The language of a session's pages.
pub(crate) fn locale_of(session: &SessionRow, headers: &HeaderMap) -> Locale {
    Locale::choose(session.plan.pointer("/request/locales").and_then(|locales| locales.as_str()), headers)
}

/// The browser that a session belongs to, if it is the one that asks.
pub(crate) fn own_browser(session: &SessionRow, headers: &HeaderMap) -> Option<Browser> {
    let browser = Browser::known(headers, session.id)?;
    (session.browser_digest.as_deref() == Some(&browser.digest())).then_some(browser)
}

/// The session of the browser that asks. One whose time is over sends the PSU
/// back to the application, which learns that nothing came of it.
pub(crate) async fn visit(
    oauth: &OAuth,
    id: SessionId,
    kind: &str,
    headers: &HeaderMap,
) -> Result<Visit, PageError> {
    let session = oauth.gateway.stores().global().session(id).await?;
    let session = session.filter(|session| session.kind == kind).ok_or_else(PageError::over)?;
    let browser = own_browser(&session, headers).ok_or_else(PageError::other_browser)?;
    let now = oauth.gateway.clock().now();
    if session.expires_at <= now {
        return Err(PageError::Elsewhere(run_out(oauth, &session).await?));
    }
    let client = oauth.client(&session.client_id).await?.ok_or_else(PageError::unknown_client)?;
    let mut frame = Frame::of_client(locale_of(&session, headers), client);
    frame.time = Some(TimeLeft::of(&session, &browser, now));
    Ok(Visit { session, browser, frame })
}

/// The same, for a form that was posted: it must be one of this session's.
pub(crate) async fn posted(
    oauth: &OAuth,
    id: SessionId,
    kind: &str,
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Result<SessionRow, PageError> {
    let Visit { session, browser, .. } = visit(oauth, id, kind, headers).await?;
    let shown = form.get("form_token").map(String::as_bytes).unwrap_or_default();
    if crypto::digest::same(shown, browser.form_token().as_bytes()) {
        Ok(session)
    } else {
        Err(PageError::other_browser())
    }
}

/// Ends a session whose time is over.
async fn run_out(oauth: &OAuth, session: &SessionRow) -> Result<Url, PageError> {
    match session.kind.as_str() {
        "payment" => return payment::back(oauth, &payment::payment_of(oauth, session).await?).await,
        "mandate" => return mandate::back(oauth, &mandate::mandate_of(oauth, session).await?).await,
        _ => {}
    }
    if !is_open(session) {
        return Err(PageError::taken());
    }
    refuse(oauth, session, &plan_of(session)?, &session.status, RAN_OUT).await
}

pub(crate) fn plan_of(session: &SessionRow) -> Result<Plan, PageError> {
    serde_json::from_value(session.plan.clone()).map_err(|_| PageError::over())
}

/// `POST /consent/{session}/leave`: the PSU goes back with nothing.
pub(crate) async fn leave_consent(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "authorization", &headers, &form).await?;
    if !is_open(&session) {
        return Err(PageError::taken());
    }
    Ok(go(decline(&oauth, &session, &session.status).await?.as_str()))
}

/// The PSU said no. What is given already stays given.
pub(crate) async fn decline(oauth: &OAuth, session: &SessionRow, from: &str) -> Result<Url, PageError> {
    let plan = plan_of(session)?;
    // The session first: a page that is stale must not end what was decided.
    let back = refuse(oauth, session, &plan, from, DECLINED).await?;
    for id in &plan.request.asked.consents {
        if oauth.gateway.consent(&session.client_id, *id).await?.status != ConsentStatus::Authorized {
            oauth.gateway.decline_consent(*id).await?;
        }
    }
    Ok(back)
}

/// `POST /pay/{session}/leave`.
pub(crate) async fn leave_payment(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "payment", &headers, &form).await?;
    let payment = payment::payment_of(&oauth, &session).await?;
    if cancellation::is_for(&session) {
        oauth.gateway.decline_cancellation(payment.id).await?;
    } else {
        // Ends it only while nothing can be executed; else the bank decides.
        oauth.gateway.decline_payment(payment.id).await?;
    }
    Ok(go(payment::back(&oauth, &payment).await?.as_str()))
}

/// `POST /mandate/{session}/leave`.
pub(crate) async fn leave_mandate(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "mandate", &headers, &form).await?;
    let mandate = mandate::mandate_of(&oauth, &session).await?;
    oauth.gateway.decline_mandate(mandate.id).await?;
    Ok(go(mandate::back(&oauth, &mandate).await?.as_str()))
}

/// The ways on from an error in a session.
#[derive(Default)]
pub(crate) struct WaysOn {
    /// To the page of the session.
    pub(crate) go_on: Option<String>,
    /// Out of it, by a form: its action and token.
    pub(crate) leave: Option<(String, String)>,
    /// Out of it, by a link.
    pub(crate) back: Option<Url>,
}

impl WaysOn {
    /// Only the browser that a session belongs to can end it; any other is led
    /// to where the application can be started again.
    pub(crate) fn of(session: &SessionRow, client: &Client, headers: &HeaderMap, reason: Reason) -> Self {
        let locale = locale_of(session, headers);
        // An answer that was given is not given again.
        let unanswered = is_open(session) && reason != Reason::Taken;
        match own_browser(session, headers).filter(|_| unanswered) {
            Some(browser) => {
                let place = super::time::place(session);
                let leave = Some((format!("{place}/leave"), browser.form_token()));
                Self { go_on: Some(place), leave, back: None }
            }
            None => Self { back: client.home(locale), ..Self::default() },
        }
    }
}
