//! How much of what there is in a region, for those who run it.

use crate::rows::Columns;
use crate::{RegionalStore, StoreError};

/// How much of what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Consents by status.
    pub consents: Vec<(String, i64)>,
    /// Payments by state.
    pub payments: Vec<(String, i64)>,
    /// Payments that a person must look after.
    pub attention: i64,
    /// Deliveries of webhooks that are due, now or later.
    pub deliveries: i64,
    /// Entries of the audit log under no checkpoint.
    pub unsigned: i64,
}

impl RegionalStore {
    /// How much of what there is. Reads all of the tables' indexes: not to be asked for often.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        let unsigned = self.audit_frontier().await?.size().saturating_sub(self.audit_signed().await?);
        Ok(Standing {
            consents: self
                .counted("select status as kind, count(*) as number from consents group by status")
                .await?,
            payments: self
                .counted("select state as kind, count(*) as number from payments group by state")
                .await?,
            attention: self.number("select count(*) as number from payments where flagged = 1").await?,
            deliveries: self
                .number("select count(*) as number from deliveries where next_at is not null")
                .await?,
            unsigned: i64::try_from(unsigned).unwrap_or(i64::MAX),
        })
    }

    async fn counted(&self, sql: &'static str) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query(sql).fetch_all(self.database.pool()).await?;
        let read = rows.iter().map(|row| {
            let row = Columns::new(row, "standing", "kind")?;
            Ok((row.text("kind")?, row.number("number")?))
        });
        read.collect()
    }

    async fn number(&self, sql: &'static str) -> Result<i64, StoreError> {
        use sqlx::Row;
        Ok(sqlx::query(sql).fetch_one(self.database.pool()).await?.try_get("number")?)
    }
}
