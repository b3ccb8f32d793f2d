//! Says to everything below in which request it is done.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use edge::{Asked, PeerIdentity};
use store::occasion::Occasion;
use telemetry::Trail;

/// Answers a request, so that changes that it makes are said in the audit log to be of it.
pub async fn in_its_occasion(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let Some(asked) = extensions.get::<Asked>() else { return next.run(request).await };
    let shown = extensions.get::<PeerIdentity>().and_then(|peer| peer.certificate.as_ref());
    let occasion = Occasion { request: asked.id, certificate: shown.map(|shown| shown.thumbprint) };
    let trail = extensions.get::<Arc<Trail>>().cloned();
    // On the heap: what handlers need of the stack is enough without what lies around them.
    let answering = Box::pin(next.run(request));
    match trail {
        Some(trail) => trail.of(occasion.of(answering)).await,
        None => occasion.of(answering).await,
    }
}
