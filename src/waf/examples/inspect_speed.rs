//! How long the filter takes for a small GET, an order of 2 KB, a batch of 95 payments (24 KB)
//! and one of 500: the model, then signatures in what it could not type, as the gateway has it;
//! and signatures alone, in everything. Then what an attacker may make it do: bodies of which
//! every text looks like an attack, as large as bodies may be.
//!
//! `cargo run --release -p consentry-waf --example inspect_speed [FOLDER OF THE CORE RULE SET] [LEVEL] [CASE]`

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::civil::date;
use waf::model::{Asked, Model};
use waf::{OverBudget, Request, RuleSet, Settings, Sources, Typed};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Inspections of each request that are timed.
const ROUNDS: usize = 2_000;
/// Fewer are, where they would take longer; at least so many.
const LONGEST: Duration = Duration::from_secs(3);
const FEWEST: usize = 100;

const DESCRIPTION: &str = include_str!("../../../openapi/consentry.json");

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs");
    let folder = arguments.next().map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let level = arguments.next().map_or(Ok(1), |level| level.parse())?;
    let chosen = arguments.next().unwrap_or_default();
    let before = resident();
    let rules = loaded(&folder, level)?;
    let memory = resident().saturating_sub(before);
    let model = Model::of(&[serde_json::from_str(DESCRIPTION)?])?;
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let (order, batch, large) = (order(), batch(95), batch(500));
    let get: &[(&str, &[u8])] = HEADERS.get(..5).unwrap_or_default();
    for (name, method, path, headers, body) in [
        ("small GET", "GET", "/v1/accounts", get, ""),
        ("order", "POST", "/v1/payments", HEADERS, order.as_str()),
        ("batch of 95", "POST", "/v1/payment-batches", HEADERS, batch.as_str()),
        ("batch of 500", "POST", "/v1/payment-batches", HEADERS, large.as_str()),
    ] {
        if !name.contains(&chosen) {
            continue;
        }
        let body = body.as_bytes();
        let request = Request { method, target: path, protocol: "HTTP/1.1", headers, body, peer };
        let asked = Asked { method, path, query: None, headers, body };
        let typed = || -> Result<Typed, Failure> {
            let judged = model.judge(&asked);
            if !judged.deviations.is_empty() {
                return Err(format!("{name} deviates: {:?}", judged.deviations).into());
            }
            Ok(judged.typed)
        };
        println!("{name}, {} B", body.len());
        println!("  model            {}", timed(|| typed().map(drop))?);
        let inspected = |typed: &Typed| match rules.inspect(&request, typed) {
            Ok(verdict) => format!("work {} B, matched {:?}", verdict.work, verdict.rules()),
            Err(why) => why.to_string(),
        };
        let told = inspected(&typed()?);
        let both = timed(|| inspect(&rules, &request, &typed()?))?;
        println!("  with signatures  {both}, {told}");
        let told = inspected(&Typed::default());
        println!("  signatures alone {}, {told}", timed(|| inspect(&rules, &request, &Typed::default()))?);
    }
    if "GET of a new path".contains(&chosen) {
        let mut number = 0;
        let told = timed(|| {
            number += 1;
            let path = format!("/v1/accounts/acc_eu_{number:022}/balances");
            let asked = Asked { method: "GET", path: &path, query: None, headers: get, body: b"" };
            let request =
                Request { method: "GET", target: &path, protocol: "HTTP/1.1", headers: get, body: b"", peer };
            inspect(&rules, &request, &model.judge(&asked).typed)
        });
        println!("GET of a new path each time\n  with signatures  {}", told?);
    }
    let dear = DEAR.repeat(64);
    for (name, length, texts) in
        [("long dear texts", 4_000, 64), ("short dear texts", 90, 2_500), ("middling dear texts", 900, 280)]
    {
        if !name.contains(&chosen) {
            continue;
        }
        let text = |number: usize| {
            let from = number * 7 % DEAR.len();
            dear.get(from..from + length).map(|text| format!("\"{number} {text}\"")).unwrap_or_default()
        };
        let body = format!(r#"{{"texts":[{}]}}"#, (0..texts).map(text).collect::<Vec<_>>().join(","));
        let (method, target, body) = ("POST", "/v1/payment-batches", body.as_bytes());
        let request = Request { method, target, protocol: "HTTP/1.1", headers: HEADERS, body, peer };
        let told = match rules.inspect(&request, &Typed::default()) {
            Ok(verdict) => format!("work {} B, {} rules matched", verdict.work, verdict.rules().len()),
            Err(why) => why.to_string(),
        };
        println!("{name}, {} B", body.len());
        println!("  signatures alone {}, {told}", timed(|| inspect(&rules, &request, &Typed::default()))?);
    }
    println!("memory: {memory} KiB more than before loading");
    Ok(())
}

