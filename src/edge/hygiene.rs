//! What every request goes through before anybody reads it, in request order.

use std::future::poll_fn;
use std::net::Ipv6Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use domain::{Clock, Entropy, Region, RequestId};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use hyper::body::Body as _;
use limits::{Exceeded, Limiter, Partition, Told};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

use crate::count::{key_of, tell};
use crate::evidence::Refused;
use crate::filter::{Filter, Judgement, filtered, report};
use crate::lobby::{Room, Rooms};
use crate::serve::{MAX_HEAD, MAX_HEADERS};
use crate::witness::Seen;
use crate::{BlockList, EdgeCounters, Evidence, Overload, PeerIdentity, Reason, Side, Witness, body};

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is larger than this many bytes.
    BodyTooLarge(usize),
    /// A quota of the peer is used up.
    TooMany(Exceeded),
    /// There is more to do than can be done; this time is better spent elsewhere.
    Overloaded(Duration),
    /// The answer took longer than this.
    TimedOut(Duration),
    /// The body did not arrive within this time.
    BodyTimedOut(Duration),
    /// The path is not in its one plain spelling.
    Path,
    /// A request body arrives encoded (compressed).
    Encoded,
    /// The body ended before it was whole.
    BodyEndedEarly,
    /// The filter has something against it.
    Filtered(Judgement),
    /// There is not exactly one Host, of a name and a port at most.
    Host,
    /// A header of proxies says more than addresses.
    Forwarded,
    /// Nobody is let in from the peer's address for a while.
    Blocked,
    /// The method is not one we answer.
    Method,
    /// A handler failed in a way it should not.
    Panic,
}

/// Of an answer: a client that we know goes on and on over what it may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess;

/// Makes the answer to a refused request.
pub type Refuse = fn(Refusal, Asked) -> Response;

/// Which request is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Its id.
    pub id: RequestId,
    /// It would have moved money.
    pub moves_money: bool,
}

/// How the edge treats requests.
pub struct EdgeConfig {
    /// Makes refusals.
    pub refuse: Refuse,
    /// Whether a request of this method and path would move money.
    pub moves_money: fn(&Method, &str) -> bool,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Longest time to an answer.
    pub deadline: Duration,
    /// Longest time in which a request body has to arrive.
    pub body_timeout: Duration,
    /// Counts requests.
    pub limiter: Arc<Limiter>,
    /// Sends requests away when there are too many at once.
    pub overload: Arc<Overload>,
    /// Looks into requests, if there is one.
    pub filter: Option<Arc<dyn Filter>>,
    /// What is counted.
    pub counters: Arc<EdgeCounters>,
    /// Who is not let in any more.
    pub blocked: Arc<BlockList>,
    /// What is kept of refusals.
    pub evidence: Arc<Evidence>,
    /// Where requests come in.
    pub side: Side,
    /// Whose data a request of this path is about, where the path says it.
    pub region_of: fn(&str) -> Option<Region>,
    /// The region of all data here, if there is one only.
    pub only_region: Option<Region>,
    /// Who is told of every request, if anybody is.
    pub witness: Option<Arc<dyn Witness>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// Puts the edge in front of `router`.
pub fn protect(router: Router, config: EdgeConfig) -> Router {
    let refuse = config.refuse;
    let state = Arc::new(config);
    let stack = ServiceBuilder::new()
        // Before anything logs, so that no log line carries a token.
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, COOKIE]))
        // The id comes first: every refusal below carries it.
        .layer(from_fn_with_state(Arc::clone(&state), identify))
        // Counting is cheaper than looking, so count first.
        .layer(from_fn_with_state(Arc::clone(&state), count))
        .layer(from_fn_with_state(Arc::clone(&state), inspect))
        .layer(from_fn_with_state(Arc::clone(&state), deadline))
        .layer(from_fn_with_state(Arc::clone(&state), body::in_time))
        .layer(from_fn_with_state(Arc::clone(&state), look_into))
        .layer(from_fn_with_state(state, answer_at_home))
        // Innermost: a panic becomes an answer that the layers above still stamp.
        .layer(CatchPanicLayer::custom(move |_: Box<dyn std::any::Any + Send>| {
            tracing::error!("A handler panicked");
            refuse(Refusal::Panic, Asked::default())
        }));
    router.layer(stack)
}

/// Headers by which some proxies name a peer. Only our own TLS layer may.
const IDENTITY_HEADERS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-ssl-cert",
    "ssl-client-cert",
];

