//! The data folder: private, whole or refused.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use domain::{Entropy, Region, Timestamp};

use crate::keys::{KeyStore, Purpose};
use crate::private_file;
use crate::region_keys::RegionKeyFile;
use crate::stores;

/// The folder with all state of a sandbox, held by this process alone.
pub(super) struct DataDir {
    path: PathBuf,
    /// Nothing was there before, and the state that is made is not whole.
    unfinished: AtomicBool,
    /// Locked for as long as the sandbox runs.
    _lock: fs::File,
}

/// A start that fails leaves nothing that would be in the next one's way.
impl Drop for DataDir {
    fn drop(&mut self) {
        if !self.unfinished.load(Ordering::Relaxed) {
            return;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(error = %error, "{} was left over", path.display());
            }
        }
    }
}

/// Written last: a folder with contents but without it is half-written.
const MARK: &str = "state.json";
/// Locked by the process that uses the folder.
const LOCK: &str = "lock";
const VERSION: &str = "{\"version\":2}\n";

impl DataDir {
    /// Opens or makes the folder.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let unwritable = || {
            format!(
                "{} cannot be written: choose another folder with --data-dir, or change its permissions",
                path.display()
            )
        };
        fs::create_dir_all(path).with_context(unwritable)?;
        let lock = path.join(LOCK);
        let lock = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .with_context(unwritable)?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another sandbox: stop it, or choose another folder with --data-dir",
                path.display()
            );
        }
        let mark = path.join(MARK);
        let others =
            |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != LOCK);
        let unfinished = match fs::read_to_string(&mark) {
            Ok(text) if text == VERSION => false,
            Ok(_) => bail!(
                "{} was written by another version: remove the folder, or choose another with --data-dir",
                path.display()
            ),
            Err(_) if fs::read_dir(path).with_context(unwritable)?.any(others) => bail!(
                "{} is half-written or not a sandbox folder: remove it, or choose another with --data-dir",
                path.display()
            ),
            Err(_) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(unwritable)?;
                true
            }
        };
        Ok(Self { path: path.to_owned(), unfinished: unfinished.into(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Marks the folder as whole.
    pub(super) fn finished(&self) -> anyhow::Result<()> {
        let mark = self.path.join(MARK);
        if !mark.exists() {
            private_file::write(&mark, VERSION)?;
        }
        self.unfinished.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// Refuses a folder without the state of a sandbox.
pub(crate) fn require_sandbox(path: &Path) -> anyhow::Result<()> {
    if !path.join(MARK).exists() {
        bail!("{} holds no sandbox: start `consentry sandbox` once, or name its --data-dir", path.display());
    }
    Ok(())
}

/// The key of everything that is known by its digest.
pub(crate) fn id_key(folder: &Path) -> anyhow::Result<[u8; 32]> {
    let file = folder.join("keys/ids.hex");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{} is missing: remove the data folder and start again", file.display()))?;
    let mut id_key = [0; 32];
    hex::decode_to_slice(text.trim(), &mut id_key)
        .context("keys/ids.hex is damaged: remove the data folder and start again")?;
    Ok(id_key)
}

/// Keys of the gateway that are no certificates.
pub(super) struct Keys {
    pub(super) id_key: [u8; 32],
    /// Those that sign webhooks.
    pub(super) webhook: KeyStore,
    /// Those that sign id_tokens.
    pub(super) signing: KeyStore,
}

impl Keys {
    /// Reads the keys, or makes them.
    pub(super) async fn open(
        folder: &Path,
        regions: &[Region],
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let keys = folder.join("keys");
        if !keys.exists() {
            let partial = folder.join("keys.partial");
            fs::create_dir_all(&partial)?;
            let mut id_key = [0; 32];
            entropy.fill(&mut id_key);
            private_file::write(&partial.join("ids.hex"), &hex::encode(id_key))?;
            // RSA takes long enough to find that the runtime should not wait for it.
            let first = partial.clone();
            let begin = move || {
                KeyStore::begin(&first, Purpose::Webhooks, now)?;
                KeyStore::begin(&first, Purpose::IdTokens, now)
            };
            tokio::task::spawn_blocking(begin).await??;
            fs::rename(&partial, &keys)?;
        }
        for region in regions {
            RegionKeyFile::at(folder, *region).begin(entropy, now)?;
        }
        stores::note_regions(folder, regions)?;
        let id_key = id_key(folder)?;
        let webhook = KeyStore::open(folder, Purpose::Webhooks, now)?;
        Ok(Self { id_key, webhook, signing: KeyStore::open(folder, Purpose::IdTokens, now)? })
    }
}
