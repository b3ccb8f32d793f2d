//! The Core Rule Set's own tests, run in this process.
//!
//! Each stage is a request and the rules that must, or must not, tell
//! something of it. A request is built as the project's own runner builds it;
//! one that no HTTP server would take to its rules is counted apart. Stages
//! about answers are not run, because only requests are inspected.

mod request;
mod stage;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::load::RuleSet;
use crate::request::Request;
use crate::seclang::LoadError;
use crate::typed::Typed;
use crate::verdict::Match;
use crate::yaml;

use request::{Built, Owned, build, wire};
use stage::{Log, Stage, TestFile};

/// A request of a test.
pub struct TestRequest {
    /// Rule and number of the test, and of its stage.
    pub name: String,
    owned: Owned,
}

impl TestRequest {
    /// Shows the request.
    pub fn show<T>(&self, to: impl FnOnce(&Request<'_>) -> T) -> T {
        to(&self.owned.borrowed(&self.owned.headers()))
    }
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A stage of a test, for who asks a running server.
#[derive(Debug)]
pub struct WireTest {
    /// The rule that it is of.
    pub rule: u64,
    /// Rule and number of the test, and of its stage.
    pub name: String,
    /// What is sent.
    pub bytes: Vec<u8>,
    log: Log,
}

impl WireTest {
    /// True if rules have to match.
    #[must_use]
    pub fn expects_matches(&self) -> bool {
        !self.log.expect_ids.is_empty() || self.log.match_regex.is_some()
    }

    /// Compares the rules that matched with those that have to, and must not. Who logs no more
    /// than their numbers fails at stages that look for text.
    ///
    /// # Errors
    ///
    /// What is missing, and what is too much.
    pub fn judge(&self, told: &[u64]) -> Result<(), String> {
        let text: String = told.iter().map(|rule| format!("[id \"{rule}\"]\n")).collect();
        compare(&self.log, told, &text)
    }
}

/// How stages ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// As expected.
    pub passed: usize,
    /// Not as expected.
    pub failed: usize,
    /// The server refuses the request before any rule; in neither of both.
    pub refused: usize,
}

impl Tally {
    /// Stages that passed, of a thousand that were judged.
    #[must_use]
    pub fn per_mille(self) -> usize {
        (self.passed * 1_000).checked_div(self.passed + self.failed).unwrap_or(1_000)
    }

    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Refused => self.refused += 1,
        }
    }

    fn plus(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.refused += other.refused;
        self
    }
}

/// A stage that did not end as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Rule and number of the test.
    pub test: String,
    /// Paranoia level of the rule.
    pub level: u8,
    /// What was expected and is not so.
    pub why: String,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By category (the first three digits of a rule) and paranoia level.
    pub tallies: BTreeMap<(u16, u8), Tally>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Stages about answers, which were not run.
    pub about_answers: usize,
}

impl Report {
    /// All categories together, of the levels up to this one.
    #[must_use]
    pub fn total(&self, up_to_level: u8) -> Tally {
        let chosen = self.tallies.iter().filter(|((_, level), _)| *level <= up_to_level);
        chosen.fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally))
    }

    /// One category, of the levels up to this one.
    #[must_use]
    pub fn category(&self, category: u16, up_to_level: u8) -> Tally {
        let chosen = self.tallies.iter().filter(|((it, level), _)| *it == category && *level <= up_to_level);
        chosen.fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut categories: Vec<u16> = self.tallies.keys().map(|(category, _)| *category).collect();
        categories.dedup();
        writeln!(f, "category  levels 1+2            levels 1 to 4")?;
        let line = |tally: Tally| {
            let (whole, tenth) = (tally.per_mille() / 10, tally.per_mille() % 10);
            format!("{:>5} of {:>5} {whole:>3}.{tenth} %", tally.passed, tally.passed + tally.failed)
        };
        for category in categories {
            writeln!(
                f,
                "{category:<8}  {}  {}",
                line(self.category(category, 2)),
                line(self.category(category, 4))
            )?;
        }
        writeln!(f, "all       {}  {}", line(self.total(2)), line(self.total(4)))?;
        let refused = self.total(4).refused;
        writeln!(f, "{refused} refused before any rule, {} about answers and not run", self.about_answers)
    }
}

/// Why tests cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] LoadError),
    /// A file is no test.
    #[error("{file}: {why}")]
    NoTest {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
}

/// How a stage ended.
enum Outcome {
    Passed,
    Failed(String),
    Refused,
}

/// Settings that the tests expect, beside the rules' own.
pub const EXPECTED_VARIABLES: &[(&str, &str)] = &[
    ("max_num_args", "255"),
    ("arg_name_length", "100"),
    ("arg_length", "400"),
    ("total_arg_length", "64000"),
    ("max_file_size", "64100"),
    ("combined_file_sizes", "65535"),
];

