//! One read, by many servers in turns.

use super::figures::{Of, Sample, median, ms, spread};
use super::load::{Load, Target, memory_of};
use super::peers::Server;
use super::place::Place;

/// What is asked of everybody for a handshake's sake.
const NOTHING: &str = "/healthz";
/// A constant rate, a second.
const RATES: [&str; 2] = ["500", "1000"];

type Series = Vec<(Target, Vec<Sample>)>;

async fn targets(place: &mut Place, servers: &[Server]) -> anyhow::Result<Series> {
    let (tokens, _) = place.many().await?;
    let mut all = vec![(Target::gateway(place, &tokens, "/v1/accounts")?, Vec::new())];
    for server in servers {
        all.push((Target::peer(server, &tokens)?, Vec::new()));
    }
    Ok(all)
}

/// Measures all in turns.
async fn rounds(
    load: &Load,
    series: &mut Series,
    rounds: usize,
    kind: &str,
    more: &[&str],
) -> anyhow::Result<()> {
    for round in 0..rounds {
        // Nobody is always the first.
        for at in 0..series.len() {
            let at = (at + round) % series.len();
            let (target, samples) = &mut series[at];
            samples.push(load.measure(kind, target, more).await?);
        }
    }
    Ok(())
}

fn peer<'a>(series: &'a Series, name: &str) -> &'a [Sample] {
    series
        .iter()
        .find(|(target, _)| target.name == name)
        .map(|(_, samples)| samples.as_slice())
        .unwrap_or_default()
}

const HEAD: &str = "| Server | Requests/s | Ours to it | CPU by request | Ours to it | p50 / p99 / p99.9, ms |\n|---|---|---|---|---|---|\n";

fn table(series: &Series) -> String {
    let ours = peer(series, "Consentry");
    let per_second: Of = |sample| sample.per_second;
    let cpu: Of = |sample| sample.cpu;
    let line = |(target, samples): &(Target, Vec<Sample>)| {
        format!(
            "| {} | {:.0} | {} | {:.0} µs | {} | {} / {} / {} |\n",
            target.name,
            median(samples, per_second),
            spread(ours, samples, per_second),
            median(samples, cpu),
            spread(ours, samples, cpu),
            ms(median(samples, |sample| sample.p50)),
            ms(median(samples, |sample| sample.p99)),
            ms(median(samples, |sample| sample.p999)),
        )
    };
    series.iter().map(line).collect()
}

/// As many reads as are answered.
pub async fn throughput(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    times: usize,
) -> anyhow::Result<String> {
    let mut told = String::new();
    for (name, more) in [("HTTP/1.1", &[][..]), ("HTTP/2", &["--http2"])] {
        let mut series = targets(place, servers).await?;
        let tokens = place.many_signed().await?;
        let mut signing = Target::gateway(place, &tokens, "/v1/accounts")?;
        "Consentry, requests to the bank signed".clone_into(&mut signing.name);
        series.push((signing, Vec::new()));
        rounds(load, &mut series, times, "run", more).await?;
        println!("==> {name} measured");
        told += &format!("\n### {name}\n\n{HEAD}{}", table(&series));
    }
    let memory = |pid| memory_of(pid).map(|kib| format!("{:.0} MiB", kib / 1_024.0));
    let series = targets(place, servers).await?;
    let each: anyhow::Result<Vec<_>> =
        series.iter().map(|(target, _)| Ok(format!("{} {}", target.name, memory(target.pid)?))).collect();
    Ok(format!("## The whole path of a read\n{told}\nMemory after it (PSS): {}.\n", each?.join(", ")))
}

/// Reads at a constant rate.
pub async fn latency(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    times: usize,
) -> anyhow::Result<String> {
    let mut told = "## Latency at a constant rate\n\n| Reads/s | Server | p50, ms | p99, ms | p99.9, ms | Added, p50 / p99 | Ours to its added, p50 / p99 |\n|---|---|---|---|---|---|---|\n".to_owned();
    for rate in RATES {
        let mut series = targets(place, servers).await?;
        series.retain(|(target, _)| target.name != "bare axum");
        let mut direct = series[1].0.clone();
        (direct.name, direct.port) = ("the bank itself".to_owned(), place.front());
        series.push((direct, Vec::new()));
        rounds(load, &mut series, times, "rate", &["--per-second", rate]).await?;
        println!("==> Latency at {rate} a second measured");
        let floor = peer(&series, "the bank itself");
        let added = |samples: &[Sample], of: Of| median(samples, of) - median(floor, of);
        let ours = peer(&series, "Consentry");
        let (p50, p99): (Of, Of) = (|sample| sample.p50, |sample| sample.p99);
        for (target, samples) in &series {
            let beside = |of: Of| format!("{:.2}×", added(ours, of) / added(samples, of).max(1.0));
            let is_floor = target.name == "the bank itself";
            told += &format!(
                "| {rate} | {} | {} | {} | {} | {} | {} |\n",
                target.name,
                ms(median(samples, p50)),
                ms(median(samples, p99)),
                ms(median(samples, |sample| sample.p999)),
                if is_floor {
                    "–".to_owned()
                } else {
                    format!("{} / {}", ms(added(samples, p50)), ms(added(samples, p99)))
                },
                if is_floor { "–".to_owned() } else { format!("{} / {}", beside(p50), beside(p99)) },
            );
        }
    }
    Ok(told)
}

/// New connections, each with a request that is answered at once.
pub async fn handshakes(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    times: usize,
) -> anyhow::Result<String> {
    let mut told = String::from("## Handshakes with client certificates\n");
    for (name, more) in
        [("Full", &["--connections", "16"][..]), ("Resumed", &["--connections", "16", "--resume"])]
    {
        let mut series = targets(place, servers).await?;
        for (target, _) in &mut series {
            *target = target.clone().at(NOTHING);
        }
        rounds(load, &mut series, times, "handshakes", more).await?;
        println!("==> Handshakes measured: {name}");
        told += &format!("\n### {name}\n\n{}{}", HEAD.replace("Requests/s", "Handshakes/s"), table(&series));
    }
    Ok(told)
}

/// Connections on which nothing happens.
pub async fn idle(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    connections: u32,
) -> anyhow::Result<String> {
    let mut told = format!(
        "## {connections} idle connections\n\nEach with a client certificate and one request behind it; what memory (PSS) grew by.\n\n\
         | Server | KiB by connection |\n|---|---|\n"
    );
    let cpu: Of = |sample| sample.cpu;
    for (target, _) in targets(place, servers).await? {
        let held = load.idle(&target.clone().at(NOTHING), connections).await?;
        told += &format!("| {} | {held:.1} |\n", target.name);
        println!("==> Idle connections measured: {}", target.name);
    }
    // A busy few beside many that are idle.
    let mut series: Series = targets(place, servers).await?.into_iter().take(1).collect();
    rounds(load, &mut series, 3, "run", &[]).await?;
    let alone = std::mem::take(&mut series[0].1);
    let beside = load.beside_idle(&series[0].0.clone(), connections.min(4_000), NOTHING).await?;
    told += &format!(
        "\nCPU of a read with {} idle connections beside it: {:.2}× of what it is without.\n",
        connections.min(4_000),
        median(&beside, cpu) / median(&alone, cpu)
    );
    Ok(told)
}