/// Those of them that say addresses, and nothing that others would log or run.
const ADDRESS_HEADERS: &[&str] = &["forwarded", "x-forwarded-for", "x-real-ip"];

/// What addresses, and parameters of RFC 7239, are made of. Some proxies say that they know none: `(null)`.
fn says_addresses(value: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" \t.:,;=[]\"_%-/+".contains(byte);
    value.as_bytes().iter().all(plain) || value.as_bytes() == b"(null)"
}

/// Takes away what only our own TLS layer may say. What says no addresses where only they belong stays:
/// [`fault`] refuses it.
pub fn without_identity(headers: &mut HeaderMap) {
    for name in IDENTITY_HEADERS {
        let odd = ADDRESS_HEADERS.contains(name) && !headers.get_all(*name).iter().all(says_addresses);
        if !odd {
            headers.remove(*name);
        }
    }
}

/// Whether a head is larger than one may be, which the listener answers with 431 or by hanging up: for requests that
/// do not come from it.
#[must_use]
pub fn head_is_too_large(request: &Parts) -> bool {
    let line = request.method.as_str().len().saturating_add(request.uri.to_string().len());
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    // A line ends with two bytes, and two stand between a name and its value.
    let headers = headers.fold(0_usize, |all, length| all.saturating_add(length).saturating_add(4));
    let size = line.saturating_add(headers).saturating_add(12);
    request.headers.len() > MAX_HEADERS || u32::try_from(size).map_or(true, |size| size > MAX_HEAD)
}

/// By which a client finds its request again among its own, on every answer (FAPI 2.0 Implementation
/// Advice). What is no UUID is not repeated.
const INTERACTION_ID: &str = "x-fapi-interaction-id";

/// Whether it has the form of a UUID (RFC 9562 §4).
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

