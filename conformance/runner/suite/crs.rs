//! Regression tests of the OWASP Core Rule Set, from a folder that the user has: each becomes a case.
//!
//! The tests say which rule has to notice a request. From outside only this can be seen: whether the
//! request was refused. A rule that notices and does not weigh enough refuses nothing, and a target
//! runs with the paranoia level that it has; a case that does not hold is therefore a warning.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::bank::yaml;
use crate::case::{Action, Case, Severity, Step};

/// The cases of a folder, with those below it.
///
/// # Errors
///
/// If a file cannot be read, or is no such test.
pub fn cases(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let read = yaml::read(&text).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
        // Files that say how other servers differ have no tests.
        let Some(rule) = read.get("rule_id").and_then(Value::as_i64) else { continue };
        for test in read.get("tests").and_then(Value::as_array).into_iter().flatten() {
            cases.extend(of_test(rule, test));
        }
    }
    anyhow::ensure!(!cases.is_empty(), "{} holds no tests of the Core Rule Set", folder.display());
    Ok(cases)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn of_test(rule: i64, test: &Value) -> Option<Case> {
    let number = test.get("test_id")?.as_i64()?;
    let stages = test.get("stages").and_then(Value::as_array)?;
    let mut refused = false;
    let steps: Vec<_> = stages
        .iter()
        .filter_map(|stage| {
            let stage = stage.get("stage").unwrap_or(stage);
            let noticed = stage.pointer("/output/log/expect_ids").is_some();
            refused |= noticed;
            let input = stage.get("input")?.clone();
            Some(Step {
                action: Action::Probe,
                probe: Some("crs".to_owned()),
                with: [("input".to_owned(), input), ("refused".to_owned(), Value::Bool(noticed))].into(),
                ..Step::default()
            })
        })
        .collect();
    let what = if refused { "is refused" } else { "passes" };
    Some(Case {
        id: format!("crs-{rule}-{number}"),
        title: format!("The request of test {number} of rule {rule} {what}"),
        clause: format!("OWASP Core Rule Set, rule {rule}"),
        severity: Severity::Should,
        needs: vec!["api".to_owned()],
        clients: vec!["main".to_owned()],
        left_out: None,
        alone: false,
        steps,
        finally: Vec::new(),
    })
}
