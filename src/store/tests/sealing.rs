//! What is personal is sealed in the database, is found all the same, and is gone with its key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use std::sync::Arc;

use consentry_store::accounts::AccountLink;
use consentry_store::erasure::{Erased, Subject, SubjectKind};
use consentry_store::persons::Known;
use consentry_store::transaction;
use consentry_store::vault::Vault;
use consentry_store::{RegionalStore, StoreError};
use domain::{
    AccountId, AccountIdentification, ConsentStatus, DetailId, PaymentState, SortCodeAccount, SystemEntropy,
};
use sqlx::Row;
use world::{World, claim_key, keys, keys_of, uk};

/// Every text of a store, table by table, in one text.
async fn all_text(url: &str) -> String {
    sqlx::any::install_default_drivers();
    let pool = sqlx::any::AnyPoolOptions::new().max_connections(1).connect(url).await.unwrap();
    let mut all = String::new();
    for table in [
        "consents",
        "payments",
        "mandates",
        "account_links",
        "idempotency_keys",
        "sca_steps",
        "authorization_details",
        "subject_index",
        "subject_keys",
        "changes",
        "audit_log",
        "audit_pending",
    ] {
        for row in
            sqlx::query(sqlx::AssertSqlSafe(format!("select * from {table}"))).fetch_all(&pool).await.unwrap()
        {
            for column in 0..row.len() {
                if let Ok(Some(text)) = row.try_get::<Option<String>, _>(column) {
                    all.push_str(&text);
                    all.push('\n');
                }
            }
        }
    }
    pool.close().await;
    all
}

fn payee() -> AccountIdentification {
    AccountIdentification::SortCode(SortCodeAccount::new("990011", "20000018").unwrap())
}

