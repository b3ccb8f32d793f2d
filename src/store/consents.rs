//! Consents: the terms asked for, where they stand, and what opens the bank.

use std::fmt;

use domain::{ConsentId, ConsentStatus, Date, InstitutionId, Permission, Timestamp};
use serde::{Deserialize, Serialize};

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text};
use crate::{RegionalStore, StoreError, Tx};

/// What the TPP asked the PSU for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentTerms {
    /// What may be read.
    pub permissions: Vec<Permission>,
    /// More than once?
    pub recurring: bool,
    /// Last day of the consent.
    pub valid_until: Date,
    /// Earliest booking date that may be read.
    pub history_from: Option<Date>,
    /// Accesses a day without the PSU (PSD2 RTS art. 36: at most 4).
    pub frequency_per_day: u8,
    /// The TPP's own name for the consent.
    pub client_reference: Option<String>,
    /// Why it is where it is, where that needs saying.
    pub status_reason: Option<String>,
    /// When the PSU authorised it.
    pub authorized_at: Option<Timestamp>,
}

/// What opens the bank's interface under a consent. Never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct BankAccess {
    /// The bank's own id of the consent.
    pub consent_id: Option<String>,
    /// The PSU's login name at the bank, where its interface wants it.
    pub psu_id: Option<String>,
    /// OAuth access token at the bank.
    pub access_token: Option<String>,
    /// End of the access token's life.
    pub access_token_expires_at: Option<Timestamp>,
    /// OAuth refresh token at the bank.
    pub refresh_token: Option<String>,
}

impl fmt::Debug for BankAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BankAccess(…)")
    }
}

/// A consent as it is kept.
#[derive(Clone, Debug)]
pub struct ConsentRow {
    /// The consent.
    pub id: ConsentId,
    /// TPP it is for.
    pub client_id: String,
    /// Institution, once chosen.
    pub institution: Option<InstitutionId>,
    /// Where it stands.
    pub status: ConsentStatus,
    /// What was asked for.
    pub terms: ConsentTerms,
    /// What opens the bank.
    pub bank: BankAccess,
    /// End of its life.
    pub expires_at: Option<Timestamp>,
    /// When it was lodged.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl ConsentRow {
    /// Whether data may be read under it now.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.status == ConsentStatus::Authorized && self.expires_at.is_none_or(|end| now < end)
    }
}

/// One step in the life of a consent or payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Place in the subject's life, from 1.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// From which status.
    pub from: String,
    /// To which.
    pub to: String,
    /// Who moved it: `client`, `psu`, `institution` or `gateway`.
    pub actor: String,
    /// Why, where that needs saying.
    pub reason: Option<String>,
}

impl RegionalStore {
    /// Finds a consent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consent(&self, id: ConsentId) -> Result<Option<ConsentRow>, StoreError> {
        let row = sqlx::query("select * from consents where consent_id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The steps of a consent or payment, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn changes(&self, subject_id: &str) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query("select * from changes where subject_id = $1 order by sequence")
            .bind(subject_id)
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "changes", "subject_id")?;
                Ok(Change {
                    sequence: columns.number("sequence")?,
                    at: columns.time("at")?,
                    from: columns.text("from_status")?,
                    to: columns.text("to_status")?,
                    actor: columns.text("actor")?,
                    reason: columns.optional_text("reason")?,
                })
            })
            .collect()
    }
}

impl Tx {
    /// Lodges a consent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn lodge_consent(&mut self, consent: &ConsentRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into consents (consent_id, client_id, institution_id, status, terms, bank, \
             expires_at, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(consent.id.to_string())
        .bind(&consent.client_id)
        .bind(consent.institution.as_ref().map(ToString::to_string))
        .bind(consent.status.as_str())
        .bind(json_text(&consent.terms)?)
        .bind(json_text(&consent.bank)?)
        .bind(consent.expires_at.map(micros))
        .bind(micros(consent.created_at))
        .execute(&mut *self.0)
        .await?;
        self.note_change(
            &consent.id.to_string(),
            "",
            consent.status.as_str(),
            "client",
            None,
            consent.created_at,
        )
        .await?;
        Ok(())
    }

    /// Keeps what changed in a consent, provided nobody changed it since the
    /// caller read it, and notes the step if its status moved. Returns the
    /// place of the step in the consent's life.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was changed meanwhile, or if its life has
    /// no such step.
    pub async fn update_consent(
        &mut self,
        was: ConsentStatus,
        consent: &ConsentRow,
        actor: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        if was != consent.status {
            was.step(consent.status).map_err(|_| StoreError::Conflict)?;
        }
        let done = sqlx::query(
            "update consents set status = $3, terms = $4, bank = $5, expires_at = $6, updated_at = $7, \
             institution_id = $8 where consent_id = $1 and status = $2 and updated_at = $9",
        )
        .bind(consent.id.to_string())
        .bind(was.as_str())
        .bind(consent.status.as_str())
        .bind(json_text(&consent.terms)?)
        .bind(json_text(&consent.bank)?)
        .bind(consent.expires_at.map(micros))
        .bind(micros(at))
        .bind(consent.institution.as_ref().map(ToString::to_string))
        .bind(micros(consent.updated_at))
        .execute(&mut *self.0)
        .await?;
        exactly_one(&done)?;
        if was == consent.status {
            return Ok(0);
        }
        let reason = consent.terms.status_reason.as_deref();
        self.note_change(&consent.id.to_string(), was.as_str(), consent.status.as_str(), actor, reason, at)
            .await
    }

    /// Notes one step of a life; returns its place.
    pub(crate) async fn note_change(
        &mut self,
        subject_id: &str,
        from: &str,
        to: &str,
        actor: &str,
        reason: Option<&str>,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "select coalesce(max(sequence), 0) + 1 as next_sequence from changes where subject_id = $1",
        )
        .bind(subject_id)
        .fetch_one(&mut *self.0)
        .await?;
        let sequence: i64 = sqlx::Row::try_get(&row, "next_sequence")?;
        sqlx::query(
            "insert into changes (subject_id, sequence, at, from_status, to_status, actor, reason) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(subject_id)
        .bind(sequence)
        .bind(micros(at))
        .bind(from)
        .bind(to)
        .bind(actor)
        .bind(reason)
        .execute(&mut *self.0)
        .await?;
        Ok(sequence)
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<ConsentRow, StoreError> {
    let columns = Columns::new(row, "consents", "consent_id")?;
    let institution = columns.optional_text("institution_id")?;
    Ok(ConsentRow {
        id: columns.parsed("consent_id")?,
        client_id: columns.text("client_id")?,
        institution: institution.map(|_| columns.parsed("institution_id")).transpose()?,
        status: columns.word("status", ConsentStatus::from_word)?,
        terms: columns.json("terms")?,
        bank: columns.json("bank")?,
        expires_at: columns.optional_time("expires_at")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
