//! The cases that come along, as data.

use std::collections::BTreeSet;

use consentry_conformance::case::{Action, Step};
use consentry_conformance::mutants::of_banks;
use consentry_conformance::suite::{Profile, profile};
use consentry_conformance::target::{BankConfiguration, Configuration, Dialect, RegistrationConfiguration};

const PROFILES: [(&str, usize); 7] = [
    ("uk-functional", 200),
    ("berlin-group-functional", 60),
    ("berlin-group-decoupled", 65),
    ("berlin-group-embedded", 85),
    ("stet-functional", 35),
    ("polish-api-functional", 30),
    ("dcr", 45),
];

fn ids(profile: &Profile) -> BTreeSet<&str> {
    profile.cases.iter().map(|case| case.id.as_str()).collect()
}

#[test]
fn every_case_says_what_it_is_about_and_does_something() {
    for (name, least) in PROFILES {
        let profile = profile(name, None).unwrap();
        assert!(profile.cases.len() >= least, "{name}: {}", profile.cases.len());
        for case in &profile.cases {
            assert!(!case.title.is_empty() && !case.clause.is_empty(), "{}", case.id);
            assert!(!case.steps.is_empty(), "{}", case.id);
            let rolled = |step: &Step| step.action == Action::Sequence && step.skips.is_none();
            assert!(!case.steps.iter().any(rolled), "{}", case.id);
        }
    }
}

/// The numbers of OBIE's suites.
#[test]
fn the_published_ids_are_all_there() {
    let uk = profile("uk-functional", None).unwrap();
    let uk = ids(&uk);
    let of = |part: &str| uk.iter().filter(|id| id.starts_with("OB-") && id.contains(part)).count();
    let accounts =
        ["-ACC-", "-BAL-", "-BEN-", "-DIR-", "-OFF-", "-PAR-", "-PRO-", "-SCP-", "-STO-", "-TRA-", "-STA-"];
    assert_eq!(accounts.iter().map(|part| of(part)).sum::<usize>(), 95);
    assert_eq!((of("-DOP-"), of("-CBPII-"), of("-VRP-")), (31, 14, 14));
    let dcr = profile("dcr", None).unwrap();
    for number in 1..=11 {
        assert!(ids(&dcr).contains(format!("DCR-{number:03}").as_str()), "{number}");
    }
}

#[test]
fn every_mutant_names_cases_that_there_are() {
    let mut seen = BTreeSet::new();
    for dialect in [Dialect::UkOpenBanking, Dialect::BerlinGroup, Dialect::Stet, Dialect::PolishApi] {
        let configuration = Configuration {
            bank: Some(BankConfiguration { dialect, ..BankConfiguration::default() }),
            registration: Some(RegistrationConfiguration::default()),
            ..Configuration::default()
        };
        for mutant in of_banks(&configuration) {
            seen.insert(mutant.name);
            let profile = profile(mutant.profile, None).unwrap();
            let unknown: Vec<_> =
                mutant.caught_by.iter().filter(|id| !ids(&profile).contains(**id)).collect();
            assert!(unknown.is_empty() && !mutant.caught_by.is_empty(), "{}: {unknown:?}", mutant.name);
        }
    }
    assert!(seen.len() >= 40, "{}", seen.len());
}

/// Where a person is asked each time, what one authorisation gave does for all that only read.
#[test]
fn cases_that_only_read_share_an_authorisation_and_others_do_not() {
    let uk = profile("uk-functional", None).unwrap();
    let skipped = |id: &str| {
        let case = uk.cases.iter().find(|case| case.id == id).unwrap();
        let first = case.steps.iter().position(|step| step.skips.is_some())?;
        let skips = case.steps[first].skips.unwrap();
        Some((case.steps[first + skips].skips, case.steps[first + skips + 1].url.clone()))
    };
    let read = "/accounts/${account_id}/balances".to_owned();
    assert_eq!(skipped("OB-301-BAL-101200"), Some((Some(0), Some(read))), "the reading itself is played");
    assert_eq!(skipped("uk-account-consent-deleted"), None);
}
