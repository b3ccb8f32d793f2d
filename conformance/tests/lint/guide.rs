//! The guide lists the rules that there are.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

/// Texts of the same form that are no rules.
const OTHERS: [&str; 8] = [
    "consentry-conformance",
    "request-id",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-correlation-id",
    "x-fapi-interaction-id",
    "x-request-id",
];

fn gather(folder: &Path, form: &Regex, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, form, found);
        } else {
            let text = std::fs::read_to_string(path).unwrap();
            found.extend(form.captures_iter(&text).map(|one| one[1].to_owned()));
        }
    }
}

#[test]
fn the_guide_lists_each_rule_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rules = BTreeSet::new();
    let in_source = Regex::new(r#""([a-z][a-z0-9]*(?:-[a-z0-9]+)+|expired)""#).unwrap();
    gather(&root.join("runner/lint"), &in_source, &mut rules);
    rules.retain(|one| !OTHERS.contains(&one.as_str()));

    let guide = std::fs::read_to_string(root.join("../docs/lint.md")).unwrap();
    let in_guide = Regex::new("`([a-z][a-z0-9]*(?:-[a-z0-9]+)+|expired)`").unwrap();
    let listed: BTreeSet<String> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| in_guide.captures_iter(cell).map(|one| one[1].to_owned()))
        .collect();
    assert_eq!(listed, rules);
}
