//! What is kept of every refusal, of a request or of a connection: a count by reason, and an entry in the audit log.
//!
//! A flood of refusals must not become a flood of log lines. Of each reason so many entries
//! are written in a second; how many more there were, the next second says.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use domain::{RequestId, Timestamp};
use http::{Method, StatusCode};
use limits::Told;

use crate::PeerIdentity;

/// Why an answer is a refusal: the stable code that its sender sees. Whoever makes such an
/// answer puts this among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub &'static str);

/// Entries of one reason in a second.
const ENTRIES: u32 = 50;

/// Counts refusals, and writes entries of the target `audit`. May be shared by listeners.
#[derive(Debug, Default)]
pub struct Evidence {
    counts: DashMap<&'static str, AtomicU64>,
    written: Written,
}

/// What was written in a second, so that no more is.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    number: i64,
    reasons: Vec<(&'static str, u32)>,
}

/// A request that was refused.
pub(crate) struct Refused<'a> {
    pub(crate) id: RequestId,
    pub(crate) reason: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) method: &'a Method,
    pub(crate) told: &'a Told,
    pub(crate) peer: Option<PeerIdentity>,
}

impl Evidence {
    /// How many requests were refused for each reason.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<_> =
            self.counts.iter().map(|entry| (*entry.key(), entry.value().load(Ordering::Relaxed))).collect();
        counts.sort_unstable();
        counts
    }

    /// How many requests were refused for this reason.
    #[must_use]
    pub fn count(&self, reason: &str) -> u64 {
        self.counts.get(reason).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn note(&self, refused: &Refused<'_>, now: Timestamp) {
        self.counts.entry(refused.reason).or_default().fetch_add(1, Ordering::Relaxed);
        if !self.written.has_room(refused.reason, now) {
            return;
        }
        // An address is a person's more often than not; who has a certificate is named by it.
        let certificate = refused.peer.as_ref().and_then(|peer| peer.certificate.as_ref());
        tracing::info!(
            target: "audit",
            reason = refused.reason,
            request.id = %refused.id,
            status = refused.status.as_u16(),
            method = refused.method.as_str(),
            class = refused.told.class(),
            client.id = refused.told.client(),
            certificate = certificate.map(|certificate| certificate.thumbprint.to_string()),
            "Request refused"
        );
    }
}

impl Written {
    /// Whether there is room for one more entry in this second.
    pub(crate) fn has_room(&self, reason: &'static str, now: Timestamp) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != now.as_second() {
            second.number = now.as_second();
            for (reason, entries) in second.reasons.drain(..).filter(|(_, entries)| *entries > ENTRIES) {
                let more = entries.saturating_sub(ENTRIES);
                tracing::info!(target: "audit", reason, more, "More were refused for the same reason");
            }
        }
        let place = second.reasons.iter().position(|(known, _)| *known == reason);
        let place = place.unwrap_or_else(|| {
            second.reasons.push((reason, 0));
            second.reasons.len().saturating_sub(1)
        });
        second.reasons.get_mut(place).is_none_or(|(_, entries)| {
            *entries = entries.saturating_add(1);
            *entries <= ENTRIES
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_so_many_entries_in_a_second_and_every_count() {
        let evidence = Written::default();
        let now: Timestamp = "2026-11-27T10:00:00.5Z".parse().unwrap();
        let written = |reason, now, times: u32| (0..times).filter(|_| evidence.has_room(reason, now)).count();
        assert_eq!(written("quota.exceeded", now, 80), 50);
        assert_eq!(written("auth.scope", now, 3), 3, "each reason has its own");
        let later = "2026-11-27T10:00:01.1Z".parse().unwrap();
        assert_eq!(written("quota.exceeded", later, 10), 10);
    }
}
