//! The hostile bank: a careful client passes at every one of them, and each way to be careless is noticed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use consentry_conformance::case::Case;
use consentry_conformance::http::Identity;
use consentry_conformance::rp::careless::{Client, Flaw};
use consentry_conformance::rp::{Bank, Identities, Judged, Made, Mode, Place, Places, judge, made, profiles};
use consentry_conformance::suite;
use futures_util::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const CLIENT: &str = "rp-test";

/// A bank, its root, the root of the stranger's certificate, and an identity for the client.
struct World {
    bank: Bank,
    root: String,
    stranger: String,
    own: Made,
}

async fn world() -> World {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let all = made(&Issuer::new(params, key)).unwrap();
    let of = |place| all.iter().find(|made: &&Made| made.place == place).unwrap().clone();
    let bank = Bank::start("127.0.0.1:0".parse().unwrap(), Identities::of(&all).unwrap(), CLIENT).await;
    let stranger = of(Place::Stranger).chain;
    let stranger = stranger[stranger.rfind("-----BEGIN").unwrap()..].to_owned();
    World { bank: bank.unwrap(), root, stranger, own: of(Place::Right) }
}

impl World {
    async fn play(&self, mode: Mode, flaw: Option<Flaw>) -> Judged {
        let mut roots = vec![self.root.clone()];
        if flaw == Some(Flaw::AnyAuthority) {
            // Whoever trusts the stranger trusts anybody.
            roots.push(self.stranger.clone());
        }
        let own = Identity::of_pem(&self.own.chain, &self.own.key).unwrap();
        let mut client = Client::new(&self.bank, &roots, own, CLIENT, flaw).unwrap();
        let told = client.journey(mode).await;
        judge(mode, &self.bank.issuer(mode), &self.bank.seen(mode), &told)
    }
}

#[tokio::test]
async fn a_careful_client_passes_at_every_bank() {
    let world = world().await;
    let played =
        join_all(Mode::ALL.iter().map(|mode| async { (*mode, world.play(*mode, None).await) })).await;
    let wrong: Vec<_> = played.into_iter().filter(|(_, judged)| *judged != Judged::Holds).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_carelessness_is_noticed() {
    let world = world().await;
    let mut missed = Vec::new();
    for flaw in Flaw::ALL {
        for mode in flaw.caught_by() {
            match world.play(*mode, Some(*flaw)).await {
                Judged::Broken(_) => {}
                passed @ (Judged::Holds | Judged::NotReached(_)) => missed.push((*flaw, *mode, passed)),
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(Flaw::ALL.len() >= 20);
}

/// A carelessness is one: it changes nothing where the bank is right.
#[tokio::test]
async fn a_carelessness_harms_nobody_at_a_bank_that_is_right() {
    let world = world().await;
    let mut wrong = Vec::new();
    for flaw in Flaw::ALL {
        let judged = world.play(Mode::Happy, Some(*flaw)).await;
        if judged != Judged::Holds {
            wrong.push((*flaw, judged));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_bank_has_a_carelessness_that_it_notices() {
    // An expired certificate and one of another host are refused by every TLS library unless somebody
    // takes the trouble; the banks that are right notice strictness by the modes that must be accepted.
    let excused = [Mode::Happy, Mode::TlsExpired, Mode::TlsOtherName, Mode::Hybrid];
    let noticed: Vec<_> = Flaw::ALL.iter().flat_map(|flaw| flaw.caught_by()).collect();
    let idle: Vec<_> =
        Mode::ALL.iter().filter(|mode| !excused.contains(mode) && !noticed.contains(mode)).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn each_bank_has_a_case_and_each_case_a_bank() {
    let profile = suite::profile("fapi2-rp", None).unwrap();
    let mode_of = |case: &Case| {
        let step = case.steps.first()?;
        step.with.get("mode").and_then(serde_json::Value::as_str).map(str::to_owned)
    };
    let mut cases = BTreeMap::new();
    for case in &profile.cases {
        match mode_of(case) {
            Some(mode) => assert_eq!(cases.insert(mode, case.id.clone()), None, "{}", case.id),
            None => assert!(case.left_out.is_some(), "{}", case.id),
        }
    }
    for mode in Mode::ALL {
        assert!(cases.remove(mode.name()).is_some(), "{} has no case", mode.name());
    }
    assert!(cases.is_empty(), "{cases:?}");
    let published =
        profile.cases.iter().filter(|case| case.id.starts_with("fapi2-security-profile-final-client-"));
    assert_eq!(published.count(), 32);
}

#[test]
fn each_bank_has_a_profile() {
    let profiles = profiles(Places { port: 9000 }, CLIENT);
    assert_eq!(profiles.len(), Mode::ALL.len());
    for (name, text) in &profiles {
        let read: toml::Table = toml::from_str(text).unwrap();
        let id = read["brand"][0]["id"].as_str().unwrap();
        assert_eq!(*name, format!("{id}.toml"));
    }
}
