//! High availability, shown with real engines on one machine: three etcd, three PostgreSQL under Patroni,
//! PgBouncer, three Redis with three sentinels, two gateways behind balancers and model banks that count
//! what they execute. Traffic goes on at a constant rate while an operator does what operators do, and
//! while things break. In the end the ledgers are compared, as after `make torture`.
//!
//! `make ha` runs all of it, `make ha-short` what takes less than a minute and a half.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]

mod balancer;
mod caches;
#[path = "../torture/chance.rs"]
#[expect(dead_code, reason = "the customers of the torture draw lots")]
mod chance;
mod collector;
#[path = "../torture/customer.rs"]
#[expect(dead_code, reason = "customers are other ones here; what they write down is the same")]
mod customer;
mod database;
mod drill;
mod events;
mod figures;
mod gateways;
#[path = "../torture/ledgers.rs"]
#[expect(dead_code, reason = "time is not moved on here, and no webhooks are received")]
mod ledgers;
mod processes;
mod rotations;
mod traffic;
mod wire;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use consentry::demo::free_ports;
use futures_util::StreamExt;
use serde_json::Value;

use caches::Caches;
use collector::Collector;
use customer::Record;
use database::{Database, Programs};
use drill::Backups;
use events::{Event, World};
use gateways::{Gateways, Place};
use traffic::{Rates, Traffic};

/// How it is done.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// A folder of its own, below which all processes work. The database's user has to be let through.
    #[arg(long)]
    folder: PathBuf,
    /// The gateway.
    #[arg(long, default_value = "target/debug/consentry")]
    binary: PathBuf,
    /// The folder of PostgreSQL's programs.
    #[arg(long)]
    postgres: PathBuf,
    /// A virtual environment with Patroni.
    #[arg(long)]
    patroni: PathBuf,
    /// What happens, in this order.
    #[arg(long, value_enum, value_delimiter = ',')]
    events: Vec<Event>,
    /// Accounts read, each second.
    #[arg(long, default_value_t = 14)]
    reads: u32,
    /// Consents lodged, each second.
    #[arg(long, default_value_t = 4)]
    consents: u32,
    /// Payments ordered, each minute.
    #[arg(long, default_value_t = 60)]
    payments: u32,
    /// Rotations, one each second.
    #[arg(long, default_value_t = 60)]
    rotations: u32,
    /// Afterwards the region is lost and restored.
    #[arg(long)]
    drill: bool,
    /// Where the table is written.
    #[arg(long)]
    table: Option<PathBuf>,
}

/// How long payments may take to be final.
const FINAL: Duration = Duration::from_secs(100);
/// Questions at the same time.
const AT_ONCE: usize = 12;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let started = Instant::now();
    let backups = match options.drill {
        true => Some(Backups::planned(&std::path::absolute(&options.folder)?)?),
        false => None,
    };
    let mut world = raised(&options, backups.as_ref()).await?;
    println!("==> All is up after {} s", started.elapsed().as_secs());
    world.traffic.begin(Rates {
        reads: options.reads,
        consents: options.consents,
        payments: options.payments,
    });
    // What is done for the first time takes longer.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut failures = Vec::new();
    for event in &options.events {
        if let Err(error) = world.see(*event).await {
            println!("    FAILED: {error:#}");
            failures.push(format!("{}: {error:#}", event.name()));
        }
    }
    let rehearsed = match &backups {
        Some(backups) => Some(drill::rehearse(&mut world, backups).await?),
        None => None,
    };
    let mut violations = judged(&mut world).await?;
    let told = match &rehearsed {
        Some(rehearsed) => drill::told(&world, rehearsed).await?,
        None => String::new(),
    };
    violations.extend(failures);
    violations.extend(world.rows.iter().flat_map(figures::Row::violations));
    let table: Vec<_> = world.rows.iter().map(figures::Row::line).collect();
    let table = format!("{}\n{}\n{told}", figures::HEAD, table.join("\n"));
    println!("{table}");
    if let Some(file) = &options.table {
        std::fs::write(file, &table)?;
    }
    end(world).await;
    println!("{} s in all", started.elapsed().as_secs());
    for violation in violations.iter().take(40) {
        println!("VIOLATION {violation}");
    }
    println!("violations: {}", violations.len());
    if violations.is_empty() { Ok(()) } else { bail!("{} violations", violations.len()) }
}

