//! What operators let clients pay, and what those have ordered on a day.

use std::collections::BTreeSet;

use domain::{Money, Others, PayeePolicy, PaymentPolicy, Timestamp};
use serde::{Deserialize, Serialize};

use crate::database::micros;
use crate::rows::{Columns, found, json_text};
use crate::{RegionalStore, StoreError, Tx};

/// Of what a day has only so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// Payments, by number.
    Payments,
    /// Money, in the smallest units of its currency.
    Amount(domain::Currency),
}

impl Spending {
    fn kind(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Amount(currency) => currency.code(),
        }
    }
}

impl RegionalStore {
    /// What a client has ordered in this region on the day that begins then.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn spent(&self, client_id: &str, day: Timestamp, of: Spending) -> Result<i64, StoreError> {
        let sql = "select used, client_id from client_spending \
                   where client_id = $1 and day_start = $2 and kind = $3";
        let row = sqlx::query(sql)
            .bind(client_id)
            .bind(micros(day))
            .bind(of.kind())
            .fetch_optional(self.database.pool())
            .await?;
        row.map_or(Ok(0), |row| Columns::new(&row, "client_spending", "client_id")?.number("used"))
    }
}

impl Tx {
    /// Replaces what a client may pay; with none, it may pay whatever a bank lets it.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such client.
    pub async fn set_payment_policy(
        &mut self,
        client_id: &str,
        policy: Option<&PaymentPolicy>,
    ) -> Result<(), StoreError> {
        let stored = policy.map(|policy| json_text(&StoredPolicy::from(policy))).transpose()?;
        let done = sqlx::query("update clients set payment_policy = $2 where client_id = $1")
            .bind(client_id)
            .bind(stored)
            .execute(&mut self.0)
            .await?;
        found(&done)
    }

    /// Counts what a client orders towards its day, unless that would then have more than
    /// `most`: one statement, so that of two orders that would together exceed it one is not
    /// taken. False if it is not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn spend(
        &mut self,
        client_id: &str,
        day: Timestamp,
        (of, units): (Spending, i64),
        most: i64,
    ) -> Result<bool, StoreError> {
        if units > most {
            return Ok(false);
        }
        let done = sqlx::query(
            "insert into client_spending (client_id, day_start, kind, used) values ($1, $2, $3, $4) \
             on conflict (client_id, day_start, kind) \
             do update set used = client_spending.used + excluded.used \
             where client_spending.used + excluded.used <= $5",
        )
        .bind(client_id)
        .bind(micros(day))
        .bind(of.kind())
        .bind(units)
        .bind(most)
        .execute(&mut self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives back to a day what was ordered on it and came to nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn unspend(
        &mut self,
        client_id: &str,
        day: Timestamp,
        (of, units): (Spending, i64),
    ) -> Result<(), StoreError> {
        let sql = "update client_spending set used = used - $4 \
                   where client_id = $1 and day_start = $2 and kind = $3 and used >= $4";
        sqlx::query(sql)
            .bind(client_id)
            .bind(micros(day))
            .bind(of.kind())
            .bind(units)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }
}

/// [`PaymentPolicy`] as JSON, amounts as `12.30 EUR`.
#[derive(Serialize, Deserialize)]
struct StoredPolicy {
    max_per_payment: Vec<String>,
    max_per_day: Vec<String>,
    max_payments_per_day: Option<u32>,
    trusted_payees: BTreeSet<String>,
    others: StoredOthers,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOthers {
    Alike,
    UpTo(Vec<String>),
    Refused,
}

fn texts(amounts: &[Money]) -> Vec<String> {
    amounts.iter().map(Money::to_string).collect()
}

fn amounts(texts: &[String]) -> Option<Vec<Money>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

impl From<&PaymentPolicy> for StoredPolicy {
    fn from(policy: &PaymentPolicy) -> Self {
        Self {
            max_per_payment: texts(&policy.max_per_payment),
            max_per_day: texts(&policy.max_per_day),
            max_payments_per_day: policy.max_payments_per_day,
            trusted_payees: policy.payees.trusted.clone(),
            others: match &policy.payees.others {
                Others::Alike => StoredOthers::Alike,
                Others::UpTo(most) => StoredOthers::UpTo(texts(most)),
                Others::Refused => StoredOthers::Refused,
            },
        }
    }
}

/// The policy of a client's row. One that cannot be read is an error, not a client without
/// limits.
pub(crate) fn policy_of(columns: &Columns<'_>) -> Result<Option<PaymentPolicy>, StoreError> {
    let Some(text) = columns.optional_text("payment_policy")? else { return Ok(None) };
    let read = || {
        let stored: StoredPolicy = serde_json::from_str(&text).ok()?;
        Some(PaymentPolicy {
            max_per_payment: amounts(&stored.max_per_payment)?,
            max_per_day: amounts(&stored.max_per_day)?,
            max_payments_per_day: stored.max_payments_per_day,
            payees: PayeePolicy {
                trusted: stored.trusted_payees,
                others: match stored.others {
                    StoredOthers::Alike => Others::Alike,
                    StoredOthers::UpTo(most) => Others::UpTo(amounts(&most)?),
                    StoredOthers::Refused => Others::Refused,
                },
            },
        })
    };
    read().map(Some).ok_or_else(|| columns.corrupt("payment_policy"))
}
