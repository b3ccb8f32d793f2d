//! The dashboard of a PSU: who has access, since when, until when, what was
//! read; and one click that withdraws it (what art. 43 of the PSR proposal asks of
//! banks).
//!
//! The person is whoever uses this browser. Nobody logs in here, so the page
//! shows what was given in this browser, and says so.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::response::Response;
use domain::{ConsentId, ConsentStatus};
use flows::PsuConsent;
use http::HeaderMap;
use serde::Deserialize;

use super::{Frame, PageError, Person, Reason, address, go, with_cookies};
use crate::OAuth;
use crate::locale::Locale;
use crate::texts::Text;

/// One consent on the page.
struct Item {
    id: String,
    /// Who, and where.
    heading: String,
    client: String,
    status: &'static Text,
    may_read: Vec<&'static Text>,
    since: Option<String>,
    until: Option<String>,
    reads: Vec<String>,
    withdrawable: bool,
}

/// Consents of one standing.
struct Group {
    id: &'static str,
    heading: &'static Text,
    items: Vec<Item>,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage<'a> {
    frame: &'a Frame,
    /// What was done last.
    done: Option<String>,
    groups: Vec<Group>,
    /// None if the browser knows nobody.
    form_token: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    /// The language of the page that led here.
    ui_locales: Option<String>,
    /// What was withdrawn last.
    withdrawn: Option<String>,
    /// Whether the browser has just forgotten.
    forgotten: Option<String>,
}

/// Where a consent is on the page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Now,
    Waiting,
    Ended,
    /// It never came about: nothing to look at.
    Nowhere,
}

impl Standing {
    fn of(consent: &PsuConsent) -> Self {
        match consent.status {
            ConsentStatus::Authorized | ConsentStatus::Suspended => Self::Now,
            ConsentStatus::Created
            | ConsentStatus::AwaitingRedirect
            | ConsentStatus::AwaitingDecoupled
            | ConsentStatus::PartiallyAuthorized => Self::Waiting,
            ConsentStatus::Rejected
            | ConsentStatus::RevokedByPsu
            | ConsentStatus::RevokedByClient
            | ConsentStatus::RevokedByInstitution
            | ConsentStatus::Expired
            | ConsentStatus::Failed => {
                if consent.since.is_some() {
                    Self::Ended
                } else {
                    Self::Nowhere
                }
            }
        }
    }
}

/// `GET /access`.
pub(crate) async fn show(
    State(oauth): State<OAuth>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let frame = Frame::plain(Locale::choose(asked.ui_locales.as_deref(), &headers));
    let t = &frame.t.access;
    let person = Person::known(&headers);
    let consents = match &person {
        Some(person) => oauth.gateway.consents_of_psu(&person.digest()).await?,
        None => Vec::new(),
    };
    let mut groups = [
        (Standing::Now, Group { id: "now", heading: &t.now, items: Vec::new() }),
        (Standing::Waiting, Group { id: "waiting", heading: &t.waiting, items: Vec::new() }),
        (Standing::Ended, Group { id: "ended", heading: &t.ended, items: Vec::new() }),
    ];
    let mut done = (asked.forgotten.is_some() && person.is_none()).then(|| t.forgotten.to_string());
    for consent in &consents {
        let (client, bank) = names(&oauth, &frame, consent).await?;
        let withdrawn = consent.status == ConsentStatus::RevokedByPsu;
        // Only what is so is said to be so, whatever the address says.
        if withdrawn && asked.withdrawn.as_deref() == Some(&consent.id.to_string()) {
            done = Some(t.withdrawn.fill(&[("client", &client), ("bank", &bank)]));
        }
        let standing = Standing::of(consent);
        if let Some((_, group)) = groups.iter_mut().find(|(of, _)| *of == standing) {
            group.items.push(item(&frame, consent, client, &bank));
        }
    }
    let groups = groups.into_iter().map(|(_, group)| group).filter(|group| !group.items.is_empty()).collect();
    let form_token = person.as_ref().map(Person::form_token);
    let page = frame.page(&AccessPage { frame: &frame, done, groups, form_token }, None);
    // Kept as long as the person comes back.
    Ok(with_cookies(page, person.as_ref().map(Person::cookie)))
}

/// The names of the client and the bank of a consent.
async fn names(oauth: &OAuth, frame: &Frame, consent: &PsuConsent) -> Result<(String, String), PageError> {
    let t = &frame.t.access;
    let client = oauth.client(&consent.client_id).await?;
    let client =
        client.map_or_else(|| t.client_gone.to_string(), |client| client.name_in(frame.locale).to_owned());
    let bank = consent.institution.as_ref().map(|id| {
        let profile = oauth.gateway.registry().profile(id);
        profile.map_or_else(|| id.to_string(), |profile| profile.name.clone())
    });
    Ok((client, bank.unwrap_or_else(|| t.bank_open.to_string())))
}

fn item(frame: &Frame, consent: &PsuConsent, client: String, bank: &str) -> Item {
    let (t, format) = (frame.t, &frame.t.format);
    let reads = consent.reads.iter().map(|usage| {
        t.access.read.fill(&[
            ("kind", t.read(usage.kind)),
            ("attended", &usage.attended),
            ("unattended", &usage.unattended),
            ("when", &format.moment(usage.last_at)),
        ])
    });
    Item {
        id: consent.id.to_string(),
        heading: t.access.at.fill(&[("client", &client), ("bank", &bank)]),
        client,
        status: t.status(consent.status),
        may_read: match consent.funds_of {
            Some(_) => vec![&t.consent.funds],
            None => consent.permissions.iter().map(|permission| t.permission(*permission)).collect(),
        },
        since: consent.since.map(|at| format.day_of(at)),
        // The end is the midnight after the last day.
        until: consent.until.map(|at| format.day_of(crate::seconds_after(at, -1))),
        reads: reads.collect(),
        withdrawable: !consent.status.is_final(),
    }
}

/// The person whose form this is: of the page, in this browser.
fn sender(form: &HashMap<String, String>, headers: &HeaderMap) -> Result<Person, PageError> {
    let person = Person::known(headers).ok_or_else(PageError::other_browser)?;
    let shown = form.get("form_token").map(String::as_bytes).unwrap_or_default();
    if crypto::digest::same(shown, person.form_token().as_bytes()) {
        Ok(person)
    } else {
        Err(PageError::other_browser())
    }
}

/// The dashboard again, in the language that it was in.
fn again(form: &HashMap<String, String>, name: &str, value: &str) -> Response {
    let locale = form.get("ui_locales").and_then(|locale| Locale::of_range(locale));
    let locale = locale.map(|locale| ("ui_locales", locale.tag()));
    let query: Vec<_> = locale.into_iter().chain([(name, value)]).collect();
    go(&address("/access", &query))
}

/// `POST /access/withdraw`: at once here, then at the bank.
pub(crate) async fn withdraw(
    State(oauth): State<OAuth>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let person = sender(&form, &headers)?;
    let id = form.get("consent").and_then(|id| id.parse::<ConsentId>().ok());
    let id = id.ok_or_else(|| PageError::form(Reason::Form))?;
    oauth.gateway.withdraw_by_psu(&person.digest(), id).await?;
    Ok(again(&form, "withdrawn", &id.to_string()))
}

/// `POST /access/forget`: the browser knows nothing any more.
pub(crate) async fn forget(
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    sender(&form, &headers)?;
    Ok(with_cookies(again(&form, "forgotten", "yes"), [Person::forgotten()]))
}
