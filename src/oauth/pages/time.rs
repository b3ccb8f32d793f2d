//! The time a PSU has: said on the page, with a warning before it ends and a
//! button that gives more (WCAG 2.2 §2.2.1), and a way on when it is over.

use std::collections::HashMap;

use axum::extract::{Form, Path, State};
use axum::response::Response;
use domain::{MandateStatus, PaymentState, SessionId, Timestamp};
use http::HeaderMap;
use store::StoreError;
use store::sessions::SessionRow;

use super::session::posted;
use super::{Browser, PageError, cancellation, go, mandate, payment};
use crate::{OAuth, seconds_after};

/// Seconds that a PSU has for a page, and more of when asked for.
pub(crate) const STAY: i64 = 1_800;
/// Seconds that a session lasts at most. More than ten times [`STAY`]: "the user
/// is allowed to extend the time limit at least ten times" (WCAG 2.2 §2.2.1).
pub(crate) const LONGEST: i64 = 6 * 3_600;
/// Seconds before the end at which the page warns.
const WARNING: i64 = 300;
/// Seconds that a PSU has after a bank to see what came of it.
const RETURN: i64 = 300;

/// The time that is left on a page.
pub(crate) struct TimeLeft {
    /// Minutes, rounded up.
    pub(crate) minutes: i64,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Whether the end is near.
    pub(crate) soon: bool,
    /// Where more is asked for; none once there is no more to give.
    pub(crate) extend: Option<String>,
    pub(crate) form_token: String,
    left: i64,
}

impl TimeLeft {
    /// The time left of a session.
    pub(crate) fn of(session: &SessionRow, browser: &Browser, now: Timestamp) -> Self {
        let left = session.expires_at.as_second().saturating_sub(now.as_second()).max(0);
        let more = session.expires_at < last(session.id, now);
        Self {
            minutes: left.saturating_add(59).checked_div(60).unwrap_or_default(),
            until: session.expires_at,
            soon: left <= WARNING,
            extend: more.then(|| format!("{}/extend", place(session))),
            form_token: browser.form_token(),
            left,
        }
    }

    /// Seconds after which the page shows itself again: to warn, and then to go
    /// where a PSU whose time is over goes.
    pub(crate) fn refresh(&self) -> i64 {
        if self.soon { self.left.saturating_add(1) } else { self.left.saturating_sub(WARNING) }
    }
}

/// Where a session's pages are.
pub(crate) fn place(session: &SessionRow) -> String {
    let page = match session.kind.as_str() {
        "payment" => "pay",
        "mandate" => "mandate",
        _ => "consent",
    };
    format!("/{page}/{}", session.id)
}

/// The end of a session that is given more time now.
fn later(session: SessionId, now: Timestamp) -> Timestamp {
    later_by(session, now, STAY)
}

fn later_by(session: SessionId, now: Timestamp, seconds: i64) -> Timestamp {
    seconds_after(now, seconds).min(last(session, now))
}

/// The last instant of a session, whatever is asked for.
fn last(session: SessionId, now: Timestamp) -> Timestamp {
    // The id says when the session began (UUIDv7).
    let began = session.uuid().get_timestamp().map(|began| began.to_unix().0);
    let began = began.and_then(|began| i64::try_from(began).ok());
    let began = began.and_then(|began| Timestamp::from_second(began).ok()).unwrap_or(now);
    seconds_after(began, LONGEST)
}

/// Before the PSU goes to a bank: our session is to outlast the bank's page.
pub(crate) async fn before_bank(oauth: &OAuth, session: SessionId) -> Result<Timestamp, StoreError> {
    let time = flows::LEG_TIME.saturating_add(RETURN);
    let end = later_by(session, oauth.gateway.clock().now(), time);
    prolong(oauth, session, end).await?;
    Ok(end)
}

async fn prolong(oauth: &OAuth, session: SessionId, end: Timestamp) -> Result<(), StoreError> {
    // Prolonged twice to one end, it is as prolonged once.
    store::transaction!(keyed oauth.gateway.stores().global(), tx => {
        tx.prolong_session(session, end).await
    })
}

/// `POST /consent/{session}/extend`.
pub(crate) async fn extend_consent(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "authorization", &headers, &form).await?;
    prolong(&oauth, id, later(id, oauth.gateway.clock().now())).await?;
    // Whoever waits for a bank goes on waiting.
    let page = if session.status == "approved" { "/wait" } else { "" };
    Ok(go(&format!("{}{page}", place(&session))))
}

/// `POST /pay/{session}/extend`.
pub(crate) async fn extend_payment(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "payment", &headers, &form).await?;
    let payment = payment::payment_of(&oauth, &session).await?;
    let end = later(id, oauth.gateway.clock().now());
    prolong(&oauth, id, end).await?;
    if cancellation::is_for(&session) {
        oauth.gateway.prolong_cancellation(payment.id, end).await?;
        return Ok(go(&place(&session)));
    }
    let page = if payment.state == PaymentState::AuthorizationRequired { "" } else { "/wait" };
    match oauth.gateway.prolong_approval(payment, end).await {
        // Another step was first: the page shows what has become of it.
        Ok(()) | Err(flows::FlowError::Store(StoreError::Conflict)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(go(&format!("{}{page}", place(&session))))
}

/// `POST /mandate/{session}/extend`.
pub(crate) async fn extend_mandate(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "mandate", &headers, &form).await?;
    let mandate = mandate::mandate_of(&oauth, &session).await?;
    let end = later(id, oauth.gateway.clock().now());
    let page = if mandate.status == MandateStatus::Created { "" } else { "/wait" };
    prolong(&oauth, id, end).await?;
    match oauth.gateway.prolong_mandate_approval(mandate, end).await {
        // Another step was first: the page shows what has become of it.
        Ok(()) | Err(flows::FlowError::Store(StoreError::Conflict)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(go(&format!("{}{page}", place(&session))))
}
