//! What time it is for the target.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The machine's time, and how far the target's is ahead of it.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_s: AtomicI64,
}

impl Clock {
    /// Unix seconds, as the target sees them.
    #[must_use]
    pub fn now(&self) -> i64 {
        Self::machine().as_second().saturating_add(self.ahead_s.load(Ordering::SeqCst))
    }

    /// The machine's time, for what is written down.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of this crate where the time comes from")]
    pub fn machine() -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    /// The target's time is so many seconds ahead of the machine's.
    pub fn set_ahead(&self, seconds: i64) {
        self.ahead_s.store(seconds, Ordering::SeqCst);
    }

    /// The target's time went on.
    pub fn move_on(&self, by: Duration) {
        self.ahead_s.fetch_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}
