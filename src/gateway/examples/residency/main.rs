//! Whether personal data stays at home: three cells as processes, persons in each region,
//! traffic through every cell with everything that can go wrong; then every byte of every file
//! of each cell is searched for persons of the others.
//!
//! `make residency-proof` runs it, and then once with each of a list of deliberate leaks, which
//! it has to find.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]

mod cell;
mod search;
mod traffic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use consentry::demo::{Client, Tpp, free_ports};
use domain::SystemClock;
use serde_json::json;
use tokio::process::Command;

use cell::{Cell, Site, Starter, record, start_all};
use traffic::{BANKS, Fintech};

/// How it is run.
#[derive(Debug, Parser)]
struct Options {
    /// The binary, built with the feature `leaks`.
    #[arg(long)]
    binary: PathBuf,
    /// Where everything is put. A folder `postgres-REGION` or `redis-REGION` in it, and `postgres-global`, is
    /// searched as well.
    #[arg(long)]
    run: PathBuf,
    /// PostgreSQL of a region, or `global`, as REGION=URL; all four or none.
    #[arg(long)]
    postgres: Vec<String>,
    /// Redis of a region, as REGION=HOST:PORT.
    #[arg(long)]
    redis: Vec<String>,
    /// What leaks.
    #[arg(long)]
    leak: Option<String>,
}

fn named<'a>(list: &'a [String], name: &str) -> Option<&'a str> {
    list.iter().find_map(|one| one.split_once('=').filter(|(it, _)| *it == name).map(|(_, value)| value))
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let mut sites = Vec::new();
    for (region, ..) in BANKS {
        let folder = options.run.join(region);
        std::fs::create_dir_all(&folder)?;
        let base = free_ports()?;
        let database = match named(&options.postgres, region) {
            Some(url) => Some(through_recorder(url, &folder.join("socket-to-postgres")).await?),
            None => None,
        };
        let redis = match named(&options.redis, region) {
            Some(place) => {
                let port = record(place.to_owned(), folder.join("socket-to-redis")).await?;
                Some(format!("redis://127.0.0.1:{port}"))
            }
            None => None,
        };
        sites.push(Site { region, base, inner: base.saturating_add(17), folder, database, redis });
    }
    let starter = Starter {
        binary: std::path::absolute(&options.binary)?,
        leak: options.leak.clone(),
        issuer: String::new(),
        global: named(&options.postgres, "global").map(str::to_owned),
        policies: PathBuf::new(),
        log: "trace,h2=info,hyper=info,rustls=info,mio=info,tower=info",
    };
    let (mut cells, starter) = start_all(&options.run, &sites, starter, true).await?;
    let canaries = play(&mut cells, &starter, &options).await?;
    report(&options, &canaries)
}

/// The address of a database through a recorder of what goes to it.
async fn through_recorder(url: &str, file: &Path) -> anyhow::Result<String> {
    let mut url = url::Url::parse(url)?;
    let target = format!("{}:{}", url.host_str().context("no host")?, url.port().context("no port")?);
    let port = record(target, file.to_owned()).await?;
    url.set_port(Some(port)).map_err(|()| anyhow::anyhow!("an address without a port"))?;
    Ok(url.into())
}

/// The traffic, with all that can go wrong meanwhile.
async fn play(cells: &mut [Cell], starter: &Starter, options: &Options) -> anyhow::Result<search::Canaries> {
    let first = cells.first().context("no cell")?;
    let access = first.access()?;
    let people = Client::new(&access.pki.root, None)?;
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await?;
    tpp.register_as(&json!({ "grant_types": ["authorization_code", "client_credentials", "refresh_token"] }))
        .await?;
    let apis = cells.iter().map(|cell| cell.site.api()).collect();
    let whole = Fintech::begin(tpp, apis, people).await;
    let mut fintech = match (whole, &options.leak) {
        (Ok(fintech), _) => fintech,
        (Err(error), None) => return Err(error),
        // A leak may break what it leaks from; what has leaked is there.
        (Err(error), Some(_)) => bail!("the traffic does not begin: {error:#}"),
    };
    fintech.round(1).await?;
    // A failover: one cell after the other is gone at once, and comes back.
    for at in 0..cells.len() {
        if options.leak.is_some() {
            break;
        }
        let Some(cell) = cells.get_mut(at) else { break };
        cell.kill().await;
        fintech.round(u32::try_from(at)?.saturating_add(2)).await?;
        let Some(cell) = cells.get_mut(at) else { break };
        cell.start_again(starter).await?;
    }
    for cell in cells.iter() {
        let elsewhere = options.leak.as_deref() == Some("backup");
        let repository = if elsewhere { "uk" } else { cell.site.region };
        export(starter, &cell.site).await?;
        back_up(&cell.site, &options.run.join(repository).join("backup")).await?;
    }
    for cell in cells.iter_mut() {
        cell.crash().await;
    }
    Ok(fintech.canaries)
}

