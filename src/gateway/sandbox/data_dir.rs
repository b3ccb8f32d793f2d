//! The data folder of a sandbox: private, whole or refused.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};

use crate::service::state::{MARK, VERSION, mark};

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

/// Locked by the process that uses the folder.
const LOCK: &str = "lock";

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
        mark(&self.path)?;
        self.unfinished.store(false, Ordering::Relaxed);
        Ok(())
    }
}
