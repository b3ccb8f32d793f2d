//! A PSU's token at a bank is renewed by one at a time: a bank burns what it was shown.

use std::sync::Arc;
use std::time::Duration;

use crate::support::consents::read_from;
use crate::support::{TestGateway, UK};
use domain::{ConsentId, ManualClock};
use flows::{Gateway, Read};
use futures_util::future::join_all;
use modelbank::Fault;

/// Seconds after which a token of the model bank is about to end.
const SOON: i64 = 3_590;

async fn a_token_that_ends() -> (TestGateway, consentry::demo::Tpp, Vec<String>, Arc<ManualClock>) {
    let (gw, clock) = TestGateway::with_manual_clock().await;
    let tpp = gw.tpp().await;
    let consents = gw.granted(&tpp, &[UK]).await.consents;
    gw.read(&tpp, &consents, Read::Accounts).await.unwrap();
    clock.advance(SOON);
    // Our own token at the bank has ended as well, and is none of a PSU's.
    (gw, tpp, consents, clock)
}

/// Requests for tokens that the bank answered.
fn renewals(gw: &TestGateway) -> usize {
    let entries = gw.sandbox.bank(UK).unwrap().1.entries();
    entries.iter().filter(|entry| entry.path.ends_with("/token") && entry.method == "POST").count()
}

async fn bank_token(gateway: &Gateway, consent: &str) -> Option<String> {
    let id: ConsentId = consent.parse().unwrap();
    let store = gateway.stores().region(id.region()).unwrap();
    store.consent(id).await.unwrap().unwrap().bank.access_token
}

/// Ten reads at once at each of two gateways on one database ask the bank once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_gateways_one_renews_a_token() {
    let (gw, tpp, consents, _clock) = a_token_that_ends().await;
    let beside = gw.sandbox.gateway().beside();
    let before = renewals(&gw);
    // Long enough that all of them find the token about to end.
    let (faults, _) = gw.sandbox.bank(UK).unwrap();
    faults.arm("POST", "/token", Fault::Slow(Duration::from_millis(300)), 1);
    let at = [gw.sandbox.gateway(), &beside];
    let reads = (0..20).map(|n| read_from(at[n % 2], &tpp, &consents, Read::Balances));
    for read in join_all(reads).await {
        assert!(!read.unwrap().accounts.is_empty());
    }
    assert_eq!(renewals(&gw) - before, 1);
}

/// Whoever gives up while the bank makes a new token loses nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_goes_on_when_its_caller_has_gone() {
    let (gw, tpp, consents, _clock) = a_token_that_ends().await;
    let gateway = gw.sandbox.gateway();
    let old = bank_token(gateway, &consents[0]).await;
    let (faults, _) = gw.sandbox.bank(UK).unwrap();
    faults.arm("POST", "/token", Fault::Slow(Duration::from_millis(300)), 1);
    let before = renewals(&gw);
    {
        let read = gw.read(&tpp, &consents, Read::Balances);
        tokio::pin!(read);
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        // The fault is used up when the bank has the request.
        while !faults.armed().is_empty() {
            tokio::select! {
                _ = beat.tick() => {}
                done = &mut read => panic!("the bank was faster: {done:?}"),
            }
        }
    }
    let kept = async {
        let mut beat = tokio::time::interval(Duration::from_millis(10));
        while bank_token(gateway, &consents[0]).await == old {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), kept).await.expect("the new token is kept");
    assert_eq!(renewals(&gw) - before, 1);
}

/// A gateway that went away in the middle of a renewal holds up the others for as
/// long as a bank may take, and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_nobody_gives_back_ends() {
    let (gw, tpp, consents, clock) = a_token_that_ends().await;
    let consent: ConsentId = consents[0].parse().unwrap();
    let store = gw.sandbox.gateway().stores().region(consent.region()).unwrap().clone();
    let (now, end) = (gw.clock.now(), gw.clock.now() + jiff::SignedDuration::from_secs(90));
    assert!(store.take_turn(&consents[0], "gone", now, end).await.unwrap());
    assert!(!store.take_turn(&consents[0], "another", now, end).await.unwrap());
    let before = renewals(&gw);
    let waiting = gw.read(&tpp, &consents, Read::Balances);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(400), &mut waiting).await;
    assert!(early.is_err(), "the turn was another's");
    assert_eq!(renewals(&gw), before);
    clock.advance(91);
    assert!(!waiting.await.unwrap().accounts.is_empty());
    // What ended is not given back by whoever had it.
    assert!(store.take_turn(&consents[0], "another", now, end).await.unwrap());
    store.end_turn(&consents[0], "gone").await.unwrap();
    assert!(!store.take_turn(&consents[0], "third", now, end).await.unwrap());
}

/// RFC 6750 §3.1: a bank may end a token before its time. Who reads does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_a_bank_ends_early_is_renewed_at_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let consents = gw.granted(&tpp, &[UK]).await.consents;
    gw.read(&tpp, &consents, Read::Accounts).await.unwrap();
    let (gateway, before) = (gw.sandbox.gateway(), renewals(&gw));
    let old = bank_token(gateway, &consents[0]).await;
    let (faults, _) = gw.sandbox.bank(UK).unwrap();
    faults.arm("GET", "/accounts", Fault::Unauthorised, 1);
    assert!(!gw.read(&tpp, &consents, Read::Accounts).await.unwrap().accounts.is_empty());
    assert_eq!(renewals(&gw) - before, 1);
    assert_ne!(bank_token(gateway, &consents[0]).await, old);
    gw.sandbox.stop().await;
}

/// A bank that takes none of its own tokens is not asked for more and more of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_twice_at_most() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let consents = gw.granted(&tpp, &[UK]).await.consents;
    let before = renewals(&gw);
    let (faults, _) = gw.sandbox.bank(UK).unwrap();
    faults.arm("GET", "/accounts", Fault::Unauthorised, 100);
    let read = gw.read(&tpp, &consents, Read::Accounts).await;
    assert!(read.is_err() || read.is_ok_and(|read| read.accounts.is_empty()));
    let refreshes = renewals(&gw) - before;
    assert!(refreshes <= 3, "two, and a token of the gateway's own: {refreshes}");
    gw.sandbox.stop().await;
}
