//! A read of many bookings: the bank's answer has a hundred kilobytes, which the gateway reads, maps to its own
//! model and writes, and nginx passes on as it is.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::figures::{Of, Sample, median, ms, spread};
use super::load::{Load, Target};
use super::peers::Server;
use super::place::{Place, bank};

/// Bookings of the answer.
const BOOKINGS: usize = 256;
/// One, as reads that ask the same at the same time are one at the bank.
const ALONE: &[&str] = &["--connections", "1"];
/// The bank's path of somebody's bookings.
const AT_THE_BANK: &str = "/v1/accounts/somebody/transactions";

/// Where the front has its answer.
pub fn location(folder: &Path) -> String {
    format!(
        "    location ~ ^/v1/accounts/[^/]+/transactions$ {{\n      access_log off; default_type application/json; \
         add_header x-request-id $http_x_request_id; alias {}/bookings.json;\n    }}\n",
        folder.display()
    )
}

/// Writes the answer.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    let bookings: Vec<Value> = (0..BOOKINGS).map(booking).collect();
    let answer = json!({
        "account": { "iban": "DE02100100109307118603" },
        "transactions": { "booked": bookings, "pending": [], "_links": { "account": { "href": "/v1/accounts/somebody" } } },
    });
    Ok(std::fs::write(folder.join("bookings.json"), answer.to_string())?)
}

fn booking(number: usize) -> Value {
    let day = format!("2026-{:02}-{:02}", 1 + number / 28 % 12, 1 + number % 28);
    let cents = 100 + number * 37 % 90_000;
    json!({
        "transactionId": format!("booking-{number:08}"),
        "entryReference": format!("entry-{number:08}"),
        "endToEndId": format!("e2e-{number:08}"),
        "bookingDate": day,
        "valueDate": day,
        "transactionAmount": { "currency": "EUR", "amount": format!("-{}.{:02}", cents / 100, cents % 100) },
        "creditorName": format!("Bakery number {number}"),
        "creditorAccount": { "iban": "DE40500105174181777145" },
        "remittanceInformationUnstructured": format!("Invoice {number} of a month, paid as was agreed"),
        "bankTransactionCode": "PMNT-ICDT-STDO",
    })
}

/// One connection that reads, at the gateway and at the peers in turns.
pub async fn read(
    place: &mut Place,
    servers: &[Server],
    load: &Load,
    rounds: usize,
) -> anyhow::Result<String> {
    let grants = place.granted(&[vec![bank(0)]]).await?;
    let grant = grants.first().context("no grant")?;
    let accounts: Value = serde_json::from_slice(&place.read(&grant.token, "/v1/accounts").await?)?;
    let account = accounts["data"][0]["id"].as_str().context("no account")?;
    let path = format!("/v1/accounts/{account}/transactions");
    let list: Value = serde_json::from_slice(&place.read(&grant.token, &path).await?)?;
    let listed = list["data"].as_array().map_or(0, Vec::len);
    ensure!(listed == BOOKINGS, "{listed} bookings of {BOOKINGS} were listed");
    let tokens = place.tokens("large", &grants)?;
    let mut series: Vec<(Target, Vec<Sample>)> = vec![(Target::gateway(place, &tokens, &path)?, Vec::new())];
    for server in servers.iter().filter(|server| server.name != "bare axum") {
        series.push((Target::peer(server, &tokens)?.at(AT_THE_BANK), Vec::new()));
    }
    for _ in 0..rounds {
        for (target, samples) in &mut series {
            samples.push(load.measure("run", target, ALONE).await?);
        }
    }
    println!("==> Large answers measured");
    let (per_second, cpu): (Of, Of) = (|sample| sample.per_second, |sample| sample.cpu);
    let ours = series.first().map(|(_, samples)| samples.clone()).context("nothing was measured")?;
    let size = std::fs::metadata(place.folder.join("bookings.json"))?.len() / 1_000;
    let mut told = format!(
        "## A read of {BOOKINGS} bookings\n\nThe bank's answer has {size} KB. One connection. Peers pass the answer on as it is.\n\n\
         | Server | Requests/s | Ours to it | CPU by request | Ours to it | p50, ms |\n|---|---|---|---|---|---|\n"
    );
    for (target, samples) in &series {
        told += &format!(
            "| {} | {:.0} | {} | {:.0} µs | {} | {} |\n",
            target.name,
            median(samples, per_second),
            spread(&ours, samples, per_second),
            median(samples, cpu),
            spread(&ours, samples, cpu),
            ms(median(samples, |sample| sample.p50)),
        );
    }
    Ok(told)
}
