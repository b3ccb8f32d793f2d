//! The rules of access and residency: those that come with the binary, or a folder of the
//! operator's, taken up while the gateway runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use domain::Region;
use policy::{Engine, InvalidPolicies, Keep, Keeping};
use telemetry::{FIGURES, Reloaded};

/// The rules, and the folder that they come from.
#[derive(Clone)]
pub(crate) struct AccessRules(Arc<Engine>);

impl AccessRules {
    pub(crate) fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let engine = Engine::open(folder.map(Path::to_path_buf))
            .context("the folder of the rules of access cannot be used")?;
        Ok(Self(Arc::new(engine)))
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0)
    }

    /// Whether personal data of a region may be kept in another, or at home.
    pub(crate) fn may_hold(&self, of: Region, at: Region) -> anyhow::Result<()> {
        let asked = Keep { kind: Keeping::Store, of, at, personal: true };
        self.0.decide(&asked).map(drop).map_err(|denied| {
            let why: Vec<_> = denied.reasons().iter().map(|reason| &*reason.says).collect();
            anyhow!("personal data of {of} may not be kept in {at}: {denied}. {}", why.join(" "))
        })
    }

    /// Takes up the folder if it has changed. What cannot be used changes nothing.
    pub(crate) fn look(&mut self) {
        if let Some(looked) = self.0.look() {
            told(&looked.map(|()| true));
        }
    }

    /// Takes up the folder as it is.
    pub(crate) fn reload(&self) {
        told(&self.0.reload());
    }
}

fn told(read: &Result<bool, InvalidPolicies>) {
    match read {
        Ok(true) => tracing::info!("The rules of access were read anew"),
        Ok(false) => {}
        Err(invalid) => {
            FIGURES.reload_failed(Reloaded::Access);
            tracing::error!(error = %invalid, "The rules of access stay as they are");
        }
    }
}
