//! Chance that a seed repeats.

use std::sync::atomic::{AtomicU64, Ordering};

/// A stream of numbers; a stream of its own for each actor, so that what one does
/// never shifts what another draws.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// The stream of an actor.
    pub fn of(seed: u64, actor: u64) -> Self {
        Self(AtomicU64::new(mixed(seed ^ mixed(actor.wrapping_add(1)))))
    }

    /// SplitMix64.
    pub fn next(&self) -> u64 {
        mixed(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }

    /// From zero to one below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of these.
    pub fn one_of<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        let place = usize::try_from(self.below(u64::try_from(all.len()).ok()?)).ok()?;
        all.get(place)
    }
}

fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
