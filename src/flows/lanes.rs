//! How many deliveries are under way, to each endpoint and in all: an endpoint that is slow, or away, holds up its
//! own events only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::WebhookId;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Deliveries under way at the same time, to all endpoints.
const IN_ALL: usize = 512;
/// To one endpoint.
const TO_ONE: usize = 32;
/// To one that did not answer, or badly, when it was last asked.
const TO_ONE_THAT_FAILS: usize = 1;

/// Which deliveries are under way.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lanes: Mutex<HashMap<WebhookId, Lane>>,
    /// Somebody left.
    room: Notify,
}

/// What is under way to one endpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    under_way: usize,
    fails: bool,
}

impl Lane {
    fn is_full(self) -> bool {
        self.under_way >= if self.fails { TO_ONE_THAT_FAILS } else { TO_ONE }
    }
}

impl Inner {
    /// Nothing panics while it holds the lock.
    fn lanes(&self) -> MutexGuard<'_, HashMap<WebhookId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// Endpoints to which nothing more can be sent now.
    pub(crate) fn full(&self) -> Vec<WebhookId> {
        let lanes = self.0.lanes();
        lanes.iter().filter(|(_, lane)| lane.is_full()).map(|(endpoint, _)| *endpoint).collect()
    }

    /// A place for one more delivery, if there is one.
    pub(crate) fn enter(&self, endpoint: WebhookId) -> Option<Place> {
        let mut lanes = self.0.lanes();
        if lanes.values().map(|lane| lane.under_way).sum::<usize>() >= IN_ALL {
            return None;
        }
        let lane = lanes.entry(endpoint).or_default();
        if lane.is_full() {
            return None;
        }
        lane.under_way = lane.under_way.saturating_add(1);
        Some(Place { endpoint, inner: Arc::clone(&self.0) })
    }

    /// Waits until somebody has left since the last time, at most so long; whether that was so.
    pub(crate) async fn room(&self, patience: Duration) -> bool {
        timeout(patience, self.0.room.notified()).await.is_ok()
    }
}

/// A delivery that is under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    endpoint: WebhookId,
    inner: Arc<Inner>,
}

impl Place {
    /// Notes whether the endpoint took what it was sent.
    pub(crate) fn went(&self, well: bool) {
        if let Some(lane) = self.inner.lanes().get_mut(&self.endpoint) {
            lane.fails = !well;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.inner.lanes();
        if let Some(lane) = lanes.get_mut(&self.endpoint) {
            lane.under_way = lane.under_way.saturating_sub(1);
            // What is not remembered did not fail.
            if lane.under_way == 0 && !lane.fails {
                lanes.remove(&self.endpoint);
            }
        }
        drop(lanes);
        self.inner.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use domain::{SystemClock, SystemEntropy};

    use super::*;

    fn endpoint() -> WebhookId {
        WebhookId::new(&SystemClock, &SystemEntropy)
    }

    /// As many places as there are to an endpoint.
    fn all(lanes: &Lanes, endpoint: WebhookId) -> Vec<Place> {
        std::iter::from_fn(|| lanes.enter(endpoint)).collect()
    }

    #[test]
    fn an_endpoint_takes_its_own_places_only() {
        let (lanes, one, other) = (Lanes::default(), endpoint(), endpoint());
        let taken = all(&lanes, one);
        assert_eq!((taken.len(), lanes.full()), (TO_ONE, vec![one]));
        assert_eq!(all(&lanes, other).len(), TO_ONE);
        drop(taken);
        assert!(lanes.full().is_empty() && lanes.enter(one).is_some());
    }

    #[test]
    fn an_endpoint_that_fails_is_asked_once_at_a_time_until_it_answers() {
        let (lanes, one) = (Lanes::default(), endpoint());
        let first = lanes.enter(one).unwrap();
        first.went(false);
        assert_eq!(lanes.full(), [one]);
        drop(first);
        assert!(lanes.full().is_empty());
        let again = lanes.enter(one).unwrap();
        assert!(lanes.enter(one).is_none());
        again.went(true);
        assert_eq!(all(&lanes, one).len(), TO_ONE - 1);
    }

    #[test]
    fn all_together_have_so_many_places() {
        let lanes = Lanes::default();
        let taken: Vec<_> = (0..IN_ALL).flat_map(|_| lanes.enter(endpoint())).collect();
        assert_eq!(taken.len(), IN_ALL);
        assert!(lanes.enter(endpoint()).is_none());
    }

    #[tokio::test]
    async fn who_waits_for_room_hears_of_it() {
        let (lanes, one) = (Lanes::default(), endpoint());
        let place = lanes.enter(one);
        assert!(!lanes.room(Duration::ZERO).await);
        drop(place);
        assert!(lanes.room(Duration::from_secs(10)).await);
    }
}
