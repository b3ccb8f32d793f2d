//! What looks into whole requests before anybody acts on them.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use http_body_util::BodyExt;

use crate::hygiene::linger;
use crate::{Overload, Refusal};

/// A filter: it sees requests whole, and decides nothing else.
pub trait Filter: Send + Sync {
    /// What it has against a request.
    fn judge(&self, request: &Parts, body: &Bytes) -> Judgement;
}

/// What a filter has against a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Each thing, the gravest first.
    pub objections: Vec<Objection>,
    /// The request is refused for them; otherwise its answer tells of them.
    pub refused: bool,
}

/// One thing against a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// What kind of thing.
    pub kind: ObjectionKind,
    /// The word for it.
    pub reason: &'static str,
    /// Where: a name of the query or of a header, a JSON pointer into the body; never a value.
    pub place: String,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.reason, self.kind.part(), self.place)
    }
}

impl Judgement {
    /// All objections, in one line.
    #[must_use]
    pub fn told(&self) -> String {
        self.objections.iter().map(Objection::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Kinds of objections, which decide how a refusal is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectionKind {
    /// There is no such path.
    Path,
    /// The path does not have the method.
    Method,
    /// What stands in the path names nothing.
    Resource,
    /// A parameter of the query is not as described.
    Query,
    /// A header is not as described.
    Header,
    /// The body is of another media type.
    MediaType,
    /// The body cannot be read, or not in one way.
    Malformed,
    /// The body is not as described.
    Body,
    /// The request looks like an attack.
    Attack,
    /// There is too much in it to look at.
    Effort,
}

impl ObjectionKind {
    /// The part of a request that it is about.
    fn part(self) -> &'static str {
        match self {
            Self::Path | Self::Resource => "path",
            Self::Method => "method",
            Self::Query => "query",
            Self::Header | Self::MediaType => "header",
            Self::Malformed | Self::Body => "body",
            Self::Attack | Self::Effort => "request",
        }
    }
}

/// Tells clients of a sandbox what will be refused elsewhere.
const REPORT: HeaderName = HeaderName::from_static("consentry-filter-report");

/// Reads the whole body, and passes the request on if the filter lets it.
///
/// # Errors
///
/// Why it goes no further.
pub(crate) async fn filtered(
    filter: &Arc<dyn Filter>,
    overload: &Overload,
    max_body: usize,
    request: Request,
) -> Result<(Request, Judgement), Refusal> {
    let (parts, body) = request.into_parts();
    let body = whole(body, max_body).await?;
    let (parts, body, judgement) = judged(filter, overload, parts, body).await?;
    if judgement.refused {
        return Err(Refusal::Filtered(judgement));
    }
    Ok((Request::from_parts(parts, Body::from(body)), judgement))
}

/// Bodies of more bytes are looked into beside the threads that answer requests.
const LARGE: usize = 4 * 1024;

/// What the filter says of a request. One that takes long keeps no other waiting.
async fn judged(
    filter: &Arc<dyn Filter>,
    overload: &Overload,
    parts: Parts,
    body: Bytes,
) -> Result<(Parts, Bytes, Judgement), Refusal> {
    if body.len() <= LARGE {
        let judgement = filter.judge(&parts, &body);
        return Ok((parts, body, judgement));
    }
    let filter = Arc::clone(filter);
    let place = Arc::clone(&overload.large).acquire_owned().await.map_err(|_| Refusal::Panic)?;
    let looked = tokio::task::spawn_blocking(move || {
        let judgement = filter.judge(&parts, &body);
        drop(place);
        (parts, body, judgement)
    });
    looked.await.map_err(|_| Refusal::Panic)
}

/// A whole body of at most so many bytes, however it is announced.
///
/// # Errors
///
/// [`Refusal::BodyTooLarge`], or [`Refusal::BodyEndedEarly`].
pub async fn whole(mut body: Body, most: usize) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Refusal::BodyEndedEarly) };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > most {
            linger(body);
            return Err(Refusal::BodyTooLarge(most));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Writes into the answer what a stricter filter would have refused.
pub(crate) fn report(judgement: &Judgement, response: &mut Response) {
    // Names that a sender chose may hold what no header can.
    let told: String = judgement.told().chars().filter(|c| (' '..='~').contains(c)).take(1_000).collect();
    if let Ok(value) = HeaderValue::from_str(&told) {
        response.headers_mut().insert(REPORT, value);
    }
}
