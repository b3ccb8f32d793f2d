//! Probes find nothing wrong with servers that are sound.

use consentry_conformance::tls::probes::{self, Asked};
use consentry_conformance::tls::{Fact, Place, Verdict, servers};

use crate::{PATIENT, authority, failures, judge, stranger};

fn skipped(facts: &[Fact]) -> Vec<&str> {
    facts.iter().filter(|fact| fact.verdict == Verdict::Skipped).map(|fact| fact.sentence.as_str()).collect()
}

#[tokio::test]
async fn a_sound_server_passes_every_probe() {
    let authority = authority();
    let served = servers::sound(&authority).await.unwrap();
    let place = &served.place;
    let mut facts = probes::all(place, PATIENT).await.unwrap();
    facts.extend(probes::certificate(place, &judge(&authority), PATIENT).await.unwrap());
    facts.extend(probes::resumption(place, PATIENT).await.unwrap());
    facts.extend(probes::early_data(place, PATIENT).await.unwrap());
    facts.extend(probes::alpn(place, PATIENT).await.unwrap());
    let client = probes::client_certificates(place, Asked::Never, &stranger(), "/", PATIENT).await.unwrap();
    facts.extend(client);
    assert_eq!(failures(&facts), Vec::<&str>::new());
    assert_eq!(skipped(&facts), Vec::<&str>::new());
    for fact in &facts {
        assert!(fact.sentence.ends_with('.') && !fact.clause.is_empty(), "{fact:?}");
    }
}

#[tokio::test]
async fn a_careful_raw_server_passes_the_probes_that_need_no_handshake() {
    let served = servers::careful(&authority()).await.unwrap();
    let facts = probes::all(&served.place, PATIENT).await.unwrap();
    assert_eq!(failures(&facts), Vec::<&str>::new());
}

#[tokio::test]
async fn a_server_for_known_clients_asks_and_refuses_strangers() {
    let authority = authority();
    let served = servers::sound_mutual(&authority).await.unwrap();
    let place = &served.place;
    let mut facts =
        probes::client_certificates(place, Asked::Wanted, &stranger(), "/", PATIENT).await.unwrap();
    let known = authority.client("tpp.test").unwrap();
    facts.extend(probes::client_resumption(place, &known, "/", PATIENT).await.unwrap());
    facts.extend(probes::certificate(place, &judge(&authority), PATIENT).await.unwrap());
    assert_eq!(skipped(&facts), Vec::<&str>::new());
    facts.extend(probes::all(place, PATIENT).await.unwrap());
    assert_eq!(failures(&facts), Vec::<&str>::new());
    // Who shows no certificate does not come so far that it could renegotiate.
    assert!(skipped(&facts).iter().all(|told| told.contains("Renegotiation")), "{facts:#?}");
}

#[tokio::test]
async fn a_session_from_elsewhere_opens_nothing_at_a_sound_server() {
    let authority = authority();
    let (open, guarded) =
        (servers::sound(&authority).await.unwrap(), servers::sound_mutual(&authority).await.unwrap());
    let facts = probes::foreign_ticket(&open.place, &guarded.place, PATIENT).await.unwrap();
    assert_eq!(failures(&facts), Vec::<&str>::new());
    assert_eq!(skipped(&facts), Vec::<&str>::new());
}

/// The same server twice stands for two listeners of one name that share their tickets' key.
#[tokio::test]
async fn a_session_that_opens_another_place_is_noticed() {
    let served = servers::sound(&authority()).await.unwrap();
    let facts = probes::foreign_ticket(&served.place, &served.place, PATIENT).await.unwrap();
    assert_eq!(failures(&facts).len(), 2, "{facts:#?}");
}

#[tokio::test]
async fn a_place_where_nobody_listens_is_a_problem_and_no_fact() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let nowhere = Place { host: servers::HOST.into(), address };
    assert!(probes::versions(&nowhere, PATIENT).await.is_err());
}
