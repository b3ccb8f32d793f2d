//! Reading a whole log once, and saying what is wrong with it.
//!
//! What is kept meanwhile is a frontier and the checkpoints, however long the log is.

use std::iter::Peekable;
use std::vec;

use domain::Timestamp;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::frontier::Frontier;
use crate::key::LogKey;
use crate::merkle::{Hash, leaf};

/// The checkpoints that a log is held against: those kept with it, and those that others were
/// given in time. In any order.
#[derive(Debug)]
pub struct Checkpoints {
    keys: Vec<LogKey>,
    origin: String,
    given: u64,
    trusted: Vec<Trusted>,
    findings: Findings,
}

/// Sorted as a log should have made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Trusted {
    at: Timestamp,
    size: u64,
    root: Hash,
}

/// Holds a log against checkpoints, entry by entry.
#[derive(Debug)]
pub struct Verifier {
    checkpoints: u64,
    /// By size; those that the entries have not come to.
    waiting: Peekable<vec::IntoIter<Trusted>>,
    /// Over the entries as they are, as long as none is missing.
    written: Frontier,
    /// Over the hashes that are kept of them, from where those differ.
    kept: Option<Frontier>,
    last: Option<u64>,
    /// What follows all entries so far.
    next: u64,
    agreed: u64,
    verified: u64,
    covered: u64,
    findings: Findings,
}

/// What a log was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// How many entries the log has, counted from its beginning to the first that is missing.
    pub size: u64,
    /// The root over these.
    pub root: Hash,
    /// How many checkpoints it was held against.
    pub checkpoints: u64,
    /// How many of them have the root that the entries have. Beyond a missing entry none can.
    pub verified: u64,
    /// How many entries the largest of these has: what comes later, no signature vouches for.
    pub covered: u64,
    /// What is wrong: first with the checkpoints, then with the entries in their order. The log
    /// is sound if this is empty.
    pub findings: Vec<Finding>,
    /// How many findings more there are, of entries: a thousand of those are listed.
    pub unlisted: u64,
}

/// One thing that is wrong with a log. It names entries by their number, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A checkpoint is not in the form of one, of another log, or not signed by a known key.
    #[error("checkpoint {number} of those given does not count: {reason}")]
    Untrusted {
        /// Which, in the order they were given, from 1.
        number: u64,
        /// Why.
        reason: CheckpointError,
    },
    /// A checkpoint has fewer entries than an earlier one.
    #[error("the log had {size} entries at {at}, after it had {before}")]
    WentBack {
        /// When it was made.
        at: Timestamp,
        /// Its entries.
        size: u64,
        /// The entries of the earlier one.
        before: u64,
    },
    /// Two histories were signed.
    #[error("two checkpoints of {size} entries have different roots")]
    Forked {
        /// The entries of both.
        size: u64,
    },
    /// Entries were taken out.
    #[error("{}", missing(*.first, *.last))]
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// An entry follows itself.
    #[error("entry {sequence} is repeated")]
    Repeated {
        /// Which.
        sequence: u64,
    },
    /// An entry follows one that it should precede.
    #[error("entry {sequence} comes after entry {after}")]
    Disordered {
        /// Which.
        sequence: u64,
        /// The one it follows.
        after: u64,
    },
    /// An entry is not what it was when its hash was taken; or the hash was changed.
    #[error("entry {sequence} does not have the hash that is kept of it")]
    Changed {
        /// Which.
        sequence: u64,
    },
    /// Entries were changed, put in or exchanged, and their hashes with them.
    #[error("the first {size} entries are not those that were signed, the first {agreed} still are")]
    Rewritten {
        /// The entries of the checkpoint.
        size: u64,
        /// The entries of the last one that the log agreed with.
        agreed: u64,
    },
    /// The end was taken away.
    #[error("the log ends after {entries} entries, and {size} were signed")]
    Truncated {
        /// The entries of the largest checkpoint.
        size: u64,
        /// The number that follows the log's last entry.
        entries: u64,
    },
}

fn missing(first: u64, last: u64) -> String {
    if first == last {
        format!("entry {first} is missing")
    } else {
        format!("entries {first} to {last} are missing")
    }
}

impl Checkpoints {
    /// None yet, of the log with this origin, by these keys.
    #[must_use]
    pub fn new(keys: Vec<LogKey>, origin: impl Into<String>) -> Self {
        let findings = Findings::default();
        Self { keys, origin: origin.into(), given: 0, trusted: Vec::new(), findings }
    }

