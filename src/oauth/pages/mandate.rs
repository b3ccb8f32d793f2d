//! The mandate pages: the PSU sees payee, amounts and limits, approves or declines.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use domain::{MandateId, MandateStatus, Period, SessionId, utc_day};
use edge::PeerIdentity;
use flows::{FlowError, NextStep};
use http::{HeaderMap, Method};
use store::StoreError;
use store::mandates::MandateRow;
use store::sessions::SessionRow;
use url::Url;

use super::consent::{WaitPage, decision_of};
use super::payment::{LOOKS, first_visit, name_of};
use super::session::{Visit, posted, visit};
use super::{Frame, PageError, go, presence, sandbox_decision, sandbox_user, sca, time};
use crate::texts::{Text, Texts};
use crate::{OAuth, details, response};

#[derive(Template)]
#[template(path = "mandate.html")]
struct MandatePage<'a> {
    frame: &'a Frame,
    heading: String,
    each: String,
    limits: Vec<(&'static Text, String)>,
    count: Option<u32>,
    session: String,
    client: &'a str,
    bank: &'a str,
    payee: &'a str,
    account: String,
    purpose: Option<&'a str>,
    starting: Option<String>,
    until: String,
    asks_name: bool,
    asks_here: bool,
    form_token: String,
}

/// `GET /mandate/{session}`. The first browser that comes has the session.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if let Some(first) = first_visit(&oauth, id, "/mandate", &method, &headers).await? {
        return Ok(first);
    }
    let Visit { session, browser, frame, .. } = visit(&oauth, id, "mandate", &headers).await?;
    let mandate = mandate_of(&oauth, &session).await?;
    if mandate.status != MandateStatus::Created {
        return Ok(go(&format!("/mandate/{id}/wait")));
    }
    let profile = oauth.gateway.registry().profile(&mandate.institution);
    let asks_name = profile.as_ref().is_some_and(|profile| profile.psu_id_required);
    if let Some(approve) = sandbox_decision(&oauth, &headers) {
        let name =
            profile.as_deref().filter(|_| asks_name).and_then(|profile| sandbox_user(profile, &headers));
        return settle(&oauth, &session, mandate, approve, name, &peer, &headers).await;
    }
    let (t, order) = (frame.t, &mandate.terms.order);
    let constraints = &order.constraints;
    let limits = constraints.periodic_limits.iter();
    let page = MandatePage {
        frame: &frame,
        heading: title(&frame),
        each: t.detail.recurring.with("amount", t.format.amount(&constraints.max_per_payment)),
        limits: limits
            .map(|limit| (most_in(t, limit.period()), t.format.amount(&limit.max_amount())))
            .collect(),
        count: constraints.max_count,
        session: id.to_string(),
        client: frame.client_name(),
        // A bank that is not set up any more goes by its id.
        bank: profile.as_ref().map_or(mandate.institution.as_str(), |profile| profile.name.as_str()),
        payee: &order.creditor_name,
        account: details::spoken(&order.creditor_account),
        purpose: order.remittance.unstructured.as_deref().or(order.remittance.reference.as_deref()),
        starting: constraints.valid_from.map(|from| t.format.date(utc_day(from))),
        until: match constraints.valid_to {
            Some(to) => t.format.date(utc_day(to)),
            None => t.detail.until_withdrawn.to_string(),
        },
        asks_name,
        asks_here: profile.as_deref().is_some_and(sca::asks_here),
        form_token: browser.form_token(),
    };
    Ok(frame.timed_page(&page, &format!("/mandate/{id}")))
}

/// `POST /mandate/{session}`.
pub(crate) async fn decide(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "mandate", &headers, &form).await?;
    let mandate = mandate_of(&oauth, &session).await?;
    let approve = decision_of(&form)?;
    settle(&oauth, &session, mandate, approve, name_of(&form), &peer, &headers).await
}

async fn settle(
    oauth: &OAuth,
    session: &SessionRow,
    mandate: MandateRow,
    approve: bool,
    name: Option<String>,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let waiting = || Ok(go(&format!("/mandate/{}/wait", session.id)));
    // A page that is stale: the mandate is at the bank, or was decided.
    if mandate.status != MandateStatus::Created {
        return waiting();
    }
    let id = mandate.id;
    let way_back = back(oauth, &mandate).await?;
    if !approve {
        oauth.gateway.decline_mandate(id).await?;
        return Ok(go(way_back.as_str()));
    }
    let end = time::before_bank(oauth, session.id).await?;
    match oauth.gateway.prolong_mandate_approval(mandate, end).await {
        Ok(()) => {}
        // The same page in another tab was first; its step counts.
        Err(FlowError::Store(StoreError::Conflict)) => return waiting(),
        Err(error) => return Err(error.into()),
    }
    let psu = presence(peer, headers);
    match oauth.gateway.start_mandate(session.id, id, &psu, name).await {
        Ok(NextStep::Redirect(url)) => Ok(go(url.as_str())),
        Ok(NextStep::Ask) => Ok(go(&format!("/mandate/{}/sca", session.id))),
        Ok(NextStep::Wait(_) | NextStep::GoOn | NextStep::Authorized | NextStep::Ended(_)) => waiting(),
        Err(error) => Err(PageError::from(error).back_to(Some(way_back))),
    }
}

/// `GET /mandate/{session}/wait`: until the bank has the PSU's decision.
pub(crate) async fn wait(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Visit { session, browser, frame, .. } = visit(&oauth, id, "mandate", &headers).await?;
    for look in 0..LOOKS {
        if sca::asks_now(&oauth, &session).await? {
            return Ok(go(&format!("/mandate/{id}/sca")));
        }
        let mandate = mandate_of(&oauth, &session).await?;
        if mandate.status != MandateStatus::Authorizing {
            return Ok(go(back(&oauth, &mandate).await?.as_str()));
        }
        if look + 1 < LOOKS {
            // The keeper asks the bank; this only looks at what it found.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let form_token = browser.form_token();
    Ok(WaitPage { frame: &frame, bank: "", place: time::place(&session), form_token }.response())
}

/// What is asked for, in one line.
pub(crate) fn title(frame: &Frame) -> String {
    frame.t.consent.asks_approval.with("client", frame.client_name())
}

/// "At most per …".
fn most_in(t: &'static Texts, period: Period) -> &'static Text {
    match period {
        Period::Day => &t.detail.per_day,
        Period::Week => &t.detail.per_week,
        Period::Fortnight => &t.detail.per_fortnight,
        Period::Month => &t.detail.per_month,
        Period::HalfYear => &t.detail.per_half_year,
        Period::Year => &t.detail.per_year,
    }
}

/// The mandate of a session.
pub(crate) async fn mandate_of(oauth: &OAuth, session: &SessionRow) -> Result<MandateRow, PageError> {
    let id = session.plan.get("mandate").and_then(|id| id.as_str());
    let id = id.and_then(|id| id.parse::<MandateId>().ok());
    Ok(oauth.gateway.any_mandate(id.ok_or_else(PageError::over)?).await?)
}

/// Where the PSU's browser goes in the end. What became of the mandate the
/// application asks us, not the address.
pub(crate) async fn back(oauth: &OAuth, mandate: &MandateRow) -> Result<Url, PageError> {
    let mut url = response::registered(oauth, &mandate.client_id, &mandate.terms.redirect_uri).await?;
    url.query_pairs_mut().append_pair("mandate_id", &mandate.id.to_string());
    if let Some(state) = &mandate.terms.state {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(url)
}
