//! How requests are taken: how many, from whom, on whose behalf.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use crate::sandbox::{BlockFeed, LimitsFrom};

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
    /// A network of load balancers: who comes from there says for whom by a PROXY header
    /// (version 1 or 2), and nobody else may; may be given more than once.
    #[arg(long, value_name = "CIDR")]
    pub proxy_network: Vec<IpNet>,
    /// Write the addresses that are blocked to a file, a network a line.
    #[arg(long, value_name = "FILE")]
    pub block_list: Option<PathBuf>,
    /// Send the addresses that are blocked to an address (https) whenever they change.
    #[arg(long, value_name = "URL")]
    pub block_webhook: Option<String>,
}

impl LimitsArgs {
    /// Who is told which addresses are blocked.
    #[must_use]
    pub fn block_feed(&self) -> BlockFeed {
        BlockFeed { file: self.block_list.clone(), url: self.block_webhook.clone() }
    }

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
