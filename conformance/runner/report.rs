//! What came of a run, for persons and for machines.

mod diff;
mod files;
mod html;
mod junit;
mod sarif;
mod signature;
mod terminal;

use serde::{Deserialize, Serialize};

use crate::case::Severity;
use crate::http::Exchange;
use crate::suite::{Baseline, Waiver};

pub use diff::{Change, diff};
pub use files::{read, write};
pub use signature::{Signer, verify};
pub use terminal::{Terminal, summary};

/// What came of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold, and must.
    Failed,
    /// It does not hold, and should.
    Warned,
    /// It does not hold, and somebody answers for that.
    Waived,
    /// It could not be played.
    Blocked,
    /// It is not about this target.
    NotApplicable,
    /// It was not played this time.
    Skipped,
    /// It is never played here, for a reason.
    LeftOut,
}

impl Verdict {
    /// Whether a run with it has not passed.
    #[must_use]
    pub fn fails(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked)
    }

    /// Its name, as reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Warned => "warned",
            Self::Waived => "waived",
            Self::Blocked => "blocked",
            Self::NotApplicable => "not-applicable",
            Self::Skipped => "skipped",
            Self::LeftOut => "left-out",
        }
    }

    /// All that there are.
    pub const ALL: [Self; 8] = [
        Self::Passed,
        Self::Failed,
        Self::Warned,
        Self::Waived,
        Self::Blocked,
        Self::NotApplicable,
        Self::Skipped,
        Self::LeftOut,
    ];
}

/// One case, played by one client.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Of which profile.
    pub profile: String,
    /// Which case.
    pub case: String,
    /// Which client played it; empty where none is needed.
    pub client: String,
    /// What must hold.
    pub title: String,
    /// Where that is written.
    pub clause: String,
    /// How bad it is otherwise.
    pub severity: Severity,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, if it did not pass.
    pub says: String,
    /// Who answers for it.
    pub waiver: Option<Waiver>,
    /// How long it took, in milliseconds.
    pub ms: u128,
    /// What else was seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was asked and answered, without secrets. In files of its own.
    #[serde(skip)]
    pub exchanges: Vec<Exchange>,
}

impl Outcome {
    /// What names it among all others.
    #[must_use]
    pub fn key(&self) -> String {
        if self.client.is_empty() { self.case.clone() } else { format!("{} [{}]", self.case, self.client) }
    }

    /// Takes known failures into account. One whose day has passed counts no more.
    pub fn waive(&mut self, baseline: &Baseline, today: jiff::civil::Date) {
        let Some(waiver) = baseline.of(&self.case, &self.client) else { return };
        if matches!(self.verdict, Verdict::Failed | Verdict::Warned | Verdict::Blocked) {
            if waiver.expires < today {
                self.says = format!("{}; its waiver expired on {}", self.says, waiver.expires);
            } else {
                self.verdict = Verdict::Waived;
            }
            self.waiver = Some(waiver.clone());
        }
    }
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// What made it.
    pub runner: String,
    /// The profiles that were run.
    pub profiles: Vec<String>,
    /// What was judged.
    pub target: String,
    /// When it began.
    pub started: jiff::Timestamp,
    /// How long it took, in milliseconds.
    pub ms: u128,
    /// Where it ran: system and architecture.
    pub environment: String,
    /// SHA-256 of the configuration of the target, so that two runs can be compared.
    pub configuration: String,
    /// How many cases came out how.
    pub counts: std::collections::BTreeMap<&'static str, usize>,
    /// Waivers of cases that passed, or were not there: to be taken out.
    pub idle_waivers: Vec<String>,
    /// Each case.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Counts what came of the cases.
    pub fn count(&mut self, baseline: &Baseline) {
        for verdict in Verdict::ALL {
            let number = self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
            self.counts.insert(verdict.name(), number);
        }
        let used =
            |waiver: &Waiver| self.outcomes.iter().any(|outcome| outcome.waiver.as_ref() == Some(waiver));
        self.idle_waivers = baseline
            .waivers
            .iter()
            .filter(|waiver| !used(waiver))
            .map(|waiver| waiver.case.clone())
            .collect();
    }

    /// Whether nothing failed, and something passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.outcomes.iter().any(|outcome| outcome.verdict.fails())
            && self.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Passed)
    }
}
