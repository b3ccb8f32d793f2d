//! What becomes known of a request once it is answered: figures, whose time it was, and whoever else is
//! told.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use domain::{Region, RequestId, Timestamp};
use http::{HeaderName, HeaderValue, Method};
use limits::Told;
use telemetry::{FIGURES, RequestLabels, Spent, TraceContext, Trail};

use crate::{EdgeConfig, PeerIdentity, Reason};

/// Where requests come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Where browsers ask for pages.
    Pages,
    /// Where clients ask, with their certificates.
    #[default]
    Api,
    /// Where other cells ask.
    Cells,
}

impl Side {
    /// What kind of peer asks here.
    fn class(self, peer: Option<&PeerIdentity>) -> &'static str {
        match self {
            Self::Pages => "browser",
            Self::Cells => "cell",
            Self::Api if peer.is_some_and(|peer| peer.trusted().is_some()) => "client",
            Self::Api => "stranger",
        }
    }
}

/// Who is told of every request that was answered.
pub trait Witness: Send + Sync {
    /// In which trace a request is: `given` is what its sender says.
    fn context(&self, given: Option<TraceContext>) -> Option<TraceContext>;

    /// A request was answered.
    fn answered(&self, answered: &Answered<'_>);
}

/// A request that was answered. Nothing here is a person's.
#[derive(Debug)]
pub struct Answered<'a> {
    /// Its id.
    pub id: RequestId,
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: &'a Method,
    /// Its route, as the description of the interface writes it; `other` for what is none.
    pub route: &'static str,
    /// Status of the answer.
    pub status: u16,
    /// Why it was refused, if it was: a code of the catalogue.
    pub reason: Option<&'static str>,
    /// What kind of peer asked.
    pub class: &'static str,
    /// Whose data it was about, where that can be said.
    pub region: Option<Region>,
    /// The client whose token it had.
    pub client: Option<&'a str>,
    /// What was noted meanwhile.
    pub trail: &'a Trail,
}

/// The header by which others trace a request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// By which anyone sees whose time it was (W3C Server Timing).
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Where a cell says whose data it has given.
const SERVED_REGION: &str = "x-served-region";

/// What is known of a request before it is answered.
pub(crate) struct Seen {
    id: RequestId,
    at: Timestamp,
    method: Method,
    route: &'static str,
    class: &'static str,
    region: Option<Region>,
    trail: Arc<Trail>,
}

impl Seen {
    /// Begins with a request, which carries its trail and its context from now on.
    pub(crate) fn of(edge: &EdgeConfig, id: RequestId, request: &mut Request) -> Self {
        let given = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()?.parse().ok());
        let context = edge.witness.as_ref().and_then(|witness| witness.context(given));
        let header = context.and_then(|context| HeaderValue::from_str(&context.to_string()).ok());
        match header {
            Some(header) => drop(request.headers_mut().insert(TRACEPARENT, header)),
            None => drop(request.headers_mut().remove(TRACEPARENT)),
        }
        let trail = Trail::begin(context);
        let route =
            request.extensions().get::<MatchedPath>().map_or("other", |path| FIGURES.known(path.as_str()));
        let class = edge.side.class(request.extensions().get());
        let region = (edge.region_of)(request.uri().path());
        request.extensions_mut().insert(Arc::clone(&trail));
        Self { id, at: edge.clock.now(), method: request.method().clone(), route, class, region, trail }
    }

    /// Tells of it, once there is an answer.
    pub(crate) fn answered(self, edge: &EdgeConfig, told: &Told, response: &mut Response) {
        let Self { id, at, method, route, class, region, trail } = self;
        let (all, at_banks) = (trail.took(), trail.at_banks());
        let ours = all.saturating_sub(at_banks);
        let timing =
            format!("gw;dur={}, bank;dur={}", millis(ours.as_micros()), millis(at_banks.as_micros()));
        if let Ok(value) = HeaderValue::from_str(&timing) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
        let served = || response.headers().get(SERVED_REGION)?.to_str().ok()?.parse().ok();
        let region = region.or_else(served).or(edge.only_region);
        let status = response.status().as_u16();
        let labels = RequestLabels {
            route,
            method: named(&method),
            status,
            client_class: class,
            region: region.map_or("none", |region| FIGURES.known(region.as_str())),
        };
        FIGURES.answered(labels, Spent { all, at_banks, trace: trail.context() });
        if let Some(witness) = &edge.witness {
            let reason = response.extensions().get().map(|Reason(reason)| *reason);
            let client = told.client();
            let method = &method;
            witness.answered(&Answered {
                id,
                at,
                method,
                route,
                status,
                reason,
                class,
                region,
                client,
                trail: &trail,
            });
        }
    }
}

/// Milliseconds with one place behind the point.
fn millis(micros: u128) -> String {
    let tenths = micros / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// One of the methods that there are.
fn named(method: &Method) -> &'static str {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
        .iter()
        .position(|known| known == method)
        .and_then(|place| ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].get(place))
        .copied()
        .unwrap_or("other")
}
