//! Consents that were read a moment ago, with what a read under them begins with.
//!
//! Whoever begins with one of these may begin with what is no longer so: another process may have changed
//! it. Nothing leaves the house on the strength of that, since a read is noted only where its consent is
//! still at the revision that it began with ([`RegionalStore::note_read`](crate::RegionalStore::note_read)).
//! What this process changes it forgets here.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::ConsentId;
use moka::sync::Cache;

use crate::accounts::ConsentToRead;

/// For how long one is kept: a client that reads accounts reads their balances next.
const FOR: Duration = Duration::from_secs(10);
/// So many at most, of some 2 KiB each.
const MOST: u64 = 4_096;

/// Consents that were read a moment ago.
#[derive(Clone, Debug)]
pub(crate) struct Recent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    consents: Cache<ConsentId, Arc<ConsentToRead>>,
    /// How many changes there were.
    changes: RwLock<u64>,
}

/// How many changes there were before something was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before(u64);

impl Recent {
    pub(crate) fn new() -> Self {
        let consents = Cache::builder().max_capacity(MOST).time_to_live(FOR).build();
        Self(Arc::new(Inner { consents, changes: RwLock::default() }))
    }

    pub(crate) fn get(&self, id: ConsentId) -> Option<Arc<ConsentToRead>> {
        self.0.consents.get(&id)
    }

    /// To be called before a consent is read that is kept then.
    pub(crate) fn before(&self) -> Before {
        Before(*self.0.changes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a consent, unless anything was changed since before it was read.
    pub(crate) fn keep(&self, before: Before, consent: &Arc<ConsentToRead>) {
        let changes = self.0.changes.read().unwrap_or_else(PoisonError::into_inner);
        if *changes == before.0 {
            self.0.consents.insert(consent.consent.id, Arc::clone(consent));
        }
    }

    pub(crate) fn forget(&self, ids: &[ConsentId]) {
        let mut changes = self.0.changes.write().unwrap_or_else(PoisonError::into_inner);
        *changes = changes.wrapping_add(1);
        for id in ids {
            self.0.consents.invalidate(id);
        }
    }
}

/// The consents that a transaction changes: forgotten when it has ended, however it did.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    recent: Option<Recent>,
    ids: Vec<ConsentId>,
}

impl Touched {
    pub(crate) fn of(recent: Option<Recent>) -> Self {
        Self { recent, ids: Vec::new() }
    }

    pub(crate) fn note(&mut self, id: ConsentId) {
        self.ids.push(id);
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        if let Some(recent) = self.recent.as_ref().filter(|_| !self.ids.is_empty()) {
            recent.forget(&self.ids);
        }
    }
}
