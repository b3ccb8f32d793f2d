//! What the bank saw: one entry per request with the facts it verified, so
//! that a test can assert the other side of an exchange.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Timestamp;

/// Entries kept; older ones are forgotten.
const KEPT: usize = 2_000;

/// Something the bank checked about a request and found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The client certificate is a PSD2 certificate with the role needed.
    Role,
    /// The message signature is right and covers what it must.
    Signature,
    /// The access token is live and bound to the certificate.
    Token,
    /// The consent covers the access.
    Consent,
    /// The customer is said to be present.
    PsuPresent,
    /// The answer is that of an earlier request with the same key.
    Replay,
}

/// One request.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// When it arrived.
    pub at: Timestamp,
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// The caller's `X-Request-ID` or `x-fapi-interaction-id`.
    pub request_id: Option<String>,
    /// `organizationIdentifier` of the client certificate.
    pub organization_identifier: Option<String>,
    /// What was verified.
    pub facts: Vec<Fact>,
    /// Status of the answer.
    pub status: u16,
}

/// The journal of one bank. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<VecDeque<JournalEntry>>>);

impl Journal {
    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.lock().iter().cloned().collect()
    }

    /// Forgets all entries.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn add(&self, entry: JournalEntry) {
        let mut entries = self.lock();
        if entries.len() >= KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<JournalEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The facts of the request at hand, gathered while it is handled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Arc<Mutex<Vec<Fact>>>);

impl Facts {
    pub(crate) fn note(&self, fact: Fact) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }

    pub(crate) fn all(&self) -> Vec<Fact> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
