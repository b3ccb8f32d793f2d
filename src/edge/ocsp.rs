//! Asking responders whether a client certificate is revoked (RFC 6960), with
//! a memory, so that a request waits for one at most once an hour.

mod http_source;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crypto::ocsp::{Answer, Question, Status};
use domain::Timestamp;

pub use http_source::HttpOcsp;

/// Brings the answer of a responder.
pub trait OcspSource: Send + Sync {
    /// Sends the request (DER) to the responder at this address, and answers
    /// with what it says (DER). It is not believed yet.
    fn fetch<'a>(&'a self, responder: &'a str, request: &'a [u8]) -> Fetched<'a>;
}

/// What becomes of a fetch.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, OcspFailed>> + Send + 'a>>;

/// Why a responder could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspFailed {
    /// The address is of a kind, host or network that is not permitted.
    #[error("the address of the responder is not permitted")]
    NotPermitted,
    /// Nobody answered in time, or not with an OCSP response.
    #[error("the responder does not answer")]
    NoAnswer,
}

/// Seconds after which a responder is asked again, though its answer holds
/// longer: a revocation shall be noticed.
const FRESH: i64 = 3_600;

/// Seconds for which a responder that failed is left alone.
const LEFT_ALONE: i64 = 60;

/// Most certificates that are remembered.
const MOST: usize = 10_000;

/// What responders said, by certificate. Meant to be shared by listeners and
/// to outlive reloads.
pub struct OcspCache {
    source: Arc<dyn OcspSource>,
    kept: Mutex<HashMap<[u8; 32], Place>>,
}

/// Whoever asks first asks for all: the others wait for the lock.
type Place = Arc<tokio::sync::Mutex<Kept>>;

/// What is known of a certificate.
#[derive(Default)]
struct Kept {
    answer: Option<Answer>,
    /// From when on the responder is asked again.
    again: Option<Timestamp>,
}

impl OcspCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(source: Arc<dyn OcspSource>) -> Self {
        Self { source, kept: Mutex::default() }
    }

    /// What is known, after asking if need be; `None` if nothing is.
    pub(crate) async fn status(&self, question: &Question, now: Timestamp) -> Option<Status> {
        let responder = question.responder()?;
        let place = self.place(question.key(), now);
        let mut kept = place.lock().await;
        if kept.again.is_none_or(|again| again <= now) {
            let again = match self.ask(question, responder, now).await {
                Ok(answer) => {
                    kept.answer = Some(answer);
                    let half = now.duration_until(answer.until).as_secs() / 2;
                    half.clamp(1, FRESH)
                }
                Err(why) => {
                    tracing::warn!(
                        ocsp.responder = responder,
                        error = why,
                        "OCSP at {responder} failed: {why}"
                    );
                    LEFT_ALONE
                }
            };
            kept.again = Some(crate::peer::after(now, again));
        }
        // RFC 6960 §4.2.2.1: what was said holds until it is said to end, and no longer.
        kept.answer.filter(|answer| now <= answer.until).map(|answer| answer.status)
    }

    async fn ask(&self, question: &Question, responder: &str, now: Timestamp) -> Result<Answer, String> {
        let answer = self.source.fetch(responder, question.request()).await.map_err(|why| why.to_string())?;
        question.read(&answer, now).map_err(|why| why.to_string())
    }

    fn place(&self, key: [u8; 32], now: Timestamp) -> Place {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(&key) {
            // What is being asked is locked, and stays.
            let due = |place: &Place| {
                place.try_lock().is_ok_and(|kept| kept.again.is_none_or(|again| again <= now))
            };
            kept.retain(|_, place| !due(place));
            if kept.len() >= MOST {
                kept.clear();
            }
        }
        Arc::clone(kept.entry(key).or_default())
    }
}

impl fmt::Debug for OcspCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcspCache").finish_non_exhaustive()
    }
}
