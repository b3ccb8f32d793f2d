//! `[map]` of a profile: patterns and rules, compiled and tried once.

use crate::mapping::{MapTarget, Mapping, RULE};

use super::table::Table;

/// Names that rules use already.
const TAKEN: [&str; 2] = ["entry", "value"];

pub(super) fn mapping(table: &mut Table<'_>) -> Mapping {
    let mut mapping = Mapping::default();
    let Some(mut map) = table.table("map") else { return mapping };
    for (name, pattern) in
        map.texts("patterns", "named in small letters, digits and _, and a text", is_pattern)
    {
        let key = format!("patterns.{name}");
        if mapping.add_pattern(name, &pattern).is_err() {
            map.problem(&key, "is no regular expression that we take");
        }
    }
    for target in MapTarget::ALL {
        let Some(mut rules) = map.table(target.as_str()) else { continue };
        for (field, _) in target.fields() {
            let Some(rule) = rules.text(field) else { continue };
            if let Err(why) = add(&mut mapping, target, field, &rule) {
                rules.problem(field, &why);
            }
        }
        rules.finish();
    }
    map.finish();
    mapping
}

fn is_pattern(name: &str, pattern: &str) -> bool {
    let named = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    named && !TAKEN.contains(&name) && pattern.len() <= RULE && !pattern.is_empty()
}

fn add(mapping: &mut Mapping, target: MapTarget, field: &'static str, rule: &str) -> Result<(), String> {
    if rule.len() > RULE {
        return Err(format!("is longer than {RULE} bytes"));
    }
    mapping.add_rule(target, field, rule).map_err(|error| format!("is no rule: {error}"))?;
    mapping.try_rule(target, field).map_err(|error| format!("fails on an entry that has nothing: {error}"))
}
