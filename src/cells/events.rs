//! Events of a client, of one home after the other until a page is full. A cursor says the place at each
//! home, so that whoever comes back with it misses nothing of any.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use web::{Problem, ProblemCode};

use crate::answers::{assemble, reason_of, whole, with};
use crate::route::{Home, denied, label};
use crate::{Peers, Routes};

/// Events in a page, where the client does not say how many.
const USUAL: usize = 100;

/// Where a client has come to: here, and at other homes by their names in cursors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    ours: String,
    others: BTreeMap<String, String>,
}

impl Places {
    /// Reads a cursor: `OURS~eu:THEIRS~…`.
    fn read(cursor: &str) -> Option<Self> {
        let mut parts = cursor.split('~');
        let ours = parts.next()?.to_owned();
        let others = parts.map(|part| {
            let (home, place) = part.split_once(':')?;
            Some((home.to_owned(), place.to_owned()))
        });
        Some(Self { ours, others: others.collect::<Option<_>>()? })
    }

    fn cursor(&self) -> String {
        let others = self.others.iter().map(|(home, place)| format!("~{home}:{place}"));
        format!("{}{}", self.ours, others.collect::<String>())
    }
}

impl Routes {
    /// A page of events.
    pub(crate) async fn events(&self, request: Request, next: Next) -> Response {
        let peers = self.peers.load_full();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let parameter = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
        };
        let places = Places::read(&parameter("cursor").unwrap_or_default());
        let Some(places) = places.filter(|places| places.others.keys().all(|home| is_home(&peers, home)))
        else {
            return Problem::new(ProblemCode::CursorInvalid).into_response();
        };
        // One that is none is refused by ours.
        let limit = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(USUAL);
        let (parts, _) = request.into_parts();
        let copy = || Request::from_parts(parts.clone(), Body::empty());
        let Some(first) = with(copy(), &[("cursor", &places.ours)]) else { return denied() };
        let (head, body) = match whole(next.run(first).await).await {
            Ok(ours) => ours,
            Err(refused) => return refused,
        };
        let mut page = Page { body, places, left: 0, left_out: Vec::new() };
        page.places.ours = page.next_cursor();
        page.left = limit.saturating_sub(page.len());
        for home in &peers.neighbours {
            if page.left == 0 {
                page.has_more();
                break;
            }
            self.add(&mut page, (home, &peers), copy()).await;
        }
        assemble((head, page.finished()))
    }

    /// Puts the events of another home behind those that there are.
    async fn add(&self, page: &mut Page, (home, peers): (&Home, &Arc<Peers>), request: Request) {
        let (cell, _) = home;
        let name = label(cell).unwrap_or_default();
        let place = page.places.others.get(name).cloned().unwrap_or_default();
        let left = page.left.to_string();
        let may = self.may_ask(cell, &cell.regions, request.extensions()).await;
        let asked = with(request, &[("cursor", &place), ("limit", &left)]);
        let (status, answer) = match (may, asked) {
            (Ok(()), Some(asked)) => ("FAILED", whole(self.forward((home, &peers.key), asked).await).await),
            (Err(refused), _) => ("RESIDENCY_DENIED", Err(refused)),
            (Ok(()), None) => ("FAILED", Err(denied())),
        };
        match answer {
            Ok((_, theirs)) => page.take(name, theirs),
            Err(refused) => {
                let (_, why) = reason_of(refused).await;
                for region in &cell.regions {
                    page.left_out
                        .push(json!({ "region": region.as_str(), "status": status, "code": why.code }));
                }
            }
        }
    }
}

/// The stream tells of the regions here: of a cursor of the list it takes the place here.
pub(crate) fn with_our_place(mut request: Request) -> Option<Request> {
    const LAST: HeaderName = HeaderName::from_static("last-event-id");
    let ours = |cursor: &str| cursor.split('~').next().unwrap_or_default().to_owned();
    if let Some(last) = request.headers().get(&LAST).and_then(|last| last.to_str().ok()) {
        let last = HeaderValue::from_str(&ours(last)).ok()?;
        request.headers_mut().insert(LAST, last);
    }
    let query = request.uri().query().unwrap_or_default();
    let cursor = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "cursor");
    let Some(cursor) = cursor.map(|(_, cursor)| ours(&cursor)) else { return Some(request) };
    with(request, &[("cursor", &cursor)])
}

fn is_home(peers: &Peers, name: &str) -> bool {
    peers.neighbours.iter().any(|(cell, _)| label(cell) == Some(name))
}

/// A page that is being filled.
struct Page {
    body: Map<String, Value>,
    places: Places,
    /// How many events there may still be in it.
    left: usize,
    left_out: Vec<Value>,
}

impl Page {
    fn len(&self) -> usize {
        self.body.get("data").and_then(Value::as_array).map_or(0, Vec::len)
    }

    fn next_cursor(&self) -> String {
        self.body.get("next_cursor").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn has_more(&mut self) {
        self.body.insert("has_more".to_owned(), true.into());
    }

    fn take(&mut self, home: &str, mut theirs: Map<String, Value>) {
        if theirs.get("has_more") == Some(&Value::Bool(true)) {
            self.has_more();
        }
        if let Some(Value::String(place)) = theirs.remove("next_cursor") {
            self.places.others.insert(home.to_owned(), place);
        }
        if let (Some(Value::Array(events)), Some(Value::Array(more))) =
            (self.body.get_mut("data"), theirs.remove("data"))
        {
            self.left = self.left.saturating_sub(more.len());
            events.extend(more);
        }
    }

    fn finished(mut self) -> Map<String, Value> {
        self.body.insert("next_cursor".to_owned(), self.places.cursor().into());
        if !self.left_out.is_empty() {
            self.body.insert("sources".to_owned(), self.left_out.into());
        }
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_the_place_at_each_home() {
        let others = [("eu", "c.d"), ("pl", "")].map(|(home, place)| (home.to_owned(), place.to_owned()));
        let places = Places { ours: "a.b".to_owned(), others: others.into() };
        assert_eq!(places.cursor(), "a.b~eu:c.d~pl:");
        assert_eq!(Places::read("a.b~eu:c.d~pl:"), Some(places));
        assert_eq!(Places::read(""), Some(Places::default()));
        assert_eq!(Places::read("a.b").map(|places| places.ours).as_deref(), Some("a.b"));
        assert_eq!(Places::read("a.b~eu"), None);
    }

    #[test]
    fn the_stream_takes_the_place_here_of_a_cursor_of_the_list() {
        let request = Request::get("/v1/events/stream?types=a&cursor=a.b~eu%3Ac.d")
            .header("last-event-id", "e.f~eu:g.h")
            .body(Body::empty())
            .unwrap();
        let request = with_our_place(request).unwrap();
        assert_eq!(request.uri(), "/v1/events/stream?types=a&cursor=a.b");
        assert_eq!(request.headers()["last-event-id"], "e.f");
        let plain = Request::get("/v1/events/stream").body(Body::empty()).unwrap();
        assert_eq!(with_our_place(plain).unwrap().uri(), "/v1/events/stream");
    }
}
