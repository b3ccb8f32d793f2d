//! How many requests one peer may make.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crypto::certificate::Thumbprint;

use crate::PeerIdentity;

/// Who is counted: the certificate if we trust it, else the address. A
/// certificate that anybody can make must not be a fresh start.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Certificate([u8; 32]),
    Address(IpAddr),
}

/// Counts requests per peer (GCRA, in this process).
#[derive(Debug)]
pub struct PeerLimiter {
    limiter: DefaultKeyedRateLimiter<Key>,
    counted: AtomicU32,
    clock: DefaultClock,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl PeerLimiter {
    /// Lets each peer make `per_second` requests, and `burst` at once.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let limiter = RateLimiter::keyed(quota);
        Self { limiter, counted: AtomicU32::new(0), clock: DefaultClock::default() }
    }

    /// Counts one request.
    ///
    /// # Errors
    ///
    /// How long to wait until the next one is let through.
    pub fn count(&self, peer: &PeerIdentity) -> Result<(), Duration> {
        // Peers that have been quiet are forgotten, or the table grows for ever.
        if self.counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP) {
            self.limiter.retain_recent();
        }
        let key = match peer.trusted() {
            Some(certificate) => Key::Certificate(bytes_of(&certificate.thumbprint)),
            None => Key::Address(peer.address.ip()),
        };
        self.limiter.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

/// Requests between two sweeps of the table.
const SWEEP: u32 = 16_384;

fn bytes_of(thumbprint: &Thumbprint) -> [u8; 32] {
    *thumbprint.as_bytes()
}
