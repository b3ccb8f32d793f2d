//! Consents that are due, listed, and read under; whatever the database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::accounts::AccountLink;
use consentry_store::consents::{ConsentFilter, ConsentRow, Note};
use consentry_store::{StoreError, transaction};
use domain::{AccountId, ConsentId, ConsentStatus, Date, ReadKind, SystemEntropy};
use world::World;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

on_both_databases! {
    /// RTS art. 36(5)(b): "no more than four times in a 24-hour period" without the PSU.
    async fn fifty_racing_calls_take_four_of_four(world: World) {
        let consent = world.consent().await.id;
        let today = day("2026-11-25");
        let mut racing = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let region = world.region.clone();
            racing.spawn(async move { region.take_unattended_call(consent, "", today, None, 4).await.unwrap() });
        }
        let mut taken: Vec<i64> = racing.join_all().await.into_iter().flatten().collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4]);
        assert_eq!(world.region.unattended_calls(consent, today).await.unwrap(), 4);
    }

    /// A day begins with none taken, and an earlier one does not come back.
    async fn a_day_begins_anew_and_a_late_clock_gets_none_of_it(world: World) {
        let consent = world.consent().await.id;
        let take =
            async |on: &str| world.region.take_unattended_call(consent, "", day(on), None, 1).await.unwrap();
        assert_eq!(take("2026-11-25").await, Some(1));
        assert_eq!(take("2026-11-25").await, None);
        assert_eq!(take("2026-11-26").await, Some(1));
        assert_eq!(take("2026-11-25").await, None);
        assert_eq!(world.region.unattended_calls(consent, day("2026-11-27")).await.unwrap(), 0);
    }

    /// Calls of one part of the day are one, and things that are counted apart have their own.
    async fn calls_count_as_the_bank_counts_them(world: World) {
        let consent = world.consent().await.id;
        let today = day("2026-11-25");
        let take = async |item: &str, slot: i64| {
            let slot = (slot >= 0).then_some(slot);
            world.region.take_unattended_call(consent, item, today, slot, 2).await.unwrap()
        };
        let slots = [take("", 1).await, take("", 1).await, take("", 2).await, take("", 2).await, take("", 3).await];
        assert_eq!(slots, [Some(1), Some(1), Some(2), Some(2), None]);
        assert_eq!(take("", 2).await, Some(2), "the last part goes on");
        assert_eq!([take("balances a", -1).await, take("balances b", -1).await], [Some(1), Some(1)]);
        assert_eq!([take("balances a", -1).await, take("balances a", -1).await], [Some(2), None]);
        assert_eq!(world.region.unattended_calls(consent, today).await.unwrap(), 2);
    }

    /// What was read is summed by kind, with and without the PSU.
    async fn what_was_read_is_kept_by_kind(world: World) {
        let consent = world.consent().await.id;
        let (first, last) = (world.now(), world.in_seconds(90_000));
        for (kind, on, attended, at) in [
            (ReadKind::Balances, "2026-11-25", true, first),
            (ReadKind::Balances, "2026-11-25", false, first),
            (ReadKind::Balances, "2026-11-26", false, last),
            (ReadKind::Accounts, "2026-11-26", true, last),
        ] {
            world.region.note_read((consent, 0), kind, day(on), &world.read(attended, at)).await.unwrap();
        }
        let usage = world.region.usage(consent).await.unwrap();
        let kinds: Vec<_> = usage.iter().map(|u| (u.kind, u.attended, u.unattended)).collect();
        assert_eq!(kinds, [(ReadKind::Accounts, 1, 0), (ReadKind::Balances, 1, 2)]);
        assert_eq!((usage[1].first_at, usage[1].last_at), (first, last));
    }

    /// Reads that end at the same moment share a commit, and each counts.
    async fn reads_at_the_same_time_are_each_counted(world: World) {
        let consents = [world.consent().await.id, world.consent().await.id];
        let reads = (0..60_usize).map(|n| {
            let (region, read) = (world.region.clone(), world.read(n % 4 < 2, world.now()));
            let consent = consents[n % 2];
            async move { region.note_read((consent, 0), ReadKind::Balances, day("2026-11-25"), &read).await }
        });
        let noted: Result<Vec<()>, _> = futures_util::future::join_all(reads).await.into_iter().collect();
        noted.unwrap();
        for consent in consents {
            let usage = world.region.usage(consent).await.unwrap();
            assert_eq!((usage[0].attended, usage[0].unattended), (15, 15));
        }
    }

    /// What was read under a consent as it was before a change is not noted, nor what was read under one that
    /// is gone; what comes at the same time is.
    async fn what_was_read_under_a_consent_that_has_changed_is_not_noted(world: World) {
        let (changed, stands) = (world.consent().await, world.consent().await);
        let now = world.now();
        transaction!(keyed world.region, tx => {
            tx.update_consent(changed.status, &changed, Note::by("gateway"), now).await
        })
        .unwrap();
        let gone = ConsentId::new(stands.id.region(), &*world.clock, &SystemEntropy);
        let read = |id, revision| {
            let (region, read) = (world.region.clone(), world.read(true, now));
            async move { region.note_read((id, revision), ReadKind::Balances, day("2026-11-25"), &read).await }
        };
        let before = world.region.audit_entries(0, 1_000).await.unwrap().len();
        let outcomes = futures_util::future::join_all([
            read(stands.id, 0),
            read(changed.id, 0),
            read(changed.id, 1),
            read(gone, 0),
            read(stands.id, 0),
        ])
        .await;
        let noted: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
        assert_eq!(noted, [true, false, true, false, true]);
        assert!(outcomes.iter().all(|one| matches!(one, Ok(()) | Err(StoreError::Conflict))));
        assert_eq!(world.region.audit_entries(0, 1_000).await.unwrap().len(), before + 3);
        let read_of = async |id| world.region.usage(id).await.unwrap().iter().map(|kind| kind.attended).sum();
        let counts: [i64; 3] = [read_of(stands.id).await, read_of(changed.id).await, read_of(gone).await];
        assert_eq!(counts, [2, 1, 0]);
    }

    /// A consent in force is remembered until it is changed here, or an account of it is.
    async fn a_consent_that_was_read_is_remembered_until_it_changes(world: World) {
        let today = day("2026-11-25");
        let read = async |id| world.region.consent_to_read(id, today).await.unwrap().unwrap();
        let recent = |id| world.region.recent_consent(id, today);
        let mut consent = world.consent().await;
        read(consent.id).await;
        assert!(recent(consent.id).is_none(), "it is not in force");
        let change = async |was, consent: &ConsentRow| {
            let now = world.now();
            transaction!(keyed world.region, tx => {
                tx.update_consent(was, consent, Note::by("gateway"), now).await
            })
        };
        for status in [ConsentStatus::AwaitingRedirect, ConsentStatus::Authorized] {
            let was = consent.status;
            consent.status = status;
            change(was, &consent).await.unwrap();
            consent = read(consent.id).await.consent.clone();
        }
        assert_eq!(recent(consent.id).unwrap().consent.revision, consent.revision);
        let links = [AccountLink {
            account: AccountId::from_uuid(consent.id.region(), uuid::Uuid::from_u128(1)),
            resource_id: "1".to_owned(),
        }];
        world.region.link_accounts(consent.id, &links, &[]).await.unwrap();
        assert!(recent(consent.id).is_none(), "an account came");
        assert_eq!(read(consent.id).await.accounts, links);
        assert_eq!(recent(consent.id).unwrap().accounts, links);
        assert!(world.region.recent_consent(consent.id, day("2026-11-26")).is_none(), "another day has other counts");
        assert_eq!(recent(consent.id).unwrap().unattended, 0);
        world.region.take_unattended_call(consent.id, "", today, None, 4).await.unwrap();
        assert!(recent(consent.id).is_none(), "an access was taken");
        assert_eq!(read(consent.id).await.unattended, 1);
        change(consent.status, &consent).await.unwrap();
        assert!(recent(consent.id).is_none(), "it was changed");
        read(consent.id).await;
        // A change that failed may have been made all the same.
        assert!(change(consent.status, &consent).await.is_err());
        read(consent.id).await;
        assert!(recent(consent.id).is_some());
    }

    /// The newest first, cut where the page before ended, and filtered.
    async fn a_client_lists_its_consents_page_by_page(world: World) {
        let mut lodged = Vec::new();
        for _ in 0..5 {
            lodged.push(world.consent().await);
            world.clock.advance(1);
        }
        lodged.reverse();
        let mut listed = Vec::new();
        let mut filter = ConsentFilter::default();
        loop {
            let page = world.region.consents_of_client("tpp", &filter, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some((last.created_at, last.id));
            listed.extend(page.into_iter().map(|row| row.id));
        }
        assert_eq!(listed, lodged.iter().map(|row| row.id).collect::<Vec<_>>());
        let count = async |client: &str, filter: ConsentFilter| {
            world.region.consents_of_client(client, &filter, 10).await.unwrap().len()
        };
        let standing = |status| ConsentFilter { status: Some(status), ..ConsentFilter::default() };
        let at = |bank: &str| ConsentFilter { institution: Some(bank.parse().unwrap()), ..ConsentFilter::default() };
        assert_eq!(count("other", ConsentFilter::default()).await, 0);
        assert_eq!(count("tpp", standing(ConsentStatus::Created)).await, 5);
        assert_eq!(count("tpp", standing(ConsentStatus::Expired)).await, 0);
        assert_eq!(count("tpp", at("gb-albion-bank")).await, 5);
        assert_eq!(count("tpp", at("de-rheinbank")).await, 0);
    }

    /// A consent is due when something is, to one of those who look.
    async fn a_due_consent_is_leased_to_one(world: World) {
        let mut consent = world.consent().await;
        assert!(world.region.consents_due(world.now()).await.unwrap().is_empty());
        consent.life.ask_bank_at = Some(world.in_seconds(10));
        transaction!(world.region, tx => {
            tx.update_consent(consent.status, &consent, Note::by("gateway"), world.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        world.clock.advance(10);
        let due = world.region.consents_due(world.now()).await.unwrap();
        let until = world.in_seconds(60);
        let (one, other) = (
            world.region.lease_consent(&due[0], world.now(), until).await,
            world.region.lease_consent(&due[0], world.now(), until).await,
        );
        assert!(one.is_ok() && matches!(other, Err(StoreError::Conflict)));
        assert!(world.region.consents_due(world.now()).await.unwrap().is_empty());
    }
}
