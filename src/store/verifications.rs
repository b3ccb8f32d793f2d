//! Verifications of payees, counted: whoever may ask without end finds out names.

use domain::Date;

use crate::rows::Columns;
use crate::{GlobalStore, StoreError};

impl GlobalStore {
    /// Counts one verification of a client on a day (UTC), unless there were `most` on it.
    /// Returns how many there were then; none, if it is one too many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn take_payee_verification(
        &self,
        client_id: &str,
        day: Date,
        most: u32,
    ) -> Result<Option<i64>, StoreError> {
        if most == 0 {
            return Ok(None);
        }
        // A process whose day begins later counts on the day that has begun.
        let row = sqlx::query(
            "insert into payee_verifications (client_id, day, used) values ($1, $2, 1) \
             on conflict (client_id) do update set \
             used = case when payee_verifications.day < excluded.day then 1 \
             else payee_verifications.used + 1 end, \
             day = case when payee_verifications.day < excluded.day then excluded.day \
             else payee_verifications.day end \
             where payee_verifications.day < excluded.day or payee_verifications.used < $3 \
             returning client_id, used",
        )
        .bind(client_id)
        .bind(day.to_string())
        .bind(i64::from(most))
        .fetch_optional(self.database.pool())
        .await?;
        row.map(|row| Columns::new(&row, "payee_verifications", "client_id")?.number("used")).transpose()
    }
}