/// A backup of a region's data, in the region's repository. What is sealed stays so.
async fn back_up(site: &Site, repository: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(repository)?;
    let exported = site.folder.join("exported.json");
    if let Some(url) = &site.database {
        let dump = repository.join(format!("{}.sql", site.region));
        let done =
            Command::new("pg_dump").arg("--file").arg(&dump).arg(format!("{url}_{}", site.region)).status();
        if !done.await?.success() {
            bail!("no backup of {}", site.region);
        }
    } else {
        let name = format!("region-{}.sqlite", site.region);
        std::fs::copy(site.data().join(&name), repository.join(&name))?;
    }
    if exported.exists() {
        std::fs::copy(&exported, repository.join(format!("{}-exported.json", site.region)))?;
    }
    Ok(())
}

/// What an operator does at the cell itself: gives a person what is kept.
async fn export(starter: &Starter, site: &Site) -> anyhow::Result<()> {
    let accounts = site.folder.join("accounts.txt");
    let (_, _, _, iban) = BANKS.iter().find(|(region, ..)| *region == site.region).context("no bank")?;
    std::fs::write(&accounts, if iban.is_empty() { "99-00-11 20000018" } else { iban })?;
    let mut command = Command::new(&starter.binary);
    command.args(["export", "--accounts"]).arg(&accounts).arg("--data-dir").arg(site.data());
    if let (Some(database), Some(global)) = (&site.database, &starter.global) {
        command.args(["--database-url", database, "--global-database-url", global]);
    }
    let output = command.output().await?;
    if !output.status.success() {
        bail!("no export: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(site.folder.join("exported.json"), output.stdout)?;
    Ok(())
}

/// Searches, and says what was found.
fn report(options: &Options, canaries: &search::Canaries) -> anyhow::Result<ExitCode> {
    let mut all = Vec::new();
    let places = BANKS.iter().flat_map(|(region, ..)| {
        let own = [(*region).to_owned(), format!("postgres-{region}"), format!("redis-{region}")];
        own.into_iter().map(|folder| (folder, Some(*region)))
    });
    let nobodys = ["global", "postgres-global"].into_iter().map(|folder| (folder.to_owned(), None));
    for (folder, home) in places.chain(nobodys) {
        let place = options.run.join(&folder);
        if !place.exists() {
            continue;
        }
        let (bytes, hits) = canaries.search(&place, home)?;
        // The one of SQLite has nothing in it where the global database is on PostgreSQL.
        if bytes == 0 && folder != "global" {
            bail!("{} holds nothing that could be searched", place.display());
        }
        println!(
            "    {folder:<16} {:>9} KiB searched, {} files with others' persons",
            bytes / 1024,
            hits.len()
        );
        all.extend(hits);
    }
    let counts: Vec<_> =
        BANKS.iter().map(|(region, ..)| format!("{} of {region}", canaries.count(region))).collect();
    println!("    looked for {}", counts.join(", "));
    if BANKS.iter().any(|(region, ..)| canaries.count(region) < 10) {
        bail!("too little is known of the persons to look for");
    }
    for hit in all.iter().take(12) {
        println!("    {} times a person of {} in {}", hit.times, hit.region, hit.file);
    }
    // What is at home must be found at home, or the search finds nothing at all.
    for (region, ..) in BANKS {
        let (_, seen) = canaries.search(&options.run.join(region), None)?;
        if !seen.iter().any(|hit| hit.region == region) {
            bail!("nothing of {region} is found in {region}: the search does not work");
        }
    }
    Ok(if all.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
