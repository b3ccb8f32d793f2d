//! The audit logs of a running gateway: what waits is appended, and checkpoints are signed.
//!
//! Each region's log has a key of its own, `audit/<region>.pem` in the data folder, and
//! `audit/<region>.key` is what verifiers need of it: the C2SP verifier key, whose name is the
//! log's origin.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use audit::{Checkpoint, LogKey};
use crypto::{SigningKey, pki};
use domain::{Clock, Region};
use store::{RegionalStore, Stores};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::private_file;

/// Time between two looks at what waits.
const BEAT: Duration = Duration::from_secs(1);
/// Time between two checkpoints of a log that grows.
const CHECKPOINT: Duration = Duration::from_secs(60);

/// The logs of all regions.
pub(crate) struct AuditLogs {
    logs: Vec<AuditLog>,
    clock: Arc<dyn Clock>,
}

/// The log of one region.
struct AuditLog {
    store: RegionalStore,
    key: SigningKey,
    /// Origin of the log, and name of its key.
    name: String,
}

/// Where the key for verifiers is.
pub(crate) fn verifier_key(data: &Path, region: Region) -> PathBuf {
    data.join("audit").join(format!("{region}.key"))
}

/// Reads the key for verifiers.
pub(crate) fn read_verifier_key(data: &Path, region: Region) -> anyhow::Result<LogKey> {
    let file = verifier_key(data, region);
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    text.trim().parse().with_context(|| format!("{} is damaged", file.display()))
}

impl AuditLogs {
    /// The logs of these stores. With `make`, keys that are missing are made, for a log of this host.
    pub(crate) fn open(
        data: &Path,
        stores: &Stores,
        host: &str,
        make: bool,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        if make {
            stores.regions().try_for_each(|store| make_key(data, store.region(), host))?;
        }
        let logs = stores.regions().map(|store| AuditLog::open(data, store.clone()));
        Ok(Self { logs: logs.collect::<Result<_, _>>()?, clock })
    }

    /// Appends what waits once a second, and signs once a minute, until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut beat = tokio::time::interval(BEAT);
        let mut signed = Instant::now();
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let due = signed.elapsed() >= CHECKPOINT;
            if due {
                signed = Instant::now();
            }
            self.look(due).await;
        }
    }

    /// Appends what waits and signs what is there: nothing is written any more.
    pub(crate) async fn close(&self) {
        self.look(true).await;
    }

    async fn look(&self, sign: bool) {
        for log in &self.logs {
            if let Err(error) = log.look(sign, &*self.clock).await {
                tracing::error!(error = %error, "The audit log of {} is behind", log.store.region());
            }
        }
    }
}

/// Makes the key of a region's log and the one for its verifiers, where they are missing.
pub(crate) fn make_key(data: &Path, region: Region, host: &str) -> anyhow::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data.join("audit"))?;
    let shown = verifier_key(data, region);
    let secret = shown.with_extension("pem");
    if !secret.exists() {
        private_file::write(&secret, &pki::generate_ed25519()?)?;
    }
    if !shown.exists() {
        let key = LogKey::new(format!("{host}/audit/{region}"), signing_key(&secret)?.public_key().clone())?;
        private_file::replace(&shown, &format!("{key}\n"))?;
    }
    Ok(())
}

fn signing_key(secret: &Path) -> anyhow::Result<SigningKey> {
    let pem = fs::read_to_string(secret).with_context(|| format!("{} cannot be read", secret.display()))?;
    SigningKey::from_pem(&pem, "").with_context(|| format!("{} is damaged", secret.display()))
}

impl AuditLog {
    fn open(data: &Path, store: RegionalStore) -> anyhow::Result<Self> {
        let region = store.region();
        let key = signing_key(&verifier_key(data, region).with_extension("pem"))?;
        let name = read_verifier_key(data, region)?.name().to_owned();
        Ok(Self { store, key, name })
    }

    async fn look(&self, sign: bool, clock: &dyn Clock) -> anyhow::Result<()> {
        while self.store.settle_audit().await? {}
        if !sign {
            return Ok(());
        }
        let frontier = self.store.audit_frontier().await?;
        let size = frontier.size();
        if size > self.store.audit_signed().await? {
            let checkpoint =
                Checkpoint { origin: self.name.clone(), size, root: frontier.root(), at: clock.now() };
            let note = checkpoint.sign(&self.key, &self.name)?;
            if self.store.add_audit_checkpoint(size, &note).await? {
                // Logs are kept elsewhere, where nobody who can change the store can change them.
                tracing::info!(target: "audit", checkpoint = note, "Audit log of {} signed", self.store.region());
            }
        }
        Ok(())
    }
}
