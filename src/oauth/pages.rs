//! The hosted pages: where the PSU sees who wants what until when, and
//! approves or declines. Server-rendered, usable without JavaScript.

pub(crate) mod callback;
pub(crate) mod consent;
pub(crate) mod payment;

use askama::Template;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use connect::{BankFilter, Profile, PsuPresence};
use crypto::digest::sha256_hex;
use domain::{Entropy, SessionId};
use edge::PeerIdentity;
use flows::FlowError;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, StatusCode};
use secrecy::ExposeSecret;
use store::StoreError;
use store::sessions::SessionRow;
use url::Url;
use web::{Problem, ProblemCode};

use crate::OAuth;

/// The one browser that a session belongs to, known by a cookie.
pub(crate) struct Browser(String);

const COOKIE_NAME: &str = "__Host-consentry";

impl Browser {
    /// The browser of a request; one that shows no cookie is new.
    pub(crate) fn of(headers: &HeaderMap, entropy: &dyn Entropy) -> Self {
        Self::known(headers).unwrap_or_else(|| Self(crypto::token(entropy, 32).expose_secret().to_owned()))
    }

    /// The browser of a request, if it was here before.
    pub(crate) fn known(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, value)| *name == COOKIE_NAME && value.len() == 43)
            .map(|(_, value)| Self(value.to_owned()))
    }

    pub(crate) fn digest(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    /// `Lax`: the PSU arrives from the application and from banks, whose links
    /// must carry it; a form of another site must not.
    pub(crate) fn cookie(&self) -> String {
        format!("{COOKIE_NAME}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600", self.0)
    }

    /// Ties a form to this browser and session.
    pub(crate) fn form_token(&self, session: SessionId) -> String {
        sha256_hex(format!("form {session} {}", self.0).as_bytes())
    }
}

/// A page that says what went wrong and what helps.
#[derive(Debug)]
pub(crate) struct PageError {
    problem: Box<Problem>,
    text: &'static str,
    back: Option<Url>,
}

impl PageError {
    pub(crate) fn new(code: ProblemCode, text: &'static str) -> Self {
        Self { problem: Box::new(Problem::new(code)), text, back: None }
    }

    /// The session is over, or never was.
    pub(crate) fn over() -> Self {
        Self::new(ProblemCode::SessionOver, "This page is too old. Start again in the application.")
    }

    /// A step that was taken before.
    pub(crate) fn taken() -> Self {
        Self::new(ProblemCode::SessionSpent, "This step was taken before. Start again in the application.")
    }

    /// A form that a browser does not send by itself.
    pub(crate) fn form(text: &'static str) -> Self {
        Self::new(ProblemCode::Invalid, text)
    }

    /// A step that was taken before, or by somebody else.
    pub(crate) fn spent(error: StoreError) -> Self {
        if matches!(error, StoreError::Conflict) {
            return Self::taken();
        }
        error.into()
    }

    pub(crate) fn other_browser() -> Self {
        Self::new(
            ProblemCode::SessionBrowser,
            "Go on in the browser in which you began, or start again in the application.",
        )
    }

    pub(crate) fn back_to(mut self, url: Option<Url>) -> Self {
        self.back = url;
        self
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        FlowError::from(error).into()
    }
}

impl From<FlowError> for PageError {
    fn from(error: FlowError) -> Self {
        let problem = Problem::from(error);
        let text = match problem.source {
            "institution" if problem.retryable => "Your bank does not answer at the moment. Try again later.",
            "institution" => "Your bank refused the request.",
            "gateway" => "Something went wrong on our side. Try again later.",
            _ => problem.title,
        };
        Self { problem: Box::new(problem), text, back: None }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    code: &'a str,
    text: &'a str,
    back: Option<&'a str>,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let back = self.back.as_ref().map(Url::as_str);
        let mut response = page(&ErrorPage { code: self.problem.code, text: self.text, back });
        *response.status_mut() =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(*self.problem);
        response
    }
}

