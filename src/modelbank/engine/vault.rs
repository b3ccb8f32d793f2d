//! The book in memory and its file. A change is on disk before the request
//! that made it is answered; requests that come together share one write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

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
            Some(Ok(bytes)) => serde_json::from_value(renewed(serde_json::from_slice(&bytes)?))?,
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

/// A book whose orders have lists of transfers. Before they could be batches, an order had
/// the members of its one transfer itself.
fn renewed(mut book: Value) -> Value {
    let orders = book.get_mut("orders").and_then(Value::as_object_mut);
    for order in orders.into_iter().flatten().filter_map(|(_, order)| order.as_object_mut()) {
        if !order.contains_key("transfers") {
            let transfer = Value::Object(order.clone());
            order.insert("transfers".to_owned(), Value::Array(vec![transfer]));
        }
    }
    book
}

async fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("json.new");
    tokio::fs::write(&temporary, bytes).await?;
    tokio::fs::rename(&temporary, file).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::OrderState;

    /// As orders were written when each had one transfer, and nothing waited for a day.
    #[test]
    fn a_file_from_before_batches_is_read() {
        let at = "2026-01-01T12:00:00Z";
        let order = serde_json::json!({
            "id": "o", "tpp": "PSDDE-BAFIN-1", "consent": null, "product": "sepa", "created": at,
            "user": "anna", "debtor": "rhb-10017", "amount": "12.50", "currency": "EUR",
            "creditor_name": "Ben", "creditor_account": "DE42999100002000000018", "remittance": "Lunch",
            "end_to_end": "e", "state": { "Executed": at }, "body": {},
        });
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bank.json");
        std::fs::write(&file, serde_json::json!({ "orders": { "o": order } }).to_string()).unwrap();
        let vault = Vault::open(Some(file)).unwrap();
        let order = vault.read(|book| book.orders["o"].clone());
        assert_eq!(order.state, OrderState::Executed(at.parse().unwrap()));
        assert_eq!(
            (order.transfers[0].end_to_end.as_deref(), order.total().to_string()),
            (Some("e"), "12.50".to_owned())
        );
        let moved: Vec<_> = order.moved().into_iter().map(|moved| moved.at).collect();
        assert_eq!(moved, [Some(at.parse().unwrap())]);
    }
}
