//! How much memory what is remembered of tokens and consents takes: what a process allocates for each, counted
//! by its allocator. In process, on a sandbox of its own; prints one JSON object.

#![allow(
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::integer_division,
    reason = "it measures"
)]

use std::alloc::System;
use std::sync::Arc;

use anyhow::Context;
use consentry::demo::Tpp;
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use domain::{ConsentId, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// An access token, and the consents that it goes with.
type Grant = (SecretString, Vec<String>);

/// Grants of one consent each.
const GRANTS: usize = 400;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::args().nth(1).context("name a folder for the sandbox")?;
    let options = SandboxOptions { limits: LimitsFrom::Nowhere, ..SandboxOptions::at(folder) };
    let sandbox = Sandbox::start(options).await?;
    let access = sandbox.access();
    let mut tpp = Tpp::discover(&access, Arc::new(SystemClock)).await?;
    tpp.register().await?;
    let mut grants = Vec::new();
    for _ in 0..GRANTS {
        grants.push(tpp.granted(&access.pki.root, &["de-rheinbank"]).await?);
    }
    let gateway = sandbox.gateway();
    let token = async |grant: &Grant| {
        let found = gateway.live_token(grant.0.expose_secret()).await?;
        found.map(drop).context("the token is unknown")
    };
    let today = gateway.clock().now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let consent = async |grant: &Grant| {
        let id: ConsentId = grant.1.first().context("a consent")?.parse()?;
        gateway
            .stores()
            .region(id.region())?
            .consent_to_read(id, today)
            .await?
            .map(drop)
            .context("the consent is unknown")
    };
    let told = json!({
        "token_bytes": each(&grants, token).await?,
        "token_again_bytes": each(&grants, token).await?,
        "consent_bytes": each(&grants, consent).await?,
        "consent_again_bytes": each(&grants, consent).await?,
    });
    println!("{told:#}");
    sandbox.stop().await;
    Ok(())
}

/// Bytes that stay allocated by what is done with a grant.
async fn each(
    grants: &[Grant],
    look_up: impl AsyncFn(&Grant) -> anyhow::Result<()>,
) -> anyhow::Result<isize> {
    let region = Region::new(ALLOCATOR);
    for grant in grants {
        look_up(grant).await?;
    }
    let change = region.change();
    let stays = isize::try_from(change.bytes_allocated)? - isize::try_from(change.bytes_deallocated)?;
    Ok(stays / isize::try_from(grants.len())?)
}
