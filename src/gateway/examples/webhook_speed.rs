//! Webhooks: from events that are committed to an endpoint that has them all, signed, each over TLS and
//! noted as delivered; beside a bare client that posts the same to the same endpoint, a connection each as
//! ours has, and writes nothing down. In process, on a sandbox of its own: gateway and endpoint share the
//! machine. Prints one JSON object.
//!
//! `webhook_speed FOLDER [DATABASE_URL]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use consentry::demo::{Client, Receiver, Tpp};
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use domain::{Clock, EventId, Region, SystemClock, SystemEntropy};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use store::events::EventRow;

/// In each round.
const EVENTS: usize = 2_000;
const ROUNDS: usize = 3;
/// Posts of the bare client at the same time.
const AT_ONCE: usize = 32;
/// The longest a round may take.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name a folder for the sandbox")?;
    let options = SandboxOptions {
        database_url: arguments.next(),
        limits: LimitsFrom::Nowhere,
        ..SandboxOptions::at(folder)
    };
    let sandbox = Sandbox::start(options).await?;
    let access = sandbox.access();
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await?;
    tpp.register().await?;
    let own = tpp.own_token("accounts").await?;
    let server = &access.pki.server;
    let receiver = Receiver::start(&server.certificate_pem, &server.key_pem).await?;
    tpp.post(&own, "/v1/webhook-endpoints", &json!({ "url": receiver.url })).await?.expect(201)?;
    let region: Region = "eu".parse()?;
    let store = sandbox.gateway().stores().region(region)?;
    let bare = Client::new(&access.pki.root, None)?;
    let (mut ours, mut bares, mut arrived) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let rows: Vec<_> = (0..EVENTS)
            .map(|number| event(region, &tpp.client_id, round.saturating_mul(EVENTS).saturating_add(number)))
            .collect();
        let started = Instant::now();
        for rows in rows.chunks(100) {
            store::transaction!(store, tx => {
                for row in rows {
                    tx.emit(row).await?;
                }
                Ok::<_, store::StoreError>(())
            })?;
        }
        arrived += EVENTS;
        receiver.wait_for_many(arrived, PATIENCE).await?;
        ours.push(per_second(started.elapsed()));

        let started = Instant::now();
        let posts = rows.iter().map(|row| {
            let (bare, url, body) = (bare.clone(), receiver.url.clone(), row.body.clone());
            async move {
                let body: Value = serde_json::from_str(&body)?;
                bare.post_json(&url, &[], &body).await?.expect(204)
            }
        });
        futures_util::stream::iter(posts).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        arrived += EVENTS;
        bares.push(per_second(started.elapsed()));
    }
    println!("{}", json!({ "events": EVENTS, "delivered": middle(ours), "bare": middle(bares) }));
    sandbox.stop().await;
    Ok(())
}

/// An event as there are many.
fn event(region: Region, client: &str, number: usize) -> EventRow {
    let id = EventId::new(region, &SystemClock, &SystemEntropy);
    let resource = format!("pay_eu_{number:032x}");
    let body = json!({
        "id": id.to_string(), "type": "payment.settled", "sequence": 1,
        "resource": { "type": "payment", "id": resource },
        "data": { "state": "SETTLED", "final": true },
    });
    EventRow {
        id,
        client_id: client.to_owned(),
        event_type: "payment.settled".to_owned(),
        resource_id: resource,
        sequence: 1,
        body: body.to_string(),
        created_at: SystemClock.now(),
    }
}

fn per_second(took: Duration) -> u128 {
    let events = u128::try_from(EVENTS).unwrap_or(u128::MAX);
    events.saturating_mul(1_000_000).checked_div(took.as_micros()).unwrap_or(0)
}

fn middle(mut all: Vec<u128>) -> Option<u128> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}
