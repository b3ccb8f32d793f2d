//! The judge at work: our sandbox passes every profile, and every broken sandbox is caught.
//!
//! The binary judges a sandbox of its own, as an operator would have it do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::process::Command;

use serde_json::Value;

fn judge(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .arg("conformance")
        .args(arguments)
        .args(["--sandbox", "--json"])
        .env_remove("CONSENTRY_DATABASE_URL")
        .output()
        .unwrap();
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

/// Every profile against the sandbox. A case that cannot be played would prove nothing.
#[test]
fn the_sandbox_passes_every_profile() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let baseline = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/baseline.toml");
    let (code, report) =
        judge(&["run", "--profile", "all", "--baseline", baseline, "--out", out.to_str().unwrap()]);
    let wrong: Vec<_> = report["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|outcome| {
            matches!(outcome["verdict"].as_str().unwrap(), "failed" | "blocked" | "warned" | "skipped")
        })
        .map(|outcome| format!("{} {}: {}", outcome["verdict"], outcome["case"], outcome["says"]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(code, Some(0));
    assert_eq!(report["idle_waivers"], serde_json::json!([]), "a waiver is not needed any more");
    assert!(report["counts"]["passed"].as_u64().unwrap() > 1_200, "{}", report["counts"]);

    // docs/conformance.md says how many came out how.
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let missing: Vec<_> = rows(&report).into_iter().filter(|row| !guide.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/conformance.md has not:\n{}", missing.join("\n"));

    // What was kept is what was signed, and holds no secret and nobody's account.
    let verified = Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args(["conformance", "verify", out.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let mut files = vec![out.join("report.json"), out.join("report.html"), out.join("junit.xml")];
    for profile in std::fs::read_dir(out.join("evidence")).unwrap() {
        let profile = std::fs::read_dir(profile.unwrap().path()).unwrap();
        files.extend(profile.map(|entry| entry.unwrap().path()));
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for secret in ["BEGIN PRIVATE", "BEGIN EC", "10000017", "Anna Archer", "Bearer ey"] {
            assert!(!text.contains(secret), "{} in {}", secret, file.display());
        }
    }
}

/// The rows of the guide's table.
fn rows(report: &Value) -> Vec<String> {
    let outcomes = report["outcomes"].as_array().unwrap();
    let mut profiles: Vec<_> = report["profiles"].as_array().unwrap().iter().collect();
    profiles.sort_by_key(|profile| profile.as_str().unwrap());
    let row = |profile: &&Value| {
        let of: Vec<_> = outcomes.iter().filter(|outcome| outcome["profile"] == **profile).collect();
        let count = |verdicts: &[&str]| {
            of.iter().filter(|outcome| verdicts.contains(&outcome["verdict"].as_str().unwrap())).count()
        };
        let away = count(&["not-applicable", "left-out", "skipped"]);
        let name = profile.as_str().unwrap();
        let (passed, waived) = (count(&["passed"]), count(&["waived"]));
        format!("| `{name}` | {} | {} | {passed} | {waived} |", of.len(), of.len() - away)
    };
    profiles.iter().map(row).collect()
}

/// A suite that cannot fail is worth nothing.
fn caught(profile: &str, least: usize) {
    let (code, found) = judge(&["mutants", "--profile", profile]);
    let found = found.as_array().unwrap();
    assert!(found.len() >= least, "only {} mutants of {profile}", found.len());
    let survivors: Vec<_> = found
        .iter()
        .filter(|caught| !caught["missed"].as_array().unwrap().is_empty())
        .map(|caught| format!("{} is not caught by {}", caught["mutant"], caught["missed"]))
        .collect();
    assert!(survivors.is_empty(), "{}", survivors.join("\n"));
    assert_eq!(code, Some(0));
}

#[test]
fn every_mutant_of_the_security_profile_is_caught() {
    caught("fapi2-security", 100);
}

#[test]
fn every_mutant_of_message_signing_is_caught() {
    caught("fapi2-message-signing", 20);
}

#[test]
fn every_mutant_of_the_api_is_caught() {
    caught("api", 15);
}

#[test]
fn every_mutant_of_a_uk_bank_is_caught() {
    caught("uk-functional", 8);
}

#[test]
fn every_mutant_of_a_berlin_group_bank_is_caught() {
    caught("berlin-group-functional", 5);
}

#[test]
fn every_mutant_of_a_bank_that_asks_in_its_app_or_through_us_is_caught() {
    caught("berlin-group-decoupled", 3);
    caught("berlin-group-embedded", 4);
}

/// A name that is mistyped is not a name of nothing.
#[test]
fn a_mutant_that_there_is_not_is_said() {
    let arguments = ["conformance", "mutants", "--sandbox", "--only", "bg-request", "--only", "bg-requset"];
    let output = Command::new(env!("CARGO_BIN_EXE_consentry")).args(arguments).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no mutant has bg-requset in its name"));
}
