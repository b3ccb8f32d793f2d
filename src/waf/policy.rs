//! Tests of the gateway's own rules: beside each rule are texts that it must
//! find and texts that it must not, as data.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::Deserialize;

use crate::load::{RuleSet, Settings, Sources, listed};
use crate::regression::RunError;
use crate::request::Request;
use crate::seclang::{EngineMode, LoadError};
use crate::typed::Typed;
use crate::verdict::{OverBudget, Verdict};
use crate::yaml;

/// What the tests of a folder came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Texts that were judged.
    pub judged: usize,
    /// A sentence for each that was judged wrongly.
    pub failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failures.iter().try_for_each(|failure| writeln!(f, "{failure}"))?;
        write!(f, "{} texts, {} judged wrongly", self.judged, self.failures.len())
    }
}

/// One file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    rules: Vec<OfRule>,
    /// Refused by nothing.
    legitimate: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRule {
    rule: u64,
    fires: Vec<String>,
    passes: Vec<String>,
}

/// Loads `folder/*.conf` and runs `folder/tests/*.yaml` against it.
///
/// # Errors
///
/// [`RunError`] where rules do not load or a file is no test.
pub fn test(folder: &Path, settings: &Settings) -> Result<Report, RunError> {
    // All that a text holds is to be told, not only what refuses it first.
    let settings = Settings { mode: Some(EngineMode::DetectionOnly), ..settings.clone() };
    let (rules, _) = RuleSet::load(&Sources::own_of(folder)?, &settings)?;
    let mut report = Report::default();
    let tests = listed(&folder.join("tests"))?.into_iter();
    for path in tests.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let no_test = |why: String| RunError::NoTest { file: path.display().to_string(), why };
        let text = std::fs::read_to_string(&path).map_err(|error| LoadError::unreadable(&path, &error))?;
        let value = yaml::read(&text).map_err(no_test)?;
        let tests = serde_json::from_value(value).map_err(|error| no_test(error.to_string()))?;
        judge(&tests, &rules, &mut report);
    }
    Ok(report)
}

fn judge(tests: &Tests, rules: &RuleSet, report: &mut Report) {
    for OfRule { rule, fires, passes } in &tests.rules {
        let expected = fires.iter().map(|text| (text, true)).chain(passes.iter().map(|text| (text, false)));
        for (text, fires) in expected {
            report.judged += 1;
            match inspect(text, rules) {
                Ok(verdict) if verdict.rules().contains(rule) == fires => {}
                Ok(verdict) => {
                    let what = if fires { "does not find" } else { "finds" };
                    report.failures.push(format!("{rule} {what} {text:?}; told {:?}", verdict.rules()));
                }
                Err(error) => report.failures.push(format!("{text:?}: {error}")),
            }
        }
    }
    for text in &tests.legitimate {
        report.judged += 1;
        match inspect(text, rules).map(|verdict| verdict.refused_by) {
            Ok(None) => {}
            Ok(Some(rule)) => report.failures.push(format!("{rule} refuses {text:?}")),
            Err(error) => report.failures.push(format!("{text:?}: {error}")),
        }
    }
}

/// A text that begins with a brace is a body, one with a question mark a query;
/// any other is the one text of a body. Lines such as `@name: value` before it are headers;
/// with a content type among them it is the body as it stands.
fn inspect(text: &str, rules: &RuleSet) -> Result<Verdict, OverBudget> {
    let mut headers = Vec::new();
    let mut text = text;
    while let Some((name, rest)) = text.strip_prefix('@').and_then(|line| line.split_once(": ")) {
        let (value, next) = rest.split_once('\n').unwrap_or((rest, "{}"));
        headers.push((name, value.as_bytes()));
        text = next;
    }
    let stated = headers.iter().any(|(name, _)| *name == "content-type");
    if !stated {
        headers.push(("content-type", b"application/json"));
    }
    let (target, body) = match text.chars().next() {
        _ if stated => ("/".to_owned(), text.to_owned()),
        Some('{') if serde_json::from_str::<serde_json::Value>(text).is_ok() => {
            ("/".to_owned(), text.to_owned())
        }
        Some('?') => (format!("/{text}"), String::new()),
        Some(_) | None => ("/".to_owned(), serde_json::json!({ "text": text }).to_string()),
    };
    let request = Request {
        method: "POST",
        target: &target,
        protocol: "HTTP/1.1",
        headers: &headers,
        body: body.as_bytes(),
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    };
    rules.inspect(&request, &Typed::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_find_what_they_must_and_nothing_else() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/waf"));
        let report = test(folder, &Settings::new(jiff::civil::date(2026, 1, 1))).unwrap();
        assert!(report.failures.is_empty() && report.judged > 100, "{report}");
    }

    #[test]
    fn every_rule_of_ours_that_counts_has_its_texts() {
        let rules = concat!(
            include_str!("../../policies/waf/json.conf"),
            include_str!("../../policies/waf/cards.conf")
        );
        let tests = concat!(
            include_str!("../../policies/waf/tests/json.yaml"),
            include_str!("../../policies/waf/tests/cards.yaml")
        );
        for rule in rules.match_indices("id:9100") {
            let id = rules.get(rule.0 + 3..rule.0 + 10).unwrap();
            let silent = ["9100100", "9100101", "9100290"].contains(&id);
            assert!(silent || tests.contains(&format!("rule: {id}")), "{id} has no texts");
        }
    }
}
