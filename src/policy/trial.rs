//! The tests that lie beside the rules.
//!
//! A file names requests, and says of each test which of them is asked, with what changed in
//! it, and what the rules have to answer. It may describe regions of its own, which exist for
//! its tests only: what a rule does about a region is then shown whatever the operator's are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::invalid::{Finding, InvalidPolicies};
use crate::regions::Regions;
use crate::requests::{Request, whatever};
use crate::rules::Rules;
use crate::source::Source;

/// A file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    /// Regions that these tests add.
    #[serde(default)]
    regions: Regions,
    /// Requests, by name.
    #[serde(default)]
    requests: BTreeMap<String, Value>,
    #[serde(default, rename = "test")]
    tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    /// What the test shows.
    name: String,
    /// The request that is asked.
    request: String,
    /// What is changed in it first. The empty text takes a field away.
    #[serde(default)]
    but: Value,
    /// The answer.
    expect: Answer,
    /// The rules that are its reasons, all of them.
    rules: Vec<String>,
}

/// What the rules answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// They permit it.
    Permit,
    /// They refuse it.
    Deny,
}

/// An answer, and the rules that it is from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The answer.
    pub answer: Answer,
    /// The ids of the rules, sorted.
    pub rules: Vec<Arc<str>>,
}

/// A test that was run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// The file.
    pub file: String,
    /// The test's name.
    pub name: String,
    /// What it expects.
    pub expected: Outcome,
    /// What the rules answered.
    pub got: Outcome,
}

impl Run {
    /// True if the rules answered as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expected == self.got
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by {}", self.answer, self.rules.join(", "))
    }
}

/// Runs every test.
pub(crate) fn run(source: &Source, rules: &Rules) -> Result<Vec<Run>, InvalidPolicies> {
    let mut runs = Vec::new();
    for file in read(source)? {
        let rules = rules.with(&file.regions)?;
        for (test, value) in file.tests {
            let mut expected: Vec<Arc<str>> = test.rules.iter().map(|rule| rule.as_str().into()).collect();
            expected.sort_unstable();
            let request = parsed(file.name, &test.name, &value)?;
            runs.push(Run {
                file: file.name.to_owned(),
                name: test.name,
                expected: Outcome { answer: test.expect, rules: expected },
                got: outcome(&rules, &request),
            });
        }
    }
    Ok(runs)
}

/// The requests of every test, as Cedar is asked them, and the regions that are there.
#[cfg(any(feature = "prove", test))]
pub(crate) fn asked(
    source: &Source,
    rules: &Rules,
) -> Result<Vec<(cedar_policy::Request, Arc<cedar_policy::Entities>)>, InvalidPolicies> {
    let mut all = Vec::new();
    for file in read(source)? {
        let rules = rules.with(&file.regions)?;
        let entities = Arc::new(rules.entities().clone());
        for (test, value) in file.tests {
            let request = parsed(file.name, &test.name, &value)?;
            let request = whatever!(&request, asked => rules.request(asked));
            // A region that nobody described is refused before Cedar is asked.
            all.extend(request.ok().map(|request| (request, Arc::clone(&entities))));
        }
    }
    Ok(all)
}

/// What the rules answer to a request.
pub(crate) fn outcome(rules: &Rules, request: &Request<'_>) -> Outcome {
    match whatever!(request, asked => rules.decide(asked)) {
        Ok(permits) => Outcome { answer: Answer::Permit, rules: permits },
        Err(denied) => {
            let ids = denied.reasons().iter().map(|reason| Arc::clone(&reason.rule)).collect();
            Outcome { answer: Answer::Deny, rules: ids }
        }
    }
}

/// What is wrong with those that failed.
pub(crate) fn findings(runs: &[Run]) -> Vec<Finding> {
    let failed = runs.iter().filter(|run| !run.passed());
    failed
        .map(|run| {
            let says = format!("test \"{}\" expects {}, and got {}", run.name, run.expected, run.got);
            Finding::whole(&run.file, says)
        })
        .collect()
}

/// A file of tests, with what each of them asks.
struct File<'s> {
    name: &'s str,
    regions: Regions,
    tests: Vec<(Test, Value)>,
}

fn read(source: &Source) -> Result<Vec<File<'_>>, InvalidPolicies> {
    let mut files = Vec::new();
    for (name, text) in source.tests() {
        let Tests { regions, requests, tests } = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            InvalidPolicies::of(Finding::at(name, text, offset, error.message().to_owned()))
        })?;
        let asked = tests.into_iter().map(|test| {
            let mut request = requests.get(&test.request).cloned().ok_or_else(|| {
                let says = format!("test \"{}\" asks {}, which is no request", test.name, test.request);
                InvalidPolicies::of(Finding::whole(name, says))
            })?;
            change(&mut request, &test.but);
            Ok((test, request))
        });
        files.push(File { name, regions, tests: asked.collect::<Result<_, _>>()? });
    }
    Ok(files)
}

fn parsed<'v>(file: &str, name: &str, value: &'v Value) -> Result<Request<'v>, InvalidPolicies> {
    Request::read(value).map_err(|unreadable| {
        InvalidPolicies::of(Finding::whole(file, format!("test \"{name}\": {unreadable}")))
    })
}

/// Puts the fields of `by` in the place of those of `value`.
fn change(value: &mut Value, by: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *value, by) else {
        if !by.is_null() {
            *value = by.clone();
        }
        return;
    };
    for (name, by) in changes {
        if by.as_str() == Some("") {
            fields.remove(name);
        } else {
            change(fields.entry(name.clone()).or_insert(Value::Null), by);
        }
    }
}
