//! Files with keys.

use std::io::Write as _;
use std::path::Path;

/// Writes a new file that nobody else can read.
///
/// # Errors
///
/// If it is there already, or cannot be written.
pub(crate) fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}
