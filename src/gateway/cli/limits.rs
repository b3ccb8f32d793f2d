//! How many requests may be made.

use std::path::PathBuf;

use clap::Args;

use crate::sandbox::LimitsFrom;

/// Where limits come from.
#[derive(Clone, Debug, Args)]
pub struct LimitsArgs {
    /// How many requests may be made, of what kind and by whom: a file as
    /// policies/limits/limits.toml. Changes are taken up while the sandbox runs.
    #[arg(long, value_name = "FILE")]
    pub limits: Option<PathBuf>,
    /// Count nothing, as for a measurement.
    #[arg(long, conflicts_with = "limits")]
    pub no_limits: bool,
}

impl LimitsArgs {
    /// Where limits come from.
    #[must_use]
    pub fn from(&self) -> LimitsFrom {
        match &self.limits {
            Some(file) => LimitsFrom::File(file.clone()),
            None if self.no_limits => LimitsFrom::Nowhere,
            None => LimitsFrom::Binary,
        }
    }
}
