//! What became of requests, for the clients that made them.

use domain::{RequestId, Timestamp};
use sqlx::{AssertSqlSafe, Row};

use crate::database::micros;
use crate::together::placeholders;
use crate::{RegionalStore, StoreError};

/// Rows of one statement: reads wait to be noted meanwhile, where there is one writer.
const AT_ONCE: usize = 32;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// The request.
    pub id: RequestId,
    /// Whose it was.
    pub client_id: String,
    /// When it came.
    pub at: Timestamp,
    /// What became of it, as JSON.
    pub evidence: String,
}

impl RegionalStore {
    /// Keeps what became of requests.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_requests(&self, requests: &[RequestRow]) -> Result<(), StoreError> {
        // Over the connection of what is written together: what it knows of the file stays true.
        let alone = self.database.alone();
        for some in requests.chunks(AT_ONCE) {
            let sql = format!(
                "insert into requests (request_id, client_id, at, evidence) values {} \
                 on conflict (request_id) do nothing",
                placeholders(some.len(), 4)
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for request in some {
                query = query
                    .bind(request.id.to_string())
                    .bind(&request.client_id)
                    .bind(micros(request.at))
                    .bind(&request.evidence);
            }
            query.execute(alone.pool()).await?;
        }
        Ok(())
    }

    /// What became of a request of a client.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn request_of(&self, client_id: &str, id: RequestId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("select evidence from requests where request_id = $1 and client_id = $2")
            .bind(id.to_string())
            .bind(client_id)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Deletes what came before this. How many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_requests(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query("delete from requests where at < $1").bind(micros(before));
        Ok(done.execute(self.database.pool()).await?.rows_affected())
    }
}
