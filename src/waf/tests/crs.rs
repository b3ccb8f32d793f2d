//! The Core Rule Set, as its project publishes it, over its project's own tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use waf::seclang::EngineMode;
use waf::{Budget, LoadReport, RuleSet, Settings, Sources, regression};

/// The rules, where this machine has them.
fn folder() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs"));
    if !path.exists() {
        eprintln!("SKIPPED: no Core Rule Set beside the checkout ({})", path.display());
        return None;
    }
    Some(path.to_owned())
}

fn load(folder: &Path, settings: &Settings) -> (RuleSet, LoadReport) {
    let sources = Sources::engine().and(Sources::folder(folder).unwrap());
    RuleSet::load(&sources, settings).unwrap()
}

fn settings() -> Settings {
    Settings::new(jiff::civil::date(2026, 1, 1))
}

/// Every directive, pattern and action of the stock files is supported.
#[test]
fn the_core_rule_set_loads_unmodified() {
    let Some(folder) = folder() else { return };
    let (_, report) = load(&folder, &settings());
    assert!(report.phase_1 > 150 && report.phase_2 > 280, "{report:?}");
    assert_eq!(report.left_out, Vec::new());
    assert!(report.response_rules > 100, "rules about answers are counted: {report:?}");
}

#[test]
fn its_own_tests_pass_as_often_as_with_other_engines() {
    let Some(folder) = folder() else { return };
    let mut settings = settings().at_level(4);
    for (name, value) in regression::EXPECTED_VARIABLES {
        settings = settings.with(name, value);
    }
    settings.mode = Some(EngineMode::DetectionOnly);
    settings.budget = Budget { bytes: 1 << 20, values: 2_000, work: 1 << 28 };
    let (rules, _) = load(&folder, &settings);
    let report = regression::run(&folder, &rules).unwrap();
    eprintln!("{report}");
    let total = report.total(2);
    assert!(total.passed + total.failed > 4_000, "{report}");
    assert!(total.per_mille() >= 985, "{report}{:#?}", report.failures);
    for category in [920, 921, 930, 931, 932, 934, 941, 942, 944] {
        assert!(report.category(category, 2).per_mille() >= 950, "{category}: {report}");
    }
    assert!(total.refused <= 5, "few tests are left to the server: {report}");
}
