//! What is kept, what is not, and what happens to a row that cannot be read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::grants::CodeRow;
use consentry_store::tokens::NewToken;
use consentry_store::transaction;
use consentry_store::{GlobalStore, StoreError};
use domain::{Clock, GrantId, PaymentState, SystemClock, SystemEntropy};
use world::World;

on_both_databases! {
    /// A row that cannot be decoded names its table, its column and its id,
    /// and nothing of its content.
    async fn a_corrupt_row_names_table_column_and_id(world: World) {
        let (consent, payment) = (world.consent().await, world.payment().await);
        world.spoil("update consents set terms = '{\"secret\": 1}'").await;
        world.spoil("update payments set state = 'SECRET'").await;
        let consent_error = world.region.consent(consent.id).await.unwrap_err().to_string();
        assert_eq!(consent_error, format!("column consents.terms of {} cannot be read", consent.id));
        let payment_error = world.region.payment(payment.id).await.unwrap_err().to_string();
        assert_eq!(payment_error, format!("column payments.state of {} cannot be read", payment.id));
    }

    /// An order that was tampered with does not become another order.
    async fn a_tampered_amount_is_no_order(world: World) {
        let payment = world.payment().await;
        world.spoil("update payments set terms = terms || 'A'").await;
        let error = world.region.payment(payment.id).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { table: "payments", column: "terms", .. }));
    }

    /// One payment that cannot be read does not hold up the others.
    async fn a_corrupt_payment_does_not_stop_the_reconciler(world: World) {
        world.payment().await;
        world.spoil("update payments set bank = 'no json'").await;
        world.clock.advance(1);
        let good = world.payment().await;
        let due = world.region.payments_due(world.now()).await.unwrap();
        assert_eq!(due.iter().map(|payment| payment.id).collect::<Vec<_>>(), [good.id]);
    }

    /// What goes in comes out, to the microsecond.
    async fn rows_come_back_as_they_went_in(world: World) {
        let (consent, payment) = (world.consent().await, world.payment().await);
        let read = world.region.consent(consent.id).await.unwrap().unwrap();
        assert_eq!((read.terms, read.created_at, read.updated_at), (consent.terms, consent.created_at, consent.updated_at));
        let read = world.region.payment(payment.id).await.unwrap().unwrap();
        assert_eq!(read.terms.order, payment.terms.order);
        assert_eq!((read.state, read.created_at), (PaymentState::AuthorizationRequired, payment.created_at));
    }

    /// Of many who ask at once, so many are counted as may ask on a day; the next day, or
    /// another client, begins anew, and a clock that is behind does not.
    async fn verifications_of_payees_are_counted_by_client_and_day(world: World) {
        let take = async |client: &str, day: &str| {
            world.global.take_payee_verification(client, day.parse().unwrap(), 3).await.unwrap()
        };
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (global, day) = (world.global.clone(), "2026-06-01".parse().unwrap());
            asking.spawn(async move { global.take_payee_verification("tpp", day, 3).await.unwrap() });
        }
        let counted = asking.join_all().await.into_iter().flatten().count();
        assert_eq!(counted, 3);
        assert_eq!(take("other", "2026-06-01").await, Some(1));
        assert_eq!((take("tpp", "2026-06-02").await, take("tpp", "2026-06-01").await), (Some(1), Some(2)));
        assert_eq!(world.global.take_payee_verification("new", "2026-06-01".parse().unwrap(), 0).await.unwrap(), None);
    }

    /// Opening a store again runs no migration twice and loses nothing.
    async fn migrations_run_once(world: World) {
        let consent = world.consent().await;
        let region = world::region(&world.urls, &[1], &world.clock).await;
        let global = GlobalStore::open(&world.urls[0]).await.unwrap();
        assert!(region.consent(consent.id).await.unwrap().is_some());
        assert!(global.client("nobody").await.unwrap().is_none());
    }

    /// RFC 7009: a token ends with itself, with its grant, with its client; and
    /// only its own client ends it.
    async fn a_token_ends_with_itself_its_grant_or_its_client(world: World) {
        world.client("tpp").await;
        let (now, end) = (world.now(), world.in_seconds(60));
        let grant = GrantId::new(&*world.clock, &SystemEntropy);
        let code = CodeRow {
            client_id: "tpp".to_owned(),
            grant,
            redirect_uri: "https://fintech.example".to_owned(),
            code_challenge: "c".to_owned(),
            nonce: None,
            dpop_key: None,
            expires_at: end,
            redeemed_at: None,
        };
        let cnf = crypto::Confirmation::Certificate(crypto::Thumbprint::of(b"certificate"));
        transaction!(world.global, tx => {
            tx.give_grant(&world.grant(grant)).await.unwrap();
            tx.issue_code("code", &code).await.unwrap();
            for digest in ["one", "two"] {
                tx.issue_token(&NewToken {
                    digest,
                    client_id: "tpp",
                    grant: Some(grant),
                    scope: "accounts",
                    cnf,
                    issued_at: now,
                    expires_at: end,
                })
                .await
                .unwrap();
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let lives = async |digest: &str, at| world.global.live_token(digest, at).await.unwrap().is_some();
        assert!(lives("one", now).await && !lives("one", end).await && !lives("unknown", now).await);
        transaction!(world.global, tx => {
            assert!(!tx.revoke_token("one", "other", now).await.unwrap());
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(lives("one", now).await);
        transaction!(world.global, tx => {
            assert!(tx.revoke_token("one", "tpp", now).await.unwrap());
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(!lives("one", now).await && lives("two", now).await);
        transaction!(world.global, tx => {
            assert!(matches!(tx.revoke_grant(grant, "other", now).await, Err(StoreError::Conflict)));
            tx.revoke_grant(grant, "tpp", now).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(!lives("two", now).await);
    }
}

/// Debug output of what opens a bank shows none of it.
#[tokio::test]
async fn what_opens_a_bank_is_never_printed() {
    let world = World::on_sqlite().await;
    let mut consent = world.consent().await;
    consent.bank.access_token = Some("s3cret".to_owned());
    consent.bank.psu_id = Some("anna".to_owned());
    let mut payment = world.payment().await;
    payment.bank.access_token = Some("s3cret".to_owned());
    payment.bank.psu_id = Some("anna".to_owned());
    let printed = format!("{:?} {:?}", consent.bank, payment.bank);
    assert!(!printed.contains("s3cret") && !printed.contains("anna"));
}

/// A thousand tests need no more room than those that run at a time.
#[tokio::test]
async fn the_databases_of_a_test_go_with_it() {
    let Ok(server) = std::env::var("CONSENTRY_TEST_POSTGRES") else {
        eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this on PostgreSQL");
        return;
    };
    let scratch = consentry_store::ScratchDatabase::beside(&server, &SystemEntropy).await.unwrap();
    let beside = scratch.split_once('?').unwrap().0.to_owned();
    let name = beside.rsplit_once('/').unwrap().1.to_owned();
    // In schemas of it, and beside it.
    for url in [&*scratch, &beside] {
        let urls = consentry_store::postgres_databases(
            url,
            &["global", "uk"],
            consentry_store::SchemaUse::BringUpToDate,
        )
        .await
        .unwrap();
        let stores = [GlobalStore::open(&urls[0]).await.unwrap(), GlobalStore::open(&urls[1]).await.unwrap()];
        transaction!(stores[0], tx => {
            tx.put_client("tpp", &serde_json::json!({}), SystemClock.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(stores[0].client("tpp").await.unwrap().is_some());
        assert!(stores[1].client("tpp").await.unwrap().is_none(), "each has its own");
        for store in stores {
            store.close().await;
        }
    }
    let left = async || {
        let pool = sqlx::any::AnyPoolOptions::new().connect(&server).await.unwrap();
        let sql = "select count(*) from pg_database where starts_with(datname, $1)";
        let row = sqlx::query(sql).bind(&name).fetch_one(&pool).await.unwrap();
        sqlx::Row::get::<i64, _>(&row, 0)
    };
    assert_eq!(left().await, 3);
    drop(scratch);
    assert_eq!(left().await, 0);
}