/// What a reload does: reads and compiles all rules, and runs the tests of ours.
fn loaded(folder: &Path, level: u8) -> Result<RuleSet, Failure> {
    let settings = Settings::new(date(2026, 1, 1)).at_level(level);
    let begun = Instant::now();
    let (rules, report) = RuleSet::load(&Sources::own().and(Sources::folder(folder)?), &settings)?;
    println!("loaded in {:?}: {} and {} rules", begun.elapsed(), report.phase_1, report.phase_2);
    let begun = Instant::now();
    let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/waf"));
    let tests = waf::policy::test(own, &Settings::new(date(2026, 1, 1)))?;
    println!("tested in {:?}: {tests}", begun.elapsed());
    Ok(rules)
}

/// What is over the budget is refused, which costs what it costs.
fn inspect(rules: &RuleSet, request: &Request<'_>, typed: &Typed) -> Result<(), Failure> {
    let _: Result<_, OverBudget> = rules.inspect(request, typed);
    Ok(())
}

fn timed(mut run: impl FnMut() -> Result<(), Failure>) -> Result<String, Failure> {
    let mut times = Vec::with_capacity(ROUNDS);
    let until = Instant::now() + LONGEST;
    while times.len() < ROUNDS && (times.len() < FEWEST || Instant::now() < until) {
        let begun = Instant::now();
        run()?;
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |per_mille: usize| times.get(times.len() * per_mille / 1_000).copied().unwrap_or(Duration::ZERO);
    Ok(format!("p50 {:?}, p99 {:?}", at(500), at(990)))
}

/// What many signatures look for, in ASCII.
const DEAR: &str =
    "' or 1=1 -- union all select <script>alert(1)</script> ${jndi:ldap} ../../etc/passwd; cat /bin/sh %27 ";

const HEADERS: &[(&str, &[u8])] = &[
    ("host", b"api.example"),
    ("user-agent", b"tpp/1.4"),
    ("accept", b"application/json"),
    ("authorization", b"Bearer 4f1c8a90b7d24c2e9a55"),
    ("x-fapi-interaction-id", b"7f0f3c1e-2b2d-4c55-9e3a-0b8f5a1d9a11"),
    ("content-type", b"application/json"),
    ("idempotency-key", b"0b5e3f6e-1a52-4a3b-9f4e-0f6f2a1c7a11"),
    ("content-length", b"2000"),
];

fn order() -> String {
    let state = "eyJzZXNzaW9uIjoiN2YwZjNjMWUtMmIyZC00YzU1LTllM2EifQ".repeat(26);
    format!(
        r#"{{"institution_id":"de-rheinbank","amount":{{"amount":"1234.56","currency":"EUR"}},
        "creditor":{{"name":"O'Brien & Söhne GmbH"}},"creditor_account":{{"iban":"DE42999100002000000018"}},
        "remittance":{{"unstructured":["Invoice 4711 of 2026-03-04, thank you; order by phone, customer 0815/22"]}},
        "end_to_end_id":"RE-2026-0815","client_reference":"cart 7f0f3c1e of Tuesday","scheme":"SEPA_CT",
        "debtor_account":{{"iban":"DE42999100002000000018"}},
        "risk":{{"delivery_address":{{"country":"DE","post_code":"50667","town_name":"Köln",
        "address_lines":["Hohe Straße 12","Hinterhaus, 3. Stock"]}}}},
        "state":"{state}","redirect_uri":"https://fintech.example/return?cart=7f0f3c1e"}}"#
    )
}

fn batch(payments: usize) -> String {
    let payment = |number: usize| {
        format!(
            r#"{{"amount":{{"amount":"{number}.50","currency":"EUR"}},"creditor":{{"name":"Supplier No. {number} & Sons"}},
            "creditor_account":{{"iban":"DE42999100002000000018"}},"end_to_end_id":"WAGE-{number:06}",
            "remittance":{{"unstructured":["Invoice {number} of March, please select union rate"]}}}}"#
        )
    };
    let payments: Vec<String> = (1..=payments).map(payment).collect();
    format!(
        r#"{{"institution_id":"de-rheinbank","debtor_account":{{"iban":"DE42999100002000000018"}},
        "payments":[{}],"redirect_uri":"https://fintech.example/return"}}"#,
        payments.join(",")
    )
}

/// Resident memory in KiB, where the system tells it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}
