//! What every page has around its content, and the headers it is sent with.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::time::TimeLeft;
use super::{PageError, address};
use crate::locale::Locale;
use crate::texts::{Text, Texts};
use crate::{Client, OAuth};

/// What a page may load and be embedded in. Forms lead on to banks, so `form-action`
/// names no single host.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https:; \
                      frame-ancestors 'none'; base-uri 'none'";

/// What every page has around its content.
pub(crate) struct Frame {
    /// What the page says.
    pub(crate) t: &'static Texts,
    pub(crate) locale: Locale,
    /// Whose colours and links the page has.
    pub(crate) client: Option<Arc<Client>>,
    /// The time that is left, where there is an end.
    pub(crate) time: Option<TimeLeft>,
}

/// A link of a client.
pub(crate) struct Link<'a> {
    pub(crate) text: &'static Text,
    pub(crate) address: &'a str,
}

impl Frame {
    /// The frame of a page of nobody in particular.
    pub(crate) fn plain(locale: Locale) -> Self {
        Self { t: Texts::of(locale), locale, client: None, time: None }
    }

    /// The frame of a page on which a client asks.
    pub(crate) fn of_client(locale: Locale, client: Arc<Client>) -> Self {
        Self { client: Some(client), ..Self::plain(locale) }
    }

    /// The client's name in the reader's language.
    pub(crate) fn client_name(&self) -> &str {
        self.client.as_deref().map(|client| client.name_in(self.locale)).unwrap_or_default()
    }

    /// The client's style sheet.
    pub(crate) fn theme(&self) -> Option<String> {
        let client = self.client.as_deref().filter(|client| client.presentation.theme.is_some())?;
        Some(address("/assets/theme.css", &[("client", &client.id)]))
    }

    /// Where the client says more about itself.
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let Some(shown) = self.client.as_deref().map(|client| &client.presentation) else {
            return Vec::new();
        };
        let page = &self.t.page;
        let links = [
            (&page.website, shown.website(self.locale)),
            (&page.privacy, shown.privacy(self.locale)),
            (&page.terms, shown.terms(self.locale)),
        ];
        links.into_iter().filter_map(|(text, address)| Some(Link { text, address: address? })).collect()
    }

    /// The time until when the page is open.
    pub(crate) fn until(&self, time: &TimeLeft) -> String {
        let until = self.t.format.time(time.until);
        self.t.time.left.fill(&[("minutes", &time.minutes), ("time", &until)])
    }

    /// Sends a page. `next` is where a browser goes by itself, after seconds.
    pub(crate) fn page<T: Template>(&self, template: &T, next: Option<(i64, &str)>) -> Response {
        self.page_under(template, next, POLICY)
    }

    /// Sends a page with a script of ours.
    pub(crate) fn scripted_page<T: Template>(&self, template: &T) -> Response {
        self.page_under(template, None, &format!("{POLICY}; script-src 'self'"))
    }

    fn page_under<T: Template>(&self, template: &T, next: Option<(i64, &str)>, policy: &str) -> Response {
        let Ok(html) = template.render() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let headers = [
            (X_FRAME_OPTIONS, "DENY"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_LANGUAGE, self.locale.tag()),
            (VARY, "Accept-Language"),
        ];
        let mut response = (headers, Html(html)).into_response();
        if let Ok(policy) = HeaderValue::from_str(policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        let refresh = next.map(|(seconds, address)| format!("{seconds}; url={address}"));
        if let Some(Ok(value)) = refresh.map(|refresh| HeaderValue::from_str(&refresh)) {
            response.headers_mut().insert(REFRESH, value);
        }
        response
    }

    /// Sends a page that shows itself again before its time ends, and after it.
    pub(crate) fn timed_page<T: Template>(&self, template: &T, address: &str) -> Response {
        self.page(template, self.time.as_ref().map(|time| (time.refresh(), address)))
    }

    /// The same, of a page on which a picture of the bank's may be.
    pub(crate) fn picture_page<T: Template>(&self, template: &T, address: &str) -> Response {
        let next = self.time.as_ref().map(|time| (time.refresh(), address));
        self.page_under(template, next, &POLICY.replace("img-src 'self'", "img-src 'self' data:"))
    }
}

/// `GET /assets/fragment.js`.
pub(crate) async fn fragment_script() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../templates/fragment.js"))
}

/// `GET /assets/page.css`.
pub(crate) async fn style_sheet() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../templates/page.css"))
}

#[derive(Deserialize)]
pub(crate) struct Themed {
    client: String,
}

/// `GET /assets/theme.css?client=…`: the client's colours in place of ours.
pub(crate) async fn theme(
    State(oauth): State<OAuth>,
    Query(themed): Query<Themed>,
) -> Result<Response, PageError> {
    let client = oauth.client(&themed.client).await?;
    let sheet = client.as_deref().and_then(|client| client.presentation.theme.as_ref());
    let sheet = sheet.ok_or_else(PageError::gone)?.style_sheet();
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, sheet).into_response())
}
