//! The consent pages: choose a bank, see what is asked, approve or decline,
//! wait for a bank's app.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use domain::{ConsentId, ConsentStatus, SessionId};
use edge::PeerIdentity;
use flows::{FlowError, NextStep};
use http::HeaderMap;
use serde::Deserialize;
use store::StoreError;
use store::consents::ConsentRow;
use store::sessions::SessionRow;

use super::session::{Visit, decline, plan_of, posted, visit};
use super::{
    BankChoice, Frame, PageError, Person, Reason, address, banks, go, presence, sandbox_decision,
    sandbox_user, sca, time, with_cookies,
};
use crate::OAuth;
use crate::authorize::{Plan, UNAVAILABLE, complete, refuse};
use crate::details::{self, Shown, ShownKind};
use crate::texts::{Text, Texts};

/// One consent on the page.
struct Item {
    id: String,
    bank: Option<String>,
    /// The bank's interface wants the PSU's login name.
    asks_name: bool,
    /// The bank asks for password and code on our pages.
    asks_here: bool,
    reads: Vec<&'static Text>,
    /// The account whose funds are asked about, where nothing is read.
    funds_of: Option<String>,
    /// The bank has the consent from the PSU alone.
    tell_bank: bool,
    recurring: bool,
    until: String,
    history_from: Option<String>,
    region: String,
    choices: Vec<BankChoice>,
}

/// One of `authorization_details` on the page.
struct DetailItem {
    heading: String,
    payee: Option<String>,
    account: String,
    limits: Vec<(&'static Text, String)>,
    purpose: Option<String>,
    until: Option<String>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    frame: &'a Frame,
    heading: String,
    session: String,
    client: &'a str,
    items: Vec<Item>,
    details: Vec<DetailItem>,
    ready: bool,
    /// Any bank asks for password and code on our pages.
    any_here: bool,
    /// Any bank asks the PSU itself.
    any_at_bank: bool,
    search: &'a str,
    form_token: String,
}

#[derive(Template)]
#[template(path = "wait.html")]
pub(crate) struct WaitPage<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) bank: &'a str,
    pub(crate) place: String,
    pub(crate) form_token: String,
}

impl WaitPage<'_> {
    /// Seconds after which the page looks again.
    const AGAIN: i64 = 2;

    /// The page, which looks again by itself. A header, as an element of the
    /// page would move on whoever reads it (WCAG 2.2 §2.2.1, F41).
    pub(crate) fn response(&self) -> Response {
        self.frame.page(self, Some((Self::AGAIN, &format!("{}/wait", self.place))))
    }
}

#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /consent/{session}`.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Query(search): Query<Search>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let visit = visit(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&visit.session)?;
    match visit.session.status.as_str() {
        "open" => {}
        "approved" => return Ok(go(&format!("/consent/{id}/next"))),
        // Nothing is left to decide.
        _ => return Err(PageError::taken()),
    }
    if let Some(approve) = sandbox_decision(&oauth, &headers) {
        let names = choose_for_nobody(&oauth, &visit.session, &plan, &headers).await?;
        return settle(&oauth, &visit.session, plan, approve, names, &peer, &headers).await;
    }
    show_page(&oauth, &visit, &plan, &search.q).await
}

async fn show_page(oauth: &OAuth, visit: &Visit, plan: &Plan, search: &str) -> Result<Response, PageError> {
    let Visit { session, browser, frame, .. } = visit;
    let t = frame.t;
    let mut items = Vec::new();
    for id in &plan.request.asked.consents {
        let consent = oauth.gateway.consent(&session.client_id, *id).await?;
        items.push(item(oauth, t, &consent, search));
    }
    let details = details::shown(oauth, &session.client_id, &plan.request.asked.details).await?;
    let details: Vec<_> = details.into_iter().map(|detail| detail_item(t, detail)).collect();
    let heading = match (items.is_empty(), details.is_empty()) {
        (false, true) if items.iter().all(|item| item.funds_of.is_some()) => &t.consent.asks_funds,
        (false, _) => &t.consent.asks_accounts,
        (true, false) => &t.consent.asks_approval,
        (true, true) => &t.consent.asks_connection,
    };
    let client = frame.client_name();
    let shown = ConsentPage {
        frame,
        heading: heading.with("client", client),
        session: session.id.to_string(),
        client,
        any_here: items.iter().any(|item| item.asks_here),
        any_at_bank: items.is_empty() || !items.iter().all(|item| item.tell_bank),
        ready: items.iter().all(|item| item.bank.is_some()),
        items,
        details,
        search,
        form_token: browser.form_token(),
    };
    // Shown again with what was searched for.
    let again = address(&format!("/consent/{}", session.id), &[("q", search)]);
    Ok(frame.timed_page(&shown, &again))
}

