//! `--baseline`: failures that somebody answers for, until a day.

use consentry_conformance::case::Severity;
use consentry_conformance::report::{Outcome, Verdict};
use consentry_conformance::suite::{Baseline, Waiver};

use crate::{Stage, pairs, report, verdicts};

const MEMBERS: [(&str, &str); 4] =
    [("case", "stage-two"), ("owner", "maintainers"), ("reason", "It is so."), ("expires", "2099-12-31")];

/// A baseline of one waiver, which is good but for what is changed or, where that is empty, left out.
fn baseline(stage: &Stage, changes: &[(&str, Option<&str>)]) -> String {
    let mut text = "[[waivers]]\n".to_owned();
    for (name, value) in MEMBERS {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        if let Some(value) = change.map_or(Some(value), |(_, value)| *value) {
            text.push_str(&format!("{name} = \"{value}\"\n"));
        }
    }
    let file = stage.path("baseline.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_failure_that_is_waived_fails_no_run() {
    let stage = Stage::new(&["one"], &["one", "two"]).await;
    let run = stage.plays(&["--baseline", &baseline(&stage, &[])], 0).await;
    assert_eq!(verdicts(&run), pairs(&[("one", "passed"), ("two", "waived")]));
    let report = report(&run);
    assert_eq!(report["outcomes"][1]["waiver"]["owner"], "maintainers");
    assert_eq!(report["idle_waivers"], serde_json::json!([]));
}

#[tokio::test]
async fn a_waiver_that_has_expired_counts_no_more_and_the_run_says_so() {
    let stage = Stage::new(&["one"], &["one", "two"]).await;
    let expired = baseline(&stage, &[("expires", Some("2026-01-31"))]);
    let run = stage.plays(&["--baseline", &expired], 1).await;
    assert_eq!(verdicts(&run), pairs(&[("one", "passed"), ("two", "failed")]));
    let report = report(&run);
    let says = report["outcomes"][1]["says"].as_str().unwrap();
    assert!(says.contains("404") && says.ends_with("its waiver expired on 2026-01-31"), "{says}");
    assert_eq!(report["outcomes"][1]["waiver"]["owner"], "maintainers");
    // It was for a failure that there is: it is to be made anew, not to be taken out.
    assert_eq!(report["idle_waivers"], serde_json::json!([]));
    for file in ["report.html", "junit.xml", "report.sarif"] {
        let text = std::fs::read_to_string(run.join(file)).unwrap();
        assert!(text.contains("its waiver expired on 2026-01-31"), "{file}");
    }
}

/// The last day is one on which it counts, whatever failed.
#[test]
fn a_waiver_counts_until_the_end_of_its_day() {
    let expires: jiff::civil::Date = "2026-01-31".parse().unwrap();
    let waiver = Waiver {
        case: "stage-two".to_owned(),
        client: None,
        owner: "maintainers".to_owned(),
        reason: "It is so.".to_owned(),
        expires,
    };
    let baseline = Baseline { waivers: vec![waiver] };
    for verdict in [Verdict::Failed, Verdict::Warned, Verdict::Blocked] {
        for (today, is) in [
            (expires.yesterday().unwrap(), Verdict::Waived),
            (expires, Verdict::Waived),
            (expires.tomorrow().unwrap(), verdict),
        ] {
            let mut outcome = outcome(verdict);
            outcome.waive(&baseline, today);
            assert_eq!(outcome.verdict, is, "{verdict:?} on {today}");
        }
    }
    let mut passed = outcome(Verdict::Passed);
    passed.waive(&baseline, expires);
    assert_eq!((passed.verdict, passed.waiver), (Verdict::Passed, None));
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        profile: "tls".to_owned(),
        case: "stage-two".to_owned(),
        client: String::new(),
        title: String::new(),
        clause: String::new(),
        severity: Severity::Must,
        verdict,
        says: String::new(),
        waiver: None,
        ms: 0,
        notes: Vec::new(),
        exchanges: Vec::new(),
    }
}

#[tokio::test]
async fn a_waiver_that_is_not_needed_is_named() {
    let stage = Stage::new(&["one", "two"], &["one", "two"]).await;
    let run = stage.plays(&["--baseline", &baseline(&stage, &[])], 0).await;
    assert_eq!(report(&run)["idle_waivers"], serde_json::json!(["stage-two"]));
}

#[tokio::test]
async fn a_waiver_that_nobody_answers_for_is_refused() {
    let stage = Stage::new(&["one"], &["one", "two"]).await;
    for change in [
        ("owner", None),
        ("owner", Some("")),
        ("owner", Some(" ")),
        ("reason", None),
        ("reason", Some("")),
        ("reason", Some(" \\t")),
        ("case", None),
        ("expires", None),
        ("expires", Some("never")),
    ] {
        let run = stage.plays(&["--baseline", &baseline(&stage, &[change])], 2).await;
        assert!(!run.exists(), "{change:?}");
    }
    let none = stage.path("none.toml").display().to_string();
    stage.plays(&["--baseline", &none], 2).await;
}