/// Everything up, and a fintech that may begin.
async fn raised(options: &Options, backups: Option<&Backups>) -> anyhow::Result<World> {
    let folder = std::path::absolute(&options.folder)?;
    let programs =
        Programs { postgres: options.postgres.clone(), patroni: std::path::absolute(&options.patroni)? };
    let (front, engines, others) = (free_ports()?, free_ports()?, free_ports()?);
    let port = |of: u16, offset: u16| of.saturating_add(offset);
    let mut database = Database::planned(&folder, &programs, engines, backups)?;
    let mut caches = Caches::planned(&folder, others)?;
    tokio::try_join!(database.start(), caches.start())?;
    if let Some(backups) = backups {
        drill::begun(&database, backups).await?;
    }
    let collector = port(engines, 14);
    let place = Place {
        folder: folder.clone(),
        binary: std::path::absolute(&options.binary)?,
        front,
        ports: port(others, 6),
        redis: caches.address(),
        collector,
    };
    let mut gateways = Gateways::prepared(place, &database.hosts()).await?;
    gateways.use_database(&database.pooled());
    let collector = Collector::start(collector);
    gateways.start().await?;
    let traffic = Traffic::prepared(&gateways.access()).await?;
    let rotations = options.rotations;
    Ok(World { database, caches, gateways, collector, traffic, rows: Vec::new(), rotations })
}

/// Waits until all is over, and compares what clients were told with what the gateway has and what the
/// banks did.
async fn judged(world: &mut World) -> anyhow::Result<Vec<String>> {
    let traffic = &world.traffic;
    traffic.pause(true);
    processes::until("all requests are over", FINAL, async || traffic.open() == 0).await?;
    let records = traffic.records();
    let found = settled(traffic, &records).await?;
    let only: Vec<Record> = records.iter().map(|(_, record)| record.clone()).collect();
    let findings = ledgers::compare(&only, &found, &world.gateways.banks);
    for (what, times) in &findings.counts {
        println!("{what}: {times}");
    }
    let mut violations = findings.violations;
    let twice = violations.iter().filter_map(|violation| {
        let rest = violation.strip_prefix("double: ").or_else(|| violation.strip_prefix("sent twice: "))?;
        rest.split(' ').next().map(str::to_owned)
    });
    let twice: Vec<_> = twice.collect();
    figures::count(&mut world.rows, &records, &found, &twice);
    // What somebody was told of has not vanished.
    let consents = traffic.consents();
    println!("consents lodged: {}", consents.len());
    let asked =
        consents.iter().map(|id| async move { (id, traffic.shown(&format!("/v1/consents/{id}")).await) });
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((id, answer)) = answers.next().await {
        if let Err(why) = answer {
            violations.push(format!("lost: consent {id}: {why}"));
        }
    }
    Ok(violations)
}

/// Each payment as the gateway has it, when it is final or flagged.
async fn settled(
    traffic: &Traffic,
    records: &[(tokio::time::Instant, Record)],
) -> anyhow::Result<HashMap<String, Value>> {
    let mut open: Vec<_> = records.iter().filter_map(|(_, record)| record.ids.first().cloned()).collect();
    let mut found = HashMap::new();
    let end = Instant::now().checked_add(FINAL).context("no such time")?;
    while !open.is_empty() && Instant::now() < end {
        let asked = open
            .iter()
            .map(|id| async move { (id.clone(), traffic.shown(&format!("/v1/payments/{id}")).await) });
        let answers: Vec<_> = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        open.clear();
        for (id, answer) in answers {
            let Ok(payment) = answer else { continue };
            if payment.get("final") != Some(&Value::Bool(true)) && payment.get("attention").is_none() {
                open.push(id.clone());
            }
            found.insert(id, payment);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(found)
}

async fn end(mut world: World) {
    for gateway in &mut world.gateways.each {
        gateway.stop().await;
    }
    world.gateways.banks.stop().await;
    world.caches.stop().await;
    world.database.stop().await;
}
