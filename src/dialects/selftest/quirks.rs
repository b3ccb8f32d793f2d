//! The catalogue of deviations that were met at banks: `conformance/quirks`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use connect::{Mapping, read_profiles};

use super::*;
use crate::{BerlinGroup, UkOpenBanking};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/quirks")
}

/// The brands of all files there.
fn brands() -> Vec<Profile> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let read = |file: &PathBuf| {
        let (profiles, problems) = read_profiles("x.toml", &std::fs::read_to_string(file).unwrap());
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, Vec::<String>::new(), "{}", file.display());
        profiles
    };
    files.iter().flat_map(read).collect()
}

fn problems(profile: &Profile) -> Vec<String> {
    let dialect: &dyn Dialect = match profile.dialect.as_str() {
        "uk-open-banking" => &UkOpenBanking,
        _ => &BerlinGroup,
    };
    let outcomes = run(dialect, profile);
    assert!(!outcomes.is_empty(), "{} has no test", profile.id);
    outcomes.into_iter().flat_map(|outcome| outcome.problems).collect()
}

/// The rules of each bring its entries into shape, and without them they are not.
#[test]
fn rules_meet_each_deviation_and_a_strict_profile_does_not() {
    let mut with_rules = 0;
    for profile in brands() {
        assert_eq!(problems(&profile), Vec::<String>::new(), "{}", profile.id);
        if !profile.mapping.is_empty() {
            with_rules += 1;
            let strict = Profile { mapping: Mapping::default(), ..profile.clone() };
            assert_ne!(problems(&strict), Vec::<String>::new(), "{} needs no rules", profile.id);
        }
    }
    assert!(with_rules > 40, "{with_rules}");
}

/// The list names every deviation of the collection, and of each how it is met: by the rules
/// of a brand here, by a key of profiles, always, or not.
#[test]
fn the_list_is_whole_and_names_what_is_there() {
    let list = std::fs::read_to_string(folder().join("quirks.json")).unwrap();
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let brands: BTreeSet<String> = brands().iter().map(|profile| profile.id.to_string()).collect();
    let mut named = BTreeSet::new();
    for entry in &list {
        let (met, by) = (text(entry, "met"), text(entry, "by"));
        assert!(["rule", "key", "always", "not"].contains(&met.as_str()), "{entry}");
        let of_brand = entry["tests"].is_null() && met != "not";
        assert!(met != "rule" || of_brand, "{entry}");
        for brand in by.split(", ").filter(|_| of_brand) {
            assert!(brands.contains(brand), "{entry}: no such brand");
            named.insert(brand.to_owned());
        }
    }
    let idle: Vec<_> = brands.difference(&named).collect();
    assert!(idle.is_empty(), "of no deviation: {idle:?}");
    let collected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/bank-quirks.json");
    let Ok(collected) = std::fs::read_to_string(collected) else {
        eprintln!("SKIPPED: the collection of deviations is not there");
        return;
    };
    let collected: Vec<Value> = serde_json::from_str(&collected).unwrap();
    let ids = |list: &[Value]| list.iter().map(|entry| text(entry, "id")).collect::<Vec<_>>();
    assert_eq!(ids(&list), ids(&collected));
}
