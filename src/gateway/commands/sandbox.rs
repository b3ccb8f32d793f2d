//! `consentry sandbox`.

use std::process::ExitCode;

use crate::cli::SandboxArgs;
use crate::demo;
use crate::sandbox::{Sandbox, SandboxOptions};

/// Runs the sandbox until Ctrl-C, or the demo and then stops.
pub(crate) async fn run(args: SandboxArgs) -> anyhow::Result<ExitCode> {
    let options = SandboxOptions {
        port_base: args.port_base,
        auto_approve: args.auto_approve,
        clients: args.clients.clone(),
        trust_ca: args.trust_ca.clone(),
        banks: args.banks.clone(),
        software_issuers: args.software_issuers.clone(),
        require_dpop_nonce: args.require_dpop_nonce,
        peer_rate: args.peer_rate,
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
        println!("{}", sandbox.welcome(ready_ms));
        stop_signal().await?;
        println!("Stopping …");
        ExitCode::SUCCESS
    };
    sandbox.stop().await;
    Ok(code)
}

/// Ctrl-C, or the signal by which service managers stop a process.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
