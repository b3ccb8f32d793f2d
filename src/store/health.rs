//! What clients were told of institutions: so that it is told once.

use domain::{InstitutionId, Timestamp};

use crate::database::micros;
use crate::{RegionalStore, StoreError, Tx};

impl Tx {
    /// Notes that clients are being told `what` of an institution's `service`.
    /// False if that is what they were told last, by whichever gateway.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn tell_of_institution(
        &mut self,
        institution: &InstitutionId,
        service: &str,
        what: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into institution_health (institution_id, service, told, told_at) \
             values ($1, $2, $3, $4) on conflict (institution_id, service) do update set \
             told = excluded.told, told_at = excluded.told_at where institution_health.told <> excluded.told",
        )
        .bind(institution.as_str())
        .bind(service)
        .bind(what)
        .bind(micros(at))
        .execute(&mut self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl RegionalStore {
    /// The clients that hold a consent at an institution, in this status.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn clients_at(
        &self,
        institution: &InstitutionId,
        status: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "select distinct client_id from consents where institution_id = $1 and status = $2 \
             order by client_id",
        )
        .bind(institution.as_str())
        .bind(status)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| Ok(sqlx::Row::try_get(row, "client_id")?)).collect()
    }
}
