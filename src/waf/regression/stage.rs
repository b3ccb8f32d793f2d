//! The form of the tests (the schema of the project's own runner).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The tests of one rule.
#[derive(Debug, Deserialize)]
pub(super) struct TestFile {
    pub(super) rule_id: u64,
    pub(super) tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Test {
    pub(super) test_id: u64,
    pub(super) stages: Vec<Stage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stage {
    pub(super) input: Input,
    #[serde(default)]
    pub(super) output: Output,
}

/// What is sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    pub(super) method: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) version: Option<String>,
    pub(super) headers: BTreeMap<String, Value>,
    pub(super) data: Option<Value>,
    /// A whole request in Base64.
    pub(super) encoded_request: Option<String>,
    pub(super) autocomplete_headers: Option<bool>,
}

/// What is expected.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Output {
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) expect_ids: Vec<u64>,
    pub(super) no_expect_ids: Vec<u64>,
    pub(super) match_regex: Option<String>,
    pub(super) no_match_regex: Option<String>,
}
