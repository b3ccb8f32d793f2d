//! What surrounds every request of the interface: armed faults, the journal
//! and a bound on bodies.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;

use crate::bank::Bank;
use crate::fault::Fault;
use crate::journal::{Facts, JournalEntry};
use crate::listen::Peer;
use crate::twist::twisted;

/// Largest request body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// Marks an answer that is not given: the connection closes instead.
#[derive(Clone, Copy)]
pub(crate) struct HangUp;

/// Puts the layers around a face, outermost last.
pub(crate) fn layered(router: Router<Arc<Bank>>, bank: &Arc<Bank>) -> Router<Arc<Bank>> {
    prompt(router, bank)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Inside the journal, so that it shows what the caller was answered.
        .layer(from_fn_with_state(Arc::clone(bank), misbehave))
        .layer(from_fn_with_state(Arc::clone(bank), note))
}

/// Has a router answer when all that is due is done.
pub(crate) fn prompt(router: Router<Arc<Bank>>, bank: &Arc<Bank>) -> Router<Arc<Bank>> {
    router.layer(from_fn_with_state(Arc::clone(bank), catch_up))
}

async fn catch_up(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    bank.catch_up();
    next.run(request).await
}

async fn note(State(bank): State<Arc<Bank>>, mut request: Request, next: Next) -> Response {
    let facts = Facts::default();
    request.extensions_mut().insert(facts.clone());
    let mut entry = entry(&bank, &request);
    let response = next.run(request).await;
    entry.facts = facts.all();
    entry.status = response.status().as_u16();
    bank.journal.add(entry);
    response
}

fn entry(bank: &Bank, request: &Request) -> JournalEntry {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let request_id = header("x-request-id").or_else(|| header("x-fapi-interaction-id")).map(str::to_owned);
    let peer = request.extensions().get::<Peer>();
    JournalEntry {
        at: bank.now(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        request_id,
        organization_identifier: peer.and_then(|peer| peer.0.organization_identifier.clone()),
        facts: Vec::new(),
        status: 0,
    }
}

async fn misbehave(State(bank): State<Arc<Bank>>, request: Request, next: Next) -> Response {
    let Some(fault) = bank.faults.take(request.method().as_str(), request.uri().path()) else {
        return next.run(request).await;
    };
    match fault {
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fault::Disconnect => hang_up(StatusCode::OK.into_response()),
        Fault::LoseAnswer => hang_up(next.run(request).await),
        Fault::Slow(delay) => {
            let response = next.run(request).await;
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = bank.shutdown.cancelled() => {}
            }
            response
        }
        Fault::Drip(pause) => dripping(next.run(request).await, pause).await,
        Fault::Failed => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Unauthorised => StatusCode::UNAUTHORIZED.into_response(),
        Fault::HtmlPage => html(StatusCode::OK),
        Fault::LoseRefreshToken => hang_up(burnt(&bank, request, next).await),
        Fault::Twisted(twist) => {
            let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
            rewritten(next.run(request).await, |body| twisted(twist, &body, &path, &bank.fresh("")).into())
                .await
        }
        Fault::MalformedJson => {
            let _ = next.run(request).await;
            json_text(StatusCode::OK, Body::from("{\"Data\": {\"Account\": [{\"AccountId\": \"1"))
        }
        Fault::HtmlError => html(StatusCode::BAD_GATEWAY),
        Fault::Truncated => truncated(next.run(request).await).await,
        Fault::Huge(bytes) => huge(bytes),
        Fault::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response(),
        Fault::Decline
        | Fault::NoticeLate(_)
        | Fault::NoticeTwice
        | Fault::NoticeForged
        | Fault::NoticeOfStranger => next.run(request).await,
    }
}

fn html(status: StatusCode) -> Response {
    let page = "<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>";
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// All of a body, or nothing if it breaks off.
async fn whole(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

/// The right answer with another body.
async fn rewritten(response: Response, change: impl FnOnce(Bytes) -> Bytes) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = whole(body).await;
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(change(whole)))
}

async fn dripping(response: Response, pause: Duration) -> Response {
    let (parts, body) = response.into_parts();
    let whole = whole(body).await;
    let bytes = stream::iter(whole).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(&[byte]))
    });
    Response::from_parts(parts, Body::from_stream(bytes))
}

/// Answers a token request, after which its refresh token is worth nothing.
async fn burnt(bank: &Bank, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = whole(body).await;
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if let Some((_, token)) = form.iter().find(|(name, _)| name == "refresh_token") {
        let digest = crypto::digest::sha256_hex(token.as_bytes());
        bank.vault.change(|book| book.tokens.remove(&digest));
    }
    response
}

fn hang_up(mut response: Response) -> Response {
    response.extensions_mut().insert(HangUp);
    response
}

fn json_text(status: StatusCode, body: Body) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = whole(body).await;
    let half = whole.slice(..whole.len().div_euclid(2));
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let broken = stream::iter([Ok(half), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]);
    Response::from_parts(parts, Body::from_stream(broken))
}

fn huge(bytes: usize) -> Response {
    const CHUNK: &[u8] = &[b' '; 8192];
    let chunks = bytes.div_ceil(CHUNK.len());
    let body =
        stream::iter((0..chunks).map(|_| Ok::<_, std::convert::Infallible>(Bytes::from_static(CHUNK))));
    json_text(StatusCode::OK, Body::from_stream(body))
}
