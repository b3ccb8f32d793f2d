//! The consent pages: choose a bank, see what is asked, approve or decline,
//! wait for a bank's app.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use domain::{ConsentId, ConsentStatus, Permission, Region, SessionId};
use edge::PeerIdentity;
use flows::{FlowError, NextStep};
use http::HeaderMap;
use serde::Deserialize;
use std::collections::HashMap;
use store::StoreError;
use store::consents::ConsentRow;
use store::sessions::SessionRow;

use super::{
    BankChoice, Browser, PageError, banks, client_name, go, page, presence, sandbox_decision, sandbox_user,
    session_of,
};
use crate::OAuth;
use crate::authorize::{Plan, complete, refuse};
use crate::details::{self, Shown};

/// One consent on the page.
struct Item {
    id: String,
    bank: Option<String>,
    /// The bank's interface wants the PSU's login name.
    asks_name: bool,
    reads: Vec<&'static str>,
    recurring: bool,
    until: String,
    history_from: Option<String>,
    region: String,
    choices: Vec<BankChoice>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    session: String,
    client: &'a str,
    items: Vec<Item>,
    details: Vec<Shown>,
    ready: bool,
    search: &'a str,
    form_token: String,
}

#[derive(Template)]
#[template(path = "wait.html")]
pub(crate) struct WaitPage<'a> {
    pub(crate) bank: &'a str,
    pub(crate) message: Option<&'a str>,
    pub(crate) again: String,
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
    let (session, browser) = session_of(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    if session.status == "approved" {
        return Ok(go(&format!("/consent/{id}/next")));
    }
    if let Some(approve) = sandbox_decision(&oauth, &headers) {
        let names = choose_for_nobody(&oauth, &session, &plan).await?;
        return settle(&oauth, &session, plan, approve, names, &peer, &headers).await;
    }
    show_page(&oauth, &session, &plan, &browser, &search.q).await
}

async fn show_page(
    oauth: &OAuth,
    session: &SessionRow,
    plan: &Plan,
    browser: &Browser,
    search: &str,
) -> Result<Response, PageError> {
    let client = client_name(oauth, &session.client_id).await?;
    let mut items = Vec::new();
    for id in &plan.request.asked.consents {
        let consent = oauth.gateway.consent(&session.client_id, *id).await?;
        items.push(item(oauth, &consent, search));
    }
    let ready = items.iter().all(|item| item.bank.is_some());
    Ok(page(&ConsentPage {
        session: session.id.to_string(),
        client: &client,
        items,
        details: details::shown(oauth, &session.client_id, &plan.request.asked.details).await?,
        ready,
        search,
        form_token: browser.form_token(session.id),
    }))
}

fn item(oauth: &OAuth, consent: &ConsentRow, search: &str) -> Item {
    let profile = consent.institution.as_ref().and_then(|id| oauth.gateway.registry().profile(id));
    let choices = match &profile {
        Some(_) => Vec::new(),
        None => banks(oauth, consent.id.region(), search),
    };
    Item {
        id: consent.id.to_string(),
        asks_name: profile.as_ref().is_some_and(|profile| profile.psu_id_required),
        bank: profile.map(|profile| profile.name.clone()),
        reads: consent.terms.permissions.iter().map(|permission| words(*permission)).collect(),
        recurring: consent.terms.recurring,
        until: consent.terms.valid_until.strftime("%-d %B %Y").to_string(),
        history_from: consent.terms.history_from.map(|day| day.strftime("%-d %B %Y").to_string()),
        region: place(consent.id.region()),
        choices,
    }
}

/// A region in words for people.
fn place(region: Region) -> String {
    match region.as_str() {
        "uk" => "the United Kingdom".to_owned(),
        "eu" => "the European Union".to_owned(),
        other => other.to_uppercase(),
    }
}

fn words(permission: Permission) -> &'static str {
    match permission {
        Permission::ReadAccountsBasic => "The list of your accounts",
        Permission::ReadAccountsDetail => "Your accounts with their numbers and holders",
        Permission::ReadBalances => "Balances",
        Permission::ReadTransactionsBasic => "Transactions, without names and purposes",
        Permission::ReadTransactionsDetail => "Transactions in full",
    }
}

/// `POST /consent/{session}/bank`: the PSU chose a bank.
pub(crate) async fn choose(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let (session, browser) = session_of(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    check_form(&form, &browser, id)?;
    let consent = form.get("consent").and_then(|id| id.parse::<ConsentId>().ok());
    let bank = form.get("bank").and_then(|id| id.parse().ok());
    let (Some(consent), Some(bank)) = (consent.filter(|id| plan.request.asked.consents.contains(id)), bank)
    else {
        return Err(PageError::form("Choose a bank from the list."));
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
    let (session, browser) = session_of(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    check_form(&form, &browser, id)?;
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
    let approve = match form.get("decision").map(String::as_str) {
        Some("approve") => true,
        Some("decline") => false,
        _ => return Err(PageError::form("Choose one of the two buttons.")),
    };
    settle(&oauth, &session, plan, approve, names, &peer, &headers).await
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
        // The session first: a page that is stale must not end what was decided.
        let back = refuse(oauth, session, &plan, "open", "access_denied").await?;
        for id in &plan.request.asked.consents {
            if oauth.gateway.consent(&session.client_id, *id).await?.status == ConsentStatus::Authorized {
                continue;
            }
            oauth.gateway.decline_consent(*id).await?;
        }
        return Ok(go(back.as_str()));
    }
    let mut tx = oauth.gateway.stores().global().begin().await?;
    tx.move_session(session.id, "open", "approved", &session.plan).await.map_err(PageError::spent)?;
    tx.commit().await?;
    for (consent, name) in &names {
        oauth.gateway.note_psu_name(*consent, name).await?;
    }
    let session = SessionRow { status: "approved".to_owned(), ..session.clone() };
    go_on(oauth, &session, plan, peer, headers).await
}

/// `GET /consent/{session}/next`: on to the next bank, or back to the application.
pub(crate) async fn next(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let (session, _) = session_of(&oauth, id, "authorization", &headers).await?;
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
            Ok(NextStep::Redirect(url)) => return Ok(go(url.as_str())),
            Ok(NextStep::Wait(_)) => return Ok(go(&format!("/consent/{}/wait", session.id))),
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
        let back = refuse(oauth, session, &plan, "approved", "temporarily_unavailable").await?;
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
    let (session, _) = session_of(&oauth, id, "authorization", &headers).await?;
    let plan = plan_of(&session)?;
    let mut name = String::new();
    for round in 0..POLLS {
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
    Ok(page(&WaitPage { bank: &name, message: None, again: format!("/consent/{id}/wait") }))
}

/// What the sandbox fills in when nobody is there.
async fn choose_for_nobody(
    oauth: &OAuth,
    session: &SessionRow,
    plan: &Plan,
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
        if let Some(user) = profile.as_deref().filter(|bank| bank.psu_id_required).and_then(sandbox_user) {
            names.insert(*id, user);
        }
    }
    Ok(names)
}

fn plan_of(session: &SessionRow) -> Result<Plan, PageError> {
    serde_json::from_value(session.plan.clone()).map_err(|_| PageError::over())
}

/// A form of ours, from this browser, for this session.
pub(crate) fn check_form(
    form: &HashMap<String, String>,
    browser: &Browser,
    session: SessionId,
) -> Result<(), PageError> {
    let shown = form.get("form_token").map(String::as_bytes).unwrap_or_default();
    if crypto::digest::same(shown, browser.form_token(session).as_bytes()) {
        Ok(())
    } else {
        Err(PageError::other_browser())
    }
}
