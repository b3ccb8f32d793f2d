//! What became of requests, for the clients that made them.

use domain::{RequestId, Timestamp};
use sqlx::{AssertSqlSafe, Row};

use crate::database::micros;
use crate::statements::Begun;
use crate::together::{Entry, placeholders};
use crate::{RegionalStore, StoreError};

/// Rows that are written at a time: what is written with them waits for them.
const AT_ONCE: usize = 16;

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
    /// Keeps what became of requests, a few at a time and with whatever else is written then.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_requests(&self, requests: &[RequestRow]) -> Result<(), StoreError> {
        for some in requests.chunks(AT_ONCE) {
            self.together.write(Entry::Requests(some.to_vec())).await?;
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

/// Writes them, but for those that are there.
pub(crate) async fn insert_requests(tx: &mut Begun, requests: &[&RequestRow]) -> Result<(), StoreError> {
    if requests.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "insert into requests (request_id, client_id, at, evidence) values {} on conflict (request_id) do nothing",
        placeholders(requests.len(), 4)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for request in requests {
        query = query
            .bind(request.id.to_string())
            .bind(&request.client_id)
            .bind(micros(request.at))
            .bind(&request.evidence);
    }
    query.execute(tx).await?;
    Ok(())
}
