//! Two gateways that tell each other through Redis what is revoked.

use std::path::Path;
use std::sync::Arc;

use consentry::demo::{Client, Tpp};
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use domain::{Clock, SystemClock};
use secrecy::ExposeSecret;
use store::bell::{Bell, Heard};
use tokio::sync::mpsc;

use crate::support::{assert_problem, fresh_database, limits, postgres};

/// A gateway with a folder of its own on the database of another one, whose
/// clients it trusts.
async fn gateway(folder: &Path, database: &str, trust: Option<&Path>, redis: &str) -> Sandbox {
    Sandbox::start(SandboxOptions {
        auto_approve: true,
        database_url: Some(database.to_owned()),
        redis_url: Some(redis.to_owned()),
        trust_ca: trust.map(Path::to_path_buf).into_iter().collect(),
        ..SandboxOptions::at(folder)
    })
    .await
    .unwrap()
}

/// RFC 7009 §2.2, RS3: once a revocation is answered, no instance accepts the
/// token, however often both have used it before.
async fn what_one_revokes_the_other_refuses(redis: &str) {
    let Some(postgres) = postgres() else {
        eprintln!("SKIPPED: two gateways share a PostgreSQL; `make test` runs this on one");
        return;
    };
    let database = fresh_database(&postgres).await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = gateway(folders[0].path(), &database, None, redis).await;
    let root = folders[0].path().join("pki/root.pem");
    let two = gateway(folders[1].path(), &database, Some(&root), redis).await;

    let mut tpp = Tpp::discover(&one.access(), Arc::new(SystemClock)).await.unwrap();
    tpp.register().await.unwrap();
    let mut elsewhere = tpp.clone();
    elsewhere.api = two.access().api;
    let shown = &one.access().pki.fintech;
    let identity = (shown.certificate_pem.as_str(), shown.key_pem.as_str());
    elsewhere.http = Client::new(&two.access().pki.root, Some(identity)).unwrap();
    for _ in 0..20 {
        let token = tpp.own_token("accounts").await.unwrap();
        let still = tpp.own_token("accounts").await.unwrap();
        for token in [&token, &still, &token] {
            tpp.get(token, "/v1/accounts").await.unwrap().expect(200).unwrap();
            elsewhere.get(token, "/v1/accounts").await.unwrap().expect(200).unwrap();
        }
        let form = [("token", token.expose_secret())];
        tpp.authenticated("revocation_endpoint", &form).await.unwrap().expect(200).unwrap();
        for gateway in [&elsewhere, &tpp] {
            let refused = gateway.get(&token, "/v1/accounts").await.unwrap();
            assert_problem(&refused, 401, "auth.token_invalid");
            gateway.get(&still, "/v1/accounts").await.unwrap().expect(200).unwrap();
        }
    }
    one.stop().await;
    two.stop().await;
}

/// The same where they tell each other: every revocation rings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_revokes_it_tells_the_other() {
    let Ok(redis) = std::env::var("REDIS_URL") else {
        eprintln!("SKIPPED: REDIS_URL names no Redis; `make test` starts one");
        return;
    };
    if postgres().is_none() {
        eprintln!("SKIPPED: two gateways share a PostgreSQL; `make test` runs this on one");
        return;
    }
    let (told, mut hears) = mpsc::unbounded_channel();
    let bell = Bell::at(&redis).unwrap();
    tokio::spawn(async move { bell.listen(|heard| told.send(heard).unwrap()).await });
    assert_eq!(hears.recv().await, Some(Heard::Listening));
    what_one_revokes_the_other_refuses(&redis).await;
    for _ in 0..20 {
        assert_eq!(hears.try_recv(), Ok(Heard::Ring));
    }
}

/// Redis is not needed: where it is away, the store is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_holds_while_redis_is_away() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("redis://{}", taken.local_addr().unwrap());
    drop(taken);
    what_one_revokes_the_other_refuses(&nobody).await;
}

/// What a client has used at one gateway it has used at the other, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_share_quotas_through_redis() {
    const QUOTA: u32 = 100;
    let Ok(redis) = std::env::var("REDIS_URL") else {
        eprintln!("SKIPPED: REDIS_URL names no Redis; `make test` starts one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("limits.toml");
    // A name of this run's own, as the Redis may be somebody's.
    let name = &format!("shared-{}", SystemClock.now().as_nanosecond());
    let policy = format!("name = \"{name}\"\npartition = \"client\"\nquota = {QUOTA}\nwindow = 86400\n");
    std::fs::write(&file, limits(&format!("[[policy]]\n{policy}"))).unwrap();
    let at = async |data: &str| {
        let options = SandboxOptions {
            redis_url: Some(redis.clone()),
            limits: LimitsFrom::File(file.clone()),
            ..SandboxOptions::at(folder.path().join(data))
        };
        Sandbox::start(options).await.unwrap()
    };
    let (one, two) = (at("one").await, at("two").await);
    let ask = async |gateway: &Sandbox| {
        let access = gateway.access();
        let shown = (access.pki.fintech.certificate_pem.as_str(), access.pki.fintech.key_pem.as_str());
        let client = Client::new(&access.pki.root, Some(shown)).unwrap();
        let form =
            [("grant_type", "client_credentials"), ("client_id", "demo-fintech"), ("scope", "accounts")];
        client.post_form(&format!("{}/oauth/token", access.api), &form).await.unwrap().status.as_u16()
    };
    let mut used = 0;
    while ask(&one).await == 200 {
        used += 1;
    }
    assert_eq!(used, QUOTA);
    // What one has not told yet, and what two has not asked for, two lets through.
    let mut overdrawn = 0;
    while ask(&two).await == 200 {
        overdrawn += 1;
    }
    assert!(overdrawn < QUOTA / 2, "{overdrawn}: of its own it would have {QUOTA}");
    one.stop().await;
    two.stop().await;
}
