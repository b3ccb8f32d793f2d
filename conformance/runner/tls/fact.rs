//! What a probe found out.

use super::Unreachable;

/// What a fact means for the rule it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule is kept.
    Holds,
    /// Worth knowing, and no breach of a rule.
    Noted,
    /// The rule is broken.
    Fails,
    /// There was nothing to ask, for the reason that the sentence gives.
    Skipped,
}

/// One thing that a probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The probe's name, which is that of its function.
    pub probe: &'static str,
    /// Where the rule is written.
    pub clause: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// What was seen, in one sentence.
    pub sentence: String,
}

/// Why a probe found out nothing.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// No connection, so nothing is known.
    #[error("the server could not be asked")]
    Unreachable(#[from] Unreachable),
    /// The prober's own side is at fault.
    #[error("the prober could not prepare its side: {0}")]
    Own(String),
}

/// Makes the facts of one probe about one rule.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub probe: &'static str,
    pub clause: &'static str,
}

impl Rule {
    pub fn fact(self, verdict: Verdict, sentence: impl Into<String>) -> Fact {
        Fact { probe: self.probe, clause: self.clause, verdict, sentence: sentence.into() }
    }

    pub fn holds(self, sentence: impl Into<String>) -> Fact {
        self.fact(Verdict::Holds, sentence)
    }

    pub fn noted(self, sentence: impl Into<String>) -> Fact {
        self.fact(Verdict::Noted, sentence)
    }

    pub fn fails(self, sentence: impl Into<String>) -> Fact {
        self.fact(Verdict::Fails, sentence)
    }

    pub fn skipped(self, sentence: impl Into<String>) -> Fact {
        self.fact(Verdict::Skipped, sentence)
    }

    /// Holds or fails, each with its own sentence.
    pub fn check(self, kept: bool, holds: impl Into<String>, fails: impl Into<String>) -> Fact {
        if kept { self.holds(holds) } else { self.fails(fails) }
    }
}
