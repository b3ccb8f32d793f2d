//! What becomes of a read when there is more of something.

use std::time::Duration;

use anyhow::Context;

use super::figures::{Of, Sample, median, ms};
use super::load::{Load, Target, memory_of};
use super::peers::Server;
use super::place::{BANKS, Place, bank};

/// Banks that are read at once.
const WIDTHS: [usize; 6] = [1, 2, 5, 10, 20, BANKS];
/// At once, where each request is many at the banks.
const AT_ONCE: usize = 8;
const FEW: &[&str] = &["--connections", "8"];
/// Once for each size.
const ROUNDS: usize = 3;

/// A read of ever more banks.
pub async fn fan_out(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    rounds: usize,
) -> anyhow::Result<String> {
    let mut series = Vec::new();
    // Each of the connections reads what is its own.
    let sets = WIDTHS.iter().flat_map(|width| vec![(0..*width).map(bank).collect::<Vec<_>>(); AT_ONCE]);
    let grants = place.granted(&sets.collect::<Vec<_>>()).await?;
    let nginx = Target::peer(servers.first().context("no nginx")?, &place.tokens("nginx", &grants)?)?;
    for (width, grants) in WIDTHS.into_iter().zip(grants.chunks(AT_ONCE)) {
        let token = &grants.first().context("no grant")?.token;
        let tokens = place.tokens(&format!("width-{width}"), grants)?;
        place.read(token, "/v1/accounts").await?;
        series.push((width, Target::gateway(place, &tokens, "/v1/accounts")?, Vec::new(), Vec::new()));
    }
    let mut passed = Vec::new();
    for _ in 0..rounds {
        passed.push(load.measure("run", &nginx, FEW).await?);
        for (_, target, samples, alone) in &mut series {
            samples.push(load.measure("run", target, FEW).await?);
            alone.push(load.measure("run", target, &["--connections", "1"]).await?);
        }
    }
    println!("==> Fan-out measured");
    let (cpu, p50): (Of, Of) = (|sample| sample.cpu, |sample| sample.p50);
    let (_, _, first, first_alone) = series.first().context("no width")?;
    let (one, one_alone) = (median(first, cpu), median(first_alone, p50));
    let mut told = format!(
        "## A read of several banks\n\nEight connections; p50 alone: one connection. nginx passes one such read on for {:.0} µs.\n\n\
         | Banks | Reads/s | CPU by read | By further bank | To nginx passing one on | p50 alone, ms | To one bank |\n|---|---|---|---|---|---|---|\n",
        median(&passed, cpu)
    );
    for (width, _, samples, alone) in &series {
        let further = f64::from(u32::try_from(*width)?) - 1.0;
        let each = (median(samples, cpu) - one) / further.max(1.0);
        let (by, to_nginx) = match width {
            1 => ("–".to_owned(), "–".to_owned()),
            _ => (format!("{each:.0} µs"), format!("{:.2}×", each / median(&passed, cpu))),
        };
        told += &format!(
            "| {width} | {:.0} | {:.0} µs | {by} | {to_nginx} | {} | {:.2}× |\n",
            median(samples, |sample| sample.per_second),
            median(samples, cpu),
            ms(median(alone, p50)),
            median(alone, p50) / one_alone,
        );
    }
    Ok(told)
}

/// CPU of a request of each, measured in turns.
async fn in_turns<const N: usize>(load: &Load, targets: [&Target; N]) -> anyhow::Result<[f64; N]> {
    let mut samples: [Vec<Sample>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (target, samples) in targets.into_iter().zip(&mut samples) {
            samples.push(load.measure("run", target, &[]).await?);
        }
    }
    Ok(samples.map(|samples| median(&samples, |sample| sample.cpu)))
}

/// Reads where fifty banks are configured, and where ever more are.
pub async fn banks(place: &mut Place, servers: &[Server], load: &Load) -> anyhow::Result<String> {
    let mut told = "## Ever more banks\n\nConfigured, a file each; reads are of one of them.\n\n\
         | Banks | Ready | Memory (PSS) | CPU of a read | To the first | nginx, to the first |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let (tokens, _) = place.many().await?;
    let mut first: Option<[f64; 2]> = None;
    for count in [BANKS, 250, 1_000] {
        let ready = place.with_banks(count).await?;
        let read = Target::gateway(place, &tokens, "/v1/accounts")?;
        let nginx = Target::peer(servers.first().context("no nginx")?, &tokens)?;
        let now = in_turns(load, [&read, &nginx]).await?;
        let begun = *first.get_or_insert(now);
        let memory = memory_of(place.gateway.pid().context("the gateway does not run")?)? / 1_024.0;
        told += &format!(
            "| {count} | {} ms | {memory:.0} MiB | {:.0} µs | {:.2}× | {:.2}× |\n",
            ready.as_millis(),
            now[0],
            now[0] / begun[0],
            now[1] / begun[1]
        );
        println!("==> Measured beside {count} banks");
    }
    // What comes next is measured beside as many as what came before.
    place.with_banks(BANKS).await?;
    Ok(told)
}

/// Reads beside a thousand consents, and beside ever more.
pub async fn consents(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    most: u64,
) -> anyhow::Result<String> {
    let mut told = "## Ever more consents\n\nIn the same region (SQLite); `nginx` in the same minute, for comparison. \
         Ready: from starting the process to the first answer that it is, asked for every two milliseconds.\n\n\
         | Consents | Ready | Memory (PSS) | CPU of a read | To the first | nginx, to the first | CPU of `GET /v1/consents/{id}` | To the first |\n\
         |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut first: Option<[f64; 3]> = None;
    let mut count = 1_000;
    while count <= most {
        place.gateway.stop().await;
        let file = place.folder.join("data/region-eu.sqlite");
        store::multiply_consents(&format!("sqlite://{}", file.display()), count).await?;
        // So that whoever starts does not wait for the disk in its place.
        std::fs::File::open(&file)?.sync_all()?;
        let ready = place.start_gateway().await?;
        let (tokens, grant) = place.many().await?;
        let consent = grant.consents.first().context("no consent")?;
        let own = place.tokens("own", std::slice::from_ref(&grant))?;
        let read = Target::gateway(place, &tokens, "/v1/accounts")?;
        let shown = Target::gateway(place, &own, &format!("/v1/consents/{consent}"))?;
        let nginx = Target::peer(servers.first().context("no nginx")?, &tokens)?;
        let now = in_turns(load, [&read, &nginx, &shown]).await?;
        let begun = *first.get_or_insert(now);
        let to = |which: usize| now[which] / begun[which];
        let memory = memory_of(place.gateway.pid().context("the gateway does not run")?)? / 1_024.0;
        told += &format!(
            "| {count} | {} ms | {memory:.0} MiB | {:.0} µs | {:.2}× | {:.2}× | {:.0} µs | {:.2}× |\n",
            Duration::as_millis(&ready),
            now[0],
            to(0),
            to(1),
            now[2],
            to(2)
        );
        println!("==> Measured beside {count} consents");
        count *= 10;
    }
    Ok(told)
}
