//! One page that needs nothing else.

use std::collections::BTreeMap;

use serde_json::json;

use super::junit::escaped;
use super::{Outcome, Report, Verdict};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// The page of a run: what holds by clause and by case, with the evidence.
pub(super) fn page(report: &Report, signature: &str) -> String {
    let counts: String = Verdict::ALL
        .iter()
        .filter_map(|verdict| report.counts.get(verdict.name()).filter(|number| **number > 0).map(|n| (verdict, n)))
        .map(|(verdict, number)| {
            let name = verdict.name();
            format!("<button type=\"button\" class=\"{name}\" data-verdict=\"{name}\" aria-pressed=\"false\">{number} {name}</button>")
        })
        .collect();
    let head = [
        ("Target", report.target.clone()),
        ("Profiles", report.profiles.join(", ")),
        ("Began", report.started.to_string()),
        ("Took", format!("{}.{:03} s", report.ms / 1000, report.ms % 1000)),
        ("Runner", format!("{} on {}", report.runner, report.environment)),
        ("Configuration", report.configuration.clone()),
    ]
    .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escaped(&value)))
    .concat();
    let rows: String = report.outcomes.iter().map(row).collect();
    let verdict =
        if report.passed() { "Everything that must hold, holds" } else { "Not everything holds that must" };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>Conformance: {target}</title><style>{STYLE}</style></head><body><main>\
         <h1>Conformance</h1><p class=\"verdict\">{verdict}.</p><dl>{head}</dl>\
         <h2>By clause</h2><table class=\"clauses\"><thead><tr><th>Clause</th><th>Cases</th><th>Outcome</th></tr></thead>\
         <tbody>{clauses}</tbody></table>\
         <h2>By case</h2><div class=\"filter\" role=\"group\" aria-label=\"Show only\">{counts}\
         <input type=\"search\" placeholder=\"Find a case, clause or text\" aria-label=\"Find\"></div>\
         <table class=\"cases\"><thead><tr><th>Case</th><th>Clause</th><th>Outcome</th></tr></thead><tbody>{rows}</tbody></table>\
         <h2>Signature</h2><p>A JWS over the SHA-256 of report.json; <code>consentry conformance verify</code> checks it.</p>\
         <pre class=\"signature\" tabindex=\"0\">{signature}</pre></main><script>{SCRIPT}</script></body></html>\n",
        target = escaped(&report.target),
        clauses = by_clause(report),
        signature = escaped(signature),
    )
}

fn by_clause(report: &Report) -> String {
    let mut clauses: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in &report.outcomes {
        clauses.entry(&outcome.clause).or_default().push(outcome);
    }
    clauses
        .into_iter()
        .map(|(clause, of)| {
            let worst =
                [Verdict::Failed, Verdict::Blocked, Verdict::Warned, Verdict::Waived, Verdict::Passed]
                    .into_iter()
                    .find(|verdict| of.iter().any(|outcome| outcome.verdict == *verdict))
                    .unwrap_or(Verdict::NotApplicable)
                    .name();
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"{worst}\">{worst}</td></tr>",
                escaped(clause),
                of.len()
            )
        })
        .collect()
}

fn row(outcome: &Outcome) -> String {
    let verdict = outcome.verdict.name();
    let waiver = outcome.waiver.as_ref().map_or_else(String::new, |waiver| {
        format!(
            "<p>Waived until {} by {}: {}</p>",
            waiver.expires,
            escaped(&waiver.owner),
            escaped(&waiver.reason)
        )
    });
    let evidence: String = outcome
        .exchanges
        .iter()
        .map(|exchange| {
            let status = exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let whole = serde_json::to_string_pretty(&json!(exchange)).unwrap_or_default();
            format!(
                "<details><summary>{} → {status}, {} ms</summary><pre tabindex=\"0\">{}</pre></details>",
                escaped(&exchange.request),
                exchange.ms,
                escaped(&whole)
            )
        })
        .collect();
    let notes: String = outcome.notes.iter().map(|note| format!("<li>{}</li>", escaped(note))).collect();
    let notes = if notes.is_empty() { notes } else { format!("<ul>{notes}</ul>") };
    let says =
        if outcome.says.is_empty() { String::new() } else { format!("<p>{}</p>", escaped(&outcome.says)) };
    format!(
        "<tr data-verdict=\"{verdict}\"><td><details><summary><code>{}</code><br>{}</summary>{says}{waiver}{notes}{evidence}</details></td>\
         <td>{}</td><td class=\"{verdict}\">{verdict}</td></tr>",
        escaped(&outcome.key()),
        escaped(&outcome.title),
        escaped(&outcome.clause),
    )
}
