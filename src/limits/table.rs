//! What one policy has counted, by key.

use dashmap::DashMap;
use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::Key;

/// What was counted of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// When all of it will have come back (GCRA's theoretical arrival time), in nanoseconds
    /// since the policy was taken up.
    until: u64,
    /// What other processes do not know of yet.
    untold: u32,
}

/// Counts by key.
#[derive(Debug, Default)]
pub(crate) struct Table(DashMap<Key, Entry>);

impl Table {
    /// Notes what other processes are to be told.
    pub(crate) fn note(&self, key: &Key, cells: u32) {
        if let Some(mut entry) = self.0.get_mut(key) {
            entry.untold = entry.untold.saturating_add(cells);
        }
    }

    /// What other processes are to be told, and takes it as told.
    pub(crate) fn take_untold(&self) -> Vec<(Key, u32)> {
        let mut untold = Vec::new();
        for mut entry in self.0.iter_mut().filter(|entry| entry.untold > 0) {
            untold.push((entry.key().clone(), std::mem::take(&mut entry.untold)));
        }
        untold
    }

    /// Takes over what others have counted, too. What is counted here is never made less.
    pub(crate) fn raise(&self, key: &Key, until: u64) {
        let mut entry = self.0.entry(key.clone()).or_default();
        entry.until = entry.until.max(until);
    }

    /// When all of it will have come back.
    pub(crate) fn until(&self, key: &Key) -> u64 {
        self.0.get(key).map_or(0, |entry| entry.until)
    }

    /// Forgets who has everything back, or the table grows for ever.
    pub(crate) fn sweep(&self, now: u64) {
        self.0.retain(|_, entry| entry.until > now || entry.untold > 0);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl StateStore for Table {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(mut entry) = self.0.get_mut(key) {
            let (measured, until) = f(Some(Nanos::from(entry.until)))?;
            entry.until = until.as_u64();
            return Ok(measured);
        }
        let mut entry = self.0.entry(key.clone()).or_default();
        let before = (entry.until > 0).then(|| Nanos::from(entry.until));
        let (measured, until) = f(before)?;
        entry.until = until.as_u64();
        Ok(measured)
    }
}
