//! What the bank shows its customers: log-in, choice of accounts, approval,
//! and the bank's own app. Plain HTML that works without scripts.
//!
//! A log-in gives a ticket, carried in the form and good for one question; it
//! is unguessable, so no other site can answer in the customer's name.

mod question;
mod shared;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::ToSpan;

use crate::BankKind;
use crate::bank::Bank;
use crate::engine::book::Decision;
use crate::engine::{PASSWORD, Ticket, people};
use crate::oauth;
use crate::pages::question::{About, Question, conclude, waiting_for};
use crate::pages::view::{App, Approve, Login, Message, page};

/// Minutes a log-in lasts.
const TICKET_MINUTES: i64 = 10;
/// Largest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

pub(crate) fn router(kind: BankKind) -> Router<Arc<Bank>> {
    let router = Router::new()
        .route("/", get(front))
        .route("/style.css", get(style))
        .route("/login", post(log_in))
        .route("/decide", post(decide))
        .route("/consents", get(shared::front))
        .route("/withdraw", post(shared::withdraw));
    let router = match kind {
        BankKind::UkOpenBanking => router
            .route("/.well-known/openid-configuration", get(oauth::metadata))
            .route("/.well-known/oauth-authorization-server", get(oauth::metadata))
            .route("/metadata.json", get(oauth::metadata_elsewhere))
            .route("/jwks.json", get(oauth::keys))
            .route("/authorize", get(authorize))
            .route("/authorize/accounts", get(authorize)),
        BankKind::Stet => router
            .route("/.well-known/openid-configuration", get(oauth::metadata))
            .route("/.well-known/oauth-authorization-server", get(oauth::metadata))
            .route("/authorize", get(authorize))
            .route("/sca/{id}", get(approval)),
        BankKind::PolishApi => router.route("/authorize", get(authorize)),
        BankKind::BerlinGroupRedirect => router.route("/sca/{id}", get(approval)).route("/app", get(app)),
        BankKind::BerlinGroupDecoupled | BankKind::BerlinGroupEmbedded => router.route("/app", get(app)),
    };
    router.layer(DefaultBodyLimit::max(MAX_FORM)).layer(from_fn(guarded))
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn front(State(bank): State<Arc<Bank>>) -> Response {
    let text = match bank.kind {
        BankKind::BerlinGroupDecoupled => {
            "A bank of the sandbox. Requests wait in its app, under /app; /consents shows what you share."
        }
        BankKind::BerlinGroupEmbedded => {
            "A bank of the sandbox. Applications ask for password and code themselves; what waits for a second holder is under /app, and /consents shows what you share."
        }
        BankKind::BerlinGroupRedirect => {
            "A bank of the sandbox. You come here when someone asks for your approval; what waits for a second holder is under /app, and /consents shows what you share."
        }
        BankKind::UkOpenBanking | BankKind::Stet | BankKind::PolishApi => {
            "A bank of the sandbox. You come here when someone asks for your approval; /consents shows what you share."
        }
    };
    message(&bank, StatusCode::OK, "Welcome", text)
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("templates/style.css")).into_response()
}

/// Where the browser arrives with a pushed request, or at a STET bank with the
/// request itself.
async fn authorize(
    State(bank): State<Arc<Bank>>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let parameter = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let name = match bank.kind {
        BankKind::Stet => crate::stet::requested(&bank, &query),
        BankKind::UkOpenBanking if !query.contains_key("request_uri") => {
            oauth::front::brought(&bank, uri.query().unwrap_or_default())
        }
        BankKind::UkOpenBanking
        | BankKind::BerlinGroupRedirect
        | BankKind::BerlinGroupDecoupled
        | BankKind::BerlinGroupEmbedded
        | BankKind::PolishApi => {
            oauth::pending(&bank, parameter("client_id"), parameter("request_uri")).map(|(name, _)| name)
        }
    };
    let for_accounts = uri.path().ends_with("/accounts");
    match name.filter(|name| oauth::front::belongs(&bank, name, for_accounts)) {
        Some(name) => arrived(&bank, &About::Request(name), &headers).await,
        None => gone(&bank),
    }
}

/// Where the browser arrives with a started authorisation.
async fn approval(State(bank): State<Arc<Bank>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    arrived(&bank, &About::Authorisation(id), &headers).await
}

async fn app(State(bank): State<Arc<Bank>>) -> Response {
    login_page(&bank, "", false)
}

async fn arrived(bank: &Bank, about: &About, headers: &HeaderMap) -> Response {
    if !about.is_open(bank) {
        return gone(bank);
    }
    // Tests choose the customer's answer: `deny`, or the user who says yes.
    let told = headers.get("x-sandbox-psu").and_then(|value| value.to_str().ok());
    let denied = told == Some("deny");
    if !denied && !bank.auto_approve {
        return login_page(bank, &about.to_string(), false);
    }
    let user = told.and_then(|name| bank.user(name)).or_else(|| about.named_user(bank)).unwrap_or("anna");
    let asked = about.asked(bank);
    let decision = bank.agreeable(user, asked.as_deref(), !denied);
    finish(bank, about, &decision).await
}

