//! How long the check of an access token takes in front of every request:
//! found, alive, not revoked, bound to the certificate of the connection, with
//! the scope. In process, on a sandbox of its own; prints one JSON object.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use axum::extract::FromRequestParts;
use consentry::demo::Tpp;
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use crypto::Certificate;
use domain::SystemClock;
use edge::{PeerCertificate, PeerIdentity, Trust};
use http::Request;
use http::request::Parts;
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
    times.sort_unstable();
    let at = |share: usize| times.get(CHECKS.saturating_mul(share) / 100).map(|time| time.as_nanos());
    println!("{}", json!({ "checks": CHECKS, "p50_ns": at(50), "p99_ns": at(99) }));
    sandbox.stop().await;
    Ok(())
}

async fn check(parts: &mut Parts, gateway: &Arc<flows::Gateway>) -> anyhow::Result<()> {
    match Caller::<Accounts>::from_request_parts(parts, gateway).await {
        Ok(_) => Ok(()),
        Err(problem) => bail!("refused: {}", problem.code),
    }
}
