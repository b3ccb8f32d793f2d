//! What a client was last told of an account's transactions: fingerprints.

use domain::{AccountId, Timestamp};

use crate::database::micros;
use crate::{RegionalStore, StoreError, transaction};

/// Snapshots that are kept of one account for one client: the last ones, so
/// that an answer that got lost can be asked for again.
const KEPT: i64 = 5;

impl RegionalStore {
    /// Keeps a snapshot, and forgets the oldest beyond the last five.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_snapshot(
        &self,
        id: &str,
        client: &str,
        account: AccountId,
        at: Timestamp,
        marks: &str,
    ) -> Result<(), StoreError> {
        transaction!(keyed self, tx => {
            sqlx::query(
                "insert into snapshots (snapshot_id, client_id, account_id, taken_at, marks) \
                 values ($1, $2, $3, $4, $5)",
            )
            .bind(id)
            .bind(client)
            .bind(account.to_string())
            .bind(micros(at))
            .bind(marks)
            .execute(&mut tx.0)
            .await?;
            sqlx::query(
                "delete from snapshots where client_id = $1 and account_id = $2 and snapshot_id not in \
                 (select snapshot_id from snapshots where client_id = $1 and account_id = $2 \
                 order by taken_at desc, snapshot_id desc limit $3)",
            )
            .bind(client)
            .bind(account.to_string())
            .bind(KEPT)
            .execute(&mut tx.0)
            .await?;
            Ok(())
        })
    }

    /// The marks of a snapshot; none, if it was forgotten.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn snapshot(
        &self,
        id: &str,
        client: &str,
        account: AccountId,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "select marks from snapshots where snapshot_id = $1 and client_id = $2 and account_id = $3",
        )
        .bind(id)
        .bind(client)
        .bind(account.to_string())
        .fetch_optional(self.database.pool())
        .await?;
        row.map(|row| Ok(sqlx::Row::try_get(&row, "marks")?)).transpose()
    }

    /// Forgets snapshots that were taken before `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_snapshots(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from snapshots where taken_at < $1")
            .bind(micros(before))
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
