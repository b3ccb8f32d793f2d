//! What requests are held against: the descriptions of the interfaces that are checked in
//! under `openapi/`, and signatures of attacks in what these cannot type.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use domain::Date;
use edge::{Filter, Judgement, Objection, ObjectionKind, PeerIdentity};
use http::Method;
use http::request::Parts;
use waf::model::{Asked, Deviation, Judged, Model, Reason};
use waf::{RuleSet, Settings, Sources, Typed};

/// The interfaces that there are.
const DESCRIPTIONS: [&str; 2] =
    [include_str!("../../openapi/consentry.json"), include_str!("../../openapi/authorization.json")];

/// What orders are posted to begins with one of these.
const ORDERS: [&str; 3] = ["/v1/payments", "/v1/payment-batches", "/v1/mandates/"];

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
        judged: &Judged,
    ) -> Option<Objection> {
        let typed = Typed::parameters(judged.typed.clone());
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
            let of_header = deviation.place.starts_with("header/");
            !(of_header && matches!(deviation.reason, Reason::Missing | Reason::Value))
        };
        let deviations = std::mem::take(&mut judged.deviations);
        let mut objections: Vec<_> = deviations.into_iter().filter(told).map(objection).collect();
        let mut refused = !objections.is_empty() && !judged.answers_itself;
        if !(refused && self.refuse)
            && let Some(attack) = self.signatures(request, &headers, body, &judged)
        {
            objections.insert(0, attack);
            refused = true;
        }
        let moves_money =
            request.method == Method::POST && ORDERS.iter().any(|place| path.starts_with(place));
        Judgement { objections, refused: refused && self.refuse, moves_money }
    }
}

fn objection(deviation: Deviation) -> Objection {
    let (part, place) = match deviation.place.split_once('/') {
        Some((part, _)) if part == "body" => (part, deviation.place.trim_start_matches("body").to_owned()),
        Some((part, name)) => (part, name.to_owned()),
        None => (deviation.place.as_str(), String::new()),
    };
    let kind = match (deviation.reason, part) {
        (Reason::Path, _) => ObjectionKind::Path,
        (Reason::Method, _) => ObjectionKind::Method,
        (Reason::MediaType, _) => ObjectionKind::MediaType,
        (Reason::Malformed | Reason::TooDeep, "body") if place.is_empty() => ObjectionKind::Malformed,
        (_, "path") => ObjectionKind::Resource,
        (_, "query") => ObjectionKind::Query,
        (_, "header") => ObjectionKind::Header,
        _ => ObjectionKind::Body,
    };
    Objection { kind, reason: deviation.reason.code(), place }
}

/// One request of a file that is played through the edge.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Replayed {
    /// Its name in the report.
    pub(crate) id: String,
    /// The method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names and values.
    #[serde(default)]
    pub(crate) headers: serde_json::Map<String, serde_json::Value>,
    /// The body.
    #[serde(default)]
    pub(crate) body: Option<String>,
    /// `allow` or `block`.
    pub(crate) expect: String,
}

/// Largest body in bytes.
pub(crate) const MAX_BODY: usize = 256 * 1024;

impl Replayed {
    /// What the edge, short of the token check, says of it: `allow`, or why it is refused.
    pub(crate) fn through(&self, filter: &GatewayFilter) -> Result<(), String> {
        let body = Bytes::from(self.body.clone().unwrap_or_default());
        if body.len() > MAX_BODY {
            return Err("body".to_owned());
        }
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.path.as_str());
        for (name, value) in &self.headers {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                request = request.header(name.as_str(), text);
            }
        }
        if !self.headers.keys().any(|name| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", "gateway.example");
        }
        // What no HTTP library takes, the listener does not take either.
        let (parts, ()) = request.body(()).map_err(|_| "malformed".to_owned())?.into_parts();
        if let Some(refusal) = edge::fault(&parts, MAX_BODY) {
            return Err(format!("{refusal:?}"));
        }
        let judgement = filter.judge(&parts, &body);
        if !judgement.refused {
            return Ok(());
        }
        let told = judgement.objections.iter();
        let told: Vec<_> =
            told.map(|one| format!("{} {}:{}", one.reason, one.kind.part(), one.place)).collect();
        Err(told.join(", "))
    }
}
