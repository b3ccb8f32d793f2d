//! The console: one page of what there is to see, and forms for what there is to do. Without scripts.

use askama::Template;
use axum::extract::{Extension, Form, Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::Refusal;
use super::view::View;
use super::{Admin, Operator, Role, Viewer, changes, everything};

#[derive(Template)]
#[template(path = "console.html")]
struct Page {
    view: View,
    /// Forms are shown to who may send them.
    may_change: bool,
    refused: Vec<(String, String)>,
}

impl Page {
    /// A text of the status.
    fn said(&self, pointer: &str) -> String {
        match self.view.status.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    /// The rows of a table of the status.
    fn rows(&self, name: &str) -> Vec<&Value> {
        self.view.status.get(name).and_then(Value::as_array).into_iter().flatten().collect()
    }
}

/// A value of a row, as text.
fn cell(row: &Value, name: &str) -> String {
    match row.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(numbers)) => {
            numbers.iter().map(|(kind, number)| format!("{kind} {number}")).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, Refusal> {
    let view = everything(&admin).await?;
    let refused = view.status.pointer("/edge/requests/refused").and_then(Value::as_object);
    let refused = refused.into_iter().flatten().map(|(reason, times)| (reason.clone(), times.to_string()));
    let page = Page { refused: refused.collect(), view, may_change: viewer.0 == Role::Operator };
    let html = page.render().map_err(|error| Refusal::of_state(&error.into()))?;
    Ok(Html(html).into_response())
}

pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../templates/console.css")).into_response()
}

pub(super) async fn change_client(
    State(admin): State<Admin>,
    operator: Operator,
    Path((id, change)): Path<(String, String)>,
) -> Result<Redirect, Refusal> {
    changes::client(&admin, operator.0, &id, &change).await?;
    Ok(Redirect::to("/#clients"))
}

#[derive(Deserialize)]
pub(super) struct Found {
    executed: bool,
}

pub(super) async fn end_payment(
    State(admin): State<Admin>,
    operator: Operator,
    Path(id): Path<String>,
    Form(found): Form<Found>,
) -> Result<Redirect, Refusal> {
    changes::payment(&admin, operator.0, &id, found.executed).await?;
    Ok(Redirect::to("/#payments"))
}

pub(super) async fn reload(State(admin): State<Admin>, operator: Operator) -> Redirect {
    changes::reload(&admin, operator.0);
    Redirect::to("/")
}
