//! Transactions are run again where a failure passes, and nothing is done twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod proxy;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use consentry_store::idempotency::Claim;
use consentry_store::payments::PaymentRow;
use consentry_store::{GlobalStore, RegionalStore, StoreError, transaction};
use domain::{PaymentId, SystemEntropy};
use proxy::{Proxy, Seen};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use tokio::sync::Barrier;
use world::{World, claim_key, uk};

/// What a connection that broke says.
fn broken() -> StoreError {
    StoreError::Database(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()))
}

async fn status_of(store: &GlobalStore, client: &str) -> String {
    store.client(client).await.unwrap().unwrap().status
}

/// The server's own view of a test's database.
struct Server {
    pool: AnyPool,
    database: String,
}

impl Server {
    async fn of(world: &World) -> Self {
        let url = std::env::var("CONSENTRY_TEST_POSTGRES").unwrap();
        let database = url::Url::parse(&world.urls[0]).unwrap().path().trim_start_matches('/').to_owned();
        Self { pool: AnyPoolOptions::new().connect(&url).await.unwrap(), database }
    }

    /// Ends the connections to the test's database that stand so; how many.
    async fn end(&self, standing: &str) -> usize {
        let sql =
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and state like $2";
        sqlx::query(sql).bind(&self.database).bind(standing).fetch_all(&self.pool).await.unwrap().len()
    }

    async fn alter(&self, how: &str) {
        let sql = sqlx::AssertSqlSafe(format!("alter database \"{}\" {how}", self.database));
        sqlx::raw_sql(sql).execute(&self.pool).await.unwrap();
    }
}

on_both_databases! {
    /// What a run leaves that failed is gone before the next.
    async fn a_run_that_failed_leaves_nothing_behind(world: World) {
        let runs = AtomicUsize::new(0);
        let found = transaction!(world.global, tx => {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            tx.put_client(&format!("tpp-{run}"), &serde_json::json!({}), world.now()).await?;
            if run < 2 { Err(broken()) } else { Ok(run) }
        });
        assert_eq!((found.unwrap(), runs.into_inner()), (2, 3));
        for (client, there) in [("tpp-0", false), ("tpp-1", false), ("tpp-2", true)] {
            assert_eq!(world.global.client(client).await.unwrap().is_some(), there, "{client}");
        }
    }

    /// What would fail again is not tried again, and what a block gives with `return` ends it.
    async fn what_does_not_pass_is_not_run_again(world: World) {
        let payment = world.payment().await;
        let runs = AtomicUsize::new(0);
        let twice = transaction!(world.region, tx => {
            runs.fetch_add(1, Ordering::Relaxed);
            tx.record_payment(&payment).await
        });
        assert!(matches!(twice, Err(StoreError::Database(sqlx::Error::Database(_)))), "{twice:?}");
        let mut stale = payment.clone();
        stale.revision += 1;
        let late = transaction!(keyed world.region, tx => {
            runs.fetch_add(1, Ordering::Relaxed);
            tx.update_payment(stale.state, &stale, None, "psu", world.now()).await
        });
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        let left = transaction!(world.global, tx => {
            runs.fetch_add(1, Ordering::Relaxed);
            tx.put_client("tpp", &serde_json::json!({}), world.now()).await?;
            if runs.load(Ordering::Relaxed) == 3 {
                return Ok::<_, StoreError>("left");
            }
            Ok("not left")
        });
        assert_eq!((left.unwrap(), runs.into_inner()), ("left", 3));
        assert!(world.global.client("tpp").await.unwrap().is_some());
    }
}

/// A test that needs PostgreSQL, and says so loudly where that is missing.
async fn postgres() -> Option<World> {
    let world = World::on_postgres().await;
    if world.is_none() {
        eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES to run this on PostgreSQL");
    }
    world
}

