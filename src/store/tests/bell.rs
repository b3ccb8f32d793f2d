//! The bell, through a real Redis (`REDIS_URL`).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use consentry_store::bell::{Bell, Heard};
use tokio::sync::mpsc;

/// Everybody who listens hears a ring, and the one who rang too.
#[tokio::test]
async fn a_ring_is_heard_by_everybody_who_listens() {
    let Ok(url) = std::env::var("REDIS_URL") else {
        eprintln!("SKIPPED: REDIS_URL names no Redis; `make test` starts one");
        return;
    };
    let (told, mut hears) = mpsc::unbounded_channel();
    let bells = [Bell::at(&url).unwrap(), Bell::at(&url).unwrap()];
    for (name, bell) in bells.iter().cloned().enumerate() {
        let told = told.clone();
        tokio::spawn(async move { bell.listen(|heard| told.send((name, heard)).unwrap()).await });
    }
    let mut both = [hears.recv().await.unwrap(), hears.recv().await.unwrap()];
    both.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(both, [(0, Heard::Listening), (1, Heard::Listening)]);
    bells[0].ring().await.unwrap();
    let mut rung = [false; 2];
    while rung != [true; 2] {
        let (name, heard) = hears.recv().await.unwrap();
        assert_eq!(heard, Heard::Ring);
        *rung.get_mut(name).unwrap() = true;
    }
}

/// Losing Redis costs speed only: who rings is told, and goes on.
#[tokio::test]
async fn without_redis_a_ring_fails_and_does_not_hang() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("redis://{}", taken.local_addr().unwrap());
    drop(taken);
    let bell = Bell::at(&nobody).unwrap();
    assert!(bell.ring().await.is_err());
    assert!(bell.listen(|_| {}).await.is_err());
    assert!(Bell::at("no address").is_err());
}
