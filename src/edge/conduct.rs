//! How a peer behaves on its connection: what HTTP permits and nobody needs in
//! such numbers.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::Closed;
use crate::lobby::Room;

/// Bytes that may come while no request begins and no body is taken: PING,
/// SETTINGS and empty frames cost us more than they cost the peer.
const UNSERVED: usize = 4 * 1024 * 1024;

/// How long a client has to keep to what it may ask before it need not give way any more.
pub(crate) const PROBATION: Duration = Duration::from_secs(2);

/// Requests that a client may break off before it matters how many it lets end.
const OF_CLIENT: u32 = 100;
/// The same of a stranger, such as a browser.
const OF_STRANGER: u32 = 20;

/// What one connection did so far.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    tolerated: u32,
    unserved: AtomicUsize,
    requests: AtomicU32,
    broken_off: AtomicU32,
    verdict: OnceLock<Closed>,
    judged: Notify,
    /// When it went on over what it may ask, if it has not kept to it since.
    exceeded: Mutex<Option<Instant>>,
    moves: Notify,
}

impl Conduct {
    /// Of a peer that did nothing so far: a client that we know, or a stranger.
    pub(crate) fn of(is_client: bool) -> Arc<Self> {
        let tolerated = if is_client { OF_CLIENT } else { OF_STRANGER };
        Arc::new(Self { tolerated, ..Self::default() })
    }

    /// Bytes came. False if they are too many.
    pub(crate) fn read(&self, bytes: usize) -> bool {
        let before = self.unserved.fetch_add(bytes, Ordering::Relaxed);
        let fine = before.saturating_add(bytes) <= UNSERVED;
        if !fine {
            self.end(Closed::Flood);
        }
        fine
    }

    /// True if bytes came that belong to no request so far.
    pub(crate) fn has_unserved(&self) -> bool {
        self.unserved.load(Ordering::Relaxed) > 0
    }

    fn served(&self) {
        self.unserved.store(0, Ordering::Relaxed);
    }

    /// A request begins; it is broken off if the guard is dropped before its end.
    pub(crate) fn begin(self: &Arc<Self>) -> Begun {
        self.served();
        self.requests.fetch_add(1, Ordering::Relaxed);
        Begun { conduct: Arc::clone(self), ended: false }
    }

    fn break_off(&self) {
        let broken_off = self.broken_off.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // Some clients give up often; one that does nothing else attacks.
        let most = self.requests.load(Ordering::Relaxed).checked_div(2).unwrap_or(0).max(self.tolerated);
        if broken_off > most {
            self.end(Closed::Resets);
        }
    }

    pub(crate) fn end(&self, reason: Closed) {
        if self.verdict.set(reason).is_ok() {
            self.judged.notify_one();
        }
    }

    /// It goes on over what it may ask. True if it did not before.
    pub(crate) fn exceed(&self) -> bool {
        let before = self.exceeded().replace(Instant::now());
        if before.is_none() {
            self.moves.notify_one();
        }
        before.is_none()
    }

    /// Whether it has to give way.
    pub(crate) fn is_excessive(&self) -> bool {
        self.exceeded().is_some()
    }

    fn exceeded(&self) -> MutexGuard<'_, Option<Instant>> {
        self.exceeded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has to give way, or need not any more: until it is served in another room than this.
    pub(crate) async fn moved(&self, from: Room) {
        loop {
            let exceeded = *self.exceeded();
            match (from, exceeded.and_then(|last| last.checked_add(PROBATION))) {
                (Room::Home, Some(_)) | (Room::Lobby, None) => return,
                (Room::Home, None) => self.moves.notified().await,
                (Room::Lobby, Some(pardoned)) => {
                    sleep_until(pardoned).await;
                    self.exceeded()
                        .take_if(|last| last.checked_add(PROBATION).is_none_or(|end| end <= Instant::now()));
                }
            }
        }
    }

    /// Waits until the connection has to end.
    pub(crate) async fn judged(&self) -> Closed {
        loop {
            if let Some(reason) = self.verdict() {
                return reason;
            }
            self.judged.notified().await;
        }
    }

    /// Why the connection has to end, if it has.
    pub(crate) fn verdict(&self) -> Option<Closed> {
        self.verdict.get().copied()
    }
}

/// A request that has begun.
pub(crate) struct Begun {
    conduct: Arc<Conduct>,
    ended: bool,
}

impl Begun {
    pub(crate) fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.ended {
            self.conduct.break_off();
        }
    }
}

/// A request body that says when something of it is taken.
pub(crate) struct Taken {
    pub(crate) inner: Incoming,
    pub(crate) conduct: Arc<Conduct>,
}

impl Body for Taken {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.data_ref().is_some_and(|data| !data.is_empty())
        {
            self.conduct.served();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_breaks_off_half_of_many_requests_is_sent_away() {
        let conduct = Conduct::of(true);
        for _ in 0..1_000 {
            conduct.begin().ended();
        }
        for _ in 0..900 {
            drop(conduct.begin());
        }
        assert_eq!(conduct.verdict(), None, "900 of 1900");
        for _ in 0..200 {
            drop(conduct.begin());
        }
        assert_eq!(conduct.verdict(), Some(Closed::Resets));
    }

    #[test]
    fn bytes_of_requests_are_no_flood() {
        let conduct = Conduct::of(true);
        for _ in 0..100 {
            assert!(conduct.read(UNSERVED));
            conduct.begin().ended();
        }
        assert!(conduct.read(UNSERVED) && !conduct.read(1));
        assert_eq!(conduct.verdict(), Some(Closed::Flood));
    }
}