/// Two who hold what the other wants: PostgreSQL ends one, which then begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_in_each_others_way_both_end_well() {
    let Some(world) = postgres().await else { return };
    for client in ["a", "b"] {
        world.client(client).await;
    }
    let (both, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
    let mut all = tokio::task::JoinSet::new();
    for (first, second, status) in [("a", "b", "suspended"), ("b", "a", "active")] {
        let (global, both, runs) = (world.global.clone(), Arc::clone(&both), Arc::clone(&runs));
        all.spawn(async move {
            let mut met = false;
            let set = transaction!(global, tx => {
                runs.fetch_add(1, Ordering::Relaxed);
                tx.set_client_status(first, status).await?;
                if !std::mem::replace(&mut met, true) {
                    both.wait().await;
                }
                tx.set_client_status(second, status).await
            });
            set.unwrap();
        });
    }
    all.join_all().await;
    assert_eq!(runs.load(Ordering::Relaxed), 3, "one of them twice");
    assert_eq!(status_of(&world.global, "a").await, status_of(&world.global, "b").await);
}

/// A connection that ends in the middle takes what was done over it along.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_ends_in_the_middle_is_replaced() {
    let Some(world) = postgres().await else { return };
    let server = Server::of(&world).await;
    let runs = AtomicUsize::new(0);
    let put = transaction!(world.global, tx => {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        tx.put_client(&format!("tpp-{run}"), &serde_json::json!({}), world.now()).await?;
        if run == 0 {
            assert_eq!(server.end("idle in transaction").await, 1);
        }
        tx.put_client("tpp", &serde_json::json!({}), world.now()).await
    });
    put.unwrap();
    assert_eq!(runs.into_inner(), 2);
    assert!(world.global.client("tpp-0").await.unwrap().is_none());
    assert!(world.global.client("tpp-1").await.unwrap().is_some());
}

/// After a move the connections to where the database was go on, and take no changes. They are
/// given up, all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_to_a_copy_are_given_up() {
    let Some(world) = postgres().await else { return };
    let server = Server::of(&world).await;
    server.alter("set default_transaction_read_only = on").await;
    server.end("idle%").await;
    // As many as the pool has connections, beside those for reads.
    let connections = 6;
    let refused = Arc::new(Barrier::new(connections + 1));
    let mut all = tokio::task::JoinSet::new();
    for n in 0..connections {
        let (global, refused, now) = (world.global.clone(), Arc::clone(&refused), world.now());
        all.spawn(async move {
            let mut met = false;
            let put = transaction!(global, tx => {
                let put = tx.put_client(&format!("tpp-{n}"), &serde_json::json!({}), now).await;
                let copy = put.as_ref().err().is_some_and(|error| format!("{error:?}").contains("25006"));
                if copy && !std::mem::replace(&mut met, true) {
                    // Every connection is one to the copy; then the move is over.
                    refused.wait().await;
                    refused.wait().await;
                }
                put
            });
            (put, met)
        });
    }
    refused.wait().await;
    server.alter("reset default_transaction_read_only").await;
    refused.wait().await;
    for (put, met) in all.join_all().await {
        put.unwrap();
        assert!(met);
    }
}

/// A database that stays away is not waited for without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_stays_away_is_given_up() {
    let Some(world) = postgres().await else { return };
    let proxy = Proxy::to(&world.urls[0]).await;
    let global = GlobalStore::open(&proxy.url).await.unwrap();
    proxy.stop().await;
    let (runs, began) = (AtomicUsize::new(0), Instant::now());
    let put = transaction!(global, tx => {
        runs.fetch_add(1, Ordering::Relaxed);
        tx.put_client("tpp", &serde_json::json!({}), world.now()).await
    });
    assert!(put.unwrap_err().is_passing());
    assert_eq!(runs.into_inner(), 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    world.global.close().await;
}

/// Whoever goes away in the middle of a transaction leaves nothing of it, and no connection that nobody gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_nobody_ends_is_undone() {
    let Some(world) = postgres().await else { return };
    for round in 0..20 {
        let (written, seen) = tokio::sync::oneshot::channel();
        let id = format!("tpp {round}");
        let left = async {
            let mut written = Some(written);
            let put: Result<(), StoreError> = transaction!(world.global, tx => {
                tx.put_client(&id, &serde_json::json!({}), world.now()).await?;
                written.take().unwrap().send(()).unwrap();
                std::future::pending().await
            });
            put
        };
        tokio::select! {
            put = left => panic!("{put:?}"),
            seen = seen => seen.unwrap(),
        }
    }
    let put = transaction!(world.global, tx => {
        tx.put_client("tpp", &serde_json::json!({}), world.now()).await
    });
    put.unwrap();
    assert!(world.global.client("tpp").await.unwrap().is_some());
    assert!(world.global.client("tpp 0").await.unwrap().is_none());
}

