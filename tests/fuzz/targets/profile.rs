//! Files of bank profiles and deployments: TOML, or YAML after a first line `yaml`.

#![no_main]

use connect::{deployment_text, read_deployment, read_profiles};
use dialects::selftest;
use fuzz::line;
use libfuzzer_sys::fuzz_target;
use toml::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, rest) = line(data);
    if first == b"yaml" {
        read("fuzz.yaml", std::str::from_utf8(rest).expect("a part of a text"));
        return;
    }
    read("fuzz.toml", text);
    if let Ok(deployment) = read_deployment("fuzz.deployment.toml", text) {
        let written = deployment_text(&deployment);
        let again = read_deployment("fuzz.deployment.toml", &written);
        let again = again.unwrap_or_else(|problems| panic!("{written}\n{problems:?}"));
        assert_eq!(deployment_text(&again), written, "written and read again");
    }
    same_in_yaml(text);
});

fn read(file: &str, text: &str) {
    let (profiles, problems) = read_profiles(file, text);
    // YAML takes a carriage return alone as the end of a line.
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').count();
    for problem in &problems {
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?} of {lines} lines");
    }
    for profile in &profiles {
        let dialects = dialects::all();
        if let Some(dialect) = dialects.iter().find(|dialect| dialect.name() == profile.dialect) {
            let run = selftest::run(&**dialect, profile);
            assert_eq!(run.len(), profile.tests.len());
        }
    }
}

/// What stands in a TOML file means the same in a YAML file.
fn same_in_yaml(text: &str) {
    let Ok(table) = text.parse::<toml::Table>() else { return };
    let value = Value::Table(table);
    if !is_plain(&value) {
        return;
    }
    let yaml = serde_json::to_string(&value).expect("plain values");
    let keys = |file, text| {
        let (profiles, problems) = read_profiles(file, text);
        let mut problems: Vec<_> = problems.into_iter().map(|problem| (problem.key, problem.why)).collect();
        problems.sort();
        problems.dedup();
        (profiles.into_iter().map(|profile| profile.id).collect::<Vec<_>>(), problems)
    };
    assert_eq!(keys("fuzz.toml", text), keys("fuzz.yaml", &yaml), "{yaml}");
}

/// Texts, whole numbers and truths, in lists and tables.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Boolean(_) | Value::Integer(_) => true,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Table(table) => table.values().all(is_plain),
        Value::Float(_) | Value::Datetime(_) => false,
    }
}
