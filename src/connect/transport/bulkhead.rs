//! A bank's share of us: so many calls at once, so many waiting, and not one
//! more. A bank that asks to be called less often gets fewer places, and gets
//! them back one by one while it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::InstitutionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Profile;

/// Good answers that earn a place back.
const EARNS_A_PLACE: u32 = 20;

/// One bulkhead per bank, made at its first call.
#[derive(Default)]
pub(super) struct Bulkheads(Mutex<HashMap<InstitutionId, Arc<Bulkhead>>>);

struct Bulkhead {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    size: (usize, usize),
    lowered: Mutex<Lowered>,
}

/// Places that are taken away for now.
#[derive(Default)]
struct Lowered {
    places: usize,
    /// Of them, those that are still in use.
    owed: usize,
    good: u32,
}

/// One call's place.
pub(super) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    bulkhead: Arc<Bulkhead>,
}

impl Bulkheads {
    /// Waits for a place. `None` at once if too many wait already.
    pub(super) async fn enter(&self, profile: &Profile) -> Option<Place> {
        let bulkhead = self.of(profile);
        let place = |permit| Place { permit: Some(permit), bulkhead: Arc::clone(&bulkhead) };
        if let Ok(permit) = Arc::clone(&bulkhead.running).try_acquire_owned() {
            return Some(place(permit));
        }
        let waiting = Arc::clone(&bulkhead.waiting).try_acquire_owned().ok()?;
        let permit = Arc::clone(&bulkhead.running).acquire_owned().await.ok();
        drop(waiting);
        permit.map(place)
    }

    fn of(&self, profile: &Profile) -> Arc<Bulkhead> {
        let size = (profile.limits.max_in_flight, profile.limits.max_waiting);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&profile.id) {
            Some(bulkhead) if bulkhead.size == size => Arc::clone(bulkhead),
            _ => {
                let most = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
                let (running, waiting) = (most(size.0), most(size.1));
                let bulkhead = Arc::new(Bulkhead { running, waiting, size, lowered: Mutex::default() });
                known.insert(profile.id.clone(), Arc::clone(&bulkhead));
                bulkhead
            }
        }
    }
}

impl Place {
    /// The bank wants fewer calls: half of its places go, one always stays.
    pub(super) fn too_many(&self) {
        let mut lowered = self.bulkhead.lowered();
        let now = self.bulkhead.size.0.saturating_sub(lowered.places);
        let gone = now.saturating_sub((now / 2).max(1));
        lowered.places = lowered.places.saturating_add(gone);
        let at_once = self.bulkhead.running.forget_permits(gone);
        lowered.owed = lowered.owed.saturating_add(gone.saturating_sub(at_once));
        lowered.good = 0;
    }

    /// The bank answered.
    pub(super) fn good(&self) {
        let mut lowered = self.bulkhead.lowered();
        if lowered.places == 0 {
            return;
        }
        lowered.good = lowered.good.saturating_add(1);
        if lowered.good >= EARNS_A_PLACE {
            lowered.good = 0;
            lowered.places = lowered.places.saturating_sub(1);
            match lowered.owed.checked_sub(1) {
                Some(owed) => lowered.owed = owed,
                None => self.bulkhead.running.add_permits(1),
            }
        }
    }
}

impl Bulkhead {
    fn lowered(&self) -> std::sync::MutexGuard<'_, Lowered> {
        self.lowered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lowered = self.bulkhead.lowered();
        if let Some(owed) = lowered.owed.checked_sub(1) {
            lowered.owed = owed;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bank_that_wants_fewer_calls_gets_half_and_earns_them_back() {
        let region = "eu".parse().unwrap();
        let mut profile =
            Profile::blank("de-examplebank".parse().unwrap(), "Example", region, "berlin-group");
        (profile.limits.max_in_flight, profile.limits.max_waiting) = (4, 0);
        let bulkheads = Bulkheads::default();
        let first = bulkheads.enter(&profile).await.unwrap();
        let more = [bulkheads.enter(&profile).await.unwrap(), bulkheads.enter(&profile).await.unwrap()];
        first.too_many();
        // One place was free and goes at once, one is owed by whoever leaves first.
        assert!(bulkheads.enter(&profile).await.is_none());
        drop(more);
        let second = bulkheads.enter(&profile).await.unwrap();
        assert!(bulkheads.enter(&profile).await.is_none());
        for _ in 0..EARNS_A_PLACE {
            second.good();
        }
        let third = bulkheads.enter(&profile).await.unwrap();
        assert!(bulkheads.enter(&profile).await.is_none());
        third.too_many();
        third.too_many();
        third.too_many();
        drop((first, second, third));
        let only = bulkheads.enter(&profile).await.unwrap();
        assert!(bulkheads.enter(&profile).await.is_none());
        drop(only);
    }
}
