//! The hosted pages: where the PSU sees who wants what until when, approves or
//! declines, and later looks and withdraws. Server-rendered, usable without
//! JavaScript, but for banks that answer where only a script can read.

pub(crate) mod access;
mod browser;
pub(crate) mod callback;
mod cancellation;
pub(crate) mod consent;
mod error;
mod frame;
pub(crate) mod mandate;
pub(crate) mod payment;
pub(crate) mod sca;
pub(crate) mod session;
pub(crate) mod time;

use axum::response::{IntoResponse, Redirect, Response};
use connect::{BankFilter, Profile, PsuPresence};
use domain::Region;
use edge::PeerIdentity;
use http::header::{ACCEPT_LANGUAGE, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use browser::{Browser, Person};
pub(crate) use error::{PageError, Reason, negotiate};
pub(crate) use frame::{Frame, fragment_script, style_sheet, theme};

use crate::OAuth;

/// Who sits at the browser, for banks that want to know.
pub(crate) fn presence(peer: &PeerIdentity, headers: &HeaderMap) -> PsuPresence {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    PsuPresence {
        ip_address: peer.address.ip().to_canonical(),
        user_agent: text(USER_AGENT),
        accept_language: text(ACCEPT_LANGUAGE),
        last_authenticated: None,
    }
}

/// Whether the sandbox decides in the PSU's stead, and how.
pub(crate) fn sandbox_decision(oauth: &OAuth, headers: &HeaderMap) -> Option<bool> {
    let deny = headers.get("x-sandbox-psu").is_some_and(|value| value == "deny");
    oauth.gateway.config().auto_approve.then_some(!deny)
}

/// The login name that is used when nobody is there to type one: of those that a
/// sandbox bank publishes, the one that a test asks for, or the first.
pub(crate) fn sandbox_user(profile: &Profile, headers: &HeaderMap) -> Option<String> {
    let users = &profile.sandbox_users;
    let wanted = headers.get("x-sandbox-psu");
    let wanted = users.iter().find(|user| wanted.is_some_and(|name| *name == *user.username));
    wanted.or(users.first()).map(|user| user.username.clone())
}

/// A bank in the search result of a page.
pub(crate) struct BankChoice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) group: String,
}

/// Banks of a region that can be chosen, matching a text.
pub(crate) fn banks(oauth: &OAuth, region: Region, text: &str) -> Vec<BankChoice> {
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

/// An address of ours with a query.
pub(crate) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{query}")
}

/// Sends the browser on (303: a form's method does not go along).
pub(crate) fn go(address: &str) -> Response {
    Redirect::to(address).into_response()
}

/// Sets cookies with an answer.
pub(crate) fn with_cookies(mut response: Response, cookies: impl IntoIterator<Item = String>) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}