    /// Takes one as it was kept, with its signatures.
    pub fn add(&mut self, text: &str) {
        self.given += 1;
        let read = SignedCheckpoint::parse(text).and_then(|read| read.verify(&self.keys, &self.origin));
        match read {
            Ok(checkpoint) => {
                let (at, size, root) = (checkpoint.at, checkpoint.size, checkpoint.root);
                self.trusted.push(Trusted { at, size, root });
            }
            Err(reason) => self.findings.add(Finding::Untrusted { number: self.given, reason }),
        }
    }

    /// Compares them with each other, and begins to read the log.
    #[must_use]
    pub fn into_verifier(mut self) -> Verifier {
        self.trusted.sort_unstable();
        let mut before = 0;
        for &Trusted { at, size, .. } in &self.trusted {
            if size < before {
                self.findings.add(Finding::WentBack { at, size, before });
            }
            before = before.max(size);
        }
        self.trusted.sort_unstable_by_key(|trusted| (trusted.size, trusted.root));
        for pair in self.trusted.windows(2) {
            if let [one, other] = pair
                && one.size == other.size
                && one.root != other.root
            {
                self.findings.add(Finding::Forked { size: one.size });
            }
        }
        let mut verifier = Verifier {
            checkpoints: self.given,
            waiting: self.trusted.into_iter().peekable(),
            written: Frontier::empty(),
            kept: None,
            last: None,
            next: 0,
            agreed: 0,
            verified: 0,
            covered: 0,
            findings: self.findings,
        };
        verifier.compare();
        verifier
    }
}

impl Verifier {
    /// Takes the next entry of the log, and the hash that is kept of it, if one is.
    pub fn entry(&mut self, sequence: u64, bytes: &[u8], kept_hash: Option<Hash>) {
        let hash = leaf(bytes);
        let kept_hash = kept_hash.unwrap_or(hash);
        let last = self.last.replace(sequence);
        if sequence < self.next {
            let other = last.filter(|after| *after != sequence);
            let disordered = other.map(|after| Finding::Disordered { sequence, after });
            self.findings.add_of_entry(disordered.unwrap_or(Finding::Repeated { sequence }));
        } else if sequence > self.next {
            self.findings.add_of_entry(Finding::Missing { first: self.next, last: sequence - 1 });
        }
        if kept_hash != hash {
            self.findings.add_of_entry(Finding::Changed { sequence });
        }
        let follows = sequence == self.written.size() && sequence == self.next;
        self.next = self.next.max(sequence.saturating_add(1));
        if follows {
            if kept_hash != hash && self.kept.is_none() {
                self.kept = Some(self.written.clone());
            }
            if let Some(kept) = &mut self.kept {
                kept.append(kept_hash);
            }
            self.written.append(hash);
            self.compare();
        }
    }

    /// The log has no more entries.
    pub fn finish(mut self) -> Report {
        if let Some(largest) = self.waiting.last()
            && largest.size > self.next
        {
            self.findings.add(Finding::Truncated { size: largest.size, entries: self.next });
        }
        Report {
            size: self.written.size(),
            root: self.written.root(),
            checkpoints: self.checkpoints,
            verified: self.verified,
            covered: self.covered,
            findings: self.findings.listed,
            unlisted: self.findings.unlisted,
        }
    }

    fn compare(&mut self) {
        let size = self.written.size();
        if self.waiting.peek().is_none_or(|next| next.size != size) {
            return;
        }
        let written = self.written.root();
        let kept = self.kept.as_ref().map(Frontier::root);
        let agreed = self.agreed;
        while let Some(Trusted { root, .. }) = self.waiting.next_if(|next| next.size == size) {
            if root == written {
                self.verified += 1;
                self.covered = size;
                self.agreed = size;
            } else if kept == Some(root) {
                // Entries that were changed are all there is to it, and are found already.
                self.agreed = size;
            } else {
                self.findings.add(Finding::Rewritten { size, agreed });
            }
        }
    }
}

/// Those of entries are only as many as one reads: a log that is wrong throughout would fill the
/// memory, and hide what its checkpoints say.
#[derive(Debug, Default)]
struct Findings {
    listed: Vec<Finding>,
    of_entries: usize,
    unlisted: u64,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        self.listed.push(finding);
    }

    fn add_of_entry(&mut self, finding: Finding) {
        if self.of_entries < MAX_OF_ENTRIES {
            self.of_entries += 1;
            self.listed.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

const MAX_OF_ENTRIES: usize = 1_000;

#[cfg(test)]
mod tests;
