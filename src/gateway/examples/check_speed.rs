//! How long the check of an access token takes in front of every request:
//! found, alive, not revoked, bound to the certificate of the connection, with
//! the scope; and how long it takes to count a read against the quotas. In
//! process, on a sandbox of its own; prints one JSON object.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::extract::FromRequestParts;
use consentry::demo::Tpp;
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use crypto::Certificate;
use domain::SystemClock;
use edge::{PeerCertificate, PeerIdentity, Trust};
use http::Request;
use http::request::Parts;
use limits::{Key, Limiter, Partition, Policies};
use secrecy::ExposeSecret;
use serde_json::json;
use web::{Accounts, Caller};

const CHECKS: usize = 200_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("name a folder for the sandbox")?;
    let options = SandboxOptions { limits: LimitsFrom::Nowhere, ..SandboxOptions::at(folder) };
    let sandbox = Sandbox::start(options).await?;
    let access = sandbox.access();
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await?;
    tpp.register().await?;
    let token = tpp.own_token("accounts").await?;
    let fields = Certificate::from_pem(&access.pki.fintech.certificate_pem)?;
    let thumbprint = fields.thumbprint;
    let shown = PeerCertificate {
        thumbprint,
        fields: Arc::new(fields),
        trust: Trust::Trusted,
        unfit: Arc::default(),
        chain: Arc::default(),
    };
    let peer = PeerIdentity { address: "127.0.0.1:1".parse()?, certificate: Some(shown) };
    let request = Request::get("/v1/accounts")
        .header("authorization", format!("Bearer {}", token.expose_secret()))
        .extension(peer)
        .body(())?;
    let (mut parts, ()) = request.into_parts();

    let gateway = sandbox.gateway();
    check(&mut parts, gateway).await?;
    let mut times = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let started = Instant::now();
        check(&mut parts, gateway).await?;
        times.push(started.elapsed());
    }
    let at = |times: &mut Vec<Duration>, share: usize| {
        times.sort_unstable();
        times.get(CHECKS.saturating_mul(share) / 100).map(Duration::as_nanos)
    };
    let mut counted = counted()?;
    let told = json!({
        "checks": CHECKS, "p50_ns": at(&mut times, 50), "p99_ns": at(&mut times, 99),
        "limits_p50_ns": at(&mut counted, 50), "limits_p99_ns": at(&mut counted, 99),
    });
    println!("{told}");
    sandbox.stop().await;
    Ok(())
}

/// Clients whose reads are counted, so that none uses its quotas up.
const CLIENTS: usize = 10_000;

/// A read, counted for its peer, its client and its consent by the policies that the gateway comes with.
fn counted() -> anyhow::Result<Vec<Duration>> {
    let limiter = Limiter::new(Policies::embedded()?);
    let mut times = Vec::with_capacity(CHECKS);
    for number in 0..CHECKS {
        let client = number % CLIENTS;
        let mut certificate = [0; 32];
        certificate.iter_mut().zip(client.to_be_bytes()).for_each(|(one, byte)| *one = byte);
        let (client, consent) = (format!("tpp-{client}"), format!("con_eu_{client:022}"));
        let started = Instant::now();
        let told = limiter.told("GET", "/v1/accounts");
        limiter.count(Partition::Peer, &Key::Certificate(certificate), Some(&told))?;
        limiter.count(Partition::Client, &Key::id(&client), Some(&told))?;
        limiter.count(Partition::Consent, &Key::id(&consent), Some(&told))?;
        times.push(started.elapsed());
    }
    Ok(times)
}

async fn check(parts: &mut Parts, gateway: &Arc<flows::Gateway>) -> anyhow::Result<()> {
    match Caller::<Accounts>::from_request_parts(parts, gateway).await {
        Ok(_) => Ok(()),
        Err(problem) => bail!("refused: {}", problem.code),
    }
}
