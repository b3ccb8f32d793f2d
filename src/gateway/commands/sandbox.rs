//! `consentry sandbox`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{ModelBanksArgs, SandboxArgs};
use crate::demo;
use crate::sandbox::{BanksApart, GatewayOfBanks, Sandbox, SandboxOptions};
use crate::signals::StopSignals;

/// Runs the sandbox until Ctrl-C, or the demo and then stops.
pub(crate) async fn run(args: SandboxArgs) -> anyhow::Result<ExitCode> {
    let options = SandboxOptions {
        port_base: args.port_base,
        auto_approve: args.auto_approve,
        banks_apart: args.banks_apart,
        issuer: args.issuer.clone(),
        clients: args.clients.clone(),
        trust_ca: args.trust_ca.clone(),
        trust_bank_ca: args.trust_bank_ca.clone(),
        server: args.edge.server.clone().into(),
        trust_profiles: args.edge.trust_profiles.all(),
        revocation: args.revocation.into(),
        revocation_lists: args.crl.clone(),
        ocsp_hosts: args.ocsp_host.clone(),
        cells: args.cells.clone(),
        bank_regions: args.bank_region.clone(),
        global_database_url: args.global_database_url.clone(),
        retention: args.retention.clone(),
        policies: args.policies.clone(),
        banks: args.banks.clone(),
        plugins: args.plugins.plugins.clone(),
        embedded_banks: !args.no_embedded_banks,
        software_issuers: args.software_issuers.clone(),
        webhook_challenge: args.webhook_challenge,
        require_dpop_nonce: args.require_dpop_nonce,
        payee_verifications_per_day: args.payee_verifications_per_day,
        bank_notifications: args.bank_notifications,
        limits: args.limits.from(),
        proxies: args.limits.proxy_network.clone(),
        block_feed: args.limits.block_feed(),
        filter: args.filter,
        filter_files: args.edge.filter_files.clone().into(),
        database_url: args.database_url.clone(),
        redis_url: args.redis_url.clone(),
        ..SandboxOptions::at(&args.data_dir)
    };
    let started = std::time::Instant::now();
    let sandbox = Sandbox::start(options).await?;
    let ready_ms = started.elapsed().as_millis();
    let code = if args.demo {
        let report = demo::play(&sandbox.access(), !args.json).await;
        if args.json {
            println!("{}", report.json());
        } else {
            println!("{}", report.tables());
        }
        if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    } else {
        let mut signals = StopSignals::catch()?;
        let mut reload = signal(SignalKind::hangup())?;
        println!("{}", sandbox.welcome(ready_ms));
        loop {
            tokio::select! {
                () = signals.wait() => break,
                _ = reload.recv() => sandbox.reload().await,
            }
        }
        println!("Stopping …");
        ExitCode::SUCCESS
    };
    sandbox.stop().await;
    Ok(code)
}

/// Runs the model banks until Ctrl-C.
pub(crate) async fn run_banks(args: ModelBanksArgs) -> anyhow::Result<ExitCode> {
    let options = SandboxOptions {
        port_base: args.port_base,
        auto_approve: args.auto_approve,
        ..SandboxOptions::at(&args.data_dir)
    };
    let mut signals = StopSignals::catch()?;
    let banks = match args.gateway {
        None => BanksApart::start(&options).await?,
        Some(origin) => {
            let gateway =
                GatewayOfBanks { origin, host: args.host, address: args.address, profiles: args.profiles };
            BanksApart::of(&options, &gateway).await?
        }
    };
    println!("{}", banks.welcome());
    signals.wait().await;
    banks.stop().await;
    Ok(ExitCode::SUCCESS)
}
