//! The templates.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::question::Question;
use super::shared::Shared;

/// The log-in form.
#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct Login<'a> {
    pub(super) bank: &'a str,
    pub(super) about: &'a str,
    pub(super) wrong: bool,
}

/// One question.
#[derive(Template)]
#[template(path = "approve.html")]
pub(super) struct Approve<'a> {
    pub(super) bank: &'a str,
    pub(super) question: &'a Question,
    pub(super) ticket: &'a str,
    pub(super) problem: &'a str,
}

/// The bank's app: everything that waits for this customer.
#[derive(Template)]
#[template(path = "app.html")]
pub(super) struct App<'a> {
    pub(super) bank: &'a str,
    pub(super) questions: &'a [Question],
    pub(super) ticket: &'a str,
}

/// What the customer shares, and with whom.
#[derive(Template)]
#[template(path = "consents.html")]
pub(super) struct Consents<'a> {
    pub(super) bank: &'a str,
    pub(super) shared: &'a [Shared],
    pub(super) ticket: &'a str,
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message<'a> {
    pub(super) bank: &'a str,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
}

pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "A page of a model bank could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
