//! How long an inspection takes: a small GET, a payment of 2 KB, a bulk of
//! 62 payments (18.6 KB).
//!
//! `cargo run --release -p consentry-waf --example inspect_speed [FOLDER OF THE CORE RULE SET] [LEVEL]`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::civil::date;
use waf::{Request, RuleSet, Settings, Sources, Typed};

/// Inspections of each request that are timed.
const ROUNDS: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs");
    let folder = arguments.next().map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let level = arguments.next().map_or(Ok(1), |level| level.parse())?;
    let before = resident();
    let started = Instant::now();
    let sources = Sources::own().and(Sources::folder(&folder)?);
    let settings = Settings::new(date(2026, 1, 1)).at_level(level);
    let (rules, report) = RuleSet::load(&sources, &settings)?;
    println!("loaded in {:?}: {} and {} rules", started.elapsed(), report.phase_1, report.phase_2);
    let payment = payment();
    let bulk = bulk();
    let get: &[(&str, &[u8])] =
        &[("host", b"api.example"), ("user-agent", b"tpp/1.4"), ("accept", b"application/json")];
    let post: &[(&str, &[u8])] = &[
        ("host", b"api.example"),
        ("user-agent", b"tpp/1.4"),
        ("accept", b"application/json"),
        ("content-type", b"application/json"),
        ("authorization", b"Bearer 4f1c8a90b7d24c2e9a55"),
        ("x-request-id", b"7f0f3c1e-2b2d-4c55-9e3a-0b8f5a1d9a11"),
        ("content-length", b"2000"),
    ];
    for (name, method, target, headers, body) in [
        ("small GET", "GET", "/v1/accounts?limit=20&from=2026-01-01", get, ""),
        ("payment", "POST", "/v1/payments", post, payment.as_str()),
        ("bulk", "POST", "/v1/payments/bulk", post, bulk.as_str()),
    ] {
        let body = body.as_bytes();
        let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let request = Request { method, target, protocol: "HTTP/1.1", headers, body, peer };
        let first = rules.inspect(&request, &Typed::default())?;
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            rules.inspect(&request, &Typed::default())?;
            times.push(begun.elapsed());
        }
        times.sort();
        let at = |per_mille: usize| times.get(ROUNDS * per_mille / 1_000).copied().unwrap_or(Duration::ZERO);
        let (median, late) = (at(500), at(990));
        println!(
            "{name}: {} B, p50 {median:?}, p99 {late:?}, work {} B, matched {:?}",
            body.len(),
            first.work,
            first.rules()
        );
    }
    println!("memory: {} KiB more than before loading", resident().saturating_sub(before));
    Ok(())
}

fn payment() -> String {
    let entry = |number: usize| {
        format!(
            r#""field{number}":{{"iban":"DE8937040044053201300{number}","name":"Müller & Söhne GmbH",
            "ref":"RE-2026-{number:04}"}}"#
        )
    };
    let parties: Vec<String> = (0..16).map(entry).collect();
    format!(
        r#"{{"instructedAmount":{{"amount":"1234.56","currency":"EUR"}},"creditorName":"O'Brien Ltd.",
        "remittanceInformationUnstructured":"Invoice 4711 of 2026-03-04, thank you; order by phone",
        "endToEndId":"e2e-7f0f",
        "requestedExecutionDate":"2026-03-05",{}}}"#,
        parties.join(",")
    )
}

fn bulk() -> String {
    let payment = |number: usize| {
        format!(
            r#"{{"endToEndId":"e2e-{number:06}","amount":"{number}.50","currency":"EUR",
            "creditorName":"Supplier No. {number} & Sons",
            "creditorIban":"DE89370400440532013000","bic":"COBADEFFXXX","date":"2026-03-05",
            "remittance":"Invoice {number} of March, customer 4711-{number}, please select union rate"}}"#
        )
    };
    let payments: Vec<String> = (0..62).map(payment).collect();
    format!(r#"{{"batch":"b-1","payments":[{}]}}"#, payments.join(","))
}

/// Resident memory in KiB, where the system tells it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}
