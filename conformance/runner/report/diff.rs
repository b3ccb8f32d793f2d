//! What is other than the last time.

use std::collections::BTreeMap;

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
    let mut changes = Vec::new();
    for (case, (verdict, says)) in &after {
        let was = before.get(case).map(|(verdict, _)| verdict.clone());
        if was.as_ref() != Some(verdict) {
            let worse = rank(verdict) > was.as_deref().map_or(0, rank);
            let (after, says) = (Some(verdict.clone()), says.clone());
            changes.push(Change { case: case.clone(), before: was, after, says, worse });
        }
    }
    for (case, (verdict, _)) in &before {
        if !after.contains_key(case) {
            let before = Some(verdict.clone());
            // What passed and is looked at no more is a loss.
            let worse = verdict == "passed";
            changes.push(Change { case: case.clone(), before, after: None, says: String::new(), worse });
        }
    }
    changes.sort_by(|one, other| (!one.worse, &one.case).cmp(&(!other.worse, &other.case)));
    changes
}

fn rank(verdict: &str) -> u8 {
    match verdict {
        "failed" => 4,
        "blocked" => 3,
        "warned" => 2,
        "waived" | "skipped" | "not-applicable" => 1,
        _ => 0,
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