on_both_databases! {
    /// Names, numbers, texts, tokens and login names are nowhere in the database.
    async fn nothing_personal_can_be_read(world: World) {
        let payment = world.payment().await;
        let consent = world.consent().await;
        let detail = DetailId::new(uk(), &*world.clock, &SystemEntropy);
        transaction!(world.region, tx => {
            let mut changed = consent.clone();
            changed.bank.access_token = Some("token-canary".to_owned());
            changed.bank.psu_id = Some("login-canary".to_owned());
            changed.bank.consent_id = Some("bank-consent-canary".to_owned());
            changed.institution = Some("gb-albion-bank".parse().unwrap());
            let note = consentry_store::consents::Note::by("psu");
            tx.update_consent(ConsentStatus::Created, &changed, note, world.now()).await.unwrap();
            let key = claim_key("f");
            tx.claim(&key, world.now(), world.in_seconds(60)).await.unwrap();
            tx.answer_claim(&key, &payment.id.to_string(), 201, "answer-canary").await.unwrap();
            let session = domain::SessionId::new(&*world.clock, &SystemEntropy);
            let body = serde_json::json!("step-canary");
            tx.keep_sca_step(&consent.id.to_string(), session, &body, world.in_seconds(60)).await.unwrap();
            tx.keep_detail(detail, "tpp", &serde_json::json!("detail-canary"), world.in_seconds(60)).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let account = AccountId::from_uuid(uk(), uuid::Uuid::from_u128(1));
        let link = AccountLink { account, resource_id: "resource-canary".to_owned() };
        world.region.link_accounts(consent.id, std::slice::from_ref(&link), &[payee()]).await.unwrap();

        let text = all_text(&world.urls[1]).await;
        for canary in ["canary", "Corner Bookshop", "20000018", "12.34", "POFICHBEXXX", "fintech.example"] {
            assert!(!text.contains(canary), "{canary} can be read");
        }
        assert_eq!(world.region.consent(consent.id).await.unwrap().unwrap().bank.psu_id.as_deref(), Some("login-canary"));
        assert_eq!(world.region.payment(payment.id).await.unwrap().unwrap().terms.order, payment.terms.order);
        assert_eq!(world.region.account_links(consent.id).await.unwrap(), [link]);
        assert_eq!(world.region.detail(detail, "tpp").await.unwrap().unwrap(), "detail-canary");
        let step = world.region.sca_step(&consent.id.to_string()).await.unwrap().unwrap();
        assert_eq!(step.body, "step-canary");
        let replayed = world.region.answer_before("tpp", "POST /v1/payments", "k-1", "f", world.now()).await;
        assert_eq!(replayed.unwrap().unwrap(), (201, "answer-canary".to_owned()));
        let bank = "gb-albion-bank".parse().unwrap();
        let named = world.region.named_at_bank(&bank, "bank-consent-canary").await.unwrap();
        assert_eq!(named, [consent.id.to_string()], "found by what the bank calls it");
    }

    /// A person is found by an account and by a login name, in every spelling of their own.
    async fn a_person_is_found(world: World) {
        let payment = world.payment().await;
        let consent = world.consent().await;
        world.region.link_accounts(consent.id, &[], &[payee()]).await.unwrap();
        let mut found = world.region.subjects_of(Known::Account(&payee())).await.unwrap();
        found.sort_unstable();
        assert_eq!(found, [Subject::Consent(consent.id), Subject::Payment(payment.id)]);
        let other = AccountIdentification::Bban("99001120000018".to_owned());
        assert_eq!(world.region.subjects_of(Known::Account(&other)).await.unwrap(), [], "another scheme");
        assert_eq!(world.region.subjects_of(Known::Login("99001120000018")).await.unwrap(), []);
    }

    /// A value that is moved to another row, column or table opens nowhere.
    async fn what_was_moved_does_not_open(world: World) {
        let (one, other) = (world.payment().await, world.payment().await);
        world.spoil("update payments set terms = bank where payment_id in (select min(payment_id) from payments)").await;
        let outcomes = [
            world.region.payment(one.id).await.map(|_| ()),
            world.region.payment(other.id).await.map(|_| ()),
        ];
        let spoiled = outcomes.iter().filter(|it| matches!(it, Err(StoreError::Corrupt { column: "terms", .. })));
        assert_eq!(spoiled.count(), 1, "{outcomes:?}");
    }

    /// Whoever can write to the database cannot put in the place of what is sealed what is not.
    async fn what_is_not_sealed_is_not_believed(world: World) {
        let payment = world.payment().await;
        world.spoil("update payments set bank = '{\"submits_after_sca\":false}'").await;
        let error = world.region.payment(payment.id).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { table: "payments", column: "bank", .. }), "{error:?}");
    }

    /// Rows, key and what leads to them are gone; others' are not.
    async fn what_is_erased_is_gone_from_backups_too(world: World) {
        let (payment, other) = (world.payment().await, world.payment().await);
        let subject = Subject::Payment(payment.id);
        let stands = world.region.erase(subject, "gdpr-17", world.now()).await.unwrap();
        assert_eq!(stands, Erased::NotOver("AUTHORIZATION_REQUIRED".to_owned()));
        world.spoil("update payments set state = 'SETTLED'").await;
        // A copy of the row, as a backup has it.
        world.run("create table backup as select * from payments").await;
        assert_eq!(world.region.erase(subject, "gdpr-17", world.now()).await.unwrap(), Erased::Gone);
        assert_eq!(world.region.erase(subject, "gdpr-17", world.now()).await.unwrap(), Erased::Unknown);
        assert!(world.region.payment(payment.id).await.unwrap().is_none());
        assert_eq!(world.region.subjects_of(Known::Account(&payee())).await.unwrap(), [Subject::Payment(other.id)]);
        let text = all_text(&world.urls[1]).await;
        assert!(text.contains("data.erase") && text.contains("gdpr-17"), "the audit log says so: {text}");

        world.spoil("delete from payments").await;
        world.spoil("insert into payments select * from backup").await;
        for region in [world.region.clone(), world::region(&world.urls, &[1], &world.clock).await] {
            let lost = region.payment(payment.id).await;
            assert!(matches!(lost, Err(StoreError::Locked { table: "payments", .. })), "{lost:?}");
            assert!(region.payment(other.id).await.unwrap().is_some());
        }
        // What nobody can read is nobody's: it goes for good.
        world.spoil("update payments set state = 'SUBMITTED'").await;
        world.clock.advance(1);
        assert_eq!(world.region.erase(subject, "restored", world.now()).await.unwrap(), Erased::Gone);
    }

    /// A crash between the rows and the key leaves work to do, not a key.
    async fn a_key_is_destroyed_later_if_need_be(world: World) {
        let payment = world.payment().await;
        world.spoil("update payments set state = 'SETTLED'").await;
        world.region.erase(Subject::Payment(payment.id), "request", world.now()).await.unwrap();
        assert_eq!(world.region.finish_erasures(world.now()).await.unwrap(), 0);
        world.spoil("update erasures set destroyed_at = null").await;
        assert_eq!(world.region.finish_erasures(world.now()).await.unwrap(), 1);
    }

    async fn what_is_held_stays(world: World) {
        let payment = world.payment().await;
        world.spoil("update payments set state = 'SETTLED'").await;
        let subject = Subject::Payment(payment.id);
        world.region.hold(subject, "case-7", world.now()).await.unwrap();
        assert!(matches!(world.region.hold(subject, "case-8", world.now()).await, Err(StoreError::Conflict)));
        let held = world.region.erase(subject, "request", world.now()).await.unwrap();
        assert_eq!(held, Erased::Held("case-7".to_owned()));
        let later = world.in_seconds(60);
        assert_eq!(world.region.over_since(SubjectKind::Payments, later, 10).await.unwrap(), []);
        assert_eq!(world.region.holds().await.unwrap()[0].subject, payment.id.to_string());
        world.region.release(subject).await.unwrap();
        assert!(matches!(world.region.release(subject).await, Err(StoreError::NotFound)));
        assert_eq!(world.region.over_since(SubjectKind::Payments, later, 10).await.unwrap(), [subject]);
        assert_eq!(world.region.over_since(SubjectKind::Payments, payment.updated_at, 10).await.unwrap(), []);
        assert_eq!(world.region.over_since(SubjectKind::Consents, later, 10).await.unwrap(), []);
        let nobody = Subject::Mandate(domain::MandateId::from_uuid(uk(), uuid::Uuid::from_u128(3)));
        assert!(matches!(world.region.hold(nobody, "x", later).await, Err(StoreError::NotFound)));
    }

    /// A new key wraps what the former one wrapped, while others still read by the former.
    async fn data_keys_are_wrapped_anew(world: World) {
        let payment = world.payment().await;
        let vault = world.region.vault();
        assert_eq!(vault.rewrap().await.unwrap(), 0);
        let wrapped = vault.wrapped_by(1).await.unwrap();
        assert!(wrapped > 0);
        vault.take_up(keys(&[1, 2]));
        while vault.rewrap().await.unwrap() > 0 {}
        assert_eq!((vault.wrapped_by(1).await.unwrap(), vault.wrapped_by(2).await.unwrap()), (0, wrapped));
        let new_only = world::region(&world.urls, &[2], &world.clock).await;
        assert_eq!(new_only.payment(payment.id).await.unwrap().unwrap().terms.order, payment.terms.order);
        let old_only = world::region(&world.urls, &[1], &world.clock).await;
        assert!(old_only.payment(payment.id).await.is_err());
    }

    /// The address of another region's database, or a backup that was restored in the wrong place.
    async fn a_database_is_of_one_region(world: World) {
        let (clock, entropy) = (world.clock.clone(), Arc::new(SystemEntropy));
        let keys = keys_of("eu".parse().unwrap(), &[1]);
        let vault = Vault::open(&world.urls[2], keys, clock, entropy).await.unwrap();
        let wrong = RegionalStore::open(&world.urls[1], vault).await;
        let why = wrong.map(drop).unwrap_err().to_string();
        assert_eq!(why, "this is the database of region uk, not of eu");
        drop(world::region(&world.urls, &[1], &world.clock).await);
    }

    /// The keys of another installation, or of none, open nothing and lose nothing.
    async fn a_missing_key_is_an_error_of_its_row(world: World) {
        let payment = world.payment().await;
        let elsewhere = World::on_sqlite().await;
        let mut urls = world.urls.clone();
        urls[2].clone_from(&elsewhere.urls[2]);
        let mixed = world::region(&urls, &[1], &world.clock).await;
        let lost = mixed.payment(payment.id).await;
        assert!(matches!(lost, Err(StoreError::Locked { .. })), "{lost:?}");
        assert!(mixed.payments_due(world.in_seconds(1)).await.unwrap().is_empty(), "left out, and logged");
        assert_eq!(world.region.payments_due(world.in_seconds(1)).await.unwrap().len(), 1);
    }

    /// A detail's key goes with it.
    async fn forgotten_details_take_their_keys_along(world: World) {
        let detail = DetailId::new(uk(), &*world.clock, &SystemEntropy);
        transaction!(world.region, tx => {
            tx.keep_detail(detail, "tpp", &serde_json::json!({}), world.in_seconds(60)).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let before = world.region.vault().wrapped_by(1).await.unwrap();
        world.region.forget_details(world.in_seconds(59)).await.unwrap();
        assert!(world.region.detail(detail, "tpp").await.unwrap().is_some());
        world.region.forget_details(world.in_seconds(61)).await.unwrap();
        assert!(world.region.detail(detail, "tpp").await.unwrap().is_none());
        assert_eq!(world.region.vault().wrapped_by(1).await.unwrap(), before - 1);
    }

    /// Whoever asks gets all of it, and nothing that opens their bank.
    async fn a_person_gets_what_is_kept(world: World) {
        let payment = world.payment().await;
        let exported = world.region.export(Subject::Payment(payment.id)).await.unwrap().unwrap();
        assert_eq!(exported["id"], payment.id.to_string());
        assert!(exported.to_string().contains("Corner Bookshop"));
        assert_eq!(exported["changes"][0]["to"], PaymentState::AuthorizationRequired.as_str());
        let mut consent = world.consent().await;
        consent.bank.access_token = Some("token-canary".to_owned());
        transaction!(world.region, tx => {
            let note = consentry_store::consents::Note::by("psu");
            tx.update_consent(ConsentStatus::Created, &consent, note, world.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let exported = world.region.export(Subject::Consent(consent.id)).await.unwrap().unwrap();
        assert_eq!(exported["kept"]["terms"]["frequency_per_day"], 4);
        assert!(!exported.to_string().contains("token-canary"));
    }

    /// Events that are delivered and old go; what is still to be delivered stays.
    async fn old_events_and_answers_are_forgotten(world: World) {
        let key = claim_key("f");
        transaction!(world.region, tx => {
            tx.claim(&key, world.now(), world.in_seconds(60)).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.region.forget_answers(world.in_seconds(60)).await.unwrap(), 0);
        assert_eq!(world.region.forget_answers(world.in_seconds(61)).await.unwrap(), 1);
        let event = world.event("consent.granted", "con_uk_1");
        transaction!(world.region, tx => {
            tx.emit(&event).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let later = world.in_seconds(60);
        assert_eq!(world.region.forget_events(later).await.unwrap(), 0, "nobody was told of it");
        world.spoil("update events set fanned_out_at = created_at").await;
        world.spoil("insert into deliveries (event_id, webhook_id, attempts, next_at) select event_id, 'whk_1', 1, 1 from events").await;
        assert_eq!(world.region.forget_events(later).await.unwrap(), 0, "one is still to be told");
        world.spoil("update deliveries set next_at = null").await;
        assert_eq!(world.region.forget_events(world.now()).await.unwrap(), 0, "its time has not come");
        assert_eq!(world.region.forget_events(later).await.unwrap(), 1);
        assert!(world.region.find_event(event.id).await.unwrap().is_none());
    }
}

/// Many who begin at once get a key each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_get_keys_of_their_own() {
    let world = Arc::new(World::on_sqlite().await);
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.payment().await })
        })
        .collect();
    for task in tasks {
        let payment = task.await.unwrap();
        assert!(world.region.payment(payment.id).await.unwrap().is_some());
    }
    let pool = sqlx::any::AnyPoolOptions::new().connect(&world.urls[1]).await.unwrap();
    let counts = sqlx::query("select count(*), count(distinct key_id) from subject_keys")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((counts.get::<i64, _>(0), counts.get::<i64, _>(1)), (100, 100));
}
