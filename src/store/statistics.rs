//! Figures of a period: how banks answered, what consents there were, what was read under them.

use domain::{Date, Timestamp};

use crate::database::micros;
use crate::rows::Columns;
use crate::{RegionalStore, StoreError, Tx};

/// How a service of a bank answered on a day, or since this was last written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BankDay {
    /// The bank.
    pub institution: String,
    /// Which service: `accounts`, `payments`, `funds`, `payees` or `events`.
    pub service: String,
    /// The day (UTC), as YYYY-MM-DD.
    pub day: String,
    /// Calls.
    pub calls: i64,
    /// Calls that the bank failed.
    pub failed: i64,
    /// Failed calls without any answer.
    pub unanswered: i64,
    /// Milliseconds of all answers together.
    pub took_ms: i64,
    /// Milliseconds of the slowest answer.
    pub slowest_ms: i64,
    /// Milliseconds in which it was presumed unavailable (RTS (EU) 2018/389 art. 33(1)).
    pub down_ms: i64,
}

/// Consents of a kind at an institution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentFigures {
    /// The institution; none where the PSU has not chosen yet.
    pub institution: Option<String>,
    /// Where they stand now.
    pub status: String,
    /// How many were lodged in the period.
    pub lodged: i64,
}

/// Accesses of a kind at an institution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFigures {
    /// The institution.
    pub institution: String,
    /// What was read.
    pub kind: String,
    /// Times with the PSU present.
    pub attended: i64,
    /// Times without.
    pub unattended: i64,
    /// Under how many consents.
    pub consents: i64,
}

impl Tx {
    /// Adds what was seen of a bank to the figures of the day.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn add_to_bank_day(&mut self, seen: &BankDay) -> Result<(), StoreError> {
        sqlx::query(
            "insert into bank_days \
             (institution_id, service, day, calls, failed, unanswered, took_ms, slowest_ms, down_ms) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (institution_id, service, day) do update set \
             calls = bank_days.calls + excluded.calls, failed = bank_days.failed + excluded.failed, \
             unanswered = bank_days.unanswered + excluded.unanswered, \
             took_ms = bank_days.took_ms + excluded.took_ms, \
             slowest_ms = case when bank_days.slowest_ms < excluded.slowest_ms then excluded.slowest_ms \
             else bank_days.slowest_ms end, down_ms = bank_days.down_ms + excluded.down_ms",
        )
        .bind(&seen.institution)
        .bind(&seen.service)
        .bind(&seen.day)
        .bind(seen.calls)
        .bind(seen.failed)
        .bind(seen.unanswered)
        .bind(seen.took_ms)
        .bind(seen.slowest_ms)
        .bind(seen.down_ms)
        .execute(&mut self.0)
        .await?;
        Ok(())
    }
}

impl RegionalStore {
    /// How banks answered on each day from `from` to `to`, both included.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn bank_days(&self, from: Date, to: Date) -> Result<Vec<BankDay>, StoreError> {
        let rows = sqlx::query(
            "select institution_id, service, day, calls, failed, unanswered, took_ms, slowest_ms, down_ms \
             from bank_days where day >= $1 and day <= $2 order by institution_id, service, day",
        )
        .bind(from.to_string())
        .bind(to.to_string())
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns::new(row, "bank_days", "institution_id")?;
                Ok(BankDay {
                    institution: row.text("institution_id")?,
                    service: row.text("service")?,
                    day: row.text("day")?,
                    calls: row.number("calls")?,
                    failed: row.number("failed")?,
                    unanswered: row.number("unanswered")?,
                    took_ms: row.number("took_ms")?,
                    slowest_ms: row.number("slowest_ms")?,
                    down_ms: row.number("down_ms")?,
                })
            })
            .collect()
    }

    /// The consents that were lodged from `from` until before `until`, by institution and by where
    /// they stand now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consent_figures(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ConsentFigures>, StoreError> {
        let rows = sqlx::query(
            "select coalesce(institution_id, '') as institution_id, status, count(*) as lodged from consents \
             where created_at >= $1 and created_at < $2 group by institution_id, status \
             order by institution_id, status",
        )
        .bind(micros(from))
        .bind(micros(until))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns::new(row, "consents", "institution_id")?;
                let institution = row.text("institution_id")?;
                Ok(ConsentFigures {
                    institution: Some(institution).filter(|name| !name.is_empty()),
                    status: row.text("status")?,
                    lodged: row.number("lodged")?,
                })
            })
            .collect()
    }

    /// What was read from `from` to `to`, both included, by institution and kind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn access_figures(&self, from: Date, to: Date) -> Result<Vec<AccessFigures>, StoreError> {
        let rows = sqlx::query(
            "select coalesce(c.institution_id, '') as institution_id, u.kind as kind, \
             cast(sum(u.attended) as bigint) as attended, cast(sum(u.unattended) as bigint) as unattended, \
             count(distinct u.consent_id) as consents \
             from consent_usage u join consents c on c.consent_id = u.consent_id \
             where u.day >= $1 and u.day <= $2 group by c.institution_id, u.kind \
             order by c.institution_id, u.kind",
        )
        .bind(from.to_string())
        .bind(to.to_string())
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns::new(row, "consent_usage", "institution_id")?;
                Ok(AccessFigures {
                    institution: row.text("institution_id")?,
                    kind: row.text("kind")?,
                    attended: row.number("attended")?,
                    unattended: row.number("unattended")?,
                    consents: row.number("consents")?,
                })
            })
            .collect()
    }
}