/// Gives a caller that does not ask for HTML the problem document instead of
/// the error page (RFC 9110 §12.5.1).
pub(crate) async fn negotiate(request: Request, next: Next) -> Response {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let html = accepts.contains("text/html");
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) if !html => problem.into_response(),
        Some(_) | None => response,
    }
}

/// Renders a page with the headers every page has.
pub(crate) fn page<T: Template>(template: &T) -> Response {
    let Ok(html) = template.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Forms lead on to banks, so form-action names no single host.
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https:; \
                  frame-ancestors 'none'; base-uri 'none'";
    let headers = [
        (CONTENT_SECURITY_POLICY, policy),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(html)).into_response()
}

/// `GET /assets/page.css`.
pub(crate) async fn stylesheet() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("templates/page.css"))
}

/// Who sits at the browser, for banks that want to know.
pub(crate) fn presence(peer: &PeerIdentity, headers: &HeaderMap) -> PsuPresence {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    PsuPresence {
        ip_address: peer.address.ip().to_canonical(),
        user_agent: text(USER_AGENT),
        accept_language: text(http::header::ACCEPT_LANGUAGE),
        last_authenticated: None,
    }
}

/// The open session of the browser that asks.
pub(crate) async fn session_of(
    oauth: &OAuth,
    id: SessionId,
    kind: &str,
    headers: &HeaderMap,
) -> Result<(SessionRow, Browser), PageError> {
    let session = oauth.gateway.stores().global().session(id).await?;
    let session = session.filter(|session| session.kind == kind);
    let now = oauth.gateway.clock().now();
    let Some(session) = session.filter(|session| session.expires_at > now) else {
        return Err(PageError::over());
    };
    let browser = Browser::known(headers).ok_or_else(PageError::other_browser)?;
    if session.browser_digest.as_deref() != Some(&browser.digest()) {
        return Err(PageError::other_browser());
    }
    Ok((session, browser))
}

/// Name of the client, as the PSU sees it.
pub(crate) async fn client_name(oauth: &OAuth, client_id: &str) -> Result<String, PageError> {
    oauth.client(client_id).await?.map(|client| client.name.clone()).ok_or_else(|| {
        PageError::new(
            ProblemCode::AuthorizationLink,
            "The application that sent you here is not known any more.",
        )
    })
}

/// Whether the sandbox decides in the PSU's stead, and how.
pub(crate) fn sandbox_decision(oauth: &OAuth, headers: &HeaderMap) -> Option<bool> {
    let deny = headers.get("x-sandbox-psu").is_some_and(|value| value == "deny");
    oauth.gateway.config().auto_approve.then_some(!deny)
}

/// Login names that a sandbox bank publishes; the first one is used when
/// nobody is there to type one.
pub(crate) fn sandbox_user(profile: &Profile) -> Option<String> {
    profile.sandbox_users.first().map(|user| user.username.clone())
}

/// A bank in the search result of a page.
pub(crate) struct BankChoice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) group: String,
}

/// Banks of a region that can be chosen, matching a text.
pub(crate) fn banks(oauth: &OAuth, region: domain::Region, text: &str) -> Vec<BankChoice> {
    let text = text.trim();
    let filter = BankFilter {
        text: (!text.is_empty()).then(|| text.to_owned()),
        capability: Some(domain::Capability::Accounts),
        ..BankFilter::default()
    };
    let mut choices: Vec<BankChoice> = oauth
        .gateway
        .registry()
        .list(&filter, None, 10_000)
        .into_iter()
        .filter(|profile| profile.region == region && profile.connectable())
        .map(|profile| BankChoice {
            id: profile.id.to_string(),
            name: profile.name.clone(),
            group: profile.brand_group.clone(),
        })
        .collect();
    choices.sort_by_key(|choice| choice.name.to_lowercase());
    choices.truncate(50);
    choices
}

/// Sends the browser on (303: a form's method does not go along).
pub(crate) fn go(address: &str) -> Response {
    Redirect::to(address).into_response()
}
