//! What requests are held against: the descriptions of the interfaces that are checked in
//! under `openapi/`, and signatures of attacks in what these cannot type.
//!
//! The rules may change while requests are judged: what is in force is one value, which is
//! swapped when all of a change can be used.

mod evidence;
pub(crate) mod explain;
mod files;
pub(crate) mod policy;
mod watch;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use bytes::Bytes;
use domain::{Clock, Date};
use edge::{Filter, Judgement, Objection, ObjectionKind, PeerIdentity};
use http::Version;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use waf::model::{Asked, Deviation, Judged, Model, Part, Reason};
use waf::{OverBudget, Typed, Verdict};

pub use files::FilterFiles;
use files::{InForce, Route};
pub(crate) use watch::WatchedFilter;

/// The interfaces that there are.
const DESCRIPTIONS: [&str; 2] =
    [include_str!("../../openapi/consentry.json"), include_str!("../../openapi/authorization.json")];

/// The rule by which a body is not what its content type says.
const UNREADABLE: u64 = 9_100_010;

/// What becomes of a request that the filter has something against.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum FilterMode {
    /// Nothing is looked into.
    Off,
    /// It passes, and its answer tells of it, as developers want it.
    #[default]
    Report,
    /// It is refused.
    Block,
}

/// The filter of the gateway.
pub(crate) struct GatewayFilter {
    model: Model,
    /// What becomes of requests where the policy says nothing else.
    mode: FilterMode,
    files: FilterFiles,
    in_force: ArcSwap<InForce>,
    clock: Arc<dyn Clock>,
}

impl GatewayFilter {
    /// The filter, or none where nothing is looked into. With `loopback` requests may name
    /// addresses of this machine, as in a sandbox.
    ///
    /// # Errors
    ///
    /// A description from which no model can be made, a policy that is none, rules that do not
    /// load, or whose tests fail.
    pub(crate) fn of(
        mode: FilterMode,
        loopback: bool,
        files: FilterFiles,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        // A policy may want a route to be looked into all the same.
        if mode == FilterMode::Off && files.policy.is_none() {
            return Ok(None);
        }
        let documents = DESCRIPTIONS.map(serde_json::from_str).into_iter().collect::<Result<Vec<_>, _>>()?;
        let model =
            Model::of(&documents).context("the interface cannot be modelled")?.with_loopback(loopback);
        let in_force = InForce::load(&files, &model, domain::utc_day(clock.now()))?;
        Ok(Some(Arc::new(Self { model, mode, files, in_force: ArcSwap::from_pointee(in_force), clock })))
    }

    /// Puts the files as they are now in the place of what is in force, if they can be used.
    fn take_up(&self) -> anyhow::Result<()> {
        let loaded = InForce::load(&self.files, &self.model, self.today())?;
        loaded.rules.compile_rest();
        self.in_force.store(Arc::new(loaded));
        Ok(())
    }

    fn compile_rest(&self) {
        self.in_force.load().rules.compile_rest();
    }

    fn today(&self) -> Date {
        domain::utc_day(self.clock.now())
    }
}

/// What signatures say of a request, if it is not too large or dear to be looked into.
type Inspected = Result<Verdict, OverBudget>;

/// A request as all layers see it.
struct Seen<'r> {
    request: &'r Parts,
    body: &'r [u8],
    headers: Vec<(&'r str, &'r [u8])>,
}

impl<'r> Seen<'r> {
    fn of(request: &'r Parts, body: &'r [u8]) -> Self {
        let given = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut headers: Vec<_> = given.collect();
        // What HTTP/2 calls :authority, rules know as Host.
        if let (false, Some(host)) = (request.headers.contains_key("host"), request.uri.authority()) {
            headers.push(("host", host.as_str().as_bytes()));
        }
        Self { request, body, headers }
    }

