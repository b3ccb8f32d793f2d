//! The plugins of a folder, taken up while the gateway runs: `NAME.wasm` with its
//! signature `NAME.wasm.sig`, and the keys that may sign in `allowed-keys`.
//!
//! A change that is no good leaves the plugin of before in its place, as long as
//! its own signer may still sign: who is no longer allowed has nothing running.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use connect::{Dialect, is_plugin_name};
use crypto::{PublicKey, digest};
use telemetry::{FIGURES, Reloaded};

use crate::signature::read_small;
use crate::{AllowedKeys, Host, NotSigned, Plugin};

/// Where the keys are, below the folder of the plugins.
const KEYS: &str = "allowed-keys";

/// What tells one state of a file from another.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// A file that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginProblem {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub why: String,
}

impl PluginProblem {
    pub(crate) fn new(file: &Path, why: impl fmt::Display) -> Self {
        Self { file: file.to_path_buf(), why: why.to_string() }
    }

    pub(crate) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self::new(file, format_args!("cannot be read: {error}"))
    }
}

impl fmt::Display for PluginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.why)
    }
}

/// A plugin in service, and what it came from.
struct Loaded {
    bytes: [u8; 32],
    signer: PublicKey,
    plugin: Arc<Plugin>,
}

/// The plugins of one folder.
pub struct PluginFolder {
    host: Host,
    folder: PathBuf,
    seen: Vec<Stamp>,
    loaded: BTreeMap<String, Loaded>,
}

impl PluginFolder {
    /// Reads and compiles all of them, on the thread that calls.
    ///
    /// # Errors
    ///
    /// Every problem of every file.
    pub fn open(host: Host, folder: &Path) -> Result<Self, Vec<PluginProblem>> {
        let mut plugins =
            Self { host, folder: folder.to_path_buf(), seen: Vec::new(), loaded: BTreeMap::new() };
        plugins.seen = plugins.stamps().map_err(|problem| vec![problem])?;
        let problems = plugins.take_up();
        if problems.is_empty() { Ok(plugins) } else { Err(problems) }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The plugins in service.
    #[must_use]
    pub fn plugins(&self) -> Vec<Arc<dyn Dialect>> {
        let each = self.loaded.values().map(|loaded| Arc::clone(&loaded.plugin));
        each.map(|plugin| -> Arc<dyn Dialect> { plugin }).collect()
    }

    /// The plugins in service now, if a file has changed since the last look. What
    /// is wrong with a change is reported, once.
    pub fn look(&mut self) -> Option<Vec<Arc<dyn Dialect>>> {
        let problems = match self.stamps() {
            Ok(now) if now == self.seen => return None,
            Ok(now) => {
                self.seen = now;
                self.take_up()
            }
            // As if nothing were there; what cannot be listed cannot be read.
            Err(_) if self.seen.is_empty() => return None,
            Err(problem) => {
                self.seen.clear();
                // Nobody can say any more who may sign.
                self.loaded.clear();
                vec![problem]
            }
        };
        for problem in problems {
            FIGURES.reload_failed(Reloaded::Plugins);
            tracing::error!(error = %problem, "A plugin was not taken up");
        }
        Some(self.plugins())
    }

    /// Takes up what the files are now, and says what is wrong with them.
    fn take_up(&mut self) -> Vec<PluginProblem> {
        let (keys, mut problems) = AllowedKeys::read(&self.folder.join(KEYS));
        let mut before = std::mem::take(&mut self.loaded);
        let files = self.seen.iter().map(|(path, ..)| path).filter(|path| is_plugin_file(path));
        for file in files {
            let Some(name) = plugin_name(file) else {
                let rule = "has no name for a plugin, which is of lower-case letters, digits and hyphens";
                problems.push(PluginProblem::new(file, rule));
                continue;
            };
            let before = before.remove(name);
            let kept = match self.load(name, file, &keys, before.as_ref()) {
                Ok(loaded) => Some(loaded),
                Err(problem) => {
                    problems.push(problem);
                    before.filter(|before| keys.contains(&before.signer))
                }
            };
            if let Some(kept) = kept {
                self.loaded.insert(name.to_owned(), kept);
            }
        }
        problems
    }

    /// Reads a file once, checks the signature of what was read, and compiles it
    /// unless that is what runs already.
    fn load(
        &self,
        name: &str,
        file: &Path,
        keys: &AllowedKeys,
        before: Option<&Loaded>,
    ) -> Result<Loaded, PluginProblem> {
        let component = fs::read(file).map_err(|error| PluginProblem::unreadable(file, &error))?;
        let sig = signature_of(file);
        let sig_name = sig.file_name().unwrap_or_default().to_string_lossy();
        if !sig.exists() {
            return Err(PluginProblem::new(file, NotSigned::Missing(sig_name.into_owned())));
        }
        let signature = read_small(&sig).map_err(|why| PluginProblem::new(&sig, why))?;
        let signer = keys.check(&component, &signature, &sig_name);
        let signer = signer.map_err(|why| PluginProblem::new(file, why))?.clone();
        let bytes = digest::sha256(&component);
        let plugin = match before.filter(|before| before.bytes == bytes) {
            Some(before) => Arc::clone(&before.plugin),
            None => {
                let plugin = Plugin::load(&self.host, name, &component);
                Arc::new(plugin.map_err(|why| PluginProblem::new(file, why))?)
            }
        };
        Ok(Loaded { bytes, signer, plugin })
    }

    /// Every file that matters with what tells its state, in their order.
    fn stamps(&self) -> Result<Vec<Stamp>, PluginProblem> {
        let mut stamps = Vec::new();
        let keys = self.folder.join(KEYS);
        for folder in [&self.folder, &keys] {
            if *folder == keys && !folder.exists() {
                continue;
            }
            let unreadable = |error: std::io::Error| PluginProblem::unreadable(folder, &error);
            for entry in fs::read_dir(folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.is_dir() {
                    continue;
                }
                // A file that went away in between is none.
                if let Ok(metadata) = fs::metadata(&path) {
                    stamps.push((path, metadata.modified().ok(), metadata.len()));
                }
            }
        }
        stamps.sort();
        Ok(stamps)
    }
}

fn is_plugin_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
        && path.parent().and_then(Path::file_name).is_none_or(|folder| folder != KEYS)
}

/// The name that a file gives its plugin: `NAME.wasm`.
#[must_use]
pub fn plugin_name(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?.strip_suffix(".wasm")?;
    is_plugin_name(name).then_some(name)
}

/// Where the signature of a plugin is: `NAME.wasm.sig`.
#[must_use]
pub fn signature_of(plugin: &Path) -> PathBuf {
    let mut name = plugin.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}
