//! Requests that other cells forward: who asks is read from the signed context, judged anew,
//! and takes the place of the cell that forwarded.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::{Clock, Region};
use edge::{Asked, PeerIdentity, ServerTls};
use http::{HeaderValue, Method};
use web::{Origin, Problem, ProblemCode};

use crate::Known;
use crate::context::CONTEXT;
use crate::context::{Context, ContextRefused};
use crate::places::regions_in;
use crate::route::SERVED;

/// What home knows of those who forward to it.
pub struct Arrivals {
    /// Our name.
    pub name: String,
    /// The regions that are at home here.
    pub here: BTreeSet<Region>,
    /// The other cells.
    pub peers: Known,
    /// How clients' certificates are judged.
    pub clients: ServerTls,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Lets a request in that a cell has forwarded, in the name of its client.
pub async fn arrive(State(arrivals): State<Arc<Arrivals>>, request: Request, next: Next) -> Response {
    match arrivals.admit(request).await {
        Ok(request) => {
            let regions = regions_in(request.uri().path());
            let mut response = next.run(request).await;
            served(&mut response, regions.iter().chain(&arrivals.here).next());
            response
        }
        Err(refused) => {
            tracing::warn!(target: "audit", reason = %refused, "What a cell forwarded is refused");
            let code = match refused {
                ContextRefused::Time => ProblemCode::HomeUnavailable,
                ContextRefused::Missing
                | ContextRefused::Stranger
                | ContextRefused::Signature
                | ContextRefused::Elsewhere
                | ContextRefused::Request => ProblemCode::ForwardingRefused,
            };
            Problem::new(code).detail(format!("Refused by the home cell: {refused}.")).into_response()
        }
    }
}

/// Says in an answer which region it comes from.
pub(crate) fn served(response: &mut Response, region: Option<&Region>) {
    if let Some(value) = region.and_then(|region| HeaderValue::from_str(region.as_str()).ok()) {
        response.headers_mut().entry(SERVED).or_insert(value);
    }
}

impl Arrivals {
    async fn admit(&self, mut request: Request) -> Result<Request, ContextRefused> {
        let cell = request.extensions().get::<PeerIdentity>().and_then(PeerIdentity::trusted);
        let shown = cell.ok_or(ContextRefused::Stranger)?.thumbprint;
        let peers = self.peers.load_full();
        let (certificate, from) = peers.with(&shown).ok_or(ContextRefused::Stranger)?;
        // Who asks here a second time what was answered elsewhere moves nothing here.
        if peers.originals.iter().any(|original| original == from) && request.method() != Method::GET {
            return Err(ContextRefused::Request);
        }
        let mut given = request.headers().get_all(CONTEXT).iter();
        let (Some(token), None) = (given.next(), given.next()) else { return Err(ContextRefused::Missing) };
        let token = token.to_str().map_err(|_| ContextRefused::Missing)?;
        let target = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let now = self.clock.now();
        let asked = (request.method().as_str(), target);
        let context = Context::verify(token, certificate, (from, &self.name), asked, now)?;
        let (id, chain) = (context.request()?, context.chain()?);
        let client = PeerIdentity::elsewhere(context.address, &self.clients, &chain, now).await;
        request.headers_mut().remove(CONTEXT);
        let moves_money = request.extensions().get::<Asked>().is_some_and(|asked| asked.moves_money);
        let extensions = request.extensions_mut();
        extensions.insert(client);
        extensions.insert(id);
        extensions.insert(Asked { id, moves_money });
        extensions.insert(Origin(context.origin));
        Ok(request)
    }
}
