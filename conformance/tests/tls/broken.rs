//! Every server that is wrong in one way is noticed by the probe that is for that.

use std::collections::HashSet;

use consentry_conformance::tls::servers::{self, BrokenTls};
use consentry_conformance::tls::{Verdict, probes};
use tokio::task::JoinSet;

use crate::{BRIEF, PATIENT, authority, run};

#[tokio::test]
async fn every_broken_server_is_noticed() {
    let mut runs = JoinSet::new();
    for kind in BrokenTls::ALL {
        runs.spawn(async move {
            let authority = authority();
            let served = servers::broken(kind, &authority).await.unwrap();
            let told = kind.told();
            let within = if told.sentence == HANGS { BRIEF } else { PATIENT };
            let facts = run(told.probe, &served, &authority, within).await.unwrap();
            let noticed = facts.iter().any(|fact| {
                fact.verdict == Verdict::Fails
                    && fact.probe == told.probe
                    && fact.sentence.contains(told.sentence)
            });
            (!noticed).then(|| format!("{kind:?} ({}): {facts:#?}", told.description))
        });
    }
    let unnoticed: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn every_broken_server_has_a_name_of_its_own() {
    let names: HashSet<&str> = BrokenTls::ALL.iter().map(|kind| kind.told().name).collect();
    assert_eq!(names.len(), BrokenTls::ALL.len());
}

/// A probe that fails on everything would notice everything, too.
#[tokio::test]
async fn other_probes_find_nothing_wrong_with_a_broken_server() {
    let mut runs = JoinSet::new();
    for kind in BrokenTls::ALL.into_iter().filter(|kind| kind.told().sentence != HANGS) {
        runs.spawn(async move {
            let authority = authority();
            let served = servers::broken(kind, &authority).await.unwrap();
            let told = kind.told();
            let facts = probes::all(&served.place, PATIENT).await.unwrap();
            let others: Vec<String> = facts
                .iter()
                .filter(|fact| fact.verdict == Verdict::Fails && fact.probe != told.probe)
                .map(|fact| format!("{}: {}", fact.probe, fact.sentence))
                .collect();
            (!others.is_empty()).then(|| format!("{kind:?}: {others:#?}"))
        });
    }
    let others: Vec<String> = runs.join_all().await.into_iter().flatten().collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
}

/// What probes say of servers that hang, which is the only thing that tests wait for.
const HANGS: &str = "said nothing";
