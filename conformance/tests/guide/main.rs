//! The tables of docs/conformance.md are those of the source. `WRITE_GUIDE=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::path::Path;

use consentry_conformance::tls::servers::BrokenTls;
use consentry_conformance::{mutants, suite};

fn profiles() -> String {
    let mut table = String::new();
    for name in suite::profiles() {
        let profile = suite::profile(&name, None).unwrap();
        writeln!(table, "| `{name}` | {} |", profile.title).unwrap();
    }
    table
}

fn mutants() -> String {
    let mut table = String::new();
    for mutant in mutants::all() {
        let cases: Vec<_> = mutant.caught_by.iter().map(|case| format!("`{case}`")).collect();
        writeln!(table, "| {} (`{}`) | {} |", mutant.breaks, mutant.name, cases.join(" ")).unwrap();
    }
    table
}

fn tls() -> String {
    let mut table = String::new();
    for told in BrokenTls::ALL.iter().map(|kind| kind.told()) {
        let case = format!("tls-{}", told.probe.replace('_', "-"));
        writeln!(table, "| {} (`{}`) | `{case}` |", told.description, told.name).unwrap();
    }
    table
}

/// The lines below a marker, until the first that is no row.
fn rows<'t>(text: &'t str, marker: &str) -> &'t str {
    let below = text.split_once(&format!("<!-- {marker} -->\n")).unwrap().1;
    let end = below.split_inclusive('\n').take_while(|line| line.starts_with('|')).map(str::len).sum();
    &below[..end]
}

#[test]
fn the_guide_has_the_tables_of_the_source() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (marker, table) in [("profiles", profiles()), ("mutants", mutants()), ("tls", tls())] {
        if std::env::var_os("WRITE_GUIDE").is_some() {
            let (above, below) = text.split_once(&format!("<!-- {marker} -->\n")).unwrap();
            let rest = &below[rows(&text, marker).len()..];
            text = format!("{above}<!-- {marker} -->\n{table}{rest}");
            std::fs::write(&file, &text).unwrap();
        }
        assert!(
            rows(&text, marker) == table,
            "the table of {marker} is another: WRITE_GUIDE=1 writes it anew"
        );
    }
}

/// Every case that a mutant names is there, and every profile has cases with ids of their own.
#[test]
fn mutants_name_cases_that_there_are() {
    let mut known = Vec::new();
    for name in suite::profiles() {
        known.extend(suite::profile(&name, None).unwrap().cases.into_iter().map(|case| case.id));
    }
    for mutant in mutants::all() {
        assert!(!mutant.caught_by.is_empty(), "{} is caught by nothing", mutant.name);
        for case in mutant.caught_by {
            // The cases of an API are made from its description.
            assert!(case.starts_with("api-") || known.iter().any(|id| id == case), "{case}");
        }
    }
    let names: std::collections::BTreeSet<_> = mutants::all().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), mutants::all().count(), "two mutants have one name");
    assert!(names.len() >= 200);
}
