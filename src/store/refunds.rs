//! What is refunded of a payment: counted on its row, by one statement that changes nothing
//! where too much would be refunded.

use domain::PaymentId;

use crate::{StoreError, Tx};

impl Tx {
    /// Counts a refund of a client's payment, in the currency's smallest units, if the payment
    /// is paid and no more than `most` would be refunded of it. Whether it was counted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn count_refund(
        &mut self,
        of: PaymentId,
        client_id: &str,
        units: i64,
        most: i64,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update payments set refunded = refunded + $3 where payment_id = $1 and client_id = $2 \
             and state in ('ACCEPTED', 'SETTLED') and refunded <= $4",
        )
        .bind(of.to_string())
        .bind(client_id)
        .bind(units)
        .bind(most.saturating_sub(units))
        .execute(&mut self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives back a refund that came to nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn uncount_refund(&mut self, of: PaymentId, units: i64) -> Result<(), StoreError> {
        sqlx::query("update payments set refunded = refunded - $2 where payment_id = $1")
            .bind(of.to_string())
            .bind(units)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}
