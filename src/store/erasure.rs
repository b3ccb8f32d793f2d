//! Erasing a consent, a payment or a mandate: its rows here, and the key of every copy of
//! them that there is elsewhere. And what must be kept in spite of that.

use std::fmt;
use std::str::FromStr;

use audit::{Outcome, Record};
use crypto::envelope::DataKeyId;
use domain::{
    ConsentId, ConsentStatus, MandateId, MandateStatus, PaymentId, PaymentState, Region, Timestamp,
};
use sqlx::AssertSqlSafe;

use crate::database::micros;
use crate::persons::Known;
use crate::rows::Columns;
use crate::{RegionalStore, StoreError, Tx, transaction};

/// What personal data belongs to, and is erased with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A consent.
    Consent(ConsentId),
    /// A payment.
    Payment(PaymentId),
    /// A mandate.
    Mandate(MandateId),
}

/// The text is no id of a consent, payment or mandate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is the id of no consent, payment or mandate")]
pub struct InvalidSubject;

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let consent = text.parse().map(Self::Consent);
        let payment = || text.parse().map(Self::Payment);
        consent
            .or_else(|_| payment())
            .or_else(|_| text.parse().map(Self::Mandate))
            .map_err(|_| InvalidSubject)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent(id) => id.fmt(f),
            Self::Payment(id) => id.fmt(f),
            Self::Mandate(id) => id.fmt(f),
        }
    }
}

impl Subject {
    /// Where it is at home.
    #[must_use]
    pub fn region(&self) -> Region {
        match self {
            Self::Consent(id) => id.region(),
            Self::Payment(id) => id.region(),
            Self::Mandate(id) => id.region(),
        }
    }

    fn kind(&self) -> SubjectKind {
        match self {
            Self::Consent(_) => SubjectKind::Consents,
            Self::Payment(_) => SubjectKind::Payments,
            Self::Mandate(_) => SubjectKind::Mandates,
        }
    }
}

/// What is kept for how long, of what can be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// Consents.
    Consents,
    /// Payments.
    Payments,
    /// Mandates.
    Mandates,
}

impl SubjectKind {
    /// Its table, the key of that, the column of where one stands, and tables of its own.
    fn place(self) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
        let of_consents = &["account_links", "consent_usage", "unattended_accesses"];
        match self {
            Self::Consents => ("consents", "consent_id", "status", of_consents),
            Self::Payments => ("payments", "payment_id", "state", &[]),
            Self::Mandates => ("mandates", "mandate_id", "status", &["mandate_usage"]),
        }
    }

    /// The words of the states that end one.
    fn ends(self) -> Vec<&'static str> {
        match self {
            Self::Consents => {
                let ends = ConsentStatus::ALL.iter().copied().filter(|status| status.is_final());
                ends.map(ConsentStatus::as_str).collect()
            }
            Self::Payments => {
                let ends = PaymentState::ALL.iter().copied().filter(|state| state.is_final());
                ends.map(PaymentState::as_str).collect()
            }
            Self::Mandates => {
                let ends = MandateStatus::ALL.iter().copied().filter(|status| status.is_final());
                ends.map(MandateStatus::as_str).collect()
            }
        }
    }
}

/// What came of the wish to erase something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erased {
    /// It is gone, and so is its key.
    Gone,
    /// There is nothing of this id.
    Unknown,
    /// It is still in force, or on its way: where it stands.
    NotOver(String),
    /// It must be kept: why.
    Held(String),
}

/// Something that must be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegalHold {
    /// What.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Tables with rows of every kind of subject, by the column that names it. Events stay until
/// their own time is over: they hold ids and states, and may still have to be delivered.
const OF_ALL: &[(&str, &str)] = &[
    ("sca_steps", "subject_id"),
    ("idempotency_keys", "subject_id"),
    ("subject_index", "subject_id"),
    ("bank_notices", "subject_id"),
    ("changes", "subject_id"),
    ("subject_keys", "subject_id"),
];

