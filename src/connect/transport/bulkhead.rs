//! A bank's share of us: so many calls at once, so many waiting, and not one more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::InstitutionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Profile;

/// One bulkhead per bank, made at its first call.
#[derive(Default)]
pub(super) struct Bulkheads(Mutex<HashMap<InstitutionId, Arc<Bulkhead>>>);

struct Bulkhead {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    size: (usize, usize),
}

impl Bulkheads {
    /// Waits for a place. `None` at once if too many wait already.
    pub(super) async fn enter(&self, profile: &Profile) -> Option<OwnedSemaphorePermit> {
        let bulkhead = self.of(profile);
        if let Ok(place) = Arc::clone(&bulkhead.running).try_acquire_owned() {
            return Some(place);
        }
        let waiting = Arc::clone(&bulkhead.waiting).try_acquire_owned().ok()?;
        let place = Arc::clone(&bulkhead.running).acquire_owned().await.ok();
        drop(waiting);
        place
    }

    fn of(&self, profile: &Profile) -> Arc<Bulkhead> {
        let size = (profile.limits.max_in_flight, profile.limits.max_waiting);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&profile.id) {
            Some(bulkhead) if bulkhead.size == size => Arc::clone(bulkhead),
            _ => {
                let most = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
                let bulkhead = Arc::new(Bulkhead { running: most(size.0), waiting: most(size.1), size });
                known.insert(profile.id.clone(), Arc::clone(&bulkhead));
                bulkhead
            }
        }
    }
}
