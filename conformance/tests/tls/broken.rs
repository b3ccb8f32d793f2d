//! Every server that is wrong in one way is noticed by the probe that is for that.

use std::collections::HashSet;

use consentry_conformance::tls::Verdict;
use consentry_conformance::tls::servers::{self, BrokenTls};
use tokio::task::JoinSet;

use crate::{BRIEF, authority, run};

#[tokio::test]
async fn every_broken_server_is_noticed() {
    let mut runs = JoinSet::new();
    for kind in BrokenTls::ALL {
        runs.spawn(async move {
            let authority = authority();
            let served = servers::broken(kind, &authority).await.unwrap();
            let told = kind.told();
            let facts = run(told.probe, &served, &authority, BRIEF).await.unwrap();
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
