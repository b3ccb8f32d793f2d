//! The audit log of a region, whatever the database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use audit::{Checkpoints, Finding, Frontier, Record, merkle};
use consentry_store::StoreError;
use consentry_store::audit_log::LoggedEntry;
use consentry_store::transaction;
use world::World;

impl World {
    async fn log(&self) -> Vec<LoggedEntry> {
        self.region.audit_entries(0, 10_000).await.unwrap()
    }

    /// Ten entries of the log.
    async fn ten(&self) -> Vec<LoggedEntry> {
        for number in 0..10 {
            self.region.audit(&self.read(number % 2 == 0, self.in_seconds(number))).await.unwrap();
        }
        self.log().await
    }

    /// What is wrong with the log, as it is now, by its own hashes.
    async fn findings(&self) -> Vec<Finding> {
        let mut verifier = Checkpoints::new(Vec::new(), "nobody signs").into_verifier();
        for LoggedEntry { sequence, entry, leaf_hash } in self.log().await {
            verifier.entry(sequence, entry.as_bytes(), leaf_hash);
        }
        verifier.finish().findings
    }
}

fn root(entries: &[LoggedEntry]) -> merkle::Hash {
    let mut frontier = Frontier::empty();
    entries.iter().for_each(|logged| frontier.append(merkle::leaf(logged.entry.as_bytes())));
    frontier.root()
}

on_both_databases! {
    /// Two processes, each with many that write at the same time.
    async fn entries_have_one_order_whoever_writes(world: World) {
        let other = world::region(&world.urls, &[1], &world.clock).await;
        let writing = (0..80_i64).map(|number| {
            let store = if number % 2 == 0 { world.region.clone() } else { other.clone() };
            let record = world.read(true, world.in_seconds(number));
            async move { store.audit(&record).await }
        });
        let written: Result<Vec<()>, _> = futures_util::future::join_all(writing).await.into_iter().collect();
        written.unwrap();
        let log = world.log().await;
        let places: Vec<_> = log.iter().map(|logged| logged.sequence).collect();
        assert_eq!(places, (0..80).collect::<Vec<_>>());
        let mut told: Vec<_> = log.iter().map(|logged| logged.entry.clone()).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), 80, "each once");
        let frontier = world.region.audit_frontier().await.unwrap();
        assert_eq!((frontier.size(), frontier.root()), (80, root(&log)));
        assert_eq!(world.findings().await, []);
        assert_eq!(world.region.audit_entries(78, 1).await.unwrap(), log[78..79]);
    }

    /// A process that knows how the log was when it appended last sees what others did since, and what waits.
    async fn who_appended_last_may_be_somebody_else(world: World) {
        let other = world::region(&world.urls, &[1], &world.clock).await;
        let mut told = Vec::new();
        for number in 0..12_i64 {
            let record = world.read(true, world.in_seconds(number));
            // Twice each: alone, and after the other one.
            let store = if number / 2 % 2 == 0 { &world.region } else { &other };
            store.audit(&record).await.unwrap();
            told.push(record.to_string());
            if number % 3 == 0 {
                transaction!(world.region, tx => {
                    tx.emit(&world.event("consent.granted", &format!("con_uk_{number}_"))).await.unwrap();
                    Ok::<_, StoreError>(())
                })
                .unwrap();
                told.push(format!("con_uk_{number}_"));
            }
        }
        world.region.settle_audit().await.unwrap();
        let log = world.log().await;
        assert_eq!(log.len(), told.len());
        for (logged, told) in log.iter().zip(&told) {
            assert!(logged.entry.contains(told), "{} is where {told} was", logged.entry);
        }
        assert_eq!(world.findings().await, []);
        let frontier = world.region.audit_frontier().await.unwrap();
        assert_eq!(frontier.root(), root(&log));
    }

    /// A change that was taken back was none.
    async fn a_change_and_its_entry_are_one(world: World) {
        let taken_back = transaction!(world.region, tx => {
            tx.emit(&world.event("consent.granted", "con_uk_taken_back")).await?;
            Err::<(), _>(StoreError::NotFound)
        });
        taken_back.unwrap_err();
        assert!(!world.region.settle_audit().await.unwrap());
        transaction!(world.region, tx => {
            tx.emit(&world.event("consent.granted", "con_uk_given")).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.log().await, []);
        assert!(world.region.settle_audit().await.unwrap());
        assert!(!world.region.settle_audit().await.unwrap(), "once");
        let log = world.log().await;
        assert!(log.len() == 1 && log[0].entry.contains("con_uk_given"), "{log:?}");
        assert!(log[0].entry.contains("\"event.type\":\"change\""), "{log:?}");
    }

    /// A read after a change is behind it in the log.
    async fn what_waits_comes_before_what_is_appended(world: World) {
        transaction!(world.region, tx => {
            tx.emit(&world.event("consent.granted", "con_uk_1")).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let read: Record<'_> = world.read(false, world.now());
        world.region.audit(&read).await.unwrap();
        let log = world.log().await;
        assert!(log[0].entry.contains("con_uk_1") && log[1].entry == read.to_string(), "{log:?}");
    }

    async fn a_changed_entry_is_found(world: World) {
        world.ten().await;
        world.spoil("update audit_log set entry = replace(entry, 'true', 'false') where sequence = 4").await;
        assert_eq!(world.findings().await, [Finding::Changed { sequence: 4 }]);
    }

    async fn an_entry_that_is_gone_is_found(world: World) {
        world.ten().await;
        world.spoil("delete from audit_log where sequence = 4").await;
        assert!(matches!(world.findings().await[..], [Finding::Missing { .. }]), "{:?}", world.findings().await);
    }

    /// Nothing is appended to what nobody can read.
    async fn a_damaged_head_stops_the_log(world: World) {
        world.ten().await;
        world.spoil("update audit_head set frontier = '10 00'").await;
        let refused = world.region.audit(&world.read(true, world.now())).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { table: "audit_head", .. })), "{refused:?}");
        assert_eq!(world.log().await.len(), 10);
    }

    /// Of two processes that sign a log of the same size, one is in time.
    async fn a_size_is_signed_once(world: World) {
        assert_eq!(world.region.audit_signed().await.unwrap(), 0);
        assert!(world.region.add_audit_checkpoint(10, "first").await.unwrap());
        assert!(!world.region.add_audit_checkpoint(10, "second").await.unwrap());
        assert!(world.region.add_audit_checkpoint(12, "third").await.unwrap());
        assert_eq!(world.region.audit_signed().await.unwrap(), 12);
        assert_eq!(world.region.audit_checkpoints().await.unwrap(), ["first", "third"]);
    }
}
