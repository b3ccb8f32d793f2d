//! Where a request goes: here, to another cell, or nowhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use crypto::SigningKey;
use crypto::certificate::Thumbprint;
use domain::{Clock, ConsentId, Region, RequestId, Timestamp};
use edge::{Asked, PeerIdentity};
use futures_util::future::BoxFuture;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Extensions, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use policy::{Denied, Engine, Forward};
use serde_json::{Map, Value, json};
use url::Url;
use web::{ForeignLegs, Problem, ProblemCode};

use crate::answers::{assemble, reason_of, whole, with};
use crate::arrive::served;
use crate::context::CONTEXT;
use crate::context::Context;
use crate::events::with_our_place;
use crate::forward::Unreachable;
use crate::places::regions_in;
use crate::{Across, Forwarder, Known, Neighbour, Peers, legs};

/// The region that an answer comes from.
pub(crate) const SERVED: HeaderName = HeaderName::from_static("x-served-region");

/// Reads of all consents of a token: every home answers, and the answers are put together.
const PUT_TOGETHER: [&str; 2] = ["/v1/accounts", "/v1/balances"];
/// Lists in pages: those of one home behind those of another.
const IN_PAGES: [&str; 4] = ["/v1/transactions", "/v1/consents", "/v1/payments", "/v1/mandates"];

/// A request that the rules do not let pass here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPassed {
    /// The home of what it is about.
    pub of: Region,
    /// The rules that forbid it, between spaces.
    pub rules: String,
    /// The request.
    pub request: Option<RequestId>,
    /// The certificate of its connection, if one was shown.
    pub certificate: Option<Thumbprint>,
}

/// Writes down what did not pass, and returns when that is kept.
pub type Note = Arc<dyn Fn(NotPassed) -> BoxFuture<'static, ()> + Send + Sync>;

/// What has happened: of every home, behind a place at each.
const EVENTS: &str = "/v1/events";
/// The same as it happens: of the regions here.
const STREAM: &str = "/v1/events/stream";

/// Tells the region of an institution.
pub type Institutions = Arc<dyn Fn(&str) -> Option<Region> + Send + Sync>;

/// What a cell knows of where requests go.
pub struct Routes {
    /// Our name.
    pub name: String,
    /// Our regions.
    pub here: BTreeSet<Region>,
    /// The regions through which a request passes that comes in here.
    pub through: BTreeSet<Region>,
    /// Decides what may pass.
    pub policy: Arc<Engine>,
    /// Writes down what did not.
    pub note: Note,
    /// The other cells.
    pub peers: Known,
    /// The region of an institution.
    pub institution: Institutions,
    /// The origin at which requests come in.
    pub origin: String,
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Whether browsers ask here, who are sent to the pages of a home.
    pub pages: bool,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Another cell, and the way to it.
pub(crate) type Home = (Neighbour, Forwarder);

/// Sends a request where the regions that it speaks of are at home.
pub async fn route(State(routes): State<Arc<Routes>>, mut request: Request, next: Next) -> Response {
    #[cfg(feature = "leaks")]
    crate::leak::of_request(&request);
    // Nobody says by a header what only a cell may say.
    request.headers_mut().remove(CONTEXT);
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && !routes.pages {
        if PUT_TOGETHER.contains(&path.as_str()) {
            return routes.put_together(request, next).await;
        }
        if path == EVENTS {
            return routes.events(request, next).await;
        }
        if path == STREAM {
            return match with_our_place(request) {
                Some(request) => next.run(request).await,
                None => Problem::new(ProblemCode::CursorInvalid).into_response(),
            };
        }
        if IN_PAGES.contains(&path.as_str()) {
            return routes.in_pages(request, next).await;
        }
    }
    let (request, regions) = match routes.regions_of(request).await {
        Ok(found) => found,
        Err(problem) => return refused(&path, problem),
    };
    let peers = routes.peers.load_full();
    match routes.home_of(&peers, &regions) {
        Ok(None) => {
            let mut response = next.run(request).await;
            served(&mut response, regions.first());
            response
        }
        Ok(Some(home)) => routes.across((home, &peers.key), request, &regions).await,
        Err(problem) => refused(&path, problem),
    }
}

/// A refusal. Those of the authorization server's addresses have the form of RFC 6749 §5.2.
fn refused(path: &str, problem: Problem) -> Response {
    if !path.starts_with("/oauth/") {
        return problem.into_response();
    }
    let passes = problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let (status, error) = if passes {
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
    } else {
        (StatusCode::BAD_REQUEST, "invalid_request")
    };
    let told = json!({ "error": error, "error_description": problem.title });
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(told)).into_response();
    if passes {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

impl Routes {
    /// The other cell whose regions these are; none, if they are ours or nobody's.
    fn home_of<'p>(&self, peers: &'p Peers, regions: &BTreeSet<Region>) -> Result<Option<&'p Home>, Problem> {
        let mut homes = peers.neighbours.iter().filter(|(cell, _)| !cell.regions.is_disjoint(regions));
        let Some(home) = homes.next() else { return Ok(None) };
        if homes.next().is_some() || !self.here.is_disjoint(regions) {
            return Err(Problem::new(ProblemCode::SeveralHomes));
        }
        Ok(Some(home))
    }

