//! What a decision costs, in CPU time of one thread, beside the same decision in Rust.
//!
//! `cargo run --release -p consentry-policy --no-default-features --example decision_speed`

use std::collections::BTreeSet;
use std::hint::black_box;

use policy::{ConsentFacts, Engine, ReadData, Service};
use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let before = nanoseconds();
    let engine = Engine::open(None)?;
    println!("opened     in {:6} µs: the files, the schema and the tests", (nanoseconds() - before) / 1000);
    let region = "uk".parse()?;
    let consent = ConsentFacts {
        client: "cli_0197f0a35e1c7bd2a1f5d0c8a3b4e6f7",
        granted: true,
        in_force: true,
        service: Service::Accounts,
        region,
        permissions: ["ACCOUNTS", "BALANCES", "TRANSACTIONS_BASIC", "TRANSACTIONS_DETAIL"].into(),
    };
    let permitted = ReadData {
        client: consent.client,
        class: "transactions",
        needs: ["TRANSACTIONS_BASIC", "TRANSACTIONS_DETAIL"].into(),
        psu_present: false,
        beyond_history: false,
        cell: region,
        consent,
    };
    let mut denied = permitted.clone();
    denied.consent.in_force = false;
    // What is permitted is asked of the rules once: each of these is by another client.
    let clients: Vec<_> = (0..60_000).map(|number| format!("cli_{number:032x}")).collect();
    let mut others = clients.iter();
    let first = p50(|| {
        let client = others.next().map_or("", String::as_str);
        let mut asked = permitted.clone();
        (asked.client, asked.consent.client) = (client, client);
        engine.decide(black_box(&asked)).is_ok()
    });
    println!("permitted  p50 {first:6} ns by the rules, the first time");
    for (name, asked) in [("again", &permitted), ("denied", &denied)] {
        let cedar = p50(|| engine.decide(black_box(asked)).is_ok());
        let bare = p50(|| matched(black_box(asked)).is_ok());
        println!("{name:9}  p50 {cedar:6} ns by the rules, {bare:3} ns by a match in Rust");
    }
    Ok(())
}

/// The peer: the same decision, without rules that can be read or changed.
fn matched(asked: &ReadData<'_>) -> Result<(), Vec<&'static str>> {
    let consent = &asked.consent;
    let scope: BTreeSet<_> = asked.needs.intersection(&consent.permissions).collect();
    let wrong = [
        (consent.client != asked.client, "consent.of-another-client"),
        (!consent.granted, "consent.not-granted"),
        (!consent.in_force, "consent.not-in-force"),
        (consent.service != Service::Accounts, "consent.other-service"),
        (scope.is_empty(), "consent.scope"),
        (asked.beyond_history && !asked.psu_present, "consent.history-needs-psu"),
        (consent.region != asked.cell, "consent.elsewhere"),
    ];
    let reasons: Vec<_> = wrong.into_iter().filter_map(|(is, reason)| is.then_some(reason)).collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// The median of the cost of one call, in nanoseconds, over batches of calls.
fn p50(mut call: impl FnMut() -> bool) -> i64 {
    const BATCH: i64 = 100;
    let mut costs: Vec<i64> = (0..500)
        .map(|_| {
            let before = nanoseconds();
            for _ in 0..BATCH {
                black_box(call());
            }
            (nanoseconds() - before) / BATCH
        })
        .collect();
    costs.sort_unstable();
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

fn nanoseconds() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
