//! What holds personal data prints `***`, or does not print at all.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::path::Path;

/// Names of fields that are a person's wherever they are.
const PERSONAL: &[&str] = &[
    "account_number",
    "address_lines",
    "bban",
    "creditor_name",
    "debtor_name",
    "display_name",
    "emails",
    "end_to_end_id",
    "end_to_end_identification",
    "holders",
    "iban",
    "legal_name",
    "masked_pan",
    "matched_name",
    "merchant_customer",
    "merchant_customer_id",
    "phones",
    "psu_id",
    "remittance",
    "remittance_information_unstructured",
    "sort_code",
    "street_name",
    "town_name",
    "unstructured",
];

/// Institutions have names of these kinds too, which everybody may know.
const OF_INSTITUTIONS: &[&str] = &["DirectoryEntry"];

/// The structs of a text that print their fields, as name and body.
fn printing(source: &str) -> impl Iterator<Item = (&str, &str)> {
    source.match_indices("struct ").filter_map(|(at, word)| {
        let attributes = source[..at].rfind("\n\n").map_or(&source[..at], |from| &source[from..at]);
        let declared = &source[at + word.len()..];
        let end = declared.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        let body = declared.split_once('{')?.1.split_once("\n}")?.0;
        let derived = attributes.lines().filter(|line| line.trim_start().starts_with("#[derive("));
        derived.into_iter().any(|line| line.contains("Debug")).then_some((&declared[..end], body))
    })
}

fn sources(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Banks of tests hold the persons of tests.
        if path.is_dir() && !["tests", "examples", "benches", "modelbank"].contains(&name) {
            sources(&path, all);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            all.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_type_prints_what_is_a_persons() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut all);
    let (mut seen, mut printed) = (0, Vec::new());
    for (path, source) in &all {
        for (name, body) in printing(source).filter(|(name, _)| !OF_INSTITUTIONS.contains(name)) {
            for line in body.lines().map(|line| line.trim().trim_start_matches("pub ")) {
                let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
                let Some((field, kind)) = line.split_once(": ").filter(|(field, _)| PERSONAL.contains(field))
                else {
                    continue;
                };
                seen += 1;
                if (kind.contains("String") || kind.contains("str")) && !kind.contains("Pii<") {
                    printed.push(format!("{path}: {name}.{field}"));
                }
            }
        }
    }
    assert!(seen > 30, "the search finds too little: {seen}");
    assert!(printed.is_empty(), "{printed:#?}");
}