async fn identify(State(edge): State<Arc<EdgeConfig>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new(&*edge.clock, &*edge.entropy);
    without_identity(request.headers_mut());
    let told = Arc::new(edge.limiter.told(request.method().as_str(), request.uri().path()));
    let moves_money = (edge.moves_money)(request.method(), request.uri().path());
    let peer = request.extensions().get::<PeerIdentity>().cloned();
    let method = request.method().clone();
    let interaction =
        request.headers().get(INTERACTION_ID).filter(|given| is_uuid(given.as_bytes())).cloned();
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(Asked { id, moves_money });
    request.extensions_mut().insert(Arc::clone(&told));
    let seen = Seen::of(&edge, id, &mut request);
    let mut response = next.run(request).await;
    seen.answered(&edge, &told, &mut response);
    if let Some(Reason(reason)) = response.extensions().get() {
        let refused = Refused { id, reason, status: response.status(), method: &method, told: &told, peer };
        let stranger = refused.peer.as_ref().filter(|peer| peer.trusted().is_none());
        if let Some(peer) = stranger {
            edge.blocked.offend(peer.address.ip(), reason);
        }
        edge.evidence.note(&refused, edge.clock.now());
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    if let Some(interaction) = interaction {
        headers.insert(HeaderName::from_static(INTERACTION_ID), interaction);
    }
    tell(&told, headers);
    for (name, value) in SECURITY_HEADERS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// On every answer, unless a handler set its own.
const SECURITY_HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("strict-transport-security", "max-age=63072000"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

async fn count(State(edge): State<Arc<EdgeConfig>>, request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<PeerIdentity>() else { return next.run(request).await };
    if peer.trusted().is_none() && edge.blocked.blocks(peer.address.ip()) {
        return (edge.refuse)(Refusal::Blocked, asked_of(&request));
    }
    let key = key_of(peer);
    let told = request.extensions().get::<Arc<Told>>().map(|told| &**told);
    // What is over a quota is no load that everybody has to share.
    let counted = edge.limiter.count(Partition::Peer, &key, told).map_err(Refusal::TooMany);
    if counted.is_ok() {
        let wait = edge
            .limiter
            .at_once(Partition::Peer)
            .map_or(Duration::ZERO, |quota| edge.overload.wait(&key, quota));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
    match counted.and_then(|()| edge.overload.enter(&key).map_err(Refusal::Overloaded)) {
        Ok(_working) => next.run(request).await,
        Err(refusal) => {
            // Whoever is sent away for what others ask does nothing wrong.
            let exceeds = matches!(refusal, Refusal::TooMany(_)) && edge.overload.exceeds(&key);
            let mut response = (edge.refuse)(refusal, asked_of(&request));
            if exceeds {
                response.extensions_mut().insert(Excess);
            }
            response
        }
    }
}

async fn inspect(State(edge): State<Arc<EdgeConfig>>, request: Request, next: Next) -> Response {
    let asked = asked_of(&request);
    let (parts, body) = request.into_parts();
    match fault(&parts, edge.max_body) {
        None => next.run(Request::from_parts(parts, body)).await,
        Some(refusal) => {
            if let Refusal::BodyTooLarge(_) = refusal {
                linger(body);
            }
            (edge.refuse)(refusal, asked)
        }
    }
}

/// Shows the request to the filter. Looking is dearer than counting, and comes after it.
async fn look_into(State(edge): State<Arc<EdgeConfig>>, request: Request, next: Next) -> Response {
    let Some(filter) = &edge.filter else { return next.run(request).await };
    let asked = asked_of(&request);
    match filtered(filter, &edge.overload, edge.max_body, request).await {
        Ok((request, judgement)) => {
            let mut response = next.run(request).await;
            if !judgement.objections.is_empty() {
                report(&judgement, &mut response);
            }
            response
        }
        Err(refusal) => (edge.refuse)(refusal, asked),
    }
}

/// Strangers are looked at in the lobby; handlers, and what they share, are at home.
async fn answer_at_home(State(edge): State<Arc<EdgeConfig>>, mut request: Request, next: Next) -> Response {
    let Some(rooms) = request.extensions_mut().remove::<Rooms>() else { return next.run(request).await };
    let asked = asked_of(&request);
    rooms.run(Room::Home, next.run(request)).await.unwrap_or_else(|| (edge.refuse)(Refusal::Panic, asked))
}

/// Longest time that a refused body is read to be thrown away, and most bytes.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Reads what is left of a refused body, within bounds. A connection that is
/// closed on a peer that still sends is reset, and the answer may be lost with it.
pub(crate) fn linger(body: Body) {
    tokio::spawn(tokio::time::timeout(LINGER, discard(body)));
}

async fn discard(mut body: Body) {
    let mut left = LINGER_BYTES;
    while left > 0 {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
    }
}

async fn deadline(State(edge): State<Arc<EdgeConfig>>, request: Request, next: Next) -> Response {
    let asked = asked_of(&request);
    match tokio::time::timeout(edge.deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (edge.refuse)(Refusal::TimedOut(edge.deadline), asked),
    }
}

pub(crate) fn asked_of(request: &Request) -> Asked {
    request.extensions().get::<Asked>().copied().unwrap_or_default()
}

/// Whether this is a name or an address, and a port at most (RFC 9110 §7.2).
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (name, rest) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => ("v6", rest),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let named =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let port = rest.strip_prefix(':');
    named && (rest.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)))
}

/// What is wrong with the head of a request: its method, the spelling of its path, its `Host`, what proxies
/// say of it (once [`without_identity`] has looked), an encoded body, a body that is said to be too large.
#[must_use]
pub fn fault(request: &Parts, max_body: usize) -> Option<Refusal> {
    let method = &request.method;
    if ![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
    {
        return Some(Refusal::Method);
    }
    let path = request.uri.path().to_ascii_lowercase();
    let odd = ["%00", "%2f", "%5c", "%2e", "/../", "/./", "//", ";", "\\"];
    // RFC 9112 §3.2.3, §3.2.4: a target without a path is for methods that we do not answer.
    let whole = path.starts_with('/') && !path.ends_with("/..") && !path.ends_with("/.");
    if !whole || odd.iter().any(|odd| path.contains(odd)) {
        return Some(Refusal::Path);
    }
    let headers = &request.headers;
    let hosts = headers.get_all(HOST).iter().count();
    let said = request.uri.authority().map(Authority::as_str);
    if hosts > 1 || (hosts == 0 && said.is_none()) {
        return Some(Refusal::Host);
    }
    // RFC 9113 §8.3.1, RFC 9112 §3.2.2: they say the same, or somebody is to be misled.
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    if said.zip(host).is_some_and(|(said, host)| !said.as_bytes().eq_ignore_ascii_case(host)) {
        return Some(Refusal::Host);
    }
    if !host.or(said.map(str::as_bytes)).is_some_and(is_host) {
        return Some(Refusal::Host);
    }
    if ADDRESS_HEADERS.iter().any(|name| headers.contains_key(*name)) {
        return Some(Refusal::Forwarded);
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Some(Refusal::Encoded);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    length.filter(|length| *length > max_body).map(|_| Refusal::BodyTooLarge(max_body))
}