/// A process that ends in the middle of a transaction ends all the same.
#[test]
fn a_runtime_that_ends_undoes_what_is_open() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let Some(world) = postgres().await else { return };
        let (written, seen) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut written = Some(written);
            let put: Result<(), StoreError> = transaction!(world.global, tx => {
                tx.put_client("tpp", &serde_json::json!({}), world.now()).await?;
                written.take().unwrap().send(()).unwrap();
                std::future::pending().await
            });
            put
        });
        seen.await.unwrap();
    });
    // It would not come back from here.
    drop(runtime);
}

/// A payment like another one, of its own id.
fn like(world: &World, payment: &PaymentRow) -> PaymentRow {
    PaymentRow { id: PaymentId::new(uk(), &*world.clock, &SystemEntropy), ..payment.clone() }
}

async fn payments(world: &World) -> u64 {
    // Rows that are changed are counted.
    world.run("update payments set revision = revision").await
}

/// The region's store over a proxy.
async fn proxied(world: &World) -> (Proxy, RegionalStore) {
    let proxy = Proxy::to(&world.urls[1]).await;
    let urls = [world.urls[0].clone(), proxy.url.clone(), world.urls[2].clone()];
    let store = world::region(&urls, &[1], &world.clock).await;
    (proxy, store)
}

/// Of a commit that was not answered nobody claims to know.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_without_an_answer_is_unknown() {
    for (seen, there) in [(Seen::NotPassedOn, 0), (Seen::PassedOn, 1)] {
        let Some(world) = postgres().await else { return };
        let pattern = world.payment().await;
        let (proxy, store) = proxied(&world).await;
        let runs = AtomicUsize::new(0);
        proxy.break_at("COMMIT", seen);
        let recorded = transaction!(store, tx => {
            runs.fetch_add(1, Ordering::Relaxed);
            tx.record_payment(&like(&world, &pattern)).await
        });
        assert!(matches!(recorded, Err(StoreError::OutcomeUnknown(_))), "{recorded:?}");
        assert_eq!((runs.into_inner(), payments(&world).await), (1, 1 + there), "{seen:?}");
    }
}

/// Whoever finds out by a key what became of it does so, and does it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_has_a_key_is_done_once_whatever_became_of_the_answer() {
    for seen in [Seen::NotPassedOn, Seen::PassedOn] {
        let Some(world) = postgres().await else { return };
        let pattern = world.payment().await;
        let (proxy, store) = proxied(&world).await;
        let runs = AtomicUsize::new(0);
        proxy.break_at("COMMIT", seen);
        let answered = transaction!(keyed store, tx => {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            match tx.claim(&claim_key("f"), world.now(), world.in_seconds(60)).await? {
                Claim::New => {}
                Claim::Replay { body, .. } => return Ok(body),
                Claim::InFlight | Claim::Mismatch => return Err(StoreError::Conflict),
            }
            let payment = like(&world, &pattern);
            tx.record_payment(&payment).await?;
            let body = format!("run {run}");
            tx.answer_claim(&claim_key("f"), &payment.id.to_string(), 201, &body).await?;
            Ok(body)
        });
        let by = if seen == Seen::PassedOn { "run 0" } else { "run 1" };
        assert_eq!(answered.unwrap(), by);
        assert_eq!((runs.into_inner(), payments(&world).await), (2, 2), "{seen:?}");
    }
}

/// Where a run after such a commit cannot find out either, that is what is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_stays_unknown_is_told_so() {
    let Some(world) = postgres().await else { return };
    let pattern = world.payment().await;
    let (proxy, store) = proxied(&world).await;
    let runs = AtomicUsize::new(0);
    proxy.break_at("COMMIT", Seen::PassedOn);
    let recorded = transaction!(keyed store, tx => {
        runs.fetch_add(1, Ordering::Relaxed);
        // Not by a key: the second run meets what the first left.
        let payment = PaymentRow { id: "pay_uk_0197f0c0a0007000800000000000000a".parse().unwrap(), ..pattern.clone() };
        tx.record_payment(&payment).await
    });
    assert!(matches!(recorded, Err(StoreError::OutcomeUnknown(_))), "{recorded:?}");
    assert_eq!((runs.into_inner(), payments(&world).await), (2, 2));
}

