//! Payments under torture: real gateways as processes, banks that count what they
//! execute, customers that repeat as they please, and a supervisor that kills, freezes
//! and starves whatever it can. In the end three ledgers are compared. A seed repeats
//! who does what in which order; what the machine's scheduler makes of it, it cannot.
//!
//! `make torture` runs it on both databases, `make torture-short` for less than a minute.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]

mod chance;
mod customer;
mod database;
mod gateway;
mod ledgers;
mod supervisor;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use consentry::demo::{Client, Receiver, Tpp, free_ports};
use consentry::sandbox::{BanksApart, SandboxOptions};
use domain::{Clock, ShiftedClock, SystemClock};
use serde_json::{Value, json};

use chance::Chance;
use customer::{Customer, Record, first_token};
use database::Database;
use gateway::{Gateway, Plan};
use supervisor::Supervisor;

/// How it is done.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Payments in all.
    #[arg(long, default_value_t = 300)]
    payments: u64,
    /// Customers at the same time.
    #[arg(long, default_value_t = 20)]
    customers: u64,
    /// What repeats a run; taken from the time, if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// The gateway, built with the feature crash-points.
    #[arg(long, default_value = "target/debug/consentry")]
    binary: PathBuf,
    /// PostgreSQL with two gateways, instead of SQLite with one.
    #[arg(long)]
    database_url: Option<String>,
    /// Kills and starts that database (`TOOL kill`, `TOOL start`).
    #[arg(long)]
    database_tool: Option<String>,
    /// A Redis for the two gateways.
    #[arg(long)]
    redis_url: Option<String>,
    /// Kills and starts that Redis, likewise.
    #[arg(long)]
    redis_tool: Option<String>,
    /// Stop after so many seconds, with whatever was done by then.
    #[arg(long)]
    seconds: Option<u64>,
    /// Keep the folder of the run.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| SystemClock.now().as_microsecond().unsigned_abs());
    println!("seed {seed}");
    let folder = tempfile::tempdir()?;
    let home = options.keep.clone().unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&home)?;
    let binary = std::path::absolute(&options.binary)?;

    let (database, url) = match &options.database_url {
        Some(url) => {
            let (database, url) = Database::behind_proxy(url, options.database_tool.clone()).await?;
            (Some(database), Some(url))
        }
        None => (None, None),
    };
    let gateways = if url.is_some() { 2 } else { 1 };
    let bases = (0..gateways).map(|_| free_ports()).collect::<anyhow::Result<Vec<_>>>()?;
    let first = *bases.first().context("no ports")?;
    let plans: Vec<_> = bases
        .iter()
        .map(|base| Plan {
            binary: binary.clone(),
            folder: home.join(format!("gateway-{base}")),
            port_base: *base,
            banks: first,
            database: url.clone(),
            redis: options.redis_url.clone(),
            log: home.join(format!("gateway-{base}.log")),
        })
        .collect();
    let shown = plans.first().context("no gateway")?;
    // The first start makes keys and certificates.
    let mut gateways: Vec<_> = plans.iter().cloned().map(Gateway::planned).collect();
    let one = gateways.first_mut().context("no gateway")?;
    one.start(None)?;
    let pki = shown.folder.join("pki/root.pem");
    let root = wait_for_file(&pki).await?;
    let anybody = Client::new(&root, None)?;
    one.ready(&anybody).await?;
    for (plan, other) in plans.iter().zip(&mut gateways).skip(1) {
        gateway::share(&shown.folder, &plan.folder)?;
        other.start(None)?;
        other.ready(&anybody).await?;
    }
    let clock = Arc::new(ShiftedClock::default());
    let banks = BanksApart::start(&SandboxOptions {
        clock: clock.clone(),
        port_base: first,
        auto_approve: true,
        ..SandboxOptions::at(&shown.folder)
    })
    .await?;
    let access = banks.access();
    let mut tpp = Tpp::discover(&access, clock.clone()).await?;
    tpp.register().await?;
    let token = first_token(&tpp).await?;
    let receiver = Receiver::start(&access.pki.server.certificate_pem, &access.pki.server.key_pem).await?;
    let endpoint = json!({ "url": receiver.url, "events": [] });
    tpp.post(&token, "/v1/webhook-endpoints", &endpoint).await?.expect(201)?;

    let mandate = customer::mandate(&tpp, &token, &anybody).await?;

    let over = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let deadline = options.seconds.map(Duration::from_secs);
    let apis: Vec<_> = plans.iter().map(Plan::api).collect();
    let customers: Vec<_> = (0..options.customers)
        .map(|number| {
            let mut customer = Customer {
                tpp: tpp.clone(),
                apis: apis.clone(),
                people: anybody.clone(),
                chance: Chance::of(seed, number),
                token: token.clone(),
                mandate: mandate.clone(),
            };
            let (next, last) = (Arc::clone(&next), options.payments);
            tokio::spawn(async move {
                let mut records = Vec::new();
                while deadline.is_none_or(|limit| started.elapsed() < limit) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        break;
                    }
                    records.push(customer.pay(format!("TORTURE-{number}")).await);
                }
                records
            })
        })
        .collect();
    let banks = Arc::new(banks);
    let mut supervisor = Supervisor {
        gateways,
        banks: Arc::clone(&banks),
        database,
        redis: options.redis_tool.clone(),
        tpp: tpp.clone(),
        client: anybody.clone(),
        chance: Chance::of(seed, u64::MAX),
        done: BTreeMap::new(),
    };
    let torment = {
        let over = Arc::clone(&over);
        tokio::spawn(async move { supervisor.torment(&over).await.map(|()| supervisor) })
    };
    let ordered = async {
        let mut records: Vec<Record> = Vec::new();
        for customer in customers {
            records.extend(customer.await?);
        }
        over.store(true, Ordering::Relaxed);
        Ok::<_, anyhow::Error>(records)
    };
    // A supervisor that fails ends it all: without gateways nobody is answered.
    let ended = async { anyhow::Ok(torment.await??) };
    let (records, mut supervisor) = tokio::try_join!(ordered, ended)?;
    supervisor.heal().await?;
    let busy = started.elapsed();
    let found = ledgers::settled(&tpp, &clock, &records).await?;
    let mut findings = ledgers::compare(&records, &found, &banks);
    ledgers::drawn(&tpp, &mandate, &records, &found, &mut findings).await?;
    told_of_all(&tpp, &clock, &found, &receiver).await;
    ledgers::events(&found, &receiver.arrived(), &mut findings);

    println!("{:.1} s under torture, {:.1} s in all", busy.as_secs_f64(), started.elapsed().as_secs_f64());
    println!("orders sent: {}", records.iter().map(|record| u64::from(record.orders_sent)).sum::<u64>());
    for (what, times) in &supervisor.done {
        println!("{what}: {times}");
    }
    for (what, times) in &findings.counts {
        println!("{what}: {times}");
    }
    println!("webhooks received: {}", receiver.arrived().len());
    for gateway in &mut supervisor.gateways {
        gateway.stop().await;
    }
    for violation in findings.violations.iter().take(40) {
        println!("VIOLATION {violation}");
    }
    if findings.violations.is_empty() {
        println!("violations: 0");
        return Ok(());
    }
    bail!("{} violations; seed {seed}", findings.violations.len())
}

/// How much longer the events of one payment more may take.
const EACH: Duration = Duration::from_millis(60);

/// Moves time on until every event has arrived, as a receiver that was away would see it.
async fn told_of_all(tpp: &Tpp, clock: &ShiftedClock, found: &HashMap<String, Value>, receiver: &Receiver) {
    let wait = async {
        let mut beat = tokio::time::interval(Duration::from_millis(500));
        while ledgers::missing(found, &receiver.arrived()) > 0 {
            beat.tick().await;
            // A token that cannot be had now can be in the next round.
            let _ = ledgers::time_goes_on(tpp, clock).await;
        }
    };
    let patience =
        Duration::from_secs(60).saturating_add(EACH.saturating_mul(u32::try_from(found.len()).unwrap_or(0)));
    let _ = tokio::time::timeout(patience, wait).await;
}

async fn wait_for_file(file: &std::path::Path) -> anyhow::Result<String> {
    let read = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text,
                Ok(_) | Err(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.context("the gateway made no certificates")
}
