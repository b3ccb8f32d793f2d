//! One read of ten banks that take 50 ms each, beside a read of one of them, and
//! with one of the ten that never answers. In process, on a sandbox of its own:
//! gateway, banks and client share the machine. Prints one JSON object.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use consentry::demo::Tpp;
use consentry::sandbox::{Sandbox, SandboxOptions};
use domain::SystemClock;
use modelbank::Fault;
use secrecy::SecretString;
use serde_json::{Value, json};

const BANKS: usize = 10;
const ROUNDS: usize = 60;
const TAKES: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_millis(500);
/// The one that will hang, and the one that the others are made after.
const HANGS: &str = "gb-albion-bank";
const PATTERN: &str = "de-rheinbank";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("name a folder for the sandbox")?;
    let options =
        SandboxOptions { auto_approve: true, read_deadline: DEADLINE, ..SandboxOptions::at(folder) };
    let sandbox = Sandbox::start(options).await?;
    let registry = sandbox.gateway().registry();
    let pattern = registry.profile(&PATTERN.parse()?).context("the pattern")?;
    let mut ids = vec![HANGS.to_owned()];
    for n in 1..BANKS {
        let mut bank = (*pattern).clone();
        bank.id = format!("de-bank-{n}").parse()?;
        ids.push(bank.id.to_string());
        registry.put(bank);
    }
    let mut tpp = Tpp::discover(&sandbox.access(), Arc::new(SystemClock)).await?;
    tpp.register().await?;
    let root = &sandbox.access().pki.root;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (ten, _) = tpp.granted(root, &ids).await?;
    let (one, _) = tpp.granted(root, ids.get(1..2).context("a bank")?).await?;
    for bank in [HANGS, PATTERN] {
        let (faults, _) = sandbox.bank(bank).context("a model bank")?;
        faults.arm("GET", "/accounts", Fault::Slow(TAKES), u32::MAX);
    }
    read(&tpp, &ten, ROUNDS / 6).await?;
    let single = read(&tpp, &one, ROUNDS).await?;
    let all = read(&tpp, &ten, ROUNDS).await?;

    let (faults, _) = sandbox.bank(HANGS).context("a model bank")?;
    faults.clear();
    faults.arm("GET", "/accounts", Fault::Slow(Duration::from_secs(600)), u32::MAX);
    let started = Instant::now();
    let at = domain::Clock::now(&SystemClock);
    let answer = tpp.get(&ten, "/v1/accounts").await?.expect(200)?;
    let waited = started.elapsed();
    let answer = answer.json();
    let sources = answer.get("sources").and_then(Value::as_array).cloned().unwrap_or_default();
    let status = |source: &Value| source.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
    let timed_out = sources.iter().filter(|source| status(source) == "TIMED_OUT").count();
    let mut slowest = Duration::ZERO;
    for source in sources.iter().filter(|source| status(source) == "OK") {
        let as_of = source.get("as_of").and_then(Value::as_str).unwrap_or_default();
        let answered: domain::Timestamp = as_of.parse()?;
        slowest = slowest.max(Duration::try_from(answered.duration_since(at))?);
    }
    println!(
        "{}",
        json!({
            "banks": BANKS,
            "bank_ms": TAKES.as_millis(),
            "one_p50_ms": millis(single.0), "one_p99_ms": millis(single.1),
            "ten_p50_ms": millis(all.0), "ten_p99_ms": millis(all.1),
            "hanging": {
                "deadline_ms": DEADLINE.as_millis(), "answered_ms": millis(waited),
                "timed_out": timed_out, "slowest_of_the_others_ms": millis(slowest),
            },
        })
    );
    sandbox.stop().await;
    Ok(())
}

fn millis(time: Duration) -> String {
    format!("{}.{}", time.as_millis(), time.subsec_micros() % 1000 / 100)
}

/// Median and 99th percentile of so many reads.
async fn read(tpp: &Tpp, token: &SecretString, rounds: usize) -> anyhow::Result<(Duration, Duration)> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        tpp.get(token, "/v1/accounts").await?.expect(200)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times.get(rounds.saturating_mul(share) / 100).copied().unwrap_or_default();
    Ok((at(50), at(99)))
}
