//! `consentry statistics`.

use std::path::PathBuf;

use clap::Args;

use super::StoreArgs;

/// Of which quarter, and where they go.
#[derive(Debug, Args)]
pub struct StatisticsArgs {
    /// The quarter (UTC), as 2026-Q4.
    #[arg(long, value_name = "QUARTER")]
    pub quarter: crate::commands::statistics::Quarter,
    /// Write `statistics.json`, `banks.csv`, `consents.csv` and `accesses.csv` into this folder,
    /// instead of printing the JSON.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Where they are kept.
    #[command(flatten)]
    pub at: StoreArgs,
}
