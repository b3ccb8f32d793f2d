//! The folder of a run.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Report, Signer, html, junit, sarif};

/// Writes a run: `report.json`, `report.html`, `junit.xml`, `report.sarif`, `report.jws` (the
/// signature over the first), and `evidence/` with a file for each case.
///
/// # Errors
///
/// If something cannot be written.
pub fn write(report: &Report, folder: &Path, signer: &Signer) -> anyhow::Result<()> {
    let evidence = folder.join("evidence");
    std::fs::create_dir_all(&evidence).with_context(|| format!("{} cannot be made", evidence.display()))?;
    let mut all = Vec::new();
    for outcome in &report.outcomes {
        if !outcome.exchanges.is_empty() {
            let of = json!({"case": outcome.case, "client": outcome.client, "exchanges": outcome.exchanges});
            let file = evidence.join(evidence_name(&outcome.profile, &outcome.case, &outcome.client));
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("{} cannot be made", folder.display()))?;
            }
            put(&file, &pretty(&of))?;
            all.push(of);
        }
    }
    let mut json = serde_json::to_value(report).context("the report cannot be written down")?;
    if let Some(json) = json.as_object_mut() {
        // What was signed says which evidence belongs to it.
        let digest = crate::jose::base64url(&crate::jose::sha256(json!(all).to_string().as_bytes()));
        json.insert("evidence_sha256".to_owned(), json!(digest));
        json.insert("signed_by".to_owned(), signer.public());
    }
    let text = pretty(&json);
    let jws = signer.sign(text.as_bytes(), report.started);
    put(&folder.join("report.json"), &text)?;
    put(&folder.join("report.jws"), &jws)?;
    put(&folder.join("junit.xml"), &junit::document(report))?;
    put(&folder.join("report.sarif"), &pretty(&sarif::document(report)))?;
    put(&folder.join("report.html"), &html::page(report, &jws))
}

/// Reads the `report.json` of a folder, or the file.
///
/// # Errors
///
/// If there is none, or it is no report.
pub fn read(place: &Path) -> anyhow::Result<Value> {
    let file = if place.is_dir() { place.join("report.json") } else { place.to_owned() };
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let json: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no report", file.display()))?;
    anyhow::ensure!(json.get("outcomes").is_some_and(Value::is_array), "{} is no report", file.display());
    Ok(json)
}

/// The file with the evidence of a case, below `evidence/`: the same case may be in several profiles.
pub(super) fn evidence_name(profile: &str, case: &str, client: &str) -> std::path::PathBuf {
    let key = if client.is_empty() { case.to_owned() } else { format!("{case} [{client}]") };
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    Path::new(profile).join(key.chars().map(plain).collect::<String>() + ".json")
}

fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).unwrap_or_default() + "\n"
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}
