//! For what shows findings beside code.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Report, Verdict};

/// A SARIF 2.1.0 document of what did not pass.
pub(super) fn document(report: &Report) -> Value {
    let rules: BTreeMap<&str, Value> = report
        .outcomes
        .iter()
        .map(|outcome| {
            let rule = json!({
                "id": outcome.case,
                "shortDescription": {"text": outcome.title},
                "help": {"text": outcome.clause},
            });
            (outcome.case.as_str(), rule)
        })
        .collect();
    let results: Vec<_> = report
        .outcomes
        .iter()
        .filter_map(|outcome| {
            let level = match outcome.verdict {
                Verdict::Failed | Verdict::Blocked => "error",
                Verdict::Warned => "warning",
                Verdict::Waived => "note",
                Verdict::Passed | Verdict::NotApplicable | Verdict::Skipped | Verdict::LeftOut => {
                    return None;
                }
            };
            let suppressed = outcome.waiver.as_ref().filter(|_| outcome.verdict == Verdict::Waived);
            let suppressions: Vec<_> = suppressed
                .map(|waiver| json!({"kind": "external", "justification": waiver.reason}))
                .into_iter()
                .collect();
            Some(json!({
                "ruleId": outcome.case,
                "level": level,
                "message": {"text": format!("{}: {}", outcome.key(), outcome.says)},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": report.target}}}],
                "suppressions": suppressions,
            }))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "consentry conformance", "version": report.runner,
                "rules": rules.into_values().collect::<Vec<_>>()}},
            "results": results,
        }],
    })
}