fn item(oauth: &OAuth, t: &'static Texts, consent: &ConsentRow, search: &str) -> Item {
    let profile = consent.institution.as_ref().and_then(|id| oauth.gateway.registry().profile(id));
    let choices = match &profile {
        Some(_) => Vec::new(),
        None => banks(oauth, consent.id.region(), search),
    };
    let terms = &consent.terms;
    let outside = oauth.gateway.is_given_outside(consent);
    Item {
        id: consent.id.to_string(),
        asks_name: !outside && profile.as_ref().is_some_and(|profile| profile.psu_id_required),
        asks_here: !outside && profile.as_deref().is_some_and(sca::asks_here),
        bank: profile.map(|profile| profile.name.clone()),
        funds_of: terms.funds_of.as_ref().map(details::spoken),
        tell_bank: outside,
        reads: terms.permissions.iter().map(|permission| t.permission(*permission)).collect(),
        recurring: terms.recurring,
        until: t.consent.until_day.with("day", t.format.date(terms.valid_until)),
        history_from: terms.history_from.map(|day| t.format.date(day)),
        region: t.region(consent.id.region()),
        choices,
    }
}

fn detail_item(t: &'static Texts, shown: Shown) -> DetailItem {
    let texts = &t.detail;
    let heading = match shown.kind {
        ShownKind::Payment(amount) => texts.pay.with("amount", t.format.amount(&amount)),
        ShownKind::Recurring(amount) => texts.recurring.with("amount", t.format.amount(&amount)),
    };
    let most = |period: &str| match period {
        "Day" => &texts.per_day,
        "Week" => &texts.per_week,
        "Fortnight" => &texts.per_fortnight,
        "Month" => &texts.per_month,
        "Half-year" => &texts.per_half_year,
        _ => &texts.per_year,
    };
    DetailItem {
        heading,
        payee: shown.payee,
        account: shown.account,
        limits: shown
            .limits
            .iter()
            .map(|(period, most_in)| (most(period), t.format.amount(most_in)))
            .collect(),
        purpose: shown.purpose,
        until: shown.until.map(|day| t.format.date(day)),
    }
}

/// `POST /consent/{session}/bank`: the PSU chose a bank.
pub(crate) async fn choose(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "authorization", &headers, &form).await?;
    let plan = plan_of(&session)?;
    let consent = form.get("consent").and_then(|id| id.parse::<ConsentId>().ok());
    let bank = form.get("bank").and_then(|id| id.parse().ok());
    let (Some(consent), Some(bank)) = (consent.filter(|id| plan.request.asked.consents.contains(id)), bank)
    else {
        return Err(PageError::form(Reason::ChooseBank));
    };
    oauth.gateway.choose_institution(consent, &bank).await?;
    Ok(go(&format!("/consent/{id}")))
}

/// `POST /consent/{session}`: the PSU approves or declines.
pub(crate) async fn decide(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "authorization", &headers, &form).await?;
    let plan = plan_of(&session)?;
    let names = plan
        .request
        .asked
        .consents
        .iter()
        .filter_map(|consent| {
            let name = form.get(&format!("psu_id_{consent}"))?.trim();
            let plain = !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control);
            plain.then(|| (*consent, name.to_owned()))
        })
        .collect();
    let approve = decision_of(&form)?;
    settle(&oauth, &session, plan, approve, names, &peer, &headers).await
}

/// Which of the two buttons was pressed.
pub(crate) fn decision_of(form: &HashMap<String, String>) -> Result<bool, PageError> {
    match form.get("decision").map(String::as_str) {
        Some("approve") => Ok(true),
        Some("decline") => Ok(false),
        _ => Err(PageError::form(Reason::ChooseButton)),
    }
}

