//! What was read under a consent, and how often without the PSU.

use audit::Record;
use domain::{ConsentId, Date, ReadKind, Timestamp};

use crate::database::micros;
use crate::rows::Columns;
use crate::together::{Entry, ReadNote};
use crate::{RegionalStore, StoreError};

/// What was read of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of which kind.
    pub kind: ReadKind,
    /// Times with the PSU present.
    pub attended: i64,
    /// Times without.
    pub unattended: i64,
    /// The first time.
    pub first_at: Timestamp,
    /// The last time.
    pub last_at: Timestamp,
}

impl RegionalStore {
    /// Takes one of the day's accesses without the PSU to a thing that is counted apart (all of
    /// the consent, if `item` is empty), in one statement: however many ask at the same time,
    /// `limit` of them succeed. Those of one `slot` are one. Returns how many are taken, or none
    /// if there was none left.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn take_unattended_call(
        &self,
        consent: ConsentId,
        item: &str,
        day: Date,
        slot: Option<i64>,
        limit: u8,
    ) -> Result<Option<i64>, StoreError> {
        // A clock that is behind another one's never gives a day a second time.
        let row = sqlx::query(
            "insert into unattended_accesses (consent_id, item, day, used, slot) values ($1, $2, $3, 1, $4) \
             on conflict (consent_id, item) do update set \
             used = case when unattended_accesses.day < excluded.day then 1 \
             when unattended_accesses.slot = excluded.slot and excluded.slot >= 0 then unattended_accesses.used \
             else unattended_accesses.used + 1 end, \
             slot = excluded.slot, \
             day = case when unattended_accesses.day < excluded.day then excluded.day \
             else unattended_accesses.day end \
             where unattended_accesses.day < excluded.day or unattended_accesses.used < $5 \
             or (unattended_accesses.slot = excluded.slot and excluded.slot >= 0) returning used",
        )
        .bind(consent.to_string())
        .bind(item)
        .bind(day.to_string())
        .bind(slot.unwrap_or(-1))
        .bind(i64::from(limit))
        .fetch_optional(self.database.pool())
        .await;
        self.recent.forget(&[consent]);
        row?.map(|row| Ok(sqlx::Row::try_get(&row, "used")?)).transpose()
    }

    /// Accesses without the PSU that were taken on a day; where things are counted apart, those to
    /// the thing that has the most.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn unattended_calls(&self, consent: ConsentId, day: Date) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "select coalesce(max(used), 0) as used from unattended_accesses where consent_id = $1 and day >= $2",
        )
        .bind(consent.to_string())
        .bind(day.to_string())
        .fetch_one(self.database.pool())
        .await?;
        Ok(sqlx::Row::try_get(&row, "used")?)
    }

    /// Notes that data of a kind was read, in the ledger and in the audit log, and returns when
    /// that is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if the consent is not at this revision any more, or is gone: nothing is
    /// noted, and whoever asked is to look at it again.
    pub async fn note_read(
        &self,
        (consent, revision): (ConsentId, i64),
        kind: ReadKind,
        day: Date,
        record: &Record<'_>,
    ) -> Result<(), StoreError> {
        let note = ReadNote {
            consent: consent.to_string(),
            kind: kind.as_str(),
            day: day.to_string(),
            attended: record.psu_present == Some(true),
            at: micros(record.at),
            revision,
        };
        self.together.write(Entry::Read(note, record.to_string())).await
    }

    /// What was read under a consent since it was given, by kind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn usage(&self, consent: ConsentId) -> Result<Vec<Usage>, StoreError> {
        // A sum of bigints is a numeric in PostgreSQL.
        let rows = sqlx::query(
            "select kind, cast(sum(attended) as bigint) as attended, \
             cast(sum(unattended) as bigint) as unattended, min(first_at) as first_at, \
             max(last_at) as last_at from consent_usage where consent_id = $1 group by kind order by kind",
        )
        .bind(consent.to_string())
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "consent_usage", "kind")?;
                Ok(Usage {
                    kind: columns.word("kind", ReadKind::from_word)?,
                    attended: columns.number("attended")?,
                    unattended: columns.number("unattended")?,
                    first_at: columns.time("first_at")?,
                    last_at: columns.time("last_at")?,
                })
            })
            .collect()
    }
}
