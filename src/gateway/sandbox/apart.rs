//! The model banks of a sandbox in a process of their own: what they did outlives a
//! gateway that is killed.

use std::sync::Arc;

use anyhow::Context;
use modelbank::{Faults, Habits, LedgerLine};
use tokio_util::sync::CancellationToken;

use super::banks::ModelBanks;
use super::software::SoftwareDirectory;
use super::state::require_sandbox;
use super::{API, PAGES, Pki, SandboxOptions, address};
use crate::sandbox::Access;

/// Model banks beside a sandbox that has none of its own.
pub struct BanksApart {
    banks: ModelBanks,
    access: Access,
    stop: CancellationToken,
}

impl BanksApart {
    /// Starts the banks of the sandbox in `options.data_dir`, which has been started
    /// before with `banks_apart` and the same `port_base`. What they know is in memory.
    ///
    /// # Errors
    ///
    /// If there is no such sandbox, or a port is taken.
    pub async fn start(options: &SandboxOptions) -> anyhow::Result<Self> {
        require_sandbox(&options.data_dir)?;
        let pki = Pki::open(&options.data_dir, options.clock.now()).await?;
        let directory = SoftwareDirectory::open(&options.data_dir.join("pki"))?;
        let origin = |offset| format!("https://localhost:{}", address(options.port_base, offset).port());
        let (issuer, api) = (origin(PAGES), origin(API));
        let stop = CancellationToken::new();
        let banks = ModelBanks::start(options, None, &pki, &directory, &issuer, &stop)
            .await
            .context("the model banks could not start")?;
        let access = Access { issuer, api, pki: Arc::new(pki), banks: banks.list() };
        Ok(Self { banks, access, stop })
    }

    /// What the terminal shows.
    #[must_use]
    pub fn welcome(&self) -> String {
        let mut lines = vec!["The model banks are ready.".to_owned()];
        lines.extend(self.banks.describe());
        lines.join("\n")
    }

    /// How the sandbox is reached.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// Faults and habits of a bank.
    #[must_use]
    pub fn bank(&self, id: &str) -> Option<(Faults, Habits)> {
        self.banks.bank(id).map(|bank| (bank.faults(), bank.habits()))
    }

    /// Every order that a bank has.
    #[must_use]
    pub fn ledger(&self, id: &str) -> Vec<LedgerLine> {
        self.banks.bank(id).map(modelbank::RunningBank::ledger).unwrap_or_default()
    }

    /// Ends the banks.
    pub async fn stop(self) {
        self.stop.cancel();
        self.banks.stopped().await;
    }
}