    fn asked(&self) -> Asked<'_> {
        let Parts { method, uri, .. } = self.request;
        let (headers, body) = (self.headers.as_slice(), self.body);
        Asked { method: method.as_str(), path: uri.path(), query: uri.query(), headers, body }
    }

    /// What signatures say of the parts that the model could not type.
    fn inspected(&self, typed: &Typed, in_force: &InForce, route: &Route) -> Inspected {
        let peer = self.request.extensions.get::<PeerIdentity>().map(|peer| peer.address.ip());
        let asked = waf::Request {
            method: self.request.method.as_str(),
            target: self.request.uri.path_and_query().map_or("/", |target| target.as_str()),
            protocol: protocol(self.request.version),
            headers: &self.headers,
            body: self.body,
            peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        in_force.rules.inspect_but(&asked, typed, &route.exempt)
    }
}

impl Filter for GatewayFilter {
    fn judge(&self, request: &Parts, body: &Bytes) -> Judgement {
        let (judgement, inspected) = self.judgement(request, body);
        if let Some(inspected) = inspected {
            evidence::tell_of(&inspected, request.extensions.get());
        }
        judgement
    }
}

impl GatewayFilter {
    /// What there is against a request, and what signatures said, where they were asked.
    pub(crate) fn judgement(&self, request: &Parts, body: &[u8]) -> (Judgement, Option<Inspected>) {
        let in_force = self.in_force.load();
        let path = request.uri.path();
        let route = in_force.route(|| self.model.operation(request.method.as_str(), path));
        let mode = route.mode.unwrap_or(self.mode);
        if mode == FilterMode::Off {
            return (Judgement::default(), None);
        }
        let seen = Seen::of(request, body);
        let mut judged = self.model.judge(&seen.asked());
        let mut objections = objections(&mut judged);
        let mut refused = !objections.is_empty() && !judged.answers_itself;
        // What is refused already need not be looked into.
        let asks = !(refused && mode == FilterMode::Block);
        let inspected = asks.then(|| seen.inspected(&judged.typed, &in_force, route));
        if let Some(attack) = inspected.as_ref().and_then(|it| attack(it, judged.answers_itself)) {
            objections.insert(0, attack);
            refused = true;
        }
        let refused = refused && mode == FilterMode::Block;
        (Judgement { objections, refused }, inspected)
    }
}

/// The protocol as rules know it: some ask of HTTP/1.1 what HTTP/2 does not have.
fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" }
}

/// What the model has against a request.
fn objections(judged: &mut Judged<'_>) -> Vec<Objection> {
    // Which header is wanted, and what for, its reader tells.
    let told = |deviation: &Deviation| {
        deviation.part != Part::Header || !matches!(deviation.reason, Reason::Missing | Reason::Value)
    };
    std::mem::take(&mut judged.deviations).into_iter().filter(told).map(objection).collect()
}

/// What signatures have against a request.
fn attack(inspected: &Inspected, answers_itself: bool) -> Option<Objection> {
    let (kind, reason) = match inspected {
        // Its handler says so, in words of its own.
        Ok(verdict) if answers_itself && verdict.refused_by == Some(UNREADABLE) => return None,
        Ok(verdict) if verdict.blocked => (ObjectionKind::Attack, "attack"),
        Ok(_) => return None,
        Err(_) => (ObjectionKind::Effort, "effort"),
    };
    Some(Objection { kind, reason, place: String::new() })
}

fn objection(deviation: Deviation) -> Objection {
    let Deviation { reason, part, place } = deviation;
    let kind = match (reason, part) {
        (Reason::Path, _) => ObjectionKind::Path,
        (Reason::MediaType, _) => ObjectionKind::MediaType,
        (Reason::Malformed | Reason::TooDeep, Part::Body) if place.is_empty() => ObjectionKind::Malformed,
        (_, Part::Path) => ObjectionKind::Resource,
        (_, Part::Method) => ObjectionKind::Method,
        (_, Part::Query) => ObjectionKind::Query,
        (_, Part::Header) => ObjectionKind::Header,
        (_, Part::Body) => ObjectionKind::Body,
    };
    Objection { kind, reason: reason.code(), place }
}
