//! What requests are held against: the descriptions of the interfaces that are checked in
//! under `openapi/`, and signatures of attacks in what these cannot type.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use domain::Date;
use edge::{Filter, Judgement, Objection, ObjectionKind, PeerIdentity};
use http::request::Parts;
use waf::model::{Asked, Deviation, Judged, Model, Part, Reason};
use waf::{RuleSet, Settings, Sources, Typed};

/// The interfaces that there are.
const DESCRIPTIONS: [&str; 2] =
    [include_str!("../../openapi/consentry.json"), include_str!("../../openapi/authorization.json")];

/// The rule by which a body is not what its content type says.
const UNREADABLE: u64 = 9_100_010;

/// What becomes of a request that the filter has something against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
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
#[derive(Debug)]
pub(crate) struct GatewayFilter {
    model: Model,
    rules: RuleSet,
    refuse: bool,
}

impl GatewayFilter {
    /// The filter, or none where nothing is looked into. With `loopback` requests may name
    /// addresses of this machine, as in a sandbox; `crs` is the folder of a release of the
    /// Core Rule Set.
    ///
    /// # Errors
    ///
    /// A description from which no model can be made, or rules that do not load.
    pub(crate) fn of(
        mode: FilterMode,
        loopback: bool,
        crs: Option<&Path>,
        today: Date,
    ) -> anyhow::Result<Option<Self>> {
        if mode == FilterMode::Off {
            return Ok(None);
        }
        let documents = DESCRIPTIONS.map(serde_json::from_str).into_iter().collect::<Result<Vec<_>, _>>()?;
        let model =
            Model::of(&documents).context("the interface cannot be modelled")?.with_loopback(loopback);
        let rules = rules(crs, today)?;
        Ok(Some(Self { model, rules, refuse: mode == FilterMode::Block }))
    }

    /// What signatures say of the parts that the model could not type.
    fn signatures(
        &self,
        request: &Parts,
        headers: &[(&str, &[u8])],
        body: &[u8],
        judged: Judged<'_>,
    ) -> Option<Objection> {
        let typed = Typed::parameters(judged.typed);
        let typed = if judged.whole_body { typed.with_whole_body() } else { typed };
        let peer = request.extensions.get::<PeerIdentity>().map(|peer| peer.address.ip());
        let asked = waf::Request {
            method: request.method.as_str(),
            target: request.uri.path_and_query().map_or("/", |target| target.as_str()),
            protocol: "HTTP/1.1",
            headers,
            body,
            peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        let objection = |kind, reason| Objection { kind, reason, place: String::new() };
        match self.rules.inspect(&asked, &typed) {
            // Its handler says so, in words of its own.
            Ok(verdict) if judged.answers_itself && verdict.refused_by == Some(UNREADABLE) => None,
            Ok(verdict) if verdict.blocked => {
                let rules = verdict.rules();
                tracing::warn!(?rules, score = verdict.score, "A request looks like an attack");
                Some(objection(ObjectionKind::Attack, "attack"))
            }
            Ok(_) => None,
            Err(_) => Some(objection(ObjectionKind::Effort, "effort")),
        }
    }
}

/// Our own rules, and those of a release of the Core Rule Set.
fn rules(crs: Option<&Path>, today: Date) -> anyhow::Result<RuleSet> {
    let sources = match crs {
        Some(folder) => Sources::own().and(Sources::folder(folder)?),
        None => Sources::own(),
    };
    let (rules, _) = RuleSet::load(&sources, &Settings::new(today))?;
    Ok(rules)
}

impl Filter for GatewayFilter {
    fn judge(&self, request: &Parts, body: &Bytes) -> Judgement {
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let path = request.uri.path();
        let mut judged = self.model.judge(&Asked {
            method: request.method.as_str(),
            path,
            query: request.uri.query(),
            headers: &headers,
            body,
        });
        // Which header is wanted, and what for, its reader tells.
        let told = |deviation: &Deviation| {
            deviation.part != Part::Header || !matches!(deviation.reason, Reason::Missing | Reason::Value)
        };
        let deviations = std::mem::take(&mut judged.deviations);
        let mut objections: Vec<_> = deviations.into_iter().filter(told).map(objection).collect();
        let mut refused = !objections.is_empty() && !judged.answers_itself;
        if !(refused && self.refuse)
            && let Some(attack) = self.signatures(request, &headers, body, judged)
        {
            objections.insert(0, attack);
            refused = true;
        }
        Judgement { objections, refused: refused && self.refuse }
    }
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
