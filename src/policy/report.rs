//! What a command line says of rules.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::engine::{Engine, Reason};
use crate::invalid::InvalidPolicies;
use crate::requests::Request;
use crate::rules::{NO_PERMIT, RULE_FAILED, Rules, UNKNOWN_REGION};
use crate::source::Source;
use crate::trial::{self, Answer, Outcome, Run};

/// Files that hold rules which may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The files.
    pub files: Vec<String>,
    /// How many rules they hold.
    pub rules: usize,
    /// How many tests passed.
    pub tests: usize,
}

/// Tests that were run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// Each of them.
    pub tests: Vec<Run>,
    /// The ids of rules that no test names.
    pub untested: Vec<Arc<str>>,
}

/// Why a request is answered as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The answer.
    pub decision: Answer,
    /// The rules that it is from, and what each of them says.
    pub rules: Vec<Reason>,
}

/// The text is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no request: {0}")]
pub struct InvalidRequest(String);

/// Checks files as a gateway does that starts with them.
///
/// # Errors
///
/// [`InvalidPolicies`] names everything that is wrong, with file, line and column.
pub fn check(folder: Option<&Path>) -> Result<Checked, InvalidPolicies> {
    let source = Source::read(folder)?;
    let rules = Rules::read(&source)?;
    let runs = trial::run(&source, &rules)?;
    InvalidPolicies::unless_none(trial::findings(&runs))?;
    let files = source.names().map(str::to_owned).collect();
    Ok(Checked { files, rules: rules.says().len(), tests: runs.len() })
}

/// Runs the tests that lie beside the rules. Those that fail are part of what is reported.
///
/// # Errors
///
/// [`InvalidPolicies`] if there are no rules that can be tested.
pub fn test(folder: Option<&Path>) -> Result<Tested, InvalidPolicies> {
    let source = Source::read(folder)?;
    let rules = Rules::read(&source)?;
    let tests = trial::run(&source, &rules)?;
    let named: BTreeSet<&Arc<str>> = tests.iter().flat_map(|run| &run.expected.rules).collect();
    let untested = rules.says().keys().filter(|id| !named.contains(id)).cloned().collect();
    Ok(Tested { tests, untested })
}

/// Says what the rules answer to a request in the form that tests have, and why.
///
/// # Errors
///
/// [`InvalidRequest`] says which field is wrong.
pub fn explain(engine: &Engine, request: &Value) -> Result<Explained, InvalidRequest> {
    let request = Request::read(request).map_err(|unreadable| InvalidRequest(unreadable.to_string()))?;
    Ok(engine.with_rules(|rules| {
        let Outcome { answer, rules: ids } = trial::outcome(rules, &request);
        let own = [NO_PERMIT, RULE_FAILED, UNKNOWN_REGION];
        let said = ids.into_iter().map(|rule| {
            let says = rules
                .says()
                .get(&rule)
                .cloned()
                .or_else(|| own.iter().find(|(id, _)| **id == *rule).map(|(_, says)| Arc::from(*says)));
            Reason { rule, says: says.unwrap_or_default() }
        });
        Explained { decision: answer, rules: said.collect() }
    }))
}

impl Tested {
    /// True if every test passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.tests.iter().all(Run::passed)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rules, {} tests passed", self.files.join(", "), self.rules, self.tests)
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.tests {
            if run.passed() {
                writeln!(f, "ok      {}", run.name)?;
            } else {
                writeln!(
                    f,
                    "FAILED  {}\n        expected {}\n        got      {}",
                    run.name, run.expected, run.got
                )?;
            }
        }
        let passed = self.tests.iter().filter(|run| run.passed()).count();
        write!(f, "{passed} of {} passed", self.tests.len())?;
        if !self.untested.is_empty() {
            write!(f, "; no test names {}", self.untested.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.decision)?;
        for Reason { rule, says } in &self.rules {
            write!(f, "\n  {rule}: {says}")?;
        }
        Ok(())
    }
}