    /// The regions that a request speaks of, in its address and where orders are in its body.
    async fn regions_of(&self, request: Request) -> Result<(Request, BTreeSet<Region>), Problem> {
        let target = request.uri().path_and_query().map_or("", |it| it.as_str());
        let mut regions = regions_in(target);
        // A bank's own codes come back in addresses, too, and may look like anything.
        if let Some(query) = request.uri().query() {
            regions.extend(hints(query.as_bytes(), &["request_uri"]));
        }
        if !regions.is_empty() || request.method() != Method::POST {
            return Ok((request, regions));
        }
        let (parts, body) = request.into_parts();
        let whole = Limited::new(body, self.max_body).collect().await;
        let body = whole.map_err(|_| Problem::new(ProblemCode::BodyTooLarge))?.to_bytes();
        match serde_json::from_slice::<Value>(&body) {
            Ok(json) => self.in_json(&json, &mut regions),
            Err(_) => self.in_form(&body, &mut regions),
        }
        Ok((Request::from_parts(parts, Body::from(body)), regions))
    }

    /// Regions of ids and institutions in the members that name such.
    fn in_json(&self, json: &Value, regions: &mut BTreeSet<Region>) {
        match json {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(id) if name == "institution_id" => {
                            regions.extend((self.institution)(id));
                        }
                        Value::String(id) if name.ends_with("_id") || name == "refund_of" => {
                            regions.extend(regions_in(id));
                        }
                        Value::Object(_) | Value::Array(_) => self.in_json(value, regions),
                        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.in_json(item, regions)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The same of a form: of what was pushed, also inside a request object, and of what
    /// finds back to its home.
    fn in_form(&self, body: &Bytes, regions: &mut BTreeSet<Region>) {
        regions.extend(hints(body, &["code", "refresh_token", "auth_req_id", "request_uri"]));
        for (name, value) in url::form_urlencoded::parse(body) {
            match &*name {
                "authorization_details" => {
                    if let Ok(json) = serde_json::from_str::<Value>(&value) {
                        self.in_json(&json, regions);
                    }
                }
                "request" => {
                    if let Ok(claims) = crypto::jws::peek_claims(&value) {
                        self.in_json(&Value::Object(claims), regions);
                    }
                }
                _ => {}
            }
        }
    }

    /// A request about another cell's regions.
    async fn across(
        &self,
        (home, key): (&Home, &SigningKey),
        request: Request,
        regions: &BTreeSet<Region>,
    ) -> Response {
        let (cell, _) = home;
        if self.pages {
            return match request.method() {
                &Method::GET => {
                    to(&cell.pages, request.uri()).map_or_else(denied, |it| Redirect::to(&it).into_response())
                }
                _ => denied(),
            };
        }
        match cell.across {
            Across::Forward => match self.may_pass(regions, request.extensions()).await {
                Ok(()) => self.forward((home, key), request).await,
                Err(problem) => refused(request.uri().path(), problem),
            },
            Across::Redirect => to(&cell.api, request.uri())
                .map_or_else(denied, |it| Redirect::temporary(&it).into_response()),
            Across::Refuse => denied(),
        }
    }

    /// Whether the rules let a request about other regions pass here; the refusal, if they do not.
    async fn may_pass(&self, regions: &BTreeSet<Region>, request: &Extensions) -> Result<(), Problem> {
        let Err((of, denied)) = self.decide(regions) else { return Ok(()) };
        tracing::warn!(reason = %denied, "A request about another region may not pass");
        let peer = request.get::<PeerIdentity>().and_then(|peer| peer.certificate.as_ref());
        let not_passed = NotPassed {
            of,
            rules: denied.rules().collect::<Vec<_>>().join(" "),
            request: request.get::<Asked>().map(|asked| asked.id),
            certificate: peer.map(|shown| shown.thumbprint),
        };
        (self.note)(not_passed).await;
        let problem = Problem::new(ProblemCode::RegionDenied).forbidden_by(&denied);
        let moves_money = request.get::<Asked>().is_some_and(|asked| asked.moves_money);
        Err(if moves_money { problem.outcome("not_executed") } else { problem })
    }

    /// Whether another home is asked for its part of an answer; the refusal, if it is not.
    pub(crate) async fn may_ask(
        &self,
        cell: &Neighbour,
        regions: &BTreeSet<Region>,
        request: &Extensions,
    ) -> Result<(), Response> {
        match cell.across {
            Across::Forward => {
                let may = self.may_pass(regions, request).await;
                may.map_err(IntoResponse::into_response)
            }
            Across::Redirect | Across::Refuse => Err(denied()),
        }
    }

    fn decide(&self, regions: &BTreeSet<Region>) -> Result<(), (Region, Denied)> {
        for of in regions.iter().copied() {
            for through in self.through.iter().copied() {
                let decided = self.policy.decide(&Forward { of, through });
                drop(decided.map_err(|denied| (of, denied))?);
            }
        }
        Ok(())
    }

    pub(crate) async fn forward(&self, (home, key): (&Home, &SigningKey), request: Request) -> Response {
        let (cell, way) = home;
        let moves_money = request.extensions().get::<Asked>().is_some_and(|asked| asked.moves_money);
        let path = request.uri().path().to_owned();
        let (parts, body) = request.into_parts();
        let outcome = match self.envelope((&cell.name, &cell.address), key, &parts) {
            Some(head) => way.send(Request::from_parts(head, body)).await,
            None => Err(Unreachable::NoConnection),
        };
        match outcome {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                for name in [CONNECTION, TRANSFER_ENCODING] {
                    head.headers.remove(name);
                }
                let answer = Response::from_parts(head, Body::new(body));
                #[cfg(feature = "leaks")]
                let answer = crate::leak::of_answer(answer).await;
                answer
            }
            Err(why) => {
                tracing::warn!(cell = %cell.name, reason = %why, "A cell does not answer");
                let problem = Problem::new(ProblemCode::HomeUnavailable).retry_after(2);
                let outcome = match why {
                    Unreachable::NoConnection | Unreachable::Stranger => "not_executed",
                    Unreachable::NoAnswer => "unknown",
                };
                refused(&path, if moves_money { problem.outcome(outcome) } else { problem })
            }
        }
    }

    /// The head of a request as it goes to another cell, with the context of who asks.
    pub(crate) fn envelope(
        &self,
        (name, address): (&str, &Url),
        key: &SigningKey,
        parts: &Parts,
    ) -> Option<Parts> {
        let peer = parts.extensions.get::<PeerIdentity>()?;
        let target = parts.uri.path_and_query()?.as_str();
        let shown = peer.certificate.as_ref().map(|shown| Arc::clone(&shown.chain));
        let context = Context {
            iss: self.name.clone(),
            aud: name.to_owned(),
            iat: self.clock.now().as_second(),
            jti: parts.extensions.get::<Asked>().map(|asked| asked.id).unwrap_or_default().to_string(),
            htm: parts.method.as_str().to_owned(),
            htu: target.to_owned(),
            origin: self.origin.clone(),
            address: peer.address,
            x5c: Context::encode(shown.as_deref().unwrap_or_default()),
        };
        let uri = to(address, &parts.uri)?.parse::<Uri>().ok()?;
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = uri;
        head.headers = parts.headers.clone();
        // HTTP/2 has neither, and the length of a body that passes is not said twice.
        for name in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            head.headers.remove(name);
        }
        head.headers.insert(CONTEXT, context.sign(key)?.parse().ok()?);
        Some(head)
    }

