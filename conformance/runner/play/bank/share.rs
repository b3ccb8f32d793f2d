//! One authorisation for several cases, where the bank's customer is a person who is asked each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Play;
use crate::case::{Step, Values};

/// What came of sequences, by client, name and what they were to do.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<BTreeMap<String, Values>>);

impl Play<'_> {
    /// Takes what another case left, or leaves it: so many steps need not be played.
    pub(in crate::play) fn shared(&mut self, step: &Step) -> usize {
        if !self.target.is.bank.as_ref().is_some_and(|bank| bank.share_consents) {
            return 0;
        }
        let wanted = self.values.get("permissions").cloned().unwrap_or_default();
        let key = format!("{} {} {wanted}", self.role, step.uses.as_deref().unwrap_or_default());
        let mut shared = self.known.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (step.skips.unwrap_or_default(), shared.get(&key)) {
            (0, _) => {
                shared.insert(key, self.values.clone());
                0
            }
            (_, None) => 0,
            (skips, Some(there)) => {
                self.values = there.clone();
                skips
            }
        }
    }
}
