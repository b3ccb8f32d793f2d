//! The imported institution directory. Search runs in memory
//! (`connect::directory`); this is where it is loaded from.

use crate::rows::Columns;
use crate::{GlobalStore, StoreError, Tx};

impl GlobalStore {
    /// Every entry, as the JSON it was imported with.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn directory(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("select institution_id, entry from directory order by institution_id")
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(|row| Columns::new(row, "directory", "institution_id")?.text("entry")).collect()
    }
}

impl Tx {
    /// Adds an entry, or replaces it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn put_directory_entry(&mut self, id: &str, entry: &str) -> Result<(), StoreError> {
        sqlx::query(
            "insert into directory (institution_id, entry) values ($1, $2) \
             on conflict (institution_id) do update set entry = excluded.entry",
        )
        .bind(id)
        .bind(entry)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }
}
