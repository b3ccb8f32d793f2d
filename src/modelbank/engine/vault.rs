//! The book in memory and its file. A change is on disk before the request
//! that made it is answered; requests that come together share one write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::book::Book;

/// The book and, if it is to survive a restart, its file.
pub(crate) struct Vault {
    book: Mutex<Versioned>,
    file: Option<PathBuf>,
    /// The version on disk; one writer at a time.
    written: tokio::sync::Mutex<u64>,
}

struct Versioned {
    book: Book,
    version: u64,
}

impl Vault {
    /// Opens the book of `file`, or an empty one if there is no such file.
    pub(crate) fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let book = match file.as_deref().map(std::fs::read) {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes)?,
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Some(Err(_)) | None => Book::default(),
        };
        let book = Mutex::new(Versioned { book, version: 0 });
        Ok(Self { book, file, written: tokio::sync::Mutex::new(0) })
    }

    /// Reads the book.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        read(&self.book.lock().unwrap_or_else(PoisonError::into_inner).book)
    }

    /// Changes the book; [`Vault::keep`] makes the change last.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let mut guard = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        guard.version = guard.version.saturating_add(1);
        change(&mut guard.book)
    }

    /// Returns when every change made so far is on disk.
    pub(crate) async fn keep(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let wanted = self.book.lock().unwrap_or_else(PoisonError::into_inner).version;
        let mut written = self.written.lock().await;
        if *written >= wanted {
            return Ok(());
        }
        let (version, bytes) = {
            let guard = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            (guard.version, serde_json::to_vec(&guard.book)?)
        };
        write(file, &bytes).await?;
        *written = version;
        Ok(())
    }
}

async fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("json.new");
    tokio::fs::write(&temporary, bytes).await?;
    tokio::fs::rename(&temporary, file).await
}
