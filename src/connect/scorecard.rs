//! What a bank's interface was found to be worth, by one authorisation and a few reads.

use domain::{InstitutionId, Timestamp};
use serde::{Deserialize, Serialize};

/// A scorecard, as `consentry conformance bank` writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Scorecard {
    /// Of which bank.
    pub bank: String,
    /// When it was judged.
    pub judged_at: Timestamp,
    /// What was looked at.
    pub marks: Vec<ScorecardMark>,
    /// Calls that were made.
    pub calls: u64,
    /// Time of the middle answer, in milliseconds.
    pub median_ms: u64,
    /// Time of the slowest answer, in milliseconds.
    pub slowest_ms: u64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ScorecardMark {
    /// What it is called.
    pub mark: String,
    /// `yes`, `no`, or `unseen` where nothing was there to tell.
    pub verdict: String,
    /// Why.
    pub detail: String,
}

/// The bank whose scorecard a file of this name holds: `ID.scorecard.json`.
#[must_use]
pub fn scorecard_of(file: &std::path::Path) -> Option<InstitutionId> {
    file.file_name()?.to_str()?.strip_suffix(".scorecard.json")?.parse().ok()
}
