//! `POST /v1/payments`, answered once it is on the disk, beside what the same database
//! takes to commit a single row, in turns. In process, on a sandbox of its own; a TLS
//! connection per request, whose cost is measured with a request that stores nothing.
//! Prints one JSON object.
//!
//! `order_speed FOLDER [DATABASE_URL]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use consentry::demo::Tpp;
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use domain::{Clock, EventId, Region, SystemClock, SystemEntropy};
use serde_json::json;
use store::events::EventRow;

const ROUNDS: u32 = 2_000;
const BANK: &str = "gb-albion-bank";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name a folder for the sandbox")?;
    let options = SandboxOptions {
        database_url: arguments.next(),
        limits: LimitsFrom::Nowhere,
        ..SandboxOptions::at(folder)
    };
    let sandbox = Sandbox::start(options).await?;
    let mut tpp = Tpp::discover(&sandbox.access(), Arc::new(SystemClock)).await?;
    tpp.register().await?;
    let token = tpp.own_token("payments").await?;
    let order = Tpp::small_payment(BANK);
    let region: Region = "uk".parse()?;
    let store = sandbox.gateway().stores().region(region)?;
    let (mut orders, mut wires, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        let started = Instant::now();
        tpp.post(&token, "/v1/payments", &order).await?.expect(201)?;
        orders.push(started.elapsed());

        let started = Instant::now();
        tpp.get(&token, "/v1/problems/resource.not_found").await?.expect(200)?;
        wires.push(started.elapsed());

        let row = single_row(region, number);
        let started = Instant::now();
        store::transaction!(store, tx => { tx.emit(&row).await })?;
        commits.push(started.elapsed());
    }
    println!(
        "{}",
        json!({
            "rounds": ROUNDS,
            "order_p50_ms": at(&mut orders, 50), "order_p99_ms": at(&mut orders, 99),
            "wire_p50_ms": at(&mut wires, 50), "wire_p99_ms": at(&mut wires, 99),
            "commit_p50_ms": at(&mut commits, 50), "commit_p99_ms": at(&mut commits, 99),
        })
    );
    sandbox.stop().await;
    Ok(())
}

/// An event of nobody's: a row like many that are written.
fn single_row(region: Region, number: u32) -> EventRow {
    EventRow {
        id: EventId::new(region, &SystemClock, &SystemEntropy),
        client_id: "nobody".to_owned(),
        event_type: "payment.settled".to_owned(),
        resource_id: format!("pay_uk_{number:032x}"),
        sequence: 1,
        body: "{}".to_owned(),
        created_at: SystemClock.now(),
    }
}

/// The time within which this share of a hundred came, in milliseconds.
fn at(times: &mut [Duration], percent: usize) -> String {
    times.sort_unstable();
    let place = times.len().saturating_mul(percent).checked_div(100).unwrap_or(0);
    let time = times.get(place).or(times.last()).copied().unwrap_or_default();
    format!("{}.{:02}", time.as_millis(), time.subsec_micros() % 1_000 / 10)
}