/// Runs the tests below `folder/tests/regression/tests` (or below the folder itself).
///
/// The rules should be loaded at level 4, detecting only, with
/// [`EXPECTED_VARIABLES`] and a budget that takes every test.
///
/// # Errors
///
/// [`RunError`] at a file that cannot be read or is no test.
pub fn run(folder: &Path, rules: &RuleSet) -> Result<Report, RunError> {
    let mut report = Report::default();
    for tests in files(folder)? {
        judge_file(&tests, rules, &mut report);
    }
    Ok(report)
}

/// The requests of the same tests, of all that servers take to their rules.
///
/// # Errors
///
/// As [`run`].
pub fn requests(folder: &Path) -> Result<Vec<TestRequest>, RunError> {
    let mut requests = Vec::new();
    for file in files(folder)? {
        for test in &file.tests {
            for (number, stage) in test.stages.iter().enumerate() {
                let Built::Request(owned) = build(&stage.input) else { continue };
                let name = format!("{}-{} ({number})", file.rule_id, test.test_id);
                requests.push(TestRequest { name, owned });
            }
        }
    }
    Ok(requests)
}

/// The stages of the same tests about requests, as they are sent.
///
/// # Errors
///
/// As [`run`].
pub fn wire_tests(folder: &Path) -> Result<Vec<WireTest>, RunError> {
    let mut wired = Vec::new();
    for file in files(folder)?.into_iter().filter(|file| !is_about_answers(file)) {
        for test in file.tests {
            for (number, Stage { input, output }) in test.stages.into_iter().enumerate() {
                let name = format!("{}-{} ({number})", file.rule_id, test.test_id);
                wired.push(WireTest { rule: file.rule_id, name, bytes: wire(&input), log: output.log });
            }
        }
    }
    Ok(wired)
}

/// 950 to 959 are about answers, 980 tells what both came to.
fn is_about_answers(tests: &TestFile) -> bool {
    category(tests) >= 950
}

fn category(tests: &TestFile) -> u16 {
    u16::try_from(tests.rule_id / 1_000).unwrap_or(0)
}

fn files(folder: &Path) -> Result<Vec<TestFile>, RunError> {
    let nested = folder.join("tests/regression/tests");
    let mut paths = Vec::new();
    collect(if nested.exists() { &nested } else { folder }, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| LoadError::unreadable(&path, &error))?;
        let no_test = |why: String| RunError::NoTest { file: path.display().to_string(), why };
        let value = yaml::read(&text).map_err(no_test)?;
        // Some files are kept although their rule has no test any more.
        if !value.is_null() {
            files.push(serde_json::from_value(value).map_err(|error| no_test(error.to_string()))?);
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let entries = std::fs::read_dir(folder).map_err(|error| LoadError::unreadable(folder, &error))?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn judge_file(tests: &TestFile, rules: &RuleSet, report: &mut Report) {
    let stages = tests.tests.iter().flat_map(|test| test.stages.iter().map(move |stage| (test, stage)));
    let category = category(tests);
    if is_about_answers(tests) {
        report.about_answers += stages.count();
        return;
    }
    let level = rules.level_of(tests.rule_id);
    for (test, stage) in stages {
        let outcome = judge(stage, rules);
        report.tallies.entry((category, level)).or_default().add(&outcome);
        if let Outcome::Failed(why) = outcome {
            report.failures.push(Failure { test: format!("{}-{}", tests.rule_id, test.test_id), level, why });
        }
    }
}

fn judge(stage: &Stage, rules: &RuleSet) -> Outcome {
    let built = match build(&stage.input) {
        Built::Request(built) => built,
        Built::Malformed => return Outcome::Refused,
    };
    match rules.inspect(&built.borrowed(&built.headers()), &Typed::default()) {
        Ok(verdict) => {
            let text: String = verdict.matches.iter().map(log_line).collect();
            compare(&stage.output.log, &verdict.rules(), &text)
                .map_or_else(Outcome::Failed, |()| Outcome::Passed)
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Holds what was told, as numbers of rules and as text, to what is expected.
fn compare(log: &Log, told: &[u64], text: &str) -> Result<(), String> {
    let missing: Vec<_> = log.expect_ids.iter().filter(|id| !told.contains(id)).collect();
    let surplus: Vec<_> = log.no_expect_ids.iter().filter(|id| told.contains(id)).collect();
    let matches = |pattern: &String| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
    let unmatched = log.match_regex.as_ref().filter(|pattern| !matches(pattern));
    let unwanted = log.no_match_regex.as_ref().filter(|pattern| matches(pattern));
    if missing.is_empty() && surplus.is_empty() && unmatched.is_none() && unwanted.is_none() {
        return Ok(());
    }
    Err(format!("missing {missing:?}, surplus {surplus:?}, {unmatched:?} {unwanted:?}; told {told:?}"))
}

/// A match as other engines log it, but for the values, which are never told:
/// tests that look for those in the log fail.
fn log_line(found: &Match) -> String {
    let Match { rule, message, target, masked, .. } = found;
    format!("[id \"{rule}\"] [msg \"{message}\"] Matched Data: {masked} found within {target}: \n")
}

#[cfg(test)]
mod tests;
