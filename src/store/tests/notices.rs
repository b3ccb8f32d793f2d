//! What banks notify of: found by the bank's own names, taken by one, known again; whatever
//! the database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::StoreError;
use consentry_store::consents::Note;
use consentry_store::notices::Notice;
use consentry_store::transaction;
use domain::InstitutionId;
use world::World;

fn bank() -> InstitutionId {
    "gb-albion-bank".parse().unwrap()
}

fn notice(world: &World, token: &str, subject: &str) -> Notice {
    Notice {
        institution: bank(),
        token: token.to_owned(),
        subject: subject.to_owned(),
        due_at: Some(world.now()),
        attempts: 0,
        expires_at: world.in_seconds(60),
    }
}

on_both_databases! {
    async fn what_a_bank_speaks_of_is_found_by_each_of_its_names(world: World) {
        let (mut consent, mut payment) = (world.consent().await, world.payment().await);
        consent.bank.consent_id = Some("aac-1".to_owned());
        payment.bank.consent_id = Some("pdc-1".to_owned());
        payment.bank.payment_id = Some("pd-1".to_owned());
        transaction!(world.region, tx => {
            tx.update_consent(consent.status, &consent, Note::by("psu"), world.now()).await.unwrap();
            tx.update_payment(payment.state, &payment, None, "psu", world.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let (consent, payment) = (consent.id.to_string(), payment.id.to_string());
        for (name, found) in [("aac-1", vec![consent]), ("pdc-1", vec![payment.clone()]), ("pd-1", vec![payment])] {
            assert_eq!(world.region.named_at_bank(&bank(), name).await.unwrap(), found, "{name}");
        }
        let other: InstitutionId = "gb-other".parse().unwrap();
        assert!(world.region.named_at_bank(&other, "aac-1").await.unwrap().is_empty());
        assert!(world.region.named_at_bank(&bank(), "aac-2").await.unwrap().is_empty());
    }

    async fn a_token_is_kept_once_and_forgotten_after_its_time(world: World) {
        let (said, other) = (notice(&world, "jti-1", "con_1"), notice(&world, "jti-1", "con_2"));
        transaction!(world.region, tx => {
            assert!(tx.keep_notice(&said).await.unwrap());
            assert!(!tx.keep_notice(&said).await.unwrap());
            assert!(tx.keep_notice(&other).await.unwrap());
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.region.notices_of(&bank(), "jti-1").await.unwrap().len(), 2);
        world.region.forget_notices(world.now()).await.unwrap();
        assert_eq!(world.region.notices_of(&bank(), "jti-1").await.unwrap().len(), 2);
        world.region.forget_notices(world.in_seconds(61)).await.unwrap();
        assert!(world.region.notices_of(&bank(), "jti-1").await.unwrap().is_empty());
    }

    async fn of_two_who_would_ask_about_a_notice_one_does(world: World) {
        transaction!(world.region, tx => {
            tx.keep_notice(&notice(&world, "jti-1", "con_1")).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let due = world.region.notices_due(world.now()).await.unwrap();
        assert_eq!(due.len(), 1);
        let later = world.in_seconds(90);
        world.region.move_notice(&due[0], Some(later), 0).await.unwrap();
        let second = world.region.move_notice(&due[0], Some(later), 0).await;
        assert!(matches!(second, Err(StoreError::Conflict)));
        assert!(world.region.notices_due(world.now()).await.unwrap().is_empty());
        let taken = Notice { due_at: Some(later), ..due[0].clone() };
        world.region.move_notice(&taken, None, 1).await.unwrap();
        assert!(world.region.notices_due(later).await.unwrap().is_empty());
    }

    /// What was said while the bank was asked is asked about once more.
    async fn a_notice_without_a_token_is_due_again_each_time_it_comes(world: World) {
        let said = notice(&world, "", "pay_1");
        for _ in 0..2 {
            transaction!(world.region, tx => {
                tx.renew_notice(&said).await.unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
        }
        let due = world.region.notices_due(world.now()).await.unwrap();
        assert_eq!(due, std::slice::from_ref(&said));
        let taken = Notice { due_at: Some(world.in_seconds(90)), ..said.clone() };
        world.region.move_notice(&said, taken.due_at, 0).await.unwrap();
        transaction!(world.region, tx => {
            tx.renew_notice(&said).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(matches!(world.region.move_notice(&taken, None, 0).await, Err(StoreError::Conflict)));
        assert_eq!(world.region.notices_due(world.now()).await.unwrap(), [said]);
    }
}
