//! What the authorization server keeps: refresh tokens, backchannel requests,
//! and which process must drop what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::StoreError;
use consentry_store::backchannel::BackchannelRow;
use consentry_store::tokens::{NewToken, RefreshRow};
use consentry_store::transaction;
use crypto::Confirmation;
use domain::{GrantId, SessionId, SystemEntropy};
use world::World;

on_both_databases! {
    /// A refresh token lives until its end, its grant's, or its client's suspension.
    async fn a_refresh_token_ends_with_its_tokens_its_grant_or_its_client(world: World) {
        world.client("tpp").await;
        let now = world.now();
        let lives = async |digest: &str| world.global.live_refresh_token(digest, now).await.unwrap().is_some();
        let mut grants = Vec::new();
        for digest in ["one", "two", "three"] {
            let grant = GrantId::new(&*world.clock, &SystemEntropy);
            let token = RefreshRow {
                client_id: "tpp".to_owned(),
                grant,
                scope: "accounts".to_owned(),
                issued_at: now,
                expires_at: world.in_seconds(60),
            };
            transaction!(world.global, tx => {
                tx.give_grant(&world.grant(grant)).await.unwrap();
                tx.issue_refresh_token(digest, &token).await.unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
            assert!(lives(digest).await);
            grants.push(grant);
        }
        assert!(world.global.live_refresh_token("one", world.in_seconds(60)).await.unwrap().is_none());
        transaction!(world.global, tx => {
            tx.revoke_tokens_of(grants[0], now).await.unwrap();
            tx.revoke_grant(grants[1], "tpp", now).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(!lives("one").await && !lives("two").await && lives("three").await);
        assert!(world.global.grant(grants[0]).await.unwrap().unwrap().revoked_at.is_none());
        transaction!(world.global, tx => {
            tx.set_client_status("tpp", "suspended").await.unwrap();
            assert!(matches!(tx.set_client_status("nobody", "suspended").await, Err(StoreError::NotFound)));
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(!lives("three").await);
    }

    /// What is written at the same time is committed together, and each is told
    /// how its own fared: a spent id and a token of nobody spoil no other write.
    async fn writes_at_the_same_time_fare_each_on_its_own(world: World) {
        world.client("tpp").await;
        let (now, end) = (world.now(), world.in_seconds(60));
        let mut all = tokio::task::JoinSet::new();
        for number in 0..150 {
            let global = world.global.clone();
            let digest = format!("token {number}");
            all.spawn(async move {
                // Every id three times, every tenth token of a client that is not there.
                let claimed = global.claim_id("tpp", &format!("id {}", number % 50), end).await;
                let token = NewToken {
                    digest: &digest,
                    client_id: if number % 10 == 0 { "nobody" } else { "tpp" },
                    grant: None,
                    scope: "accounts",
                    cnf: Confirmation::Certificate("A".repeat(43).parse().unwrap()),
                    issued_at: now,
                    expires_at: end,
                };
                let issued = global.issue_token(&token).await;
                let lives = global.live_token(&digest, now).await.unwrap().is_some();
                assert_eq!(lives, issued.is_ok());
                (number, claimed, issued)
            });
        }
        let mut claims = 0;
        for (number, claimed, issued) in all.join_all().await {
            assert!(matches!(claimed, Ok(()) | Err(StoreError::Conflict)));
            claims += usize::from(claimed.is_ok());
            assert_eq!(issued.is_ok(), number % 10 != 0, "{number}");
        }
        assert_eq!(claims, 50);
        assert!(matches!(world.global.claim_id("tpp", "id 0", end).await, Err(StoreError::Conflict)));
        world.global.claim_id("other", "id 0", end).await.unwrap();
    }

    /// Of two merges into one grant that read the same, one happens.
    async fn a_grant_is_changed_by_whoever_read_it_last(world: World) {
        world.client("tpp").await;
        let was = world.grant(GrantId::new(&*world.clock, &SystemEntropy));
        let mut now = was.clone();
        now.details = serde_json::json!([{ "type": "account_access" }]);
        transaction!(world.global, tx => {
            tx.give_grant(&was).await.unwrap();
            tx.change_grant(&was, &now).await.unwrap();
            assert!(matches!(tx.change_grant(&was, &now).await, Err(StoreError::Conflict)));
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.global.grant(was.id).await.unwrap().unwrap().details, now.details);
    }

    /// CIBA Core §7.3, §10.1: polls keep their distance; one settles, one redeems.
    async fn a_backchannel_request_is_settled_and_redeemed_once(world: World) {
        world.client("tpp").await;
        let now = world.now();
        let request = BackchannelRow {
            digest: "request".to_owned(),
            client_id: "tpp".to_owned(),
            session: SessionId::new(&*world.clock, &SystemEntropy),
            plan: serde_json::json!({}),
            status: "pending".to_owned(),
            grant: None,
            poll_after: now,
            next_look_at: Some(now),
            expires_at: world.in_seconds(60),
        };
        let grant = world.grant(GrantId::new(&*world.clock, &SystemEntropy));
        let conflict = |done: Result<(), StoreError>| assert!(matches!(done, Err(StoreError::Conflict)));
        transaction!(world.global, tx => {
            tx.give_grant(&grant).await.unwrap();
            tx.open_backchannel(&request).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.global.backchannel_due(now).await.unwrap().len(), 1);
        transaction!(world.global, tx => {
            tx.take_backchannel_look(&request, world.in_seconds(5)).await.unwrap();
            conflict(tx.take_backchannel_look(&request, world.in_seconds(5)).await);
            tx.note_backchannel_poll("request", now, world.in_seconds(5)).await.unwrap();
            conflict(tx.note_backchannel_poll("request", world.in_seconds(4), world.in_seconds(9)).await);
            conflict(tx.redeem_backchannel("request").await);
            tx.settle_backchannel("request", "approved", Some(grant.id)).await.unwrap();
            conflict(tx.settle_backchannel("request", "denied", None).await);
            tx.redeem_backchannel("request").await.unwrap();
            conflict(tx.redeem_backchannel("request").await);
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(world.global.backchannel_due(world.in_seconds(9)).await.unwrap().is_empty());
        assert_eq!(world.global.backchannel("request").await.unwrap().unwrap().grant, Some(grant.id));
    }

    /// A process is waited for until it has seen the change or its lease is over.
    async fn a_process_is_behind_until_it_has_seen_the_change_or_its_lease_ends(world: World) {
        let (now, lease) = (world.now(), world.in_seconds(3));
        assert_eq!(world.global.newest_invalidation().await.unwrap(), 0);
        for instance in ["quick", "slow"] {
            world.global.note_instance(instance, 0, lease).await.unwrap();
        }
        transaction!(world.global, tx => {
            assert_eq!(tx.invalidate("token:one", now).await.unwrap(), 1);
            assert_eq!(tx.invalidate("grant:two", now).await.unwrap(), 2);
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.global.newest_invalidation().await.unwrap(), 2);
        let after: Vec<_> = world.global.invalidations_after(1).await.unwrap();
        assert_eq!(after.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["grant:two"]);
        assert_eq!(world.global.instances_behind(2, now, "me").await.unwrap(), 2);
        assert_eq!(world.global.instances_behind(2, now, "slow").await.unwrap(), 1);
        world.global.note_instance("quick", 2, lease).await.unwrap();
        assert_eq!(world.global.instances_behind(2, now, "me").await.unwrap(), 1);
        assert_eq!(world.global.instances_behind(2, lease, "me").await.unwrap(), 0, "a dead process holds nobody up");
        world.global.forget_instance("slow").await.unwrap();
        assert_eq!(world.global.instances_behind(2, now, "me").await.unwrap(), 0);
    }
}
