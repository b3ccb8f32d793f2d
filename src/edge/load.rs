//! More to do than can be done in time: whoever asks the most is sent away first, so that
//! everybody else is answered as on any other day.
//!
//! What is measured is how late a task runs that has nothing to do: everything else in the
//! process is as late. While that is too long, the share of requests that one peer may make
//! shrinks, round by round; while it is not, the share grows back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use limits::{Key, Limiter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time between two looks at how late it is.
const BEAT: Duration = Duration::from_millis(10);
/// Looks per round.
const BEATS: u32 = 10;
/// Requests in a round that are nobody's fault.
const FLOOR: u32 = 5;
/// Everybody may make as many requests as there are.
const OPEN: u32 = u32::MAX;
/// When to come back.
const LATER: Duration = Duration::from_secs(1);

/// What a process does at once, and how late it is.
#[derive(Debug)]
pub struct Overload {
    limiter: Arc<Limiter>,
    in_flight: AtomicU32,
    /// Requests that one peer may make in a round.
    share: AtomicU32,
    round: DashMap<Key, u32>,
    /// Microseconds, of the last round.
    lag: AtomicU64,
    shed: AtomicU64,
}

/// A request that is worked on.
pub(crate) struct Working(Arc<Overload>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    /// Bounds are those of the limiter's policies.
    #[must_use]
    pub fn new(limiter: Arc<Limiter>) -> Arc<Self> {
        Arc::new(Self {
            limiter,
            in_flight: AtomicU32::new(0),
            share: AtomicU32::new(OPEN),
            round: DashMap::new(),
            lag: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        })
    }

    /// Lets a request of a peer in.
    ///
    /// # Errors
    ///
    /// When to come back.
    pub(crate) fn enter(self: &Arc<Self>, peer: &Key) -> Result<Working, Duration> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let working = Working(Arc::clone(self));
        let share = self.share.load(Ordering::Relaxed);
        let asked = {
            let mut asked = self.round.entry(peer.clone()).or_default();
            *asked = asked.saturating_add(1);
            *asked
        };
        if before >= self.limiter.load().in_flight.get() || asked > share {
            self.shed.fetch_add(1, Ordering::Relaxed);
            return Err(LATER);
        }
        Ok(working)
    }

    /// Requests that are worked on.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that were sent away.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// How late the process is.
    #[must_use]
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag.load(Ordering::Relaxed))
    }

    /// Looks how late it is, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut late = Duration::ZERO;
        let mut beats = 0;
        while !stop.is_cancelled() {
            let due = Instant::now().checked_add(BEAT).unwrap_or_else(Instant::now);
            tokio::time::sleep_until(due).await;
            late = late.saturating_add(due.elapsed());
            beats += 1;
            if beats == BEATS {
                self.judge(late.checked_div(BEATS).unwrap_or_default());
                (late, beats) = (Duration::ZERO, 0);
            }
        }
    }

    /// Ends a round in which it was so late on average.
    fn judge(&self, late: Duration) {
        self.lag.store(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let most = self.round.iter().map(|entry| *entry.value()).max().unwrap_or(0);
        self.round.clear();
        let before = self.share.load(Ordering::Relaxed);
        let after = next(before, most, late, Duration::from_millis(self.limiter.load().lag_ms.get().into()));
        self.share.store(after, Ordering::Relaxed);
        if before == OPEN && after != OPEN {
            tracing::warn!(lag_ms = late.as_millis(), "There is more to do than can be done in time");
        }
    }
}

/// The share of the next round.
fn next(share: u32, most: u32, late: Duration, bound: Duration) -> u32 {
    if late > bound {
        let fewer = share.min(most).saturating_mul(7).checked_div(10).unwrap_or(FLOOR);
        return fewer.max(FLOOR);
    }
    if share == OPEN {
        return OPEN;
    }
    // It grows slowly where it is used up, and is gone once nobody needs it.
    let more = share.saturating_add(share.div_ceil(10));
    let needed = most >= share.checked_div(2).unwrap_or(0) || late > bound.checked_div(2).unwrap_or(bound);
    if needed { more } else { OPEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(50);

    fn overload(in_flight: u32) -> Arc<Overload> {
        let text = format!("[load]\nin_flight = {in_flight}\nlag_ms = 50\n");
        Overload::new(Arc::new(Limiter::new(limits::Policies::parse(&text).unwrap())))
    }

    #[test]
    fn who_asks_the_most_is_sent_away_and_nobody_else() {
        let overload = overload(1_000);
        let (many, few) = (Key::id("many"), Key::id("few"));
        let all = |key: &Key, times: u32| (0..times).filter(|_| overload.enter(key).is_ok()).count();
        assert_eq!((all(&many, 100), all(&few, 10)), (100, 10));
        overload.judge(Duration::from_millis(60));
        assert_eq!((all(&many, 100), all(&few, 10)), (70, 10));
        overload.judge(Duration::from_millis(60));
        assert_eq!((all(&many, 100), all(&few, 10)), (49, 10));
        (0..40).for_each(|_| overload.judge(Duration::from_millis(60)));
        assert_eq!((all(&many, 100), all(&few, 4)), (5, 4), "a share is never nothing");
        assert!(overload.shed() > 0 && overload.lag() == Duration::from_millis(60));
        overload.judge(Duration::from_millis(60));
        overload.judge(Duration::ZERO);
        assert_eq!(all(&many, 100), 100, "it is over when nobody asks more");
    }

    #[test]
    fn a_share_grows_back_slowly_while_it_is_used_up() {
        assert_eq!(next(70, 100, Duration::from_millis(1), BOUND), 77);
        assert_eq!(next(70, 10, Duration::from_millis(1), BOUND), OPEN);
        assert_eq!(next(70, 10, Duration::from_millis(30), BOUND), 77);
        assert_eq!(next(OPEN, 10, Duration::from_millis(1), BOUND), OPEN);
    }

    #[test]
    fn no_more_is_worked_on_than_fits() {
        let overload = overload(2);
        let places = [overload.enter(&Key::id("a")).ok(), overload.enter(&Key::id("b")).ok()];
        assert!(places.iter().all(Option::is_some));
        assert_eq!(overload.enter(&Key::id("c")).err(), Some(LATER));
        drop(places);
        assert_eq!(overload.in_flight(), 0);
        assert!(overload.enter(&Key::id("c")).is_ok());
    }
}
