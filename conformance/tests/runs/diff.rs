//! `diff`: what is other than in an earlier run.

use std::path::{Path, PathBuf};

use consentry_conformance::report::{diff, read};
use serde_json::{Value, json};

use crate::{Stage, ends_with};

/// A run of the cases, kept elsewhere.
async fn kept(good: &'static [&'static str], cases: &[&str], to: &Path) -> PathBuf {
    let stage = Stage::new(good, cases).await;
    let all_good = cases.iter().all(|case| good.contains(case));
    let run = stage.plays(&[], u8::from(!all_good)).await;
    std::fs::rename(run, to).unwrap();
    to.to_owned()
}

fn changes(before: &Path, after: &Path) -> Value {
    serde_json::to_value(diff(&read(before).unwrap(), &read(after).unwrap())).unwrap()
}

async fn compared(before: &Path, after: &Path, code: u8) {
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    ends_with(&["diff", before, after], code).await;
    ends_with(&["diff", before, after, "--json"], code).await;
}

#[tokio::test]
async fn it_says_what_is_worse_better_new_and_gone_and_ends_with_1_if_something_is_worse() {
    let folder = tempfile::tempdir().unwrap();
    let cases = ["kept", "lost", "won", "gone", "bad-and-gone"];
    let before = kept(&["kept", "lost", "gone"], &cases, &folder.path().join("a")).await;
    let cases = ["kept", "lost", "won", "new", "new-and-bad"];
    let after = kept(&["kept", "won", "new"], &cases, &folder.path().join("b")).await;
    let told: Vec<_> = changes(&before, &after)
        .as_array()
        .unwrap()
        .iter()
        .map(|change| json!([change["case"], change["before"], change["after"], change["worse"]]))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["tls: stage-gone []", "passed", null, true],
            ["tls: stage-lost []", "passed", "failed", true],
            ["tls: stage-new-and-bad []", null, "failed", true],
            ["tls: stage-bad-and-gone []", "failed", null, false],
            ["tls: stage-new []", null, "passed", false],
            ["tls: stage-won []", "failed", "passed", false],
        ])
    );
    let lost = &changes(&before, &after)[1]["says"];
    assert!(lost.as_str().unwrap().contains("404"), "{lost}");
    compared(&before, &after, 1).await;
    compared(&before, &before, 0).await;
    assert_eq!(changes(&before, &before), json!([]));
    // A file does as well as its folder.
    compared(&before.join("report.json"), &after, 1).await;
}

#[tokio::test]
async fn what_is_better_only_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let before = kept(&["one"], &["one", "two", "three"], &folder.path().join("a")).await;
    let after = kept(&["one", "two", "new"], &["one", "two", "new"], &folder.path().join("b")).await;
    compared(&before, &after, 0).await;
    compared(&after, &before, 1).await;
}

/// What is not played says nothing: no more than what is not there.
#[test]
fn a_case_that_is_not_played_is_worse_than_one_that_passed_and_than_no_other() {
    let run = |verdict: Option<&str>| {
        let outcome = |verdict| json!({"profile": "tls", "case": "one", "client": "", "verdict": verdict});
        json!({"outcomes": verdict.into_iter().map(outcome).collect::<Vec<_>>()})
    };
    let worse = |before, after| diff(&run(before), &run(after)).iter().any(|change| change.worse);
    let silent = [None, Some("not-applicable"), Some("skipped"), Some("left-out"), Some("waived")];
    for one in silent {
        assert!(worse(Some("passed"), one) && !worse(one, Some("passed")), "{one:?}");
        for other in silent {
            assert!(!worse(one, other), "{one:?} {other:?}");
        }
        for bad in ["warned", "blocked", "failed"] {
            assert!(worse(one, Some(bad)) && !worse(Some(bad), one), "{one:?} {bad}");
        }
    }
    assert!(worse(Some("warned"), Some("blocked")) && worse(Some("blocked"), Some("failed")));
}

#[tokio::test]
async fn what_is_no_report_cannot_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    let run = kept(&["one"], &["one"], &folder.path().join("a")).await;
    let none = folder.path().join("none");
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{}").unwrap();
    for bad in [&none, &other] {
        compared(&run, bad, 2).await;
        compared(bad, &run, 2).await;
    }
}
