//! Of two who want to take the same step, one does; whatever the database.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use consentry_store::StoreError;
use consentry_store::consents::Note;
use consentry_store::idempotency::Claim;
use consentry_store::sessions::{BankState, SessionRow};
use consentry_store::transaction;
use domain::{ConsentStatus, GrantId, PaymentState, Region, SessionId, SystemEntropy, Timestamp, WebhookId};
use world::{World, claim_key, uk};

/// How many of eight concurrent tries succeeded; the others met a conflict.
async fn winners<F>(tries: impl Fn() -> F) -> usize
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..8 {
        all.spawn(tries());
    }
    let mut won = 0;
    for outcome in all.join_all().await {
        match outcome {
            Ok(()) => won += 1,
            Err(StoreError::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
    won
}

on_both_databases! {
    /// What a bank wants of a PSU is answered by one form, and by none that is
    /// older than what it wants now; in the end nothing of it is left.
    async fn a_step_of_an_authentication_is_taken_once(world: World) {
        let (region, session) = (world.region.clone(), SessionId::new(&*world.clock, &SystemEntropy));
        let keep = async |body: serde_json::Value| {
            transaction!(region, tx => {
                tx.keep_sca_step("con_1", session, &body, world.in_seconds(60)).await.unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
        };
        let step = async || region.sca_step("con_1").await.unwrap();
        keep("password".into()).await;
        let first = step().await.unwrap();
        assert_eq!((first.step, first.busy_until, first.session), (1, None, session));
        let (taker, until) = (region.clone(), world.in_seconds(5));
        let won = winners(move || {
            let taker = taker.clone();
            async move {
                transaction!(taker, tx => {
                    tx.take_sca_step("con_1", 1, until).await?;
                    Ok(())
                })
            }
        });
        assert_eq!(won.await, 1);
        assert_eq!(step().await.unwrap().busy_until, Some(until));
        keep("code".into()).await;
        let second = step().await.unwrap();
        assert_eq!((second.step, second.busy_until, second.body), (3, None, "code".into()));
        region.forget_sca_steps(world.in_seconds(59)).await.unwrap();
        assert!(step().await.is_some());
        region.forget_sca_steps(world.in_seconds(61)).await.unwrap();
        assert!(step().await.is_none());
        keep("password".into()).await;
        transaction!(region, tx => {
            tx.forget_sca_step("con_1").await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert!(step().await.is_none());
    }

    /// A payment goes from one state to the next once.
    async fn a_payment_is_moved_by_one_writer(world: World) {
        let payment = world.payment().await;
        let (region, now) = (world.region.clone(), world.now());
        let row = payment.clone();
        let won = winners(move || {
            let (region, mut row) = (region.clone(), row.clone());
            async move {
                let was = row.state;
                row.state = PaymentState::Authorizing;
                transaction!(region, tx => {
                    tx.update_payment(was, &row, None, "psu", now).await?;
                    Ok(())
                })
            }
        });
        assert_eq!(won.await, 1);
        assert_eq!(world.region.payment(payment.id).await.unwrap().unwrap().state, PaymentState::Authorizing);
        let steps: Vec<_> =
            world.region.changes(&payment.id.to_string()).await.unwrap().into_iter().map(|c| c.sequence).collect();
        assert_eq!(steps, [1, 2]);
    }

    /// One that was overtaken while it held a payment writes nothing any more, also where
    /// clocks stand still or were set back in between; and it learns that before it calls a
    /// bank, because the step is committed first.
    async fn who_was_overtaken_at_a_payment_writes_nothing(world: World) {
        let read = world.payment().await;
        let now = world.now();
        for (place, at) in [now, world.in_seconds(-3_600), now].into_iter().enumerate() {
            let mut row = world.region.payment(read.id).await.unwrap().unwrap();
            row.bank.polls = u32::try_from(place).unwrap();
            transaction!(world.region, tx => {
                tx.update_payment(row.state, &row, None, "gateway", at).await.unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
        }
        let mut late = read.clone();
        late.state = PaymentState::Authorizing;
        let step = transaction!(world.region, tx => {
            tx.update_payment(read.state, &late, None, "psu", now).await
        });
        assert!(matches!(step, Err(StoreError::Conflict)));
        assert_eq!(world.region.payment(read.id).await.unwrap().unwrap().bank.polls, 2);
    }

    /// Of refunds at once so many are counted as fit into what was paid, of a payment that is
    /// paid and of its own client alone; what is given back can be refunded again.
    async fn refunds_at_once_never_exceed_their_payment(world: World) {
        let payment = world.payment().await;
        let count = |client: &'static str, units: i64| {
            let (region, of) = (world.region.clone(), payment.id);
            async move {
                let counted = transaction!(region, tx => { tx.count_refund(of, client, units, 1_234).await });
                counted.unwrap()
            }
        };
        assert!(!count("tpp", 1).await, "nothing is paid yet");
        world.spoil("update payments set state = 'SETTLED'").await;
        assert!(!count("another", 1).await);
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..8 {
            tries.spawn(count("tpp", 500));
        }
        assert_eq!(tries.join_all().await.into_iter().filter(|counted| *counted).count(), 2);
        assert!(!count("tpp", 235).await && count("tpp", 234).await);
        transaction!(world.region, tx => {
            tx.uncount_refund(payment.id, 500).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.region.payment(payment.id).await.unwrap().unwrap().refunded, 734);
        assert!(count("tpp", 500).await);
    }

    /// A step that a life does not have is refused before anything is written.
    async fn a_final_payment_is_not_moved(world: World) {
        let mut payment = world.payment().await;
        for (was, next) in [
            (PaymentState::AuthorizationRequired, PaymentState::Rejected),
            (PaymentState::Rejected, PaymentState::Settled),
        ] {
            payment.state = next;
            let moved = transaction!(world.region, tx => {
                tx.update_payment(was, &payment, None, "gateway", world.now()).await
            });
            assert_eq!(moved.is_ok(), next == PaymentState::Rejected);
        }
        assert_eq!(world.region.payment(payment.id).await.unwrap().unwrap().state, PaymentState::Rejected);
    }

    /// A consent is not changed by someone who read it before another change.
    async fn a_consent_is_not_overwritten_by_a_stale_reader(world: World) {
        let stale = world.consent().await;
        let mut fresh = stale.clone();
        fresh.bank.access_token = Some("kept".to_owned());
        transaction!(world.region, tx => {
            tx.update_consent(fresh.status, &fresh, Note::by("gateway"), world.now()).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        let mut late = stale.clone();
        late.status = ConsentStatus::Authorized;
        let refused = transaction!(world.region, tx => {
            tx.update_consent(stale.status, &late, Note::by("psu"), world.now()).await
        });
        assert!(matches!(refused, Err(StoreError::Conflict)));
        let kept = world.region.consent(stale.id).await.unwrap().unwrap();
        assert_eq!((kept.status, kept.bank.access_token.as_deref()), (ConsentStatus::Created, Some("kept")));
    }

    /// draft-ietf-httpapi-idempotency-key-header: new, replayed, or misused.
    async fn a_claim_is_new_once_and_then_its_answer(world: World) {
        let (now, end) = (world.now(), world.in_seconds(60));
        let claim = async |body: &str, at: Timestamp| {
            transaction!(world.region, tx => { tx.claim(&claim_key(body), at, end).await }).unwrap()
        };
        assert_eq!(claim("a", now).await, Claim::New);
        assert_eq!(claim("a", now).await, Claim::InFlight);
        transaction!(world.region, tx => {
            tx.answer_claim(&claim_key("a"), "pay_uk_1", 201, "{\"id\":1}").await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(claim("a", now).await, Claim::Replay { status: 201, body: "{\"id\":1}".to_owned() });
        assert_eq!(claim("b", now).await, Claim::Mismatch);
        // Another client's key of the same name is another key.
        let mut other = claim_key("b");
        other.client_id = "other".to_owned();
        transaction!(world.region, tx => {
            assert_eq!(tx.claim(&other, now, end).await.unwrap(), Claim::New);
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(claim("b", world.in_seconds(61)).await, Claim::New);
    }

    /// A claim whose transaction fails was never made.
    async fn a_claim_that_is_rolled_back_is_free(world: World) {
        let (now, end) = (world.now(), world.in_seconds(60));
        for body in ["a", "b"] {
            let rolled_back = transaction!(world.region, tx => {
                assert_eq!(tx.claim(&claim_key(body), now, end).await?, Claim::New);
                Err::<(), _>(StoreError::NotFound)
            });
            rolled_back.unwrap_err();
        }
    }

    /// Invariant 1: of many who send one key at the same time one does the
    /// work, and the others get its answer.
    async fn a_key_sent_many_times_at_once_is_worked_on_once(world: World) {
        let (now, end) = (world.now(), world.in_seconds(60));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let region = world.region.clone();
            all.spawn(async move {
                let found = transaction!(region, tx => {
                    let found = tx.claim(&claim_key("a"), now, end).await?;
                    if found == Claim::New {
                        tx.answer_claim(&claim_key("a"), "pay_uk_1", 201, "done").await?;
                    }
                    Ok::<_, StoreError>(found)
                });
                found.unwrap()
            });
        }
        let found = all.join_all().await;
        let replay = Claim::Replay { status: 201, body: "done".to_owned() };
        assert_eq!(found.iter().filter(|claim| **claim == Claim::New).count(), 1);
        assert_eq!(found.iter().filter(|claim| **claim == replay).count(), 7);
    }

    /// A due payment is polled by one process, and again when its lease ends.
    async fn a_poll_is_leased_to_one(world: World) {
        world.payment().await;
        let due = world.region.payments_due(world.now()).await.unwrap().remove(0);
        let until = world.in_seconds(60);
        let region = world.region.clone();
        let won = winners(move || {
            let (region, due) = (region.clone(), due.clone());
            async move { region.lease_poll(&due, until).await }
        });
        assert_eq!(won.await, 1);
        assert!(world.region.payments_due(world.now()).await.unwrap().is_empty());
        assert_eq!(world.region.payments_due(world.in_seconds(61)).await.unwrap().len(), 1);
    }

    /// An event is fanned out once, and each delivery has one holder at a time.
    async fn a_delivery_is_leased_to_one(world: World) {
        let event = world.event("payment.settled", "pay_uk_1");
        transaction!(world.region, tx => {
            tx.emit(&event).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        assert_eq!(world.region.new_events().await.unwrap().len(), 1);
        let endpoint = WebhookId::new(&*world.clock, &SystemEntropy);
        let (region, now, id) = (world.region.clone(), world.now(), event.id);
        let won = winners(move || {
            let region = region.clone();
            async move {
                transaction!(region, tx => {
                    tx.fan_out(&[(id, vec![endpoint])], now).await?;
                    Ok(())
                })
            }
        });
        assert_eq!(won.await, 1);
        assert!(world.region.new_events().await.unwrap().is_empty());

        let delivery = world.region.deliveries_due(now, &[]).await.unwrap().remove(0);
        let (region, until, taken) = (world.region.clone(), world.in_seconds(30), delivery.clone());
        let won = winners(move || {
            let (region, taken) = (region.clone(), taken.clone());
            async move {
                let got = region.lease_deliveries(std::slice::from_ref(&taken), now, until).await?;
                if got.contains(&(taken.event.id, endpoint)) { Ok(()) } else { Err(StoreError::Conflict) }
            }
        });
        assert_eq!(won.await, 1);
        assert!(world.region.deliveries_due(now, &[]).await.unwrap().is_empty());
        assert_eq!(world.region.deliveries_due(world.in_seconds(31), &[]).await.unwrap().len(), 1);
        // Who was slow finds that the attempt was made meanwhile.
        world.region.note_attempt(&delivery, Some(503), None, Some(now)).await.unwrap();
        let late = world.region.lease_deliveries(&[delivery], now, until).await.unwrap();
        assert!(late.is_empty());
        assert!(world.region.deliveries_due(now, &[endpoint]).await.unwrap().is_empty());
        let again = world.region.deliveries_due(now, &[]).await.unwrap().remove(0);
        assert_eq!(again.attempts, 1);
        world.region.note_attempt(&again, Some(200), Some(now), None).await.unwrap();
        assert!(world.region.deliveries_due(world.in_seconds(3_600), &[]).await.unwrap().is_empty());
    }

    /// RFC 7523 §3 (7), RFC 6749 §4.1.2, and what a bank sends back: used once.
    async fn what_is_used_once_is_used_by_one(world: World) {
        world.client("tpp").await;
        let (now, end) = (world.now(), world.in_seconds(60));
        let global = world.global.clone();
        let won = winners(move || {
            let global = global.clone();
            async move { global.claim_id("tpp", "digest", end).await }
        });
        assert_eq!(won.await, 1);

        let session = SessionRow {
            id: SessionId::new(&*world.clock, &SystemEntropy),
            kind: "payment".to_owned(),
            client_id: "tpp".to_owned(),
            browser_digest: None,
            plan: serde_json::json!({}),
            status: "open".to_owned(),
            expires_at: end,
        };
        let state = BankState {
            session: session.id,
            subject_id: "pay_uk_1".to_owned(),
            secrets: serde_json::json!({}),
            expires_at: end,
        };
        transaction!(world.global, tx => {
            tx.open_session(&session).await.unwrap();
            tx.remember_bank_state("state", &state).await.unwrap();
            tx.push_request("request", "tpp", &serde_json::json!({}), end).await.unwrap();
            Ok::<_, StoreError>(())
        })
        .unwrap();
        for step in ["browser", "state", "request", "session"] {
            let (global, id) = (world.global.clone(), session.id);
            let won = winners(move || {
                let global = global.clone();
                async move {
                    transaction!(global, tx => {
                        match step {
                            "browser" => tx.bind_browser(id, "browser").await?,
                            "state" => tx.use_bank_state("state", now).await?,
                            "request" => tx.complete_request("request", now).await?,
                            _ => tx.move_session(id, "open", "done", &serde_json::json!({})).await?,
                        }
                        Ok(())
                    })
                }
            });
            assert_eq!(won.await, 1, "{step}");
        }
        assert!(world.global.bank_state("state").await.unwrap().is_none());
    }

    /// A code is redeemed once, and not after its end.
    async fn a_code_is_redeemed_once_and_in_time(world: World) {
        world.client("tpp").await;
        for (digest, end) in [("good", 60), ("late", 0)] {
            let code = consentry_store::grants::CodeRow {
                client_id: "tpp".to_owned(),
                grant: GrantId::new(&*world.clock, &SystemEntropy),
                redirect_uri: "https://fintech.example".to_owned(),
                code_challenge: "c".to_owned(),
                nonce: None,
                dpop_key: None,
                expires_at: world.in_seconds(end),
                redeemed_at: None,
            };
            transaction!(world.global, tx => {
                tx.give_grant(&world.grant(code.grant)).await.unwrap();
                tx.issue_code(digest, &code).await.unwrap();
                Ok::<_, StoreError>(())
            })
            .unwrap();
            let (global, now) = (world.global.clone(), world.now());
            let won = winners(move || {
                let global = global.clone();
                async move {
                    transaction!(global, tx => {
                        tx.redeem_code(digest, now).await?;
                        Ok(())
                    })
                }
            });
            assert_eq!(won.await, usize::from(digest == "good"));
        }
    }

    /// Residency is a type: a region that is not held here has no store.
    async fn a_region_that_is_not_held_has_no_store(world: World) {
        let stores = consentry_store::Stores::new(world.global.clone(), [world.region.clone()]);
        assert!(stores.region(uk()).is_ok());
        let elsewhere: Region = "eu".parse().unwrap();
        assert!(matches!(stores.region(elsewhere), Err(StoreError::NoSuchRegion(_))));
        stores.ping().await.unwrap();
    }
}
