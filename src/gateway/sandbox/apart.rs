//! The model banks of a sandbox in a process of their own: what they did outlives a
//! gateway that is killed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use modelbank::{Faults, Habits, LedgerLine};
use tokio_util::sync::CancellationToken;

use super::banks::{ModelBanks, Place};
use super::software::SoftwareDirectory;
use super::{API, PAGES, Pki, SandboxOptions, address, profile_files};
use crate::private_file;
use crate::sandbox::Access;
use crate::service::key_url;
use crate::service::state::require_state;

/// Model banks beside a sandbox that has none of its own.
pub struct BanksApart {
    banks: ModelBanks,
    access: Access,
    /// Where certificates and keys are.
    pki: PathBuf,
    stop: CancellationToken,
}

/// A gateway that is no sandbox, and has model banks.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The origin of its pages.
    pub origin: String,
    /// The name by which the banks are reached.
    pub host: String,
    /// Where they listen.
    pub address: IpAddr,
    /// Where their profiles are written.
    pub profiles: Option<PathBuf>,
}

impl BanksApart {
    /// Starts the banks of the sandbox in `options.data_dir`, which has been started
    /// before with `banks_apart` and the same `port_base`. What they know is in memory.
    ///
    /// # Errors
    ///
    /// If there is no such sandbox, or a port is taken.
    pub async fn start(options: &SandboxOptions) -> anyhow::Result<Self> {
        require_state(&options.data_dir)?;
        let pki = Pki::open(&options.data_dir, options.clock.now(), "localhost").await?;
        let origin = |offset| format!("https://localhost:{}", address(options.port_base, offset).port());
        let (issuer, api) = (origin(PAGES), origin(API));
        Self::at(options, pki, &Place::default(), None, (issuer, api)).await
    }

    /// Starts the banks of a gateway that is no sandbox. Certificates and keys are made in
    /// `options.data_dir`, if there are none, and so is what the banks know.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written to, or a port is taken.
    pub async fn of(options: &SandboxOptions, gateway: &Gateway) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&options.data_dir)
            .with_context(|| format!("{} cannot be made", options.data_dir.display()))?;
        let pki = Pki::open(&options.data_dir, options.clock.now(), &gateway.host).await?;
        let place = Place { host: gateway.host.clone(), address: gateway.address };
        let kept = Some(options.data_dir.join("banks"));
        let origin = gateway.origin.trim_end_matches('/').to_owned();
        let started = Self::at(options, pki, &place, kept, (origin.clone(), origin.clone())).await?;
        if let Some(folder) = &gateway.profiles {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
            for profile in started.banks.profiles(&key_url(&origin)) {
                private_file::replace(
                    &folder.join(format!("{}.toml", profile.id)),
                    &profile_files::text(&profile),
                )?;
            }
        }
        Ok(started)
    }

    async fn at(
        options: &SandboxOptions,
        pki: Pki,
        place: &Place,
        kept: Option<PathBuf>,
        (issuer, api): (String, String),
    ) -> anyhow::Result<Self> {
        let directory = SoftwareDirectory::open(&options.data_dir.join("pki"))?;
        let stop = CancellationToken::new();
        let banks = ModelBanks::start(options, place, kept, &pki, &directory, &issuer, &stop)
            .await
            .context("the model banks could not start")?;
        let access = Access { issuer, api, pki: Arc::new(pki), banks: banks.list() };
        Ok(Self { banks, access, pki: options.data_dir.join("pki"), stop })
    }

    /// What the configuration of a gateway says that has these banks, for trying it on one machine:
    /// certificates, the banks' profiles in `profiles`, their regions, and clients that register themselves.
    /// The rest is the operator's: `[node]`, `[public]`, `[listen]`.
    #[must_use]
    pub fn configuration(&self, profiles: &Path) -> String {
        let pki = self.pki.display();
        format!(
            "[tls]\ncertificate = '{pki}/server.pem'\nkey = '{pki}/server.key'\n\
             client_authorities = ['{pki}/root.pem']\n\
             [bank]\ncertificate = '{pki}/gateway-qwac.pem'\nkey = '{pki}/gateway-qwac.key'\n\
             seal_certificate = '{pki}/gateway-qseal.pem'\nseal_key = '{pki}/gateway-qseal.key'\n\
             authorities = ['{pki}/root.pem']\n\
             [regions]\nheld = ['eu', 'uk']\n\
             [banks]\nfolders = ['{}']\nembedded = false\n\
             [webhooks]\nauthorities = ['{pki}/root.pem']\nloopback = true\nchallenge = false\n\
             [clients]\nopen_registration = true\n",
            profiles.display()
        )
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