/// A statement that reads is run again when its connection breaks. One that writes is not: nobody
/// knows whether it was run.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn single_statements_are_run_again_where_they_read() {
    let Some(world) = postgres().await else { return };
    world.client("tpp").await;
    let proxy = Proxy::to(&world.urls[0]).await;
    let global = GlobalStore::open(&proxy.url).await.unwrap();
    proxy.break_at("from clients", Seen::NotPassedOn);
    assert!(global.client("tpp").await.unwrap().is_some());
    assert!(proxy.has_broken());
    proxy.break_at("insert into instances", Seen::NotPassedOn);
    let unheard = global.note_instance("one", 0, world.in_seconds(60)).await;
    assert!(matches!(unheard, Err(StoreError::OutcomeUnknown(_))), "{unheard:?}");
    assert!(proxy.has_broken());
    global.note_instance("one", 0, world.in_seconds(60)).await.unwrap();
}

/// On SQLite, which has one writer at a time and has others sleep, those of a process write in the order in which they came.
#[tokio::test]
async fn who_writes_waits_for_a_turn() {
    let world = World::on_sqlite().await;
    let (begun, release) = (Barrier::new(2), Barrier::new(2));
    let order = std::sync::Mutex::new(Vec::new());
    let first = async {
        let outcome: Result<(), StoreError> = transaction!(world.global, _tx => {
            begun.wait().await;
            release.wait().await;
            Ok(())
        });
        outcome.unwrap();
    };
    let others = async {
        begun.wait().await;
        let write = async |number: i64| {
            world.global.note_instance("one", number, world.in_seconds(60)).await.unwrap();
            order.lock().unwrap().push(number);
        };
        let writing = futures_util::future::join_all((0..12).map(write));
        // By then each of them has been asked once, in turn.
        let released = async {
            tokio::task::yield_now().await;
            release.wait().await;
        };
        tokio::join!(writing, released);
    };
    tokio::join!(first, others);
    assert_eq!(*order.lock().unwrap(), (0..12).collect::<Vec<_>>());
}

/// What SQLite has logged is taken into its file beside who writes, and before the log is so long that a commit has to.
#[tokio::test]
async fn the_log_of_sqlite_is_taken_into_its_file() {
    let world = World::on_sqlite().await;
    let there =
        Path::new(world.urls[0].trim_start_matches("sqlite://").split('?').next().unwrap()).to_owned();
    let taken_over = async || {
        // Of the file alone, without its log.
        let copy = there.with_extension("copy");
        std::fs::copy(&there, &copy).unwrap();
        let pool = AnyPoolOptions::new().connect(&format!("sqlite://{}", copy.display())).await.unwrap();
        let told = sqlx::query("select count(*) from clients").fetch_one(&pool).await;
        pool.close().await;
        told.and_then(|row| sqlx::Row::try_get::<i64, _>(&row, 0)).unwrap_or(0) > 0
    };
    world.client("tpp").await;
    assert!(!taken_over().await, "it is in the log alone");
    let until = Instant::now() + Duration::from_secs(60);
    let mut number = 0;
    while !taken_over().await {
        assert!(Instant::now() < until, "after {number} turns it is still in the log alone");
        for _ in 0..200 {
            number += 1;
            world.global.note_instance("one", number, world.in_seconds(60)).await.unwrap();
        }
    }
    assert!(number < 16_000, "so long that a commit may have done it: {number}");
}

/// Sources in a folder and those below.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Nothing begins or commits a transaction but the helper.
#[test]
fn every_transaction_is_one_that_is_run_again() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    sources(store.parent().unwrap(), &mut all);
    assert!(all.len() > 300, "{}", all.len());
    // In parts, so that this is not found itself.
    let words = [
        concat!(".begin()", ".await"),
        concat!("begin", "_with("),
        concat!(".commit()", ".await"),
        concat!(".rollback()", ".await"),
        concat!("begin ", "immediate"),
        concat!(".runs", "("),
        concat!("Transaction", "::begin"),
    ];
    // The helper, what it begins by, single statements, and migrations.
    let helper =
        ["transactions.rs", "database.rs", "statements.rs", "pooler.rs"].map(|file| store.join(file));
    for path in all.iter().filter(|path| !helper.contains(path)) {
        let text = std::fs::read_to_string(path).unwrap();
        for word in words {
            assert!(!text.contains(word), "{} has {word}: use transaction!", path.display());
        }
    }
}
