//! What a request brings along that came in at another cell, and what it is told of others.

use std::sync::{Arc, Mutex, PoisonError};

use domain::ConsentId;

/// The origin at which a request came in, where that is not ours: what its DPoP proof is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub String);

/// The consents of a token, for whoever asks other homes for their part.
#[derive(Clone, Debug, Default)]
pub struct ForeignLegs(Arc<Mutex<Vec<ConsentId>>>);

impl ForeignLegs {
    /// Notes what a token holds.
    pub fn note(&self, consents: &[ConsentId]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(consents);
    }

    /// What was noted.
    #[must_use]
    pub fn consents(&self) -> Vec<ConsentId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
