//! Webhooks: from events that are committed to an endpoint that has them all, signed, each over TLS and
//! noted as delivered; beside a bare client that posts the same to the same endpoint, over connections that
//! it keeps as ours does, and writes nothing down. In process, on a sandbox of its own: gateway and endpoint share the
//! machine. Prints one JSON object.
//!
//! `webhook_speed FOLDER [DATABASE_URL]`

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use consentry::demo::{Receiver, Tpp};
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use domain::{Clock, EventId, Region, SystemClock, SystemEntropy};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use store::events::EventRow;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// In each round.
const EVENTS: usize = 2_000;
const ROUNDS: usize = 3;
/// Connections of the bare client.
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
    let bare = trusting(&access.pki.root)?;
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
        let left = Mutex::new(rows.iter());
        let posting = (0..AT_ONCE).map(|_| post_all(&bare, &receiver.url, &left));
        futures_util::future::try_join_all(posting).await?;
        arrived += EVENTS;
        bares.push(per_second(started.elapsed()));
    }
    println!("{}", json!({ "events": EVENTS, "delivered": middle(ours), "bare": middle(bares) }));
    sandbox.stop().await;
    Ok(())
}

/// A client that trusts one root.
fn trusting(root_pem: &str) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(tls.with_root_certificates(roots).with_no_client_auth()).into())
}

/// Posts what is left, one after the other, over a connection of its own.
async fn post_all(
    tls: &TlsConnector,
    url: &str,
    left: &Mutex<std::slice::Iter<'_, EventRow>>,
) -> anyhow::Result<()> {
    let url = Url::parse(url)?;
    let host = url.host_str().context("an address without a host")?;
    let stream = TcpStream::connect((host, url.port().context("an address without a port")?)).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some(row) = next() {
        let post = Request::post(url.path())
            .header("host", host)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(row.body.clone())))?;
        let answer = sender.send_request(post).await?;
        anyhow::ensure!(answer.status() == StatusCode::NO_CONTENT, "it answered {}", answer.status());
        answer.into_body().collect().await?;
        sender.ready().await?;
    }
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