/// Takes in the PSU's decision.
async fn settle(
    oauth: &OAuth,
    session: &SessionRow,
    plan: Plan,
    approve: bool,
    names: HashMap<ConsentId, String>,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    if !approve {
        return Ok(go(decline(oauth, session, "open").await?.as_str()));
    }
    if session.status != "open" {
        return Err(PageError::taken());
    }
    let person = Person::of(headers, oauth.gateway.entropy());
    for consent in &plan.request.asked.consents {
        match oauth.gateway.bind_psu(*consent, &person.digest()).await {
            // Given before in another browser, whose dashboard keeps it: the
            // same person, as far as anybody can tell, with another device.
            Ok(()) | Err(FlowError::OtherPsu) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let approved = store::transaction!(oauth.gateway.stores().global(), tx => {
        tx.move_session(session.id, "open", "approved", &session.plan).await
    });
    approved.map_err(PageError::spent)?;
    for (consent, name) in &names {
        oauth.gateway.note_psu_name(*consent, name).await?;
    }
    let session = SessionRow { status: "approved".to_owned(), ..session.clone() };
    let next = go_on(oauth, &session, plan, peer, headers).await;
    Ok(with_cookies(axum::response::IntoResponse::into_response(next), [person.cookie()]))
}

/// `GET /consent/{session}/next`: on to the next bank, or back to the application.
pub(crate) async fn next(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Visit { session, .. } = visit(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    if session.status != "approved" {
        return Err(PageError::taken());
    }
    go_on(&oauth, &session, plan, &peer, &headers).await
}

/// Visits the banks in order; a bank that refuses does not stop the others.
async fn go_on(
    oauth: &OAuth,
    session: &SessionRow,
    mut plan: Plan,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let psu = presence(peer, headers);
    let mut failure = None;
    for id in plan.request.asked.consents.clone() {
        match oauth.gateway.start_consent(session.id, id, &psu).await {
            Ok(NextStep::Redirect(url)) => {
                time::before_bank(oauth, session.id).await?;
                return Ok(go(url.as_str()));
            }
            Ok(NextStep::Ask) => {
                time::before_bank(oauth, session.id).await?;
                return Ok(go(&format!("/consent/{}/sca", session.id)));
            }
            Ok(NextStep::Wait(_) | NextStep::GoOn) => {
                return Ok(go(&format!("/consent/{}/wait", session.id)));
            }
            Ok(NextStep::Authorized) => {}
            Ok(NextStep::Ended(_)) => plan.refused.push(id),
            // The same page in another tab was first; its step counts.
            Err(FlowError::Store(StoreError::Conflict)) => {
                return Ok(go(&format!("/consent/{}/wait", session.id)));
            }
            // Our own failure says nothing about the consent: the PSU may try again.
            Err(error @ FlowError::Store(_)) => return Err(error.into()),
            Err(error) => {
                plan.refused.push(id);
                failure = Some(error);
            }
        }
    }
    let none_left =
        plan.refused.len() == plan.request.asked.consents.len() && !plan.request.asked.consents.is_empty();
    if let (Some(error), true) = (failure, none_left) {
        // The PSU learns why it came to nothing; the link back tells the application.
        let back = refuse(oauth, session, &plan, "approved", UNAVAILABLE).await?;
        return Err(PageError::from(error).back_to(Some(back)));
    }
    Ok(go(complete(oauth, session, &plan).await?.as_str()))
}

/// Times that our page asks a bank before it shows itself again.
const POLLS: usize = 10;

/// `GET /consent/{session}/wait`: the bank asks the PSU in its app, or has not
/// made up its mind.
pub(crate) async fn wait(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Visit { session, browser, frame, .. } = visit(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    let mut name = String::new();
    for round in 0..POLLS {
        if sca::asks_now(&oauth, &session).await? {
            return Ok(go(&format!("/consent/{id}/sca")));
        }
        let mut waiting = false;
        for consent in &plan.request.asked.consents {
            let row = oauth.gateway.consent(&session.client_id, *consent).await?;
            if !matches!(row.status, ConsentStatus::AwaitingDecoupled | ConsentStatus::AwaitingRedirect) {
                continue;
            }
            if let Some(profile) =
                row.institution.as_ref().and_then(|id| oauth.gateway.registry().profile(id))
            {
                name.clone_from(&profile.name);
            }
            waiting |= match oauth.gateway.poll_consent(*consent).await {
                Ok(step) => matches!(step, NextStep::Wait(_)),
                // A bank that does not answer for once, or a callback that came
                // between: look again.
                Err(FlowError::Bank(_) | FlowError::Store(StoreError::Conflict)) => true,
                Err(error) => return Err(error.into()),
            };
        }
        if !waiting {
            return Ok(go(&format!("/consent/{id}/next")));
        }
        if round + 1 < POLLS {
            // Banks want at most one question a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let form_token = browser.form_token();
    Ok(WaitPage { frame: &frame, bank: &name, place: time::place(&session), form_token }.response())
}

/// What the sandbox fills in when nobody is there.
async fn choose_for_nobody(
    oauth: &OAuth,
    session: &SessionRow,
    plan: &Plan,
    headers: &HeaderMap,
) -> Result<HashMap<ConsentId, String>, PageError> {
    let mut names = HashMap::new();
    for id in &plan.request.asked.consents {
        let mut consent = oauth.gateway.consent(&session.client_id, *id).await?;
        if consent.institution.is_none()
            && let Some(first) = banks(oauth, id.region(), "").first()
            && let Ok(bank) = first.id.parse()
        {
            consent = oauth.gateway.choose_institution(*id, &bank).await?;
        }
        let profile = consent.institution.as_ref().and_then(|bank| oauth.gateway.registry().profile(bank));
        if let Some(user) = profile
            .as_deref()
            .filter(|bank| bank.psu_id_required)
            .and_then(|bank| sandbox_user(bank, headers))
        {
            names.insert(*id, user);
        }
    }
    Ok(names)
}
