//! How quickly the requests of one client are begun.
//!
//! A quota lets a client ask a thousand things at once, which is a tenth of a second of work: whoever asks one thing
//! after that would wait for it, on our threads and for our databases. So what is asked at once is begun one by one,
//! as quickly as the whole quota takes half a second, but for a few that are begun at once.

use std::time::Duration;

use dashmap::DashMap;
use limits::Key;
use tokio::time::Instant;

/// In which a whole quota is begun.
const SPREAD: Duration = Duration::from_millis(500);
/// Requests of a client that are begun at once.
const AT_ONCE: u32 = 32;

/// When all that clients have asked so far is begun.
#[derive(Debug, Default)]
pub(crate) struct Pace(DashMap<Key, Instant>);

impl Pace {
    /// How long a request waits that comes now, of a client that may ask so many things at once.
    pub(crate) fn wait(&self, client: &Key, quota: u32, now: Instant) -> Duration {
        let each = SPREAD.checked_div(quota).unwrap_or(SPREAD);
        let mut begun = self.0.entry(client.clone()).or_insert(now);
        *begun = (*begun).max(now).checked_add(each).unwrap_or(now);
        let wait = begun.saturating_duration_since(now).saturating_sub(each.saturating_mul(AT_ONCE));
        if wait > SPREAD {
            // Somebody else bounds what comes, if anybody does.
            *begun = now.checked_add(SPREAD).unwrap_or(now);
            return SPREAD;
        }
        wait
    }

    /// Forgets clients of whom everything is begun.
    pub(crate) fn sweep(&self, now: Instant) {
        self.0.retain(|_, begun| *begun > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> Key {
        Key::Certificate([number; 32])
    }

    #[test]
    fn what_is_asked_at_once_is_begun_one_by_one() {
        let (pace, now) = (Pace::default(), Instant::now());
        let waits: Vec<_> = (0..1_000).map(|_| pace.wait(&client(1), 1_000, now)).collect();
        let at_once = usize::try_from(AT_ONCE).unwrap();
        assert!(waits[..at_once].iter().all(Duration::is_zero));
        assert_eq!(waits[at_once], Duration::from_micros(500));
        assert_eq!(waits[999], Duration::from_micros(500) * (1_000 - AT_ONCE));
        assert_eq!(pace.wait(&client(2), 1_000, now), Duration::ZERO, "the others do not wait");
    }

    #[test]
    fn nobody_waits_longer_whatever_comes() {
        let (pace, now) = (Pace::default(), Instant::now());
        assert!((0..100_000).all(|_| pace.wait(&client(1), 1_000, now) <= SPREAD));
        assert!(pace.wait(&client(1), 1_000, now) > SPREAD / 2);
    }

    #[test]
    fn who_asks_as_it_may_does_not_wait() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..10_000 {
            assert_eq!(pace.wait(&client(1), 1_000, now), Duration::ZERO);
            now += Duration::from_micros(500);
        }
        pace.sweep(now);
        assert!(pace.0.is_empty());
    }
}
