//! Events as they happen: Server-Sent Events, with the cursors of the list of events.
//!
//! A stream ends when its token does, and when the gateway stops; the client comes back
//! with the last cursor it has seen and misses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{self, KeepAlive, Sse};
use domain::EventType;
use flows::{EventPage, EventPlaces, Gateway, LiveToken};
use futures_util::stream;
use http::HeaderMap;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use web::{AnyScope, Caller, Problem, ProblemCode, QueryParams};

use crate::events::cursors;

/// Streams that one client may have open at one process.
const MOST: usize = 4;
/// Events that are read at once.
const BATCH: usize = 100;
/// How often the store is asked while this process has no news: others may have.
const LOOK: Duration = Duration::from_secs(1);
/// When a client is to come back after a stream has ended.
const COME_BACK: Duration = Duration::from_secs(2);

/// The streams that are open, and what ends them.
#[derive(Clone, Debug)]
pub struct EventStreams {
    open: Arc<Mutex<BTreeMap<String, usize>>>,
    heartbeat: Duration,
    stop: CancellationToken,
}

impl EventStreams {
    /// No streams yet. Each will have a comment after as long a silence as `heartbeat`, and
    /// end when `stop` is cancelled.
    #[must_use]
    pub fn new(heartbeat: Duration, stop: CancellationToken) -> Self {
        Self { open: Arc::default(), heartbeat, stop }
    }

    /// A place for one more stream of a client; none if it has as many as it may have.
    fn place(&self, client_id: &str) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client_id.to_owned()).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Place { streams: self.clone(), client_id: client_id.to_owned() })
    }
}

/// The place of an open stream.
struct Place {
    streams: EventStreams,
    client_id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.client_id).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => open.remove(&self.client_id),
            left => open.insert(self.client_id.clone(), left),
        };
    }
}

/// Where a stream begins, and what is in it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamParams {
    /// Where it begins: the `next_cursor` of a list, or the `id` of an event of a stream. The
    /// header `Last-Event-ID` goes before it.
    #[serde(default)]
    cursor: Option<String>,
    /// Event types wanted, parted by commas; without it all.
    #[serde(default)]
    #[param(example = "payment.settled,payment.rejected")]
    types: Option<String>,
}

/// Follow events as they happen.
///
/// Server-Sent Events: `data` is an event as in the list, `event` its type and `id` the cursor
/// behind it, which the list takes too. Without a cursor from the first one on. A client has
/// at most four streams at once. A stream ends with its token.
#[utoipa::path(get, operation_id = "streamEvents", path = "/v1/events/stream", tag = "webhooks", security(("mtls_oauth" = [])),
    params(StreamParams, ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that came")),
    responses((status = 200, description = "The events, until either side ends the stream", body = String, content_type = "text/event-stream"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn follow(
    State(gateway): State<Arc<Gateway>>,
    State(streams): State<EventStreams>,
    caller: Caller<AnyScope>,
    headers: HeaderMap,
    QueryParams(params): QueryParams<StreamParams>,
) -> Result<impl IntoResponse, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let cursor = last.filter(|last| !last.is_empty()).or(params.cursor.as_deref());
    let places = cursor.map(|cursor| cursors(&gateway, &caller.client_id).read(cursor)).transpose()?;
    let wanted = params.types.as_deref().map(types).transpose()?;
    let place = streams.place(&caller.client_id).ok_or_else(too_many)?;
    let heartbeat = KeepAlive::new().interval(streams.heartbeat).text("still here");
    let reader = Reader {
        gateway,
        token: caller.token,
        places: places.unwrap_or_default(),
        wanted,
        // Says at once that the stream is open.
        ready: VecDeque::from([sse::Event::default().comment("open").retry(COME_BACK)]),
        stop: streams.stop,
        _place: place,
    };
    let events = stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(heartbeat))
}

fn too_many() -> Problem {
    let detail = format!("A client has at most {MOST} event streams open at once.");
    Problem::new(ProblemCode::TooMany).detail(detail).retry_after(COME_BACK.as_secs())
}

/// The types that a client names.
fn types(text: &str) -> Result<Vec<EventType>, Problem> {
    let parsed = text.split(',').map(|word| EventType::from_word(word).filter(|one| one.subscribable()));
    parsed.collect::<Option<_>>().ok_or_else(|| {
        Problem::new(ProblemCode::Query)
            .detail("`types` names event types that /v1/event-types lists as subscribable, parted by commas.")
    })
}

/// Reads events for one stream.
struct Reader {
    gateway: Arc<Gateway>,
    token: Arc<LiveToken>,
    places: EventPlaces,
    wanted: Option<Vec<EventType>>,
    /// What was read and not sent yet.
    ready: VecDeque<sse::Event>,
    stop: CancellationToken,
    /// Held for as long as the stream is open.
    _place: Place,
}

impl Reader {
    /// The next event of the stream; none at its end.
    async fn next(&mut self) -> Option<sse::Event> {
        let gateway = Arc::clone(&self.gateway);
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // Before looking: what is told in between wakes us.
            let news = gateway.event_news();
            let more = self.read().await?;
            if self.ready.is_empty() && !more {
                tokio::select! {
                    () = self.stop.cancelled() => return None,
                    () = news => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    }

    /// Reads on; whether there is more. None where the stream ends.
    async fn read(&mut self) -> Option<bool> {
        if self.stop.is_cancelled() {
            return None;
        }
        let client_id = &self.token.row.client_id;
        let read = async {
            if !self.gateway.still_lives(&self.token).await? {
                return Ok(None);
            }
            self.gateway.events_after(client_id, &self.places, BATCH).await.map(Some)
        };
        let page = read.await.unwrap_or_else(|error: flows::FlowError| {
            tracing::error!(error = %error, "An event stream ends, as the store failed");
            None
        })?;
        let EventPage { events, places, has_more } = page;
        let cursors = cursors(&self.gateway, client_id);
        let wanted = |name: &str| {
            self.wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|one| one.as_str() == name))
        };
        let sent = events.iter().filter(|(event, _)| wanted(&event.event_type)).map(|(event, behind)| {
            let id = cursors.write(behind);
            sse::Event::default().id(id).event(&event.event_type).data(&event.body)
        });
        self.ready.extend(sent);
        self.places = places;
        Some(has_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_gets_back_what_it_leaves() {
        let streams = EventStreams::new(LOOK, CancellationToken::new());
        let mut taken: Vec<_> = std::iter::from_fn(|| streams.place("a")).take(MOST + 1).collect();
        assert_eq!(taken.len(), MOST);
        assert!(streams.place("b").is_some(), "each has its own");
        taken.pop();
        assert!(streams.place("a").is_some());
        taken.clear();
        assert!(streams.open.lock().unwrap().is_empty(), "nothing is left of who went");
    }
}
