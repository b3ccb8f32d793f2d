//! What it costs that a request is forwarded to its home cell: three cells as processes of a release
//! build, a fintech that reads at home and through another cell by turns. Prints one JSON object.
//!
//! `cargo run --release --example forwarding_speed -- --binary target/release/consentry --run FOLDER`

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]

#[allow(dead_code, reason = "the proof that cells keep persons at home needs more of it")]
#[path = "residency/cell.rs"]
mod cell;
#[allow(dead_code, reason = "the load on the edge needs more of it")]
#[path = "edge_load/wire.rs"]
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cell::{Cell, Site, Starter, start_all};
use clap::Parser;
use consentry::demo::{Browser, Client, RETURN, Tpp, free_ports, verifier};
use domain::SystemClock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wire::{Connection, What};

/// Reads of each kind in a row.
const IN_A_ROW: usize = 50;
/// Rows of each kind.
const ROWS: usize = 40;

#[derive(Debug, Parser)]
struct Options {
    /// The release build.
    #[arg(long)]
    binary: PathBuf,
    /// An empty folder.
    #[arg(long)]
    run: PathBuf,
}

/// A server that is asked, and who asks.
pub struct Place {
    port: u16,
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    /// The API of a cell, for the demo's client.
    fn of(cell: &Cell) -> Self {
        let pki = cell.site.data().join("pki");
        Self {
            port: cell.site.base.saturating_add(1),
            root: pki.join("root.pem"),
            certificate: pki.join("fintech.pem"),
            key: pki.join("fintech.key"),
        }
    }
}

/// Reads of one kind through one cell.
#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    /// Processor time that cells took for them, in ticks: at home and on the way.
    ticks: [u64; 2],
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut sites = Vec::new();
    for region in ["uk", "eu", "pl"] {
        let folder = options.run.join(region);
        std::fs::create_dir_all(&folder)?;
        let base = free_ports()?;
        sites.push(Site {
            region,
            base,
            inner: base.saturating_add(17),
            folder,
            database: None,
            redis: None,
        });
    }
    let starter = Starter {
        binary: std::path::absolute(&options.binary)?,
        leak: None,
        issuer: String::new(),
        global: None,
        policies: PathBuf::new(),
        log: "warn",
    };
    let (mut cells, _) = start_all(&options.run, &sites, starter, false).await?;
    let [home, way, ..] = &*cells else { anyhow::bail!("too few cells") };
    let measured = measure(home, way).await?;
    println!("{measured}");
    for cell in &mut cells {
        cell.kill().await;
    }
    Ok(())
}

async fn measure(home: &Cell, way: &Cell) -> anyhow::Result<Value> {
    let access = home.access()?;
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await?;
    tpp.register_as(&json!({ "grant_types": ["authorization_code", "client_credentials"] })).await?;
    let (consent, token) = granted(&tpp, &Client::new(&access.pki.root, None)?).await?;
    let accounts = tpp.get(&token, "/v1/accounts").await?.expect(200)?;
    let account = accounts.text("/data/0/id");
    let mut all = serde_json::Map::new();
    for (name, path) in [
        ("consent", format!("/v1/consents/{consent}")),
        ("balances", format!("/v1/accounts/{account}/balances")),
    ] {
        let mut what = What::get(&path, Some(token.expose_secret()), false);
        for (header, value) in [("psu-ip-address", "192.0.2.10"), ("psu-user-agent", "Firefox")] {
            what.headers.push((header.to_owned(), value.to_owned()));
        }
        let mut kinds = [(home, Measured::default()), (way, Measured::default())];
        for row in 0..=ROWS {
            for (through, kind) in &mut kinds {
                let site = wire::Site::of(&Place::of(through), true, false)?;
                let mut connection = site.connect().await?;
                let before = [ticks(home)?, ticks(way)?];
                let times = read(&mut connection, &site, &what).await?;
                // The first row warms up.
                if row > 0 {
                    kind.times.extend(times);
                    for ((sum, cell), before) in kind.ticks.iter_mut().zip([home, way]).zip(before) {
                        *sum = sum.saturating_add(ticks(cell)?.saturating_sub(before));
                    }
                }
            }
        }
        let [local, forwarded] = kinds.map(|(_, kind)| summary(kind));
        all.insert(name.to_owned(), json!({ "at_home": local, "forwarded": forwarded }));
    }
    Ok(Value::Object(all))
}

/// A consent in the region of `home`, and a token for it.
async fn granted(tpp: &Tpp, people: &Client) -> anyhow::Result<(String, SecretString)> {
    let own = tpp.own_token("accounts").await?;
    let consent = tpp.lodge(&own, &["gb-albion-bank"]).await?.remove(0);
    let verifier = verifier();
    let pushed = tpp.push_with(std::slice::from_ref(&consent), &verifier, &[]).await?.expect(201)?;
    let visit = Browser::new(people.clone(), "anna", "sandbox").walk(&tpp.start_of(&pushed)?, RETURN).await?;
    let code = visit.url.query_pairs().find(|(name, _)| name == "code").context("no code")?.1.into_owned();
    let token = tpp.redeem(&code, &verifier).await?.expect(200)?.text("/access_token");
    Ok((consent, token.into()))
}

async fn read(connection: &mut Connection, site: &wire::Site, what: &What) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(IN_A_ROW);
    for _ in 0..IN_A_ROW {
        let started = Instant::now();
        let (status, _) = connection.ask(site.request(what)?).await?;
        anyhow::ensure!(status == http::StatusCode::OK, "{} is answered {status}", what.path);
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Processor time that a cell has taken, in hundredths of a second (`utime` and `stime` of proc(5)).
fn ticks(cell: &Cell) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", cell.child.id().context("it has ended")?))?;
    // The second field may have spaces in it, and ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("another kind of stat")?;
    fields.split_whitespace().skip(11).take(2).map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
}

fn summary(mut kind: Measured) -> Value {
    kind.times.sort_unstable();
    let reads = kind.times.len();
    let divisor = u64::try_from(reads).unwrap_or(u64::MAX).max(1);
    let at = |share: usize| kind.times.get(reads.saturating_mul(share) / 100).map(|time| time.as_micros());
    // A tick is a hundredth of a second.
    let [home, way] = kind.ticks.map(|ticks| ticks.saturating_mul(10_000) / divisor);
    json!({ "reads": reads, "p50_us": at(50), "p99_us": at(99), "home_cpu_us": home, "way_cpu_us": way })
}
