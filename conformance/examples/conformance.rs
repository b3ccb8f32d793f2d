//! The judge without the gateway: built in seconds, for those who write cases.

use std::process::ExitCode;

use clap::Parser;
use consentry_conformance::cli::{ConformanceArgs, run};

/// Whether a target does what standards and its own description say.
#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: ConformanceArgs,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(Cli::parse().args))) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}
