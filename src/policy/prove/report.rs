//! What was proved.

use std::fmt;

use serde::Serialize;

use crate::invalid::InvalidPolicies;

/// The invariants hold, and the rules fail on no request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// What holds, of which action, of which half of the rules.
    pub held: Vec<Held>,
    /// How many rules never fail.
    pub rules: usize,
    /// How the mutants fared, if they were asked for.
    pub mutants: Option<Mutants>,
    /// How many questions the solvers answered.
    pub questions: usize,
}

/// Something that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The action.
    pub action: &'static str,
    /// The id of the invariant, or of the rule that never fails.
    pub id: String,
    /// What it says.
    pub says: String,
    /// Of what it holds.
    pub half: Half,
}

/// Of what an invariant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// The permits, without the forbids.
    Permits,
    /// The forbids, if everything else were permitted.
    Forbids,
    /// All rules together.
    All,
    /// One rule.
    Rule,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// What does not hold.
    pub what: Held,
    /// A request by which it is seen.
    pub example: String,
}

/// How the mutants of the rules fared: each was rejected, or changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mutants {
    /// How many there are.
    pub total: usize,
    /// How many do not pass the check of the files.
    pub invalid: usize,
    /// How many break an invariant, by the solver.
    pub rejected: usize,
    /// How many of those break one on a request of the tests already, by the evaluator.
    pub by_example: usize,
    /// Those of which each half decides every request as before, by the solver.
    pub equivalent: Vec<Survivor>,
}

/// A mutant that was not rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survivor {
    /// The rule that it is of.
    pub rule: String,
    /// What was changed.
    pub change: String,
    /// The rule as it is then.
    pub text: String,
}

/// Why nothing is proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveFailed {
    /// The files hold no rules.
    #[error("the rules are not valid")]
    Policies(#[from] InvalidPolicies),
    /// The solver did not answer.
    #[error("the solver gave no answer: {0}")]
    Solver(String),
    /// Invariants do not hold.
    #[error("{}", Lines(.0))]
    Broken(Vec<Broken>),
    /// The invariants hold, and would hold of other rules, too.
    #[error("rules with a mistake pass the proof:\n{}", Lines(.0))]
    Survived(Vec<Survivor>),
}

struct Lines<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Lines<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "\n" } else { "" })?;
            write!(f, "{line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = match self.half {
            Half::Permits => "the permits alone",
            Half::Forbids => "the forbids alone",
            Half::All => "all rules",
            Half::Rule => "this rule",
        };
        write!(f, "{:8} {:28} {half:18} {}", self.action, self.id, self.says)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DOES NOT HOLD  {}\n{}", self.what, self.example)
    }
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n{}", self.rule, self.change, self.text)
    }
}

impl fmt::Display for Mutants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} mutants: {} not valid, {} rejected by the solver ({} by a request of the tests, too), \
             {} change nothing",
            self.total,
            self.invalid,
            self.rejected,
            self.by_example,
            self.equivalent.len()
        )
    }
}

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for held in self.held.iter().filter(|held| held.half != Half::Rule) {
            writeln!(f, "holds  {held}")?;
        }
        write!(f, "no rule of {} fails on any request; {} questions", self.rules, self.questions)?;
        match &self.mutants {
            Some(mutants) => write!(f, "\n{mutants}"),
            None => Ok(()),
        }
    }
}