    /// A read of all consents: ours, and of every other home of a consent of the token.
    async fn put_together(&self, mut request: Request, next: Next) -> Response {
        let peers = self.peers.load_full();
        let noted = ForeignLegs::default();
        request.extensions_mut().insert(noted.clone());
        let (parts, body) = request.into_parts();
        let copy = parts.clone();
        let ours = next.run(Request::from_parts(parts, body)).await;
        let consents = noted.consents();
        let of = |regions: &BTreeSet<Region>| {
            let theirs = consents.iter().filter(|consent| regions.contains(&consent.region()));
            theirs.copied().collect::<Vec<_>>()
        };
        let homes = peers.neighbours.iter().map(|home| (home, of(&home.0.regions)));
        let homes: Vec<_> = homes.filter(|(_, theirs)| !theirs.is_empty()).collect();
        if homes.is_empty() {
            return ours;
        }
        let asked = homes.into_iter().map(|(home, theirs)| {
            let ((cell, _), key) = (home, &peers.key);
            let request = Request::from_parts(copy.clone(), Body::empty());
            let regions = theirs.iter().map(ConsentId::region).collect();
            async move {
                match self.may_ask(cell, &regions, request.extensions()).await {
                    Ok(()) => (theirs, "FAILED", whole(self.forward((home, key), request).await).await),
                    Err(refused) => (theirs, "RESIDENCY_DENIED", Err(refused)),
                }
            }
        });
        let mut answers = futures_util::future::join_all(asked).await;
        let (held, ours) = (of(&self.here), whole(ours).await);
        match ours {
            // Without a consent of ours, ours is an empty list and nobody's answer.
            Ok(_) if held.is_empty() => {}
            Err(refused) if held.is_empty() => return refused,
            ours => answers.insert(0, (held, "FAILED", ours)),
        }
        put_in_one(answers, self.clock.now()).await
    }

