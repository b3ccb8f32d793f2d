//! The time that a request body may take.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

use crate::hygiene::asked_of;
use crate::{Closed, EdgeConfig, Refusal};

/// Lets a handler wait for a body only so long, and answers for it if the body
/// has not come by then.
pub(crate) async fn in_time(State(edge): State<Arc<EdgeConfig>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (asked, is_http1) = (asked_of(&request), request.version() < Version::HTTP_2);
    let late = Arc::new(AtomicBool::new(false));
    let (longest, sets) = (edge.body_timeout, Arc::clone(&late));
    let request = request
        .map(|inner| Body::new(Awaited { inner, ends: Box::pin(tokio::time::sleep(longest)), late: sets }));
    let response = next.run(request).await;
    if !late.load(Ordering::Relaxed) {
        return response;
    }
    edge.counters.count(Closed::BodyTimeout, edge.clock.now());
    let mut response = (edge.refuse)(Refusal::BodyTimedOut(longest), asked);
    if is_http1 {
        // Whatever still comes of the body must not be read as a request.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that is awaited until a point in time.
struct Awaited {
    inner: Body,
    ends: Pin<Box<Sleep>>,
    late: Arc<AtomicBool>,
}

/// The body took too long.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not arrive in time")
    }
}

impl std::error::Error for Late {}

impl hyper::body::Body for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        // What has arrived is taken, however late a handler asks for it.
        if polled.is_pending() && self.ends.as_mut().poll(cx).is_ready() {
            self.late.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new(Late))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
