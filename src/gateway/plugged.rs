//! The operator's plugins, where this binary can run any (cargo feature `plugins`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use connect::{Dialect, PLUGIN, Profile, Registry};

#[cfg(feature = "plugins")]
mod folder {
    use super::*;

    pub(super) use plugins::PluginFolder;

    pub(super) fn open(folder: &Path) -> anyhow::Result<PluginFolder> {
        let host = plugins::Host::new(plugins::Limits::default())?;
        PluginFolder::open(host, folder).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(lines.join("\n"))
        })
    }
}

#[cfg(not(feature = "plugins"))]
mod folder {
    use super::*;

    /// There is none.
    pub(super) enum PluginFolder {}

    impl PluginFolder {
        pub(super) fn plugins(&self) -> Vec<Arc<dyn Dialect>> {
            match *self {}
        }

        pub(super) fn look(&mut self) -> Option<Vec<Arc<dyn Dialect>>> {
            match *self {}
        }
    }

    pub(super) fn open(_folder: &Path) -> anyhow::Result<PluginFolder> {
        bail!("this binary runs no plugins: it was built without the cargo feature plugins")
    }
}

/// The plugins of one folder, or none.
pub(crate) struct Plugged {
    place: Option<PathBuf>,
    folder: Option<folder::PluginFolder>,
}

impl Plugged {
    /// Reads and compiles them, on the thread that calls.
    ///
    /// # Errors
    ///
    /// Every problem of every file, one a line.
    pub(crate) fn open(place: Option<&Path>) -> anyhow::Result<Self> {
        let folder = place.map(folder::open).transpose()?;
        Ok(Self { place: place.map(Path::to_path_buf), folder })
    }

    /// Those that are in service.
    pub(crate) fn dialects(&self) -> Vec<Arc<dyn Dialect>> {
        self.folder.as_ref().map(folder::PluginFolder::plugins).unwrap_or_default()
    }

    /// Those that are in service now, if a file has changed since the last look.
    pub(crate) fn look(&mut self) -> Option<Vec<Arc<dyn Dialect>>> {
        self.folder.as_mut()?.look()
    }

    /// Holds a profile to naming a plugin that is there.
    ///
    /// # Errors
    ///
    /// What is missing, and where.
    pub(crate) fn require(&self, registry: &Registry, profile: &Profile) -> anyhow::Result<()> {
        let Some(name) = profile.plugin().filter(|_| registry.dialect(profile).is_none()) else {
            return Ok(());
        };
        let id = &profile.id;
        match &self.place {
            Some(place) => bail!(
                "{id} speaks {PLUGIN}{name}, and {} is not there",
                place.join(name).with_extension("wasm").display()
            ),
            None => bail!("{id} speaks {PLUGIN}{name}, and no folder of plugins is named (--plugins)"),
        }
    }
}
