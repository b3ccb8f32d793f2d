//! Consents that are lodged a second on PostgreSQL, each on the disk before it is answered, and beside it what `pgbench`
//! commits of the same row in the same number of connections. Prints one JSON object.
//!
//! `CONSENTRY_TEST_POSTGRES=postgres://… cargo run --release -p consentry-store --example consents_speed`

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]
#![allow(clippy::float_arithmetic, reason = "it works with times and ratios, and no money")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "it stops at the first surprise"
)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::any::AnyPoolOptions;
use sqlx::{Column, Row};
use world::World;

/// Of each measurement.
const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let world =
        Arc::new(World::on_postgres().await.expect("CONSENTRY_TEST_POSTGRES says where PostgreSQL is"));
    let script = world.folder.path().join("consent.sql");
    std::fs::write(&script, same_row(&world).await).unwrap();
    let mut told = serde_json::Map::new();
    for at_once in [16, 64] {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let ours = lodged(&world, at_once).await;
            rounds.push((ours, committed(&world, at_once, &script)));
        }
        let median = |mut all: Vec<f64>| {
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let figures = json!({
            "lodged_a_second": median(rounds.iter().map(|(ours, _)| *ours).collect()).round(),
            "pgbench_a_second": median(rounds.iter().map(|(_, peer)| *peer).collect()).round(),
            "ours_to_it": median(rounds.iter().map(|(ours, peer)| ours / peer).collect()),
        });
        told.insert(format!("at_once_{at_once}"), figures);
    }
    println!("{:#}", serde_json::Value::Object(told));
}

/// Consents a second, each lodged in a transaction of its own.
async fn lodged(world: &Arc<World>, at_once: usize) -> f64 {
    let (begun, made) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let lodging = (0..at_once).map(|_| {
        let (world, made) = (Arc::clone(world), Arc::clone(&made));
        tokio::spawn(async move {
            while begun.elapsed() < TIME {
                world.consent().await;
                made.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for one in lodging.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    f64::from(u32::try_from(made.load(Ordering::Relaxed)).unwrap()) / begun.elapsed().as_secs_f64()
}

/// What `pgbench` is to do: the row of a consent, with another id each time.
async fn same_row(world: &World) -> String {
    world.consent().await;
    let pool = AnyPoolOptions::new().max_connections(1).connect(&world.urls[1]).await.unwrap();
    let row = sqlx::query("select * from consents limit 1").fetch_one(&pool).await.unwrap();
    let names = row.columns().iter().map(Column::name).filter(|name| *name != "consent_id");
    let others = names.collect::<Vec<_>>().join(", ");
    sqlx::query("create table one_consent as select * from consents limit 1").execute(&pool).await.unwrap();
    let schema: String =
        sqlx::query_scalar("select cast(current_schema() as text)").fetch_one(&pool).await.unwrap();
    pool.close().await;
    format!(
        "\\set id random(1, 1000000000000000)\nbegin;\ninsert into {schema}.consents (consent_id, {others}) \
         select 'con_uk_' || :id, {others} from {schema}.one_consent;\ncommit;\n"
    )
}

/// Transactions a second, as it says.
fn committed(world: &World, at_once: usize, script: &std::path::Path) -> f64 {
    let address = world.urls[1].split('?').next().unwrap();
    let (clients, seconds) = (at_once.to_string(), TIME.as_secs().to_string());
    let output = Command::new("pgbench")
        .args(["-n", "-j", "2", "-c", &clients, "-T", &seconds, "-f"])
        .arg(script)
        .arg(address)
        .output()
        .expect("pgbench is at hand");
    let said = String::from_utf8(output.stdout).unwrap();
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.unwrap_or_else(|| panic!("pgbench: {}", String::from_utf8_lossy(&output.stderr)));
    rate.split_whitespace().next().unwrap().parse().unwrap()
}
