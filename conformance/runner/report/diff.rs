//! What is other than the last time.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// A case that came out otherwise, or is new or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which, and by which client.
    pub case: String,
    /// What came of it before; none if it was not there.
    pub before: Option<String>,
    /// What comes of it now; none if it is gone.
    pub after: Option<String>,
    /// Why, now.
    pub says: String,
    /// It is worse than before.
    pub worse: bool,
}

/// The changes from one report to another, the worse ones first.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let (before, after) = (outcomes(before), outcomes(after));
    let cases: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = |case: &String| {
        let was = before.get(case).map(|(verdict, _)| verdict.clone());
        let (is, says) = after.get(case).cloned().unzip();
        let worse = rank(is.as_deref()) > rank(was.as_deref());
        let says = says.unwrap_or_default();
        (was != is).then(|| Change { case: case.clone(), before: was, after: is, says, worse })
    };
    let mut changes: Vec<_> = cases.into_iter().filter_map(changed).collect();
    changes.sort_by(|one, other| (!one.worse, &one.case).cmp(&(!other.worse, &other.case)));
    changes
}

/// How bad it is. What was not played, or is not there, says nothing: it is worse than what passed.
fn rank(verdict: Option<&str>) -> u8 {
    match verdict {
        Some("passed") => 0,
        Some("warned") => 2,
        Some("blocked") => 3,
        Some("failed") => 4,
        Some(_) | None => 1,
    }
}

fn outcomes(report: &Value) -> BTreeMap<String, (String, String)> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    report
        .get("outcomes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|outcome| {
            let (profile, case, client) =
                (text(outcome, "profile"), text(outcome, "case"), text(outcome, "client"));
            (format!("{profile}: {case} [{client}]"), (text(outcome, "verdict"), text(outcome, "says")))
        })
        .collect()
}
