//! Reading a directory, plain or gzip, one line at a time.

use std::io::{self, BufRead, BufReader, Read};

use domain::Country;
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

/// Longest line, in bytes.
const MAX_LINE: usize = 1024 * 1024;
/// Problems that are told one by one; the rest is counted in the report's total.
const MAX_SKIPPED: usize = 10_000;
/// Lines between two calls of the progress function.
const PROGRESS_EVERY: usize = 1000;

/// One institution of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Identifier: lower-case letters, digits and hyphens.
    pub id: String,
    /// Name.
    pub name: String,
    /// Name in the register.
    pub legal_name: Option<String>,
    /// Countries served; the home country first.
    pub countries: Vec<Country>,
    /// BIC (ISO 9362), 8 or 11 characters.
    pub bic: Option<String>,
    /// What the directory says of its state (`live`, `discontinued`).
    pub status: Option<String>,
}

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Line number, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// What became of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read.
    pub lines: usize,
    /// Entries given to the sink.
    pub imported: usize,
    /// Lines left out, the first ten thousand of them.
    pub skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    id: String,
    name: String,
    #[serde(default)]
    legal_name: Option<String>,
    #[serde(rename = "countryHQ", default)]
    country_hq: Option<String>,
    #[serde(default)]
    countries: Vec<Option<String>>,
    #[serde(default)]
    bic: Option<String>,
    #[serde(default)]
    status: Option<String>,
}

/// Reads a directory and gives each entry to `sink`; `progress` hears the
/// number of lines now and then. Lines that cannot be used are reported, and
/// stop nothing.
///
/// # Errors
///
/// If the source cannot be read, or is a damaged gzip file.
pub fn import<R: BufRead>(
    mut source: R,
    mut progress: impl FnMut(usize),
    mut sink: impl FnMut(DirectoryEntry),
) -> io::Result<ImportReport> {
    if source.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let inflated = BufReader::new(MultiGzDecoder::new(source));
        return lines(inflated, &mut progress, &mut sink);
    }
    lines(source, &mut progress, &mut sink)
}

fn lines(
    mut source: impl BufRead,
    progress: &mut impl FnMut(usize),
    sink: &mut impl FnMut(DirectoryEntry),
) -> io::Result<ImportReport> {
    let mut report = ImportReport::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        if source.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        report.lines = report.lines.saturating_add(1);
        let outcome = if line.len() == MAX_LINE && !line.ends_with(b"\n") {
            skip_rest(&mut source)?;
            Err("the line is longer than a mebibyte".to_owned())
        } else if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        } else {
            entry(&line)
        };
        match outcome {
            Ok(entry) => {
                sink(entry);
                report.imported = report.imported.saturating_add(1);
            }
            Err(reason) if report.skipped.len() < MAX_SKIPPED => {
                report.skipped.push(Skipped { line: report.lines, reason });
            }
            Err(_) => {}
        }
        if report.lines.is_multiple_of(PROGRESS_EVERY) {
            progress(report.lines);
        }
    }
    progress(report.lines);
    Ok(report)
}

fn skip_rest(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = source.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at.saturating_add(1), true),
            None => (buffer.len(), buffer.is_empty()),
        };
        source.consume(used);
        if done {
            return Ok(());
        }
    }
}

fn entry(line: &[u8]) -> Result<DirectoryEntry, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        // The message of the parser names places, not values.
        format!("not an institution: {:?} at column {}", error.classify(), error.column())
    })?;
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    // An identifier with accents loses them; it stands in addresses.
    let id = if line.id.is_ascii() { line.id } else { super::fold::fold(&line.id).replace(' ', "-") };
    if !(1..=200).contains(&id.len()) || !id.bytes().all(slug) {
        return Err("id is not lower-case letters, digits and hyphens".to_owned());
    }
    let name = line.name.trim().to_owned();
    if name.is_empty() || name.len() > 1000 {
        return Err("name is empty or too long".to_owned());
    }
    let mut countries: Vec<Country> = Vec::new();
    for code in line.country_hq.iter().chain(line.countries.iter().flatten()) {
        let code = code.trim();
        // The United Kingdom goes by two codes in the wild, Greece by the EU's own.
        let code = match code {
            "UK" => "GB",
            "EL" => "GR",
            other => other,
        };
        if let Ok(country) = code.parse()
            && !countries.contains(&country)
        {
            countries.push(country);
        }
    }
    let bic = line.bic.map(|bic| bic.trim().to_ascii_uppercase()).filter(|bic| !bic.is_empty());
    if bic.as_deref().is_some_and(|bic| !is_bic(bic)) {
        return Err("bic is not 8 or 11 letters and digits (ISO 9362)".to_owned());
    }
    let legal_name = line.legal_name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    Ok(DirectoryEntry { id, name, legal_name, countries, bic, status: line.status })
}

fn is_bic(bic: &str) -> bool {
    matches!(bic.len(), 8 | 11) && bic.bytes().all(|b| b.is_ascii_alphanumeric())
}
