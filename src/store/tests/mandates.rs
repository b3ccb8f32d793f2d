//! Mandates: what is drawn on their limits, and who may change them; whatever the
//! database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::StoreError;
use consentry_store::consents::BankAccess;
use consentry_store::mandates::{Draw, MandateRow, MandateTerms};
use consentry_store::payments::{PaymentsOf, UnderMandate};
use consentry_store::transaction;
use domain::{
    AccountIdentification, Alignment, Clock, MandateConstraints, MandateId, MandateOrder, MandateScheme,
    MandateStatus, Money, PaymentId, Period, PeriodicLimit, RemittanceInformation, SortCodeAccount,
    SystemEntropy,
};
use world::{World, uk};

async fn recorded(world: &World) -> MandateRow {
    let gbp = |text: &str| Money::parse(text, "GBP".parse().unwrap()).unwrap();
    let now = world.clock.now();
    let mandate = MandateRow {
        id: MandateId::new(uk(), &*world.clock, &SystemEntropy),
        client_id: "tpp".to_owned(),
        institution: "gb-examplebank".parse().unwrap(),
        status: MandateStatus::Created,
        terms: MandateTerms {
            order: MandateOrder {
                scheme: MandateScheme::Commercial,
                constraints: MandateConstraints {
                    valid_from: None,
                    valid_to: Some(world.in_seconds(86_400)),
                    max_per_payment: gbp("50.00"),
                    max_count: Some(12),
                    periodic_limits: vec![
                        PeriodicLimit::new(Period::HalfYear, Alignment::Calendar, gbp("80.00")).unwrap(),
                    ],
                },
                creditor_name: "Merchant".to_owned().into(),
                creditor_account: AccountIdentification::SortCode(
                    SortCodeAccount::new("990011", "20000018").unwrap(),
                ),
                remittance: RemittanceInformation {
                    unstructured: None,
                    reference: Some("R7".to_owned().into()),
                },
            },
            redirect_uri: "https://tpp.example/back".to_owned(),
            state: None,
            client_reference: None,
            status_reason: None,
            began_at: Some(now),
            authorized_at: None,
        },
        bank: BankAccess::default(),
        created_at: now,
        updated_at: now,
        next_step_at: Some(world.in_seconds(60)),
        revision: 0,
    };
    transaction!(world.region, tx => {
        tx.record_mandate(&mandate).await.unwrap();
        Ok::<_, StoreError>(())
    })
    .unwrap();
    mandate
}

async fn moved(world: &World, mandate: &mut MandateRow, to: MandateStatus) -> Result<i64, StoreError> {
    let was = mandate.status;
    mandate.status = to;
    let sequence = transaction!(world.region, tx => {
        tx.update_mandate(was, mandate, "psu", world.clock.now()).await
    })?;
    mandate.revision += 1;
    Ok(sequence)
}

on_both_databases! {
    /// Of many who draw at once on the same period, those get something who fit
    /// into it together; what is given back can be drawn again.
    async fn a_limit_is_never_exceeded_whoever_draws(world: World) {
        let mandate = recorded(&world).await;
        let draw = Draw { place: 0, window_start: world.clock.now() };
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (region, id) = (world.region.clone(), mandate.id);
            all.spawn(async move {
                transaction!(region, tx => { tx.draw(id, draw, 1_500, 8_000).await }).unwrap()
            });
        }
        let mut drawn: Vec<_> = all.join_all().await.into_iter().flatten().collect();
        drawn.sort_unstable();
        assert_eq!(drawn, [1_500, 3_000, 4_500, 6_000, 7_500]);
        assert_eq!(world.region.drawn(mandate.id, draw).await.unwrap(), 7_500);
        transaction!(world.region, tx => {
            tx.give_back(mandate.id, draw, 1_500).await.unwrap();
            assert_eq!(tx.draw(mandate.id, draw, 2_000, 8_000).await.unwrap(), Some(8_000));
            let next = Draw { window_start: world.in_seconds(86_400), ..draw };
            assert_eq!(tx.draw(mandate.id, next, 8_001, 8_000).await.unwrap(), None);
            assert_eq!(tx.draw(mandate.id, next, 8_000, 8_000).await.unwrap(), Some(8_000));
            Ok::<_, StoreError>(())
        })
        .unwrap();
    }

    /// A payment is one of the number, whatever its amount, also when it is given back.
    async fn the_number_of_payments_counts_each_once(world: World) {
        let mandate = recorded(&world).await;
        let draw = Draw::of_count(mandate.began());
        transaction!(world.region, tx => {
            assert_eq!(tx.draw(mandate.id, draw, 1, 2).await.unwrap(), Some(1));
            assert_eq!(tx.draw(mandate.id, draw, 1, 2).await.unwrap(), Some(2));
            assert_eq!(tx.draw(mandate.id, draw, 1, 2).await.unwrap(), None);
            tx.give_back(mandate.id, draw, 1_500).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.region.drawn(mandate.id, draw).await.unwrap(), 1);
    }

    /// What a mandate says is what was recorded, and it is used in force only.
    async fn a_mandate_is_kept_whole_and_used_only_in_force(world: World) {
        let mut mandate = recorded(&world).await;
        let kept = world.region.mandate(mandate.id).await.unwrap().unwrap();
        assert_eq!(kept.terms.order, mandate.terms.order);
        assert_eq!((kept.status, kept.terms.began_at), (MandateStatus::Created, mandate.terms.began_at));
        let used = transaction!(world.region, tx => { tx.use_mandate(mandate.id).await });
        assert!(matches!(used, Err(StoreError::Conflict)));
        let mut stale = mandate.clone();
        assert_eq!(moved(&world, &mut mandate, MandateStatus::Authorizing).await.unwrap(), 2);
        assert!(matches!(moved(&world, &mut stale, MandateStatus::Rejected).await, Err(StoreError::Conflict)));
        moved(&world, &mut mandate, MandateStatus::Authorized).await.unwrap();
        let mut payment = world.payment().await;
        payment.id = PaymentId::new(uk(), &*world.clock, &SystemEntropy);
        payment.terms.under = Some(UnderMandate { mandate: mandate.id, draws: Vec::new() });
        transaction!(world.region, tx => {
            tx.use_mandate(mandate.id).await.unwrap();
            tx.record_payment(&payment).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let under = world.region.payments_of(&PaymentsOf::mandate(mandate.id), None, 10).await.unwrap();
        assert_eq!(under.len(), 1);
        assert_eq!(under[0].terms.under, payment.terms.under);
        let after = Some((under[0].created_at, under[0].id));
        assert!(world.region.payments_of(&PaymentsOf::mandate(mandate.id), after, 10).await.unwrap().is_empty());
        moved(&world, &mut mandate, MandateStatus::Revoked).await.unwrap();
        assert!(moved(&world, &mut mandate.clone(), MandateStatus::Authorized).await.is_err());
        assert_eq!(world.region.mandates("tpp", None, 10).await.unwrap().len(), 1);
        assert!(world.region.mandates("another", None, 10).await.unwrap().is_empty());
    }
}
