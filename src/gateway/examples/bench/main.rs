//! The whole path of a read, measured: a TPP's certificate and token, the filter, limits, consent, policy,
//! the bank over mutual TLS, and the audit. Beside it, in turns on the same machine, nginx, HAProxy and
//! Caddy that pass the same request to the same bank, and a bare axum handler that has the answer ready or
//! passes the request on as well.
//!
//! `make bench` runs it and writes docs/performance.md; `make instructions` counts instead of timing.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod bare;
mod counted;
mod figures;
mod growth;
mod large;
mod load;
mod paths;
mod peers;
mod place;
#[path = "../ha/processes.rs"]
#[expect(dead_code, reason = "nothing is frozen here, and nobody has to be humble")]
mod processes;
#[path = "../ha/wire.rs"]
mod wire;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};

use load::Load;
use place::{Place, Start};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Requests as fast as they are answered.
    Paths,
    /// Requests at a constant rate.
    Latency,
    Handshakes,
    Idle,
    /// Reads of many bookings.
    Large,
    /// Reads of several banks at once.
    FanOut,
    /// Reads where ever more banks are configured.
    Banks,
    /// Reads beside ever more consents.
    Consents,
}

/// How it is done.
#[derive(Args, Clone, Debug)]
struct Options {
    /// A folder of its own.
    #[arg(long)]
    folder: PathBuf,
    /// The gateway.
    #[arg(long)]
    binary: PathBuf,
    /// Who asks: the example `edge_load`.
    #[arg(long)]
    load: PathBuf,
    /// The peer of tests/bench/pingora, if it is to be measured.
    #[arg(long)]
    pingora: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of each measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    #[arg(long, default_value_t = 10_000)]
    idle: u32,
    /// The most consents.
    #[arg(long, default_value_t = 1_000_000)]
    consents: u64,
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the tables are written.
    #[arg(long)]
    tables: PathBuf,
}

#[derive(Parser)]
enum Command {
    /// Measure, and write the tables.
    Run(Options),
    /// Serve a file over TLS with client certificates, and do nothing else.
    Bare(bare::Options),
    /// Count the instructions of a read under callgrind, and hold them to a figure.
    Count(counted::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(options) => run(&options).await,
        Command::Bare(options) => bare::serve(&options).await,
        Command::Count(options) => counted::count(&options).await,
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let start = Start::pinned(&options.folder, &options.binary)?;
    let mut place = Place::ready(start).await?;
    let servers = peers::started(&mut place, options.pingora.as_deref()).await?;
    let load = Load::of(&place, &options.load, options.seconds)?;
    let mut tables = Tables { file: &options.tables, all: Vec::new() };
    let rounds = options.rounds;
    if wanted(Part::Paths) {
        tables.add(paths::throughput(&mut place, &servers, &load, rounds).await?)?;
    }
    if wanted(Part::Latency) {
        tables.add(paths::latency(&mut place, &servers, &load, rounds).await?)?;
    }
    if wanted(Part::Handshakes) {
        tables.add(paths::handshakes(&mut place, &servers, &load, rounds).await?)?;
    }
    if wanted(Part::Idle) {
        tables.add(paths::idle(&mut place, &servers, &load, options.idle).await?)?;
    }
    if wanted(Part::Large) {
        tables.add(large::read(&mut place, &servers, &load, rounds).await?)?;
    }
    if wanted(Part::FanOut) {
        tables.add(growth::fan_out(&mut place, &servers, &load, rounds).await?)?;
    }
    if wanted(Part::Banks) {
        tables.add(growth::banks(&mut place, &servers, &load).await?)?;
    }
    if wanted(Part::Consents) {
        // The last, as what it leaves is large.
        tables.add(growth::consents(&mut place, &servers, &load, options.consents).await?)?;
    }
    for mut server in servers {
        server.process.stop().await;
    }
    place.stop().await;
    Ok(())
}

/// What has been measured, on the disk as soon as it is there.
struct Tables<'a> {
    file: &'a Path,
    all: Vec<String>,
}

impl Tables<'_> {
    fn add(&mut self, table: String) -> anyhow::Result<()> {
        self.all.push(table);
        Ok(std::fs::write(self.file, self.all.join("\n"))?)
    }
}
