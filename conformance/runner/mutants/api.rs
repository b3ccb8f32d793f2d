//! Mutants of an API that has a description.

use serde_json::{Value, json};

use super::answers::change_json;
use super::list::Answer;
use super::world::{Asked, World};
use crate::http::Response;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

fn is_api(asked: &Asked) -> bool {
    asked.request.url.path().starts_with("/v1/") && !asked.request.url.path().starts_with("/v1/sandbox")
}

fn at(asked: &Asked, method: &str, end: &str) -> bool {
    asked.request.method == method && asked.request.url.path().ends_with(end)
}

/// Amounts are numbers.
pub(super) fn amounts_as_numbers(_: &World, asked: &Asked, answer: &mut Response) {
    if at(asked, "GET", "/balances") {
        fn numbers(value: &mut Value) {
            match value {
                Value::Object(of) => {
                    for (name, inner) in of {
                        if name == "amount" && inner.is_string() {
                            *inner = json!(1.5);
                        } else {
                            numbers(inner);
                        }
                    }
                }
                Value::Array(of) => of.iter_mut().for_each(numbers),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let mut body = answer.json();
        numbers(&mut body);
        answer.body = body.to_string().into();
    }
}

pub(super) fn member_missing(_: &World, asked: &Asked, answer: &mut Response) {
    if at(asked, "GET", "/accounts") {
        change_json(answer, |json| drop(json.remove("sources")));
    }
}

pub(super) fn member_null(_: &World, asked: &Asked, answer: &mut Response) {
    if at(asked, "GET", "/institutions") {
        change_json(answer, |json| drop(json.insert("data".to_owned(), Value::Null)));
    }
}

pub(super) fn another_media_type(_: &World, asked: &Asked, answer: &mut Response) {
    if at(asked, "GET", "/accounts") {
        for (name, value) in &mut answer.headers {
            if name == "content-type" {
                "text/json".clone_into(value);
            }
        }
    }
}

pub(super) fn problems_as_json(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status >= 400 {
        for (name, value) in &mut answer.headers {
            if name == "content-type" {
                "application/json".clone_into(value);
            }
        }
    }
}

pub(super) fn problems_without_code(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status >= 400 {
        change_json(answer, |json| drop(json.remove("code")));
    }
}

pub(super) fn problems_of_another_status(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status >= 400 {
        change_json(answer, |json| drop(json.insert("status".to_owned(), json!(418))));
    }
}

pub(super) fn problems_from_inside(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status >= 400 {
        let says = "thread 'main' panicked at src/api/accounts.rs:42";
        change_json(answer, |json| drop(json.insert("detail".to_owned(), json!(says))));
    }
}

pub(super) fn server_errors(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status == 404 {
        answer.status = 500;
        change_json(answer, |json| drop(json.insert("status".to_owned(), json!(500))));
    }
}

pub(super) fn forbidden_for_unauthorized(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status == 401 {
        answer.status = 403;
        change_json(answer, |json| drop(json.insert("status".to_owned(), json!(403))));
    }
}

pub(super) fn no_request_id(_: &World, _: &Asked, answer: &mut Response) {
    answer.headers.retain(|(name, _)| name != "x-request-id");
}

pub(super) fn no_allow(_: &World, _: &Asked, answer: &mut Response) {
    answer.headers.retain(|(name, _)| name != "allow");
}

pub(super) fn not_found_for_method(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status == 405 {
        answer.status = 404;
        change_json(answer, |json| drop(json.insert("status".to_owned(), json!(404))));
    }
}

/// What is not there is an empty answer.
pub(super) fn nothing_for_unknown(_: &World, asked: &Asked, answer: &mut Response) {
    if is_api(asked) && answer.status == 404 {
        answer.status = 200;
        answer.body = json!({"data": [], "sources": []}).to_string().into();
    }
}

/// A body that is no JSON is taken for an empty one.
pub(super) fn any_body(_: &World, asked: &mut Asked) {
    if at(asked, "PATCH", "")
        && serde_json::from_slice::<Value>(&asked.request.body).is_ok_and(|body| body.is_object())
    {
        return;
    }
    if asked.request.method == "PATCH" && is_api(asked) {
        asked.request.body = "{}".into();
        asked.set_header("content-type", "application/json");
    }
}

/// An amount may be a list of its values.
pub(super) fn lists_for_objects(_: &World, asked: &mut Asked) {
    fn as_objects(value: &mut Value) {
        match value {
            Value::Object(of) => {
                for (name, inner) in of {
                    if name == "amount"
                        && let Some([amount, currency]) = inner.as_array().map(Vec::as_slice)
                    {
                        *inner = json!({"amount": amount, "currency": currency});
                    } else {
                        as_objects(inner);
                    }
                }
            }
            Value::Array(of) => of.iter_mut().for_each(as_objects),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    if is_api(asked)
        && let Ok(mut body) = serde_json::from_slice(&asked.request.body)
    {
        as_objects(&mut body);
        asked.request.body = body.to_string().into();
    }
}

/// Parameters that mean nothing are left out.
pub(super) fn any_query(_: &World, asked: &mut Asked) {
    if is_api(asked) {
        let kept: Vec<_> = asked
            .request
            .url
            .query_pairs()
            .filter(|(_, value)| value != "conformance")
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        asked.request.url.set_query(None);
        if !kept.is_empty() {
            asked.request.url.query_pairs_mut().extend_pairs(kept);
        }
    }
}

/// Any token opens any operation: the last one that did is shown again.
pub(super) fn any_token<'w>(world: &'w World, mut asked: Asked) -> BoxFuture<'w, Answer> {
    async move {
        if is_api(&asked) {
            let kind = asked.request.url.path().split('/').nth(2).unwrap_or_default().to_owned();
            let answer = world.forward(&asked).await?;
            let name = format!("opens {kind}");
            if answer.status < 400 {
                if let Some(shown) = asked.header("authorization") {
                    world.state().notes.insert(name, shown.to_owned());
                }
                return Ok(answer);
            }
            let known = world.state().notes.get(&name).cloned();
            let Some(known) = known.filter(|_| matches!(answer.status, 401 | 403)) else { return Ok(answer) };
            asked.set_header("authorization", known);
        }
        world.forward(&asked).await
    }
    .boxed()
}
