//! What banks are shown, and who they are believed to be, taken up while the gateway runs: a QWAC is renewed every few
//! weeks. The seal is not: banks have to know its key before it signs.

use std::sync::Arc;

use anyhow::Context;
use connect::{TlsIdentity, Transport};
use flows::WebhookSender;
use telemetry::{FIGURES, Reloaded};

use super::options::BankIdentityFiles;
use crate::client_tls::trusting;
use crate::stamp::Stamp;
use crate::{read, together};

/// The files, and who shows what is in them.
pub(super) struct WatchedBankIdentity {
    files: Option<BankIdentityFiles>,
    /// The files as they were when they were last read, good or not.
    seen: Vec<Option<Stamp>>,
    transport: Arc<Transport>,
    webhooks: WebhookSender,
    /// Who signs what webhook endpoints show: PEM.
    webhook_roots: String,
}

impl WatchedBankIdentity {
    /// Those that were read a moment ago.
    pub(super) fn of(
        files: Option<BankIdentityFiles>,
        transport: Arc<Transport>,
        webhooks: WebhookSender,
        webhook_roots: String,
    ) -> Self {
        let seen = files.as_ref().map(BankIdentityFiles::stamps).unwrap_or_default();
        Self { files, seen, transport, webhooks, webhook_roots }
    }

    /// Takes up files that have changed. What cannot be used changes nothing. Blocks while it reads.
    pub(super) fn look(&mut self) {
        let Some(files) = &self.files else { return };
        let stamps = files.stamps();
        if stamps == self.seen {
            return;
        }
        match self.take_up(files) {
            Ok(()) => tracing::info!("Banks are shown the certificate as it is now"),
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Tls);
                tracing::error!(error = %format!("{error:#}"), "Banks are shown the certificate as it was");
            }
        }
        self.seen = stamps;
    }

    fn take_up(&self, files: &BankIdentityFiles) -> anyhow::Result<()> {
        let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
        let roots = together(&files.authorities, "bank.authorities")?;
        // Both or none.
        let shown = trusting(&self.webhook_roots, Some((&certificate, &key)));
        let shown = shown.with_context(|| files.certificate.display().to_string())?;
        let identity = TlsIdentity { certificate_chain_pem: certificate, private_key_pem: key.into() };
        self.transport.present(&roots, &identity)?;
        self.webhooks.present(shown);
        Ok(())
    }
}

impl BankIdentityFiles {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let own = [&self.certificate, &self.key].into_iter();
        own.chain(&self.authorities).map(|file| Stamp::of(file)).collect()
    }
}