impl RegionalStore {
    /// Consents, payments and mandates that are known of a person, in no order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn subjects_of(&self, known: Known<'_>) -> Result<Vec<Subject>, StoreError> {
        let rows = sqlx::query("select subject_id from subject_index where value = $1")
            .bind(known.index(&self.vault))
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| Columns::new(row, "subject_index", "subject_id")?.parsed("subject_id"))
            .collect()
    }

    /// Erases what is kept of something that is over, here and, by its key, in every backup.
    /// The audit log says that it was erased and why, and keeps what it said of it before: ids,
    /// times and kinds of data.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a database fails. It may be erased here then with its key still there:
    /// [`Self::finish_erasures`] goes on.
    pub async fn erase(&self, subject: Subject, reason: &str, now: Timestamp) -> Result<Erased, StoreError> {
        let erased = self.erase_here(subject, reason, now).await?;
        if erased == Erased::Gone {
            self.finish_erasures(now).await?;
        }
        Ok(erased)
    }

    /// The same, without its key, which [`Self::finish_erasures`] destroys: for whoever erases many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a database fails.
    pub async fn erase_here(
        &self,
        subject: Subject,
        reason: &str,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        let id = subject.to_string();
        let (table, key, state, own) = subject.kind().place();
        transaction!(self, tx => {
            let sql = format!("select client_id, {key}, {state} from {table} where {key} = $1");
            let row = sqlx::query(AssertSqlSafe(sql)).bind(&id).fetch_optional(&mut tx.0).await?;
            let Some(row) = row else { return Ok(Erased::Unknown) };
            if let Some(hold) = tx.hold_of(&id).await? {
                return Ok(Erased::Held(hold.reason));
            }
            let columns = Columns::new(&row, table, key)?;
            let (client, stands) = (columns.text("client_id")?, columns.text(state)?);
            if !subject.kind().ends().contains(&stands.as_str()) && !self.is_past(subject, now).await? {
                return Ok(Erased::NotOver(stands));
            }
            let sealed = sqlx::query("select * from subject_keys where subject_id = $1");
            if let Some(row) = sealed.bind(&id).fetch_optional(&mut tx.0).await? {
                let columns = Columns::new(&row, "subject_keys", "subject_id")?;
                sqlx::query(
                    "insert into erasures (subject_id, key_id, reason, erased_at) values ($1, $2, $3, $4) \
                     on conflict (subject_id) do update set key_id = $2, reason = $3, erased_at = $4, \
                     destroyed_at = null",
                )
                .bind(&id)
                .bind(columns.text("key_id")?)
                .bind(reason)
                .bind(micros(now))
                .execute(&mut tx.0)
                .await?;
            }
            let own = own.iter().map(|table| (*table, key));
            for (table, column) in OF_ALL.iter().copied().chain(own).chain([(table, key)]) {
                let sql = format!("delete from {table} where {column} = $1");
                sqlx::query(AssertSqlSafe(sql)).bind(&id).execute(&mut tx.0).await?;
            }
            let record = Record {
                at: now,
                region: self.region,
                action: "data.erase",
                is_access: false,
                outcome: Outcome::Success,
                reason: Some(reason),
                client: &client,
                request: None,
                certificate: None,
                consent: None,
                resource: Some(&id),
                institution: None,
                class: None,
                rule: None,
                permission: None,
                psu_present: None,
            };
            tx.audit(&format!("erase {id} {now}"), &record).await?;
            Ok(Erased::Gone)
        })
    }

    /// Whether something that no state ends is over all the same: its time is, or its bank has
    /// said its last word.
    async fn is_past(&self, subject: Subject, now: Timestamp) -> Result<bool, StoreError> {
        let past = match subject {
            Subject::Consent(id) => self.consent(id).await.map(|row| row.is_some_and(|row| row.is_over(now))),
            Subject::Payment(id) => self.payment(id).await.map(|row| row.is_some_and(|row| row.is_final())),
            Subject::Mandate(_) => Ok(false),
        };
        match past {
            // What nobody can read is nobody's.
            Err(StoreError::Locked { .. }) => Ok(true),
            other => other,
        }
    }

    /// Destroys the keys of what was erased. How many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a database fails; the next call goes on.
    pub async fn finish_erasures(&self, now: Timestamp) -> Result<usize, StoreError> {
        let rows = sqlx::query("select * from erasures where destroyed_at is null")
            .fetch_all(self.database.pool())
            .await?;
        let mut keys = Vec::new();
        for row in &rows {
            keys.push(Columns::new(row, "erasures", "subject_id")?.parsed::<DataKeyId>("key_id")?);
        }
        if keys.is_empty() {
            return Ok(0);
        }
        self.vault.destroy(&keys).await?;
        for key in &keys {
            sqlx::query("update erasures set destroyed_at = $2 where key_id = $1")
                .bind(key.to_string())
                .bind(micros(now))
                .execute(self.database.pool())
                .await?;
        }
        Ok(keys.len())
    }

    /// Keeps something whatever its time and whoever asks, until it is released.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it is kept already; [`StoreError::NotFound`] if there is
    /// nothing of this id.
    pub async fn hold(&self, subject: Subject, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = subject.to_string();
        let (table, key, _, _) = subject.kind().place();
        transaction!(self, tx => {
            let sql = format!("select {key} from {table} where {key} = $1");
            let there = sqlx::query(AssertSqlSafe(sql)).bind(&id).fetch_optional(&mut tx.0).await?;
            there.ok_or(StoreError::NotFound)?;
            let done = sqlx::query(
                "insert into legal_holds (subject_id, reason, held_since) values ($1, $2, $3) \
                 on conflict (subject_id) do nothing",
            )
            .bind(&id)
            .bind(reason)
            .bind(micros(now))
            .execute(&mut tx.0)
            .await?;
            crate::rows::exactly_one(&done)?;
            Ok(())
        })
    }

    /// Keeps something no longer than its time.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if it was not kept.
    pub async fn release(&self, subject: Subject) -> Result<(), StoreError> {
        let done = sqlx::query("delete from legal_holds where subject_id = $1")
            .bind(subject.to_string())
            .execute(self.database.pool())
            .await?;
        crate::rows::found(&done)
    }

    /// What must be kept, the longest held first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn holds(&self) -> Result<Vec<LegalHold>, StoreError> {
        let rows = sqlx::query("select * from legal_holds order by held_since, subject_id")
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(hold).collect()
    }

    /// What is over since before an instant and not held, the oldest first, at most `limit` of
    /// a kind.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn over_since(
        &self,
        kind: SubjectKind,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Subject>, StoreError> {
        let (table, key, state, _) = kind.place();
        let ends: Vec<_> = kind.ends().iter().map(|word| format!("'{word}'")).collect();
        let ends = ends.join(", ");
        let sql = format!(
            "select {key} as subject_id from {table} where updated_at < $1 and {state} in ({ends}) \
             and {key} not in (select subject_id from legal_holds) order by updated_at limit $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(micros(before))
            .bind(i64::from(limit))
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(|row| Columns::new(row, table, "subject_id")?.parsed("subject_id")).collect()
    }
}

fn hold(row: &sqlx::any::AnyRow) -> Result<LegalHold, StoreError> {
    let columns = Columns::new(row, "legal_holds", "subject_id")?;
    Ok(LegalHold {
        subject: columns.text("subject_id")?,
        reason: columns.text("reason")?,
        since: columns.time("held_since")?,
    })
}

impl Tx {
    async fn hold_of(&mut self, subject: &str) -> Result<Option<LegalHold>, StoreError> {
        let row = sqlx::query("select * from legal_holds where subject_id = $1")
            .bind(subject)
            .fetch_optional(&mut self.0)
            .await?;
        row.as_ref().map(hold).transpose()
    }
}
