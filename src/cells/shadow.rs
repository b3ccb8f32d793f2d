//! Shadow traffic: a share of reads is asked a second time of another deployment, which knows who asks as a
//! cell does, and the answers are compared. Its answer reaches nobody, and what moves anything is never asked
//! twice: neither leaves a request that is no read, nor does one come in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use edge::Asked;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use serde_json::Value;
use telemetry::FIGURES;
use tokio::sync::Semaphore;

use crate::route::Routes;

/// Longest time that a shadow may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is compared, in bytes.
const LARGEST: u64 = 1024 * 1024;
/// Copies that may be on their way; what comes on top is not copied.
const AT_ONCE: usize = 16;
/// Places at which answers differ that are named.
const NAMED: usize = 10;
/// Members that differ from one moment to the next.
const OF_THE_MOMENT: [&str; 4] = ["as_of", "fetched_at", "updated_at", "valid_until"];

/// Places for copies.
static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

/// An answer, as it is compared.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// Asks a share of reads a second time.
pub async fn mirror(State(routes): State<Arc<Routes>>, request: Request, next: Next) -> Response {
    if !routes.is_mirrored(&request) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let copy = parts.clone();
    let answer = next.run(Request::from_parts(parts, body)).await;
    // Only what is whole already: a stream must not wait to be compared.
    if answer.body().size_hint().exact().is_none_or(|length| length > LARGEST) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let Ok(body) = body.collect().await.map(|whole| whole.to_bytes()) else {
        return Response::from_parts(head, Body::empty());
    };
    let ours = Answer { status: head.status, body: body.clone() };
    tokio::spawn(async move { routes.compare(copy, ours).await });
    Response::from_parts(head, Body::from(body))
}

impl Routes {
    /// Whether a request is one of the share.
    fn is_mirrored(&self, request: &Request) -> bool {
        let peers = self.peers.load();
        let Some((shadow, _)) = &peers.shadow else { return false };
        let path = request.uri().path();
        let read = request.method() == Method::GET && path.starts_with("/v1/") && !path.ends_with("/stream");
        let id =
            request.extensions().get::<Asked>().map(|asked| asked.id.uuid().as_u128()).unwrap_or_default();
        // The end of an id is chance.
        read && !self.pages && id % 1_000 < u128::from(shadow.per_mille)
    }

    /// Asks the shadow and says whether it answers as we did.
    async fn compare(&self, asked: Parts, ours: Answer) {
        let Ok(_place) = PLACES.try_acquire() else { return };
        let Some(theirs) = self.shadowed(&asked).await else { return };
        let differing = differences(&ours, &theirs);
        FIGURES.shadowed(!differing.is_empty());
        if !differing.is_empty() {
            let id = asked.extensions.get::<Asked>().map(|asked| asked.id.to_string()).unwrap_or_default();
            // Places alone: what stands there is somebody's.
            let places = differing.join(" ");
            tracing::warn!(request.id = id, places, "The shadow answers otherwise");
        }
    }

    /// The shadow's answer, if it gives one.
    async fn shadowed(&self, asked: &Parts) -> Option<Answer> {
        let peers = self.peers.load_full();
        let (shadow, way) = peers.shadow.as_ref()?;
        let head = self.envelope((&shadow.name, &shadow.address), &peers.key, asked)?;
        let asked = async {
            let answer = way.send(Request::from_parts(head, Body::empty())).await.ok()?;
            let (head, body) = answer.into_parts();
            let most = usize::try_from(LARGEST).unwrap_or(usize::MAX);
            let body = Limited::new(body, most).collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status, body })
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok().flatten();
        if answer.is_none() {
            tracing::debug!(cell = shadow.name, "The shadow does not answer");
        }
        answer
    }
}

/// The places at which two answers differ.
fn differences(ours: &Answer, theirs: &Answer) -> Vec<String> {
    let mut places = Vec::new();
    if ours.status != theirs.status {
        places.push(format!("status:{}/{}", ours.status.as_u16(), theirs.status.as_u16()));
        return places;
    }
    match (serde_json::from_slice(&ours.body), serde_json::from_slice(&theirs.body)) {
        (Ok(ours), Ok(theirs)) => compare("", &ours, &theirs, &mut places),
        (_, _) if ours.body != theirs.body => places.push("body".to_owned()),
        (_, _) => {}
    }
    places.truncate(NAMED);
    places
}

/// Notes where two values differ, as JSON pointers whose names are the interface's.
fn compare(place: &str, ours: &Value, theirs: &Value, places: &mut Vec<String>) {
    if places.len() > NAMED {
        return;
    }
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names.into_iter().filter(|name| !OF_THE_MOMENT.contains(&name.as_str())) {
                let below = format!("{place}/{name}");
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => compare(&below, ours, theirs, places),
                    (Some(_) | None, _) => places.push(below),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{place}/{number}"), ours, theirs, places);
            }
        }
        _ if ours != theirs => places.push(if place.is_empty() { "/".to_owned() } else { place.to_owned() }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) }
    }

    /// What differs is named by its place, and what stands there is not.
    #[test]
    fn places_are_named_and_values_are_not() {
        let ours = answer(200, r#"{"data":[{"iban":"DE1","n":1}],"as_of":"2026","more":true}"#);
        let same = answer(200, r#"{"as_of":"2027","more":true,"data":[{"n":1,"iban":"DE1"}]}"#);
        assert!(differences(&ours, &same).is_empty());
        let other = answer(200, r#"{"data":[{"iban":"DE2","n":1}],"less":1}"#);
        assert_eq!(differences(&ours, &other), ["/data/0/iban", "/less", "/more"]);
        let longer = answer(200, r#"{"data":[],"more":true}"#);
        assert_eq!(differences(&ours, &longer), ["/data"]);
        assert_eq!(differences(&ours, &answer(503, "{}")), ["status:200/503"]);
        assert_eq!(differences(&answer(200, "a"), &answer(200, "b")), ["body"]);
    }
}
