//! What another process changes in a consent that this one has just read under.

use std::sync::Arc;

use consentry::demo::Tpp;
use consentry::sandbox::Sandbox;
use domain::{ConsentId, ReadKind};
use secrecy::SecretString;
use store::RegionalStore;
use store::accounts::ConsentToRead;
use store::consents::{ConsentRow, Note};

use crate::support::{TestGateway, UK, assert_problem};

/// A gateway that has just read under a consent, and another one on its stores.
struct Two {
    gw: TestGateway,
    twin: Sandbox,
    tpp: Tpp,
    token: SecretString,
    id: ConsentId,
}

impl Two {
    async fn reading() -> Self {
        let gw = TestGateway::start().await;
        let twin = gw.twin().await;
        let tpp = gw.tpp().await;
        let granted = gw.granted(&tpp, &[UK]).await;
        let id = granted.consents[0].parse().unwrap();
        let two = Self { gw, twin, tpp, token: granted.token, id };
        // The first read finds accounts, which is a change.
        for _ in 0..2 {
            two.read("/v1/accounts", 200).await;
        }
        assert!(two.recent().is_some());
        two
    }

    fn here(&self) -> &RegionalStore {
        self.gw.sandbox.gateway().stores().region(self.id.region()).unwrap()
    }

    fn there(&self) -> &RegionalStore {
        self.twin.gateway().stores().region(self.id.region()).unwrap()
    }

    async fn read(&self, path: &str, status: u16) {
        self.tpp.get(&self.token, path).await.unwrap().expect(status).unwrap();
    }

    /// What this process remembers of the consent.
    fn recent(&self) -> Option<Arc<ConsentToRead>> {
        self.here().recent_consent(self.id, domain::utc_day(self.gw.clock.now()))
    }

    /// How often something was read, as the ledger has it.
    async fn noted(&self, kind: ReadKind) -> i64 {
        let usage = self.here().usage(self.id).await.unwrap();
        usage.iter().filter(|usage| usage.kind == kind).map(|usage| usage.attended).sum()
    }

    /// Changes the consent in the other process.
    async fn change(&self, change: impl Fn(&mut ConsentRow)) {
        let mut consent = self.there().consent(self.id).await.unwrap().unwrap();
        change(&mut consent);
        let (was, now) = (consent.status, self.gw.clock.now());
        store::transaction!(keyed self.there(), tx => {
            tx.update_consent(was, &consent, Note::by("gateway"), now).await
        })
        .unwrap();
    }

    async fn stop(self) {
        self.twin.stop().await;
        self.gw.sandbox.stop().await;
    }
}

/// Nothing that was read under a consent leaves the house once another process has ended it, though this one
/// still remembers it otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_suspends_is_not_read_here() {
    let two = Two::reading().await;
    two.twin.gateway().suspend_consent(two.id).await.unwrap();
    assert!(two.recent().unwrap().consent.is_in_force(two.gw.clock.now()));
    let refused = two.tpp.get(&two.token, "/v1/balances").await.unwrap();
    assert_problem(&refused, 403, "consent.not_in_force");
    assert_eq!(two.noted(ReadKind::Balances).await, 0);
    let told = two.here().audit_entries(0, 10_000).await.unwrap();
    let reads = told.iter().filter(|entry| entry.entry.contains("\"BALANCES\""));
    let outcomes: Vec<_> = reads.map(|entry| entry.entry.contains("\"failure\"")).collect();
    assert_eq!(outcomes, [true], "the log tells of a refusal, and of nothing else");
    two.twin.gateway().resume_consent(two.id).await.unwrap();
    two.read("/v1/balances", 200).await;
    assert_eq!(two.noted(ReadKind::Balances).await, 1);
    two.stop().await;
}

/// A change that takes nothing from a client costs it nothing: the read is noted once, as the consent is now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_does_not_matter_lets_a_read_through() {
    let two = Two::reading().await;
    let calls = || two.gw.sandbox.bank(UK).unwrap().1.entries().len();
    for round in 1..=3 {
        two.change(|consent| consent.bank.psu_id = Some(format!("person-{round}"))).await;
        let before = calls();
        two.read("/v1/accounts", 200).await;
        assert_eq!(calls(), before + 1, "the bank is asked once");
        assert_eq!(two.noted(ReadKind::Accounts).await, round + 2);
    }
    two.stop().await;
}

/// Another process got a new token from the bank, which has burnt the one that this one remembers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_another_process_was_given_is_shown_at_the_second_try() {
    let two = Two::reading().await;
    let good = two.here().consent(two.id).await.unwrap().unwrap().bank.access_token;
    two.change(|consent| consent.bank.access_token = Some("burnt".to_owned())).await;
    two.here().consent_to_read(two.id, domain::utc_day(two.gw.clock.now())).await.unwrap();
    two.change(|consent| consent.bank.access_token.clone_from(&good)).await;
    let recent = two.recent().unwrap();
    assert_eq!(recent.consent.bank.access_token.as_deref(), Some("burnt"));
    two.read("/v1/balances", 200).await;
    assert_eq!(two.noted(ReadKind::Balances).await, 1);
    two.stop().await;
}
