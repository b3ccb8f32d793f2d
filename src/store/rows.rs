//! Reading columns. A row that cannot be decoded names its table, column and id.

use domain::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::StoreError;
use crate::vault::Unlocked;

/// A row of `table` whose primary key is `id`.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    table: &'static str,
    id: String,
}

impl<'r> Columns<'r> {
    pub(crate) fn new(row: &'r AnyRow, table: &'static str, key: &str) -> Result<Self, StoreError> {
        let id = row.try_get::<String, _>(key)?;
        Ok(Self { row, table, id })
    }

    /// Its table and primary key.
    pub(crate) fn of(&self) -> (&'static str, &str) {
        (self.table, &self.id)
    }

    /// A column that holds what nobody of ours wrote.
    pub(crate) fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.table, column, id: self.id.clone() }
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    pub(crate) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    pub(crate) fn number(&self, column: &'static str) -> Result<i64, StoreError> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    pub(crate) fn optional_number(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(self.number(column)?).map_err(|_| self.corrupt(column))
    }

    pub(crate) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        self.optional_number(column)?
            .map(|micros| Timestamp::from_microsecond(micros).map_err(|_| self.corrupt(column)))
            .transpose()
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|_| self.corrupt(column))
    }

    pub(crate) fn word<T>(
        &self,
        column: &'static str,
        from_word: impl Fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        from_word(&self.text(column)?).ok_or_else(|| self.corrupt(column))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|_| self.corrupt(column))
    }
}

/// Reading what is sealed.
impl Columns<'_> {
    pub(crate) fn sealed_text(&self, column: &'static str, keys: &Unlocked) -> Result<String, StoreError> {
        keys.open(self, column, &self.text(column)?)
    }

    pub(crate) fn sealed_json<T: DeserializeOwned>(
        &self,
        column: &'static str,
        keys: &Unlocked,
    ) -> Result<T, StoreError> {
        serde_json::from_str(&self.sealed_text(column, keys)?).map_err(|_| self.corrupt(column))
    }
}

/// A value as its JSON text. Our own types always have one.
pub(crate) fn json_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}

/// Turns "one row changed" into success and "none" into a conflict.
pub(crate) fn exactly_one(done: &sqlx::any::AnyQueryResult) -> Result<(), StoreError> {
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Turns "no row changed" into an error.
pub(crate) fn found(done: &sqlx::any::AnyQueryResult) -> Result<(), StoreError> {
    if done.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

/// Leaves out what cannot be read, and says so: one bad row stops no other.
pub(crate) fn readable<T>(rows: impl Iterator<Item = Result<T, StoreError>>) -> Vec<T> {
    rows.filter_map(|row| {
        row.map_err(|error| tracing::error!(error = %error, "A row cannot be read and is left out")).ok()
    })
    .collect()
}