    /// A list in pages: ours first, and then those of one home after the other. A cursor says
    /// whose page is next.
    async fn in_pages(&self, mut request: Request, next: Next) -> Response {
        let peers = self.peers.load_full();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let at = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "cursor").and_then(
            |(_, cursor)| cursor.split_once('~').map(|(home, inner)| (home.to_owned(), inner.to_owned())),
        );
        let noted = ForeignLegs::default();
        request.extensions_mut().insert(noted.clone());
        let by_token = request.uri().path() == "/v1/transactions";
        let (answer, from) = match at {
            None => (next.run(request).await, None),
            Some((home, inner)) => {
                let place = peers.neighbours.iter().position(|(cell, _)| label(cell) == Some(home.as_str()));
                let Some((place, way)) = place.and_then(|at| Some((at, peers.neighbours.get(at)?))) else {
                    return Problem::new(ProblemCode::CursorInvalid).into_response();
                };
                let (cell, _) = way;
                if let Err(refused) = self.may_ask(cell, &cell.regions, request.extensions()).await {
                    return refused;
                }
                let Some(request) = with(request, &[("cursor", &inner)]) else {
                    return Problem::new(ProblemCode::CursorInvalid).into_response();
                };
                (self.forward((way, &peers.key), request).await, Some(place))
            }
        };
        // Of a token's consents only the homes are asked that hold one.
        let consents = noted.consents();
        let wanted = |cell: &Neighbour| {
            let holds = consents.iter().any(|consent| cell.regions.contains(&consent.region()));
            let asked = cell.across == Across::Forward && (!by_token || from.is_some() || holds);
            asked && self.decide(&cell.regions).is_ok()
        };
        let after = from.map_or(0, |place| place.saturating_add(1));
        let following = peers.neighbours.iter().skip(after).map(|(cell, _)| cell).find(|cell| wanted(cell));
        let current = from.and_then(|place| peers.neighbours.get(place)).and_then(|(cell, _)| label(cell));
        if following.is_none() && current.is_none() {
            return answer;
        }
        match whole(answer).await {
            Ok((head, mut body)) => {
                continue_at(&mut body, current, following.and_then(label));
                assemble((head, body))
            }
            Err(refused) => refused,
        }
    }
}

