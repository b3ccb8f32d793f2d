//! Addresses that are not let in for a while, because of what came from them.
//!
//! Nobody who shows a certificate that we trust is counted here: they are known. The list is
//! this process's; whoever stands in front is told of it (`news`) and has that of all.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use dashmap::DashMap;
use domain::{Clock, Timestamp};
use jiff::SignedDuration;
use limits::Limiter;
use tokio::sync::Notify;

use crate::places::subscriber;

/// Addresses of which so much came that no more are counted.
const MOST: usize = 100_000;

/// Who offended, and who is blocked for it.
pub struct BlockList {
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
    offenders: DashMap<IpAddr, Offender>,
    news: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Offender {
    since: Timestamp,
    offences: u32,
    blocked: Option<(Timestamp, &'static str)>,
}

/// An address that is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The address; of IPv6, the first of the /64 that is meant.
    pub address: IpAddr,
    /// Until when.
    pub until: Timestamp,
    /// The last of the reasons.
    pub reason: &'static str,
}

impl fmt::Debug for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockList").finish_non_exhaustive()
    }
}

impl BlockList {
    /// An empty list, by the limiter's policies.
    #[must_use]
    pub fn new(limiter: Arc<Limiter>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { limiter, clock, offenders: DashMap::new(), news: Notify::new() })
    }

    /// Notes that something came from an address for which it may be blocked.
    pub fn offend(&self, address: IpAddr, reason: &'static str) {
        let Some(block) = self.limiter.block_for(reason) else { return };
        if block.never.iter().any(|network| network.contains(&address.to_canonical())) {
            return;
        }
        let now = self.clock.now();
        let address = subscriber(address);
        if self.offenders.len() >= MOST && !self.offenders.contains_key(&address) {
            self.sweep(now, block.within.get().into());
        }
        let fresh = Offender { since: now, offences: 0, blocked: None };
        let mut offender = self.offenders.entry(address).or_insert(fresh);
        if later(offender.since, block.within.get().into()) <= now && !offender.is_blocked(now) {
            *offender = fresh;
        }
        offender.offences = offender.offences.saturating_add(1);
        if offender.offences >= block.offences.get() && !offender.is_blocked(now) {
            offender.blocked = Some((later(now, block.seconds.get().into()), reason));
            drop(offender);
            tracing::warn!(target: "audit", reason, "An address is blocked");
            self.news.notify_waiters();
        }
    }

    /// Whether nobody is let in from an address.
    #[must_use]
    pub fn blocks(&self, address: IpAddr) -> bool {
        if self.offenders.is_empty() {
            return false;
        }
        let offender = self.offenders.get(&subscriber(address));
        offender.is_some_and(|offender| offender.is_blocked(self.clock.now()))
    }

    /// Everybody who is blocked, in the order of their addresses.
    #[must_use]
    pub fn all(&self) -> Vec<Blocked> {
        let now = self.clock.now();
        let blocked = self.offenders.iter().filter_map(|entry| {
            let (until, reason) = entry.value().blocked.filter(|(until, _)| *until > now)?;
            Some(Blocked { address: *entry.key(), until, reason })
        });
        let mut all: Vec<_> = blocked.collect();
        all.sort_by_key(|blocked| blocked.address);
        all
    }

    /// Waits until somebody is blocked.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn sweep(&self, now: Timestamp, within: i64) {
        self.offenders.retain(|_, offender| offender.is_blocked(now) || later(offender.since, within) > now);
    }
}

impl Offender {
    fn is_blocked(&self, now: Timestamp) -> bool {
        self.blocked.is_some_and(|(until, _)| until > now)
    }
}

fn later(from: Timestamp, seconds: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use domain::{ManualClock, SystemClock};
    use limits::Policies;

    use super::*;

    const TEXT: &str = "[load]\nin_flight = 1\nlag_ms = 1\n[block]\noffences = 3\nwithin = 60\nseconds = 900\n\
        reasons = [\"flood\"]\nnever = [\"192.0.2.0/24\"]\n";

    fn list() -> (Arc<BlockList>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let limiter = Arc::new(Limiter::new(Policies::parse(TEXT).unwrap()));
        (BlockList::new(limiter, clock.clone()), clock)
    }

    #[test]
    fn an_address_is_blocked_for_what_comes_often_and_for_a_while() {
        let (list, clock) = list();
        let [one, friend] = ["203.0.113.7", "192.0.2.7"].map(|text| text.parse().unwrap());
        for _ in 0..2 {
            list.offend(one, "flood");
        }
        clock.advance(61);
        for _ in 0..2 {
            list.offend(one, "flood");
        }
        (0..9).for_each(|_| list.offend(one, "aged"));
        assert!(!list.blocks(one), "two in a minute, and what is no offence");
        list.offend(one, "flood");
        assert!(list.blocks(one));
        let all = list.all();
        assert_eq!((all.len(), all[0].address, all[0].reason), (1, one, "flood"));
        (0..9).for_each(|_| list.offend(friend, "flood"));
        assert!(!list.blocks(friend));
        clock.advance(901);
        assert!(!list.blocks(one) && list.all().is_empty());
        list.offend(one, "flood");
        assert!(!list.blocks(one), "it begins anew");
    }

    #[test]
    fn a_subscriber_is_a_whole_network_of_ipv6() {
        let (list, _) = list();
        for last in 1..=3 {
            list.offend(format!("2001:db8:1:2::{last}").parse().unwrap(), "flood");
        }
        assert!(list.blocks("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert!(!list.blocks("2001:db8:1:3::1".parse().unwrap()));
    }
}