async fn log_in(State(bank): State<Arc<Bank>>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let about = form.one("about");
    let known = bank.user(form.one("user")).filter(|_| form.one("password") == PASSWORD);
    let Some(user) = known else {
        return login_page(&bank, about, true);
    };
    let expires = bank.now().checked_add(TICKET_MINUTES.minutes()).unwrap_or(bank.now());
    let ticket = bank.fresh("");
    let about = (!about.is_empty()).then(|| about.to_owned());
    let issued = Ticket { user: user.to_owned(), about: about.clone(), expires };
    bank.vault.change(|book| book.tickets.insert(ticket.clone(), issued));
    match about {
        None => app_page(&bank, user, &ticket),
        Some(about) if about == shared::ABOUT => shared::page_of(&bank, user, &ticket),
        Some(about) => match About::parse(&about).and_then(|about| Question::of(&bank, &about, user)) {
            Some(question) => approve_page(&bank, &question, &ticket, ""),
            None => gone(&bank),
        },
    }
}

async fn decide(State(bank): State<Arc<Bank>>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let now = bank.now();
    let name = form.one("ticket").to_owned();
    let ticket =
        bank.vault.read(|book| book.tickets.get(&name).filter(|ticket| ticket.expires > now).cloned());
    let Some(ticket) = ticket else { return gone(&bank) };
    let about = ticket.about.clone().unwrap_or_else(|| form.one("about").to_owned());
    let about = About::parse(&about).filter(|about| about.is_open(&bank));
    let Some(about) = about else { return gone(&bank) };
    // In the app a customer sees, and decides, only what waits for them.
    if ticket.about.is_none() && about.named_user(&bank) != Some(ticket.user.as_str()) {
        return gone(&bank);
    }
    let Some(question) = Question::of(&bank, &about, &ticket.user) else { return gone(&bank) };
    let approved = form.one("decision") == "approve";
    let offered = |id: &&str| question.accounts.iter().any(|account| account.id == *id);
    let accounts: Vec<String> = form.all("account").filter(offered).map(str::to_owned).collect();
    if approved && accounts.is_empty() {
        return approve_page(&bank, &question, &name, "Choose at least one account.");
    }
    let approved = approved && ticket.user != people::DECLINES;
    let decision = Decision { user: ticket.user.clone(), approved, accounts };
    if ticket.about.is_some() {
        bank.vault.change(|book| book.tickets.remove(&name));
        return finish(&bank, &about, &decision).await;
    }
    if decision.user != people::ABANDONS {
        conclude(&bank, &about, &decision);
    }
    if bank.vault.keep().await.is_err() {
        return failed(&bank);
    }
    app_page(&bank, &ticket.user, &name)
}

/// Records the decision and sends the browser back.
async fn finish(bank: &Bank, about: &About, decision: &Decision) -> Response {
    if decision.user == people::ABANDONS {
        return message(bank, StatusCode::OK, "Left", "You have left the bank without deciding.");
    }
    let target = conclude(bank, about, decision);
    if bank.vault.keep().await.is_err() {
        return failed(bank);
    }
    match target.and_then(|target| HeaderValue::try_from(target).ok()) {
        Some(target) => (StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response(),
        None => {
            message(bank, StatusCode::OK, "Thank you", "Your decision is recorded. You can close this page.")
        }
    }
}

fn login_page(bank: &Bank, about: &str, wrong: bool) -> Response {
    let status = if wrong { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    page(status, &Login { bank: &bank.name, about, wrong })
}

fn approve_page(bank: &Bank, question: &Question, ticket: &str, problem: &str) -> Response {
    let status = if problem.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &Approve { bank: &bank.name, question, ticket, problem })
}

fn app_page(bank: &Bank, user: &str, ticket: &str) -> Response {
    let questions = waiting_for(bank, user);
    page(StatusCode::OK, &App { bank: &bank.name, questions: &questions, ticket })
}

fn gone(bank: &Bank) -> Response {
    let text = "This request is unknown, has expired or was decided. Go back and start again.";
    message(bank, StatusCode::BAD_REQUEST, "Nothing to approve", text)
}

fn failed(bank: &Bank) -> Response {
    message(bank, StatusCode::INTERNAL_SERVER_ERROR, "Sorry", "The bank could not record your decision.")
}

fn message(bank: &Bank, status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &Message { bank: &bank.name, title, text })
}

/// A submitted form.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(named, _)| named == name).map(|(_, value)| value.as_str())
    }

    fn one(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(named, _)| named == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}
