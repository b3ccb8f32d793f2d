//! Files that only their owner can read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Writes a file.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    put(fs::OpenOptions::new().create(true).truncate(true), path, text)
}

/// Writes a file where none is.
pub(crate) fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    put(fs::OpenOptions::new().create_new(true), path, text)
}

fn put(options: &mut fs::OpenOptions, path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = options
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

/// Puts a file in the place of another in one step: who reads sees the old one
/// or the new one, also after a crash.
pub(crate) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_added_extension("new");
    write(&new, text)?;
    fs::rename(&new, path).with_context(|| format!("{} cannot be replaced", path.display()))?;
    if let Some(folder) = path.parent() {
        // The parent of a mere name is an empty path.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