/// What one home has said of some consents: what it has, or the refusal, and what that is called.
type Leg = (Vec<ConsentId>, &'static str, Result<(http::response::Parts, Map<String, Value>), Response>);

/// One answer out of those of several homes. Who has refused is named in it, unless all have.
async fn put_in_one(legs: Vec<Leg>, now: Timestamp) -> Response {
    let (mut all, mut left_out, mut refusal) = (None, Vec::new(), None);
    for (consents, status, answer) in legs {
        match (answer, &mut all) {
            (Ok(first), None) => all = Some(first),
            (Ok((_, more)), Some((_, into))) => legs::merge(into, more),
            (Err(refused), _) => {
                let (refused, why) = reason_of(refused).await;
                left_out.extend(consents.into_iter().map(|consent| (consent, status, why.clone())));
                refusal.get_or_insert(refused);
            }
        }
    }
    let Some((head, mut body)) = all else { return refusal.unwrap_or_else(denied) };
    for (consent, status, why) in left_out {
        legs::leave_out(&mut body, &consent, status, &why, now);
    }
    assemble((head, body))
}

/// Rewrites where the next page is: a page of `current`, before those of `following`.
fn continue_at(body: &mut Map<String, Value>, current: Option<&str>, following: Option<&str>) {
    let Some(Value::Object(page)) = body.get_mut("page") else { return };
    let inner = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
    let next = match (inner, current, following) {
        (Some(inner), Some(current), _) => Some(format!("{current}~{inner}")),
        (Some(inner), None, _) => Some(inner),
        (None, _, Some(following)) => Some(format!("{following}~")),
        (None, _, None) => None,
    };
    page.insert("has_more".to_owned(), next.is_some().into());
    match next {
        Some(next) => drop(page.insert("next_cursor".to_owned(), next.into())),
        None => drop(page.remove("next_cursor")),
    }
}

/// By what a cursor names a cell: its first region.
pub(crate) fn label(cell: &Neighbour) -> Option<&str> {
    cell.regions.first().map(Region::as_str)
}

/// Regions by which codes, refresh tokens and pushed requests find back.
fn hints(form: &[u8], names: &[&str]) -> BTreeSet<Region> {
    const PUSHED: &str = "urn:ietf:params:oauth:request_uri:";
    let mut found = BTreeSet::new();
    for (name, value) in url::form_urlencoded::parse(form) {
        if !names.contains(&&*name) {
            continue;
        }
        let token = value.strip_prefix(PUSHED).unwrap_or(&value);
        found.extend(token.split_once('.').and_then(|(region, _)| region.parse::<Region>().ok()));
    }
    found
}

/// The same path and query at another origin.
fn to(origin: &url::Url, uri: &Uri) -> Option<String> {
    let target = uri.path_and_query()?.as_str();
    Some(format!("{}{target}", origin.as_str().trim_end_matches('/')))
}

pub(crate) fn denied() -> Response {
    Problem::new(ProblemCode::RegionDenied).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_of_one_home_follow_those_of_another() {
        let page = |next: Option<&str>, current, following| {
            let mut body = json!({ "page": { "has_more": next.is_some(), "next_cursor": next } });
            let Value::Object(members) = &mut body else { unreachable!() };
            continue_at(members, current, following);
            (
                members["page"]["has_more"] == true,
                members["page"].get("next_cursor").map(|it| it.as_str().unwrap().to_owned()),
            )
        };
        let some = |text: &str| (true, Some(text.to_owned()));
        assert_eq!(page(Some("a.b"), None, Some("eu")), some("a.b"), "ours go on");
        assert_eq!(page(None, None, Some("eu")), some("eu~"), "ours are over");
        assert_eq!(page(Some("c"), Some("eu"), Some("fr")), some("eu~c"));
        assert_eq!(page(None, Some("eu"), Some("fr")), some("fr~"));
        assert_eq!(page(None, Some("fr"), None), (false, None), "all are over");
    }

    #[test]
    fn tokens_find_back_to_their_home() {
        let found = |form: &str| {
            let names = ["code", "refresh_token", "request_uri"];
            hints(form.as_bytes(), &names).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(hints(b"code=eu.of-a-bank", &["request_uri"]).is_empty());
        assert_eq!(found("grant_type=refresh_token&refresh_token=eu.abc"), ["eu"]);
        assert_eq!(found("request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Auk.abc"), ["uk"]);
        for form in ["code=abc", "code=EUR.abc", "token=eu.abc", "request_uri=https%3A%2F%2Feu.example%2F"] {
            assert_eq!(found(form), [""; 0], "{form}");
        }
    }
}
