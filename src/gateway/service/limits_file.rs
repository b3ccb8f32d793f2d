//! The limits: those that come with the binary, or a file of the operator's, taken up while
//! the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use limits::{Limiter, Policies, settle};
use store::quotas::RedisPool;
use telemetry::{FIGURES, Reloaded};
use tokio_util::sync::CancellationToken;

use crate::{modified, read};

/// Where limits come from.
#[derive(Clone, Debug, Default)]
pub enum LimitsFrom {
    /// The binary.
    #[default]
    Binary,
    /// A file (TOML).
    File(PathBuf),
    /// There are none.
    Nowhere,
}

/// What is counted by, and the file that says so.
#[derive(Clone)]
pub(crate) struct LimitsFile {
    file: Option<PathBuf>,
    seen: Option<SystemTime>,
    limiter: Arc<Limiter>,
}

impl LimitsFile {
    pub(crate) fn open(from: &LimitsFrom) -> anyhow::Result<Self> {
        let (file, policies) = match from {
            LimitsFrom::Binary => (None, Policies::embedded()?),
            LimitsFrom::File(path) => (Some(path.clone()), policies_of(path)?),
            LimitsFrom::Nowhere => (None, Policies::unlimited()),
        };
        let seen = file.as_deref().and_then(modified);
        Ok(Self { file, seen, limiter: Arc::new(Limiter::new(policies)) })
    }

    pub(crate) fn limiter(&self) -> Arc<Limiter> {
        Arc::clone(&self.limiter)
    }

    /// Takes up the file if it has changed. What cannot be used changes nothing.
    pub(crate) fn look(&mut self) {
        let now = self.file.as_deref().and_then(modified);
        if now != self.seen {
            self.seen = now;
            self.reload();
        }
    }

    /// Takes up the file as it is.
    pub(crate) fn reload(&self) {
        let Some(file) = &self.file else { return };
        match policies_of(file) {
            Ok(policies) => {
                tracing::info!("The limits were read anew");
                self.limiter.replace(policies);
            }
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Limits);
                tracing::error!(error = format!("{error:#}"), "The limits stay as they are");
            }
        }
    }
}

fn policies_of(file: &Path) -> anyhow::Result<Policies> {
    Policies::parse(&read(file)?).with_context(|| format!("{} holds no limits", file.display()))
}

/// Time between two rounds of settling.
const ROUND: Duration = Duration::from_millis(200);

/// Settles quotas with other processes until `stop`.
pub(crate) async fn share(limiter: Arc<Limiter>, pool: RedisPool, stop: CancellationToken) {
    let mut beat = tokio::time::interval(ROUND);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => settle(&limiter, &pool).await,
        }
    }
}
