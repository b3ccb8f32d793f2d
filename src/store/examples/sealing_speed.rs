//! What sealed columns and the audit log cost a request that reads, in processor time. In process, on
//! SQLite; prints one JSON object.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it stops at the first surprise")]

#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::sync::Arc;

use crypto::envelope::Place;
use domain::SystemEntropy;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row};
use world::World;

/// Reads, and entries.
const TIMES: u32 = 80_000;
/// Values that are sealed and opened.
const VALUES: u32 = 400_000;
/// As much as the terms of a consent.
const TEXT: &str = r#"{"permissions":["READ_ACCOUNTS_DETAIL","READ_BALANCES","READ_TRANSACTIONS_DETAIL"],"recurring":true,"valid_until":"2030-01-31","frequency_per_day":4,"client_reference":"0f5f7bd8"}"#;

/// Processor time that this process has taken, in microseconds (`utime` and `stime` of proc(5)).
fn taken() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap() * 10_000).sum()
}

/// Nanoseconds of processor time for each of so many.
fn each(before: u64, times: u32) -> u64 {
    (taken() - before) * 1_000 / u64::from(times)
}

#[tokio::main]
async fn main() {
    let world = Arc::new(World::on_sqlite().await);
    let audit = async |at_once| {
        let before = taken();
        let entries = stream::iter(0..TIMES).map(|_| async {
            world.region.audit(&world.read(true, world.now())).await.unwrap();
        });
        entries.buffer_unordered(at_once).for_each(|()| async {}).await;
        each(before, TIMES)
    };
    let (alone, together) = (audit(1).await, audit(32).await);
    // The peer: another row that is committed the same way.
    let claim = async |at_once| {
        let before = taken();
        let claims = stream::iter(0..TIMES).map(|number| {
            let world = Arc::clone(&world);
            async move {
                let digest = format!("{at_once} {number}");
                world.global.claim_id("tpp", &digest, world.in_seconds(60)).await.unwrap();
            }
        });
        claims.buffer_unordered(at_once).for_each(|()| async {}).await;
        each(before, TIMES)
    };
    let (claim_alone, claim_together) = (claim(1).await, claim(32).await);
    let [sealed, opened] = cipher();
    let [stored, read] = reads(&world).await;
    let told = json!({
        "seal_ns": sealed,
        "open_ns": opened,
        "row_read_ns": read,
        "row_read_opened_and_parsed_ns": stored,
        "audit_entry_alone_ns": alone,
        "audit_entry_among_32_ns": together,
        "claim_alone_ns": claim_alone,
        "claim_among_32_ns": claim_together,
    });
    println!("{told:#}");
}

/// Sealing and opening one column.
fn cipher() -> [u64; 2] {
    let keys = world::keys(&[1]);
    let (key, _) = keys.make(domain::Timestamp::UNIX_EPOCH, &SystemEntropy).unwrap();
    let place = || Place { region: world::uk(), table: "consents", column: "terms", row: "con_uk_1" };
    let before = taken();
    for _ in 0..VALUES {
        black_box(key.seal(place(), black_box(TEXT), &SystemEntropy).unwrap());
    }
    let sealed = each(before, VALUES);
    let text = key.seal(place(), TEXT, &SystemEntropy).unwrap();
    let before = taken();
    for _ in 0..VALUES {
        black_box(key.open(place(), black_box(&text)).unwrap());
    }
    [sealed, each(before, VALUES)]
}

/// Reading a consent as the gateway does, and the same row without opening or parsing anything of it.
async fn reads(world: &World) -> [u64; 2] {
    let consent = world.consent().await;
    let before = taken();
    for _ in 0..TIMES {
        black_box(world.region.consent(consent.id).await.unwrap().unwrap());
    }
    let stored = each(before, TIMES);
    let pool: AnyPool = AnyPoolOptions::new().max_connections(4).connect(&world.urls[1]).await.unwrap();
    let id = consent.id.to_string();
    let before = taken();
    for _ in 0..TIMES {
        let row =
            sqlx::query("select * from consents where consent_id = $1").bind(&id).fetch_optional(&pool).await;
        let row = row.unwrap().unwrap();
        black_box((0..row.columns().len()).map(|at| row.try_get_raw(at).is_ok()).filter(|it| *it).count());
    }
    let read = each(before, TIMES);
    pool.close().await;
    [stored, read]
}
