use std::io::Cursor;

use super::*;

fn directory(lines: &str) -> (Directory, ImportReport) {
    let mut entries = Vec::new();
    let report = import(Cursor::new(lines), |_| {}, |entry| entries.push(entry)).unwrap();
    (Directory::build(entries), report)
}

const LINES: &str = r#"{"id":"societe-generale","name":"Société Générale","countryHQ":"FR","countries":["FR","RO"],"bic":"SOGEFRPP"}
{"id":"sparkasse-koeln","name":"Sparkasse KölnBonn","countries":["DE"],"bic":"COLSDE33XXX","status":"live"}
{"id":"alpha-bank","name":"Alpha Bank","legalName":"Alpha Τράπεζα","countries":[null,"EL"]}
not json
{"id":"Bad Id","name":"x","countries":[]}
{"id":"bad-bic","name":"x","bic":"ABC"}
"#;

fn ids(directory: &Directory, text: &str) -> Vec<String> {
    let search = DirectorySearch { text: Some(text.into()), ..DirectorySearch::default() };
    directory.search(&search, None, 10).iter().map(|hit| hit.id.to_owned()).collect()
}

#[test]
fn unusable_lines_are_reported_and_stop_nothing() {
    let (directory, report) = directory(LINES);
    assert_eq!((report.lines, report.imported, directory.len()), (6, 3, 3));
    let lines: Vec<usize> = report.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [4, 5, 6]);
}

#[test]
fn names_are_found_by_any_part_of_a_word_without_accents() {
    let (directory, _) = directory(LINES);
    assert_eq!(ids(&directory, "GENERALE soc"), ["societe-generale"]);
    assert_eq!(ids(&directory, "bonn"), ["sparkasse-koeln"]);
    assert_eq!(ids(&directory, "τράπεζα"), ["alpha-bank"]);
    assert_eq!(ids(&directory, "generale koln"), [""; 0]);
    assert_eq!(ids(&directory, ""), ["alpha-bank", "societe-generale", "sparkasse-koeln"]);
}

#[test]
fn country_and_bic_narrow_a_search() {
    let (directory, _) = directory(LINES);
    let found = |country: Option<&str>, bic: Option<&str>| {
        let search = DirectorySearch {
            country: country.map(|code| code.parse().unwrap()),
            bic: bic.map(str::to_owned),
            ..DirectorySearch::default()
        };
        directory.search(&search, None, 10).iter().map(|hit| hit.id.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(Some("RO"), None), ["societe-generale"]);
    assert_eq!(found(Some("GR"), None), ["alpha-bank"]);
    assert_eq!(found(None, Some("sogefrppxxx")), ["societe-generale"]);
    assert_eq!(found(None, Some("COLSDE33")), ["sparkasse-koeln"]);
    assert_eq!(found(Some("FR"), Some("COLSDE33")), [""; 0]);
}

#[test]
fn pages_together_hold_every_institution_once() {
    let lines: String = (0..250)
        .map(|n| format!("{{\"id\":\"bank-{n:03}\",\"name\":\"Bank {n}\",\"countries\":[]}}\n"))
        .collect();
    let (directory, _) = directory(&lines);
    let search = DirectorySearch { text: Some("bank".into()), ..DirectorySearch::default() };
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = directory.search(&search, after.as_deref(), 40);
        let Some(last) = page.last() else { break };
        after = Some(last.id.to_owned());
        seen.extend(page.iter().map(|hit| hit.id.to_owned()));
    }
    assert_eq!(seen.len(), 250);
    assert!(seen.is_sorted());
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let long = format!("{{\"id\":\"a\",\"name\":\"{}\"}}\n", "x".repeat(3 * 1024 * 1024));
    let (directory, report) = directory(&format!("{long}{LINES}"));
    assert_eq!((directory.len(), report.skipped[0].line), (3, 1));
}

#[test]
fn the_whole_directory_is_imported_and_stays_small() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/bank-directory.jsonl.gz");
    let Ok(file) = std::fs::File::open(path) else {
        eprintln!("SKIPPED: no directory beside the checkout ({path})");
        return;
    };
    let (mut entries, mut told) = (Vec::new(), 0);
    let report =
        import(std::io::BufReader::new(file), |lines| told = lines, |entry| entries.push(entry)).unwrap();
    assert_eq!((report.lines, told), (57_237, 57_237));
    assert_eq!(report.imported + report.skipped.len(), 57_237);
    let directory = Directory::build(entries);
    assert_eq!(report.skipped, []);
    assert_eq!(directory.len(), report.imported);
    assert!(directory.memory() < 20 * 1024 * 1024, "{} bytes", directory.memory());
    assert!(ids(&directory, "societe generale").len() > 1);
}
