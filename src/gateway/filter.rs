//! What requests are held against: the descriptions of the interfaces that are checked in
//! under `openapi/`.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use edge::{Filter, Judgement, Objection, ObjectionKind};
use http::Method;
use http::request::Parts;
use waf::model::{Asked, Deviation, Model, Reason};

/// The interfaces that there are.
const DESCRIPTIONS: [&str; 2] =
    [include_str!("../../openapi/consentry.json"), include_str!("../../openapi/authorization.json")];

/// What orders are posted to begins with one of these.
const ORDERS: [&str; 3] = ["/v1/payments", "/v1/payment-batches", "/v1/mandates/"];

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
pub struct GatewayFilter {
    model: Model,
    refuse: bool,
}

impl GatewayFilter {
    /// The filter, or none where nothing is looked into. With `loopback` requests may name
    /// addresses of this machine, as in a sandbox.
    ///
    /// # Errors
    ///
    /// A description from which no model can be made.
    pub fn of(mode: FilterMode, loopback: bool) -> anyhow::Result<Option<Arc<dyn Filter>>> {
        if mode == FilterMode::Off {
            return Ok(None);
        }
        let documents = DESCRIPTIONS.map(serde_json::from_str).into_iter().collect::<Result<Vec<_>, _>>()?;
        let model =
            Model::of(&documents).context("the interface cannot be modelled")?.with_loopback(loopback);
        Ok(Some(Arc::new(Self { model, refuse: mode == FilterMode::Block })))
    }
}

impl Filter for GatewayFilter {
    fn judge(&self, request: &Parts, body: &Bytes) -> Judgement {
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let judged = self.model.judge(&Asked {
            method: request.method.as_str(),
            path: request.uri.path(),
            query: request.uri.query(),
            headers: &headers,
            body,
        });
        let path = request.uri.path();
        let moves_money =
            request.method == Method::POST && ORDERS.iter().any(|place| path.starts_with(place));
        let refused = self.refuse && !judged.answers_itself;
        // Which header is wanted, and what for, its reader tells.
        let told = |deviation: &Deviation| {
            let of_header = deviation.place.starts_with("header/");
            !(of_header && matches!(deviation.reason, Reason::Missing | Reason::Value))
        };
        let objections: Vec<_> = judged.deviations.into_iter().filter(told).map(objection).collect();
        Judgement { refused: refused && !objections.is_empty(), objections, moves_money }
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
