//! Consents: the terms asked for, where they stand, and what opens the bank.

use std::fmt;

use domain::{
    AccountIdentification, ConsentId, ConsentKind, ConsentStatus, Date, ExpirySource, InstitutionId,
    Permission, SuspensionCause, Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::database::micros;
use crate::rows::{Columns, exactly_one, json_text, readable};
use crate::vault::Unlocked;
use crate::{RegionalStore, StoreError, Tx};

const TERMS: (&str, &str) = ("consents", "terms");
const BANK: (&str, &str) = ("consents", "bank");
pub(crate) const SEALED: [&str; 2] = [TERMS.1, BANK.1];

/// What the TPP asked the PSU for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentTerms {
    /// What may be read; nothing, where funds are asked about.
    pub permissions: Vec<Permission>,
    /// The account whose funds are asked about; none where accounts are read.
    #[serde(default, with = "crate::identification")]
    pub funds_of: Option<AccountIdentification>,
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

impl ConsentTerms {
    /// What it is a consent to.
    #[must_use]
    pub fn kind(&self) -> ConsentKind {
        match self.funds_of {
            Some(_) => ConsentKind::FundsConfirmation,
            None => ConsentKind::AccountInformation,
        }
    }
}

/// How many have approved, where the bank wants more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisations {
    /// How many must, as far as the bank says.
    pub required: u8,
    /// How many have, as far as the bank says.
    pub received: u8,
}

/// What has become of a consent since it was lodged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsentLife {
    /// Whose word its end is.
    pub expires_at_source: ExpirySource,
    /// The TPP must have confirmed by then that the PSU wants to go on.
    pub reconfirm_by: Option<Timestamp>,
    /// When the TPP last did.
    pub last_reconfirmed_at: Option<Timestamp>,
    /// What stops it.
    pub suspended_for: Option<SuspensionCause>,
    /// Who has approved, where one is not enough.
    pub authorisations: Option<Authorisations>,
    /// The consent that this one takes the place of.
    pub renews: Option<ConsentId>,
    /// The consent that took its place.
    pub superseded_by: Option<ConsentId>,
    /// When the TPP is told that it ends soon; none where there is nothing to tell.
    pub expiring_at: Option<Timestamp>,
    /// When the TPP is told that it must confirm soon; the same.
    pub reconfirm_due_at: Option<Timestamp>,
    /// When the bank is asked how it stands there.
    pub ask_bank_at: Option<Timestamp>,
    /// The checks that were weaker when the PSU gave it, as the bank's profile allows.
    pub checks_relaxed: Vec<String>,
}

impl Default for ConsentLife {
    fn default() -> Self {
        Self {
            expires_at_source: ExpirySource::Requested,
            reconfirm_by: None,
            last_reconfirmed_at: None,
            suspended_for: None,
            authorisations: None,
            renews: None,
            superseded_by: None,
            expiring_at: None,
            reconfirm_due_at: None,
            ask_bank_at: None,
            checks_relaxed: Vec::new(),
        }
    }
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
    /// What has become of it.
    pub life: ConsentLife,
    /// Whose it is, under a name that only the hosted pages can make.
    pub psu_digest: Option<String>,
    /// End of its life.
    pub expires_at: Option<Timestamp>,
    /// When it was lodged.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often it was changed.
    pub revision: i64,
}

impl ConsentRow {
    /// Whether data may be read under it now.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.status == ConsentStatus::Authorized && !self.is_over(now) && !self.is_overdue(now)
    }

    /// Whether it is past its end.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the TPP should have confirmed it by now.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.life.reconfirm_by.is_some_and(|end| end <= now)
    }

    /// When somebody must look at it again.
    fn next_step_at(&self) -> Option<Timestamp> {
        if self.status.is_final() {
            return None;
        }
        let reconfirm_by = self.life.reconfirm_by.filter(|_| self.status == ConsentStatus::Authorized);
        let steps = [
            self.expires_at,
            reconfirm_by,
            self.life.expiring_at,
            self.life.reconfirm_due_at,
            self.life.ask_bank_at,
        ];
        steps.into_iter().flatten().min()
    }
}

/// Who changes a consent, and why.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// `client`, `psu`, `institution`, `gateway` or `operator`.
    pub actor: &'a str,
    /// Why. A change with a reason is noted even where the status stays.
    pub reason: Option<&'a str>,
    /// The rule that permits it, for the audit log.
    pub rule: Option<&'a str>,
}

impl<'a> Note<'a> {
    /// A change that explains itself.
    #[must_use]
    pub fn by(actor: &'a str) -> Self {
        Self { actor, reason: None, rule: None }
    }

    /// A change that needs saying why.
    #[must_use]
    pub fn because(actor: &'a str, reason: &'a str) -> Self {
        Self { actor, reason: Some(reason), rule: None }
    }

    /// The same, as a rule permits.
    #[must_use]
    pub fn under(self, rule: Option<&'a str>) -> Self {
        Self { rule, ..self }
    }
}

/// Which consents of a client are listed.
#[derive(Clone, Debug, Default)]
pub struct ConsentFilter {
    /// Only those of this kind.
    pub kind: Option<ConsentKind>,
    /// Only those that stand there.
    pub status: Option<ConsentStatus>,
    /// Only those at this institution.
    pub institution: Option<InstitutionId>,
    /// Only those lodged before this one.
    pub before: Option<(Timestamp, ConsentId)>,
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
    /// Who moved it: `client`, `psu`, `institution`, `gateway` or `operator`.
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
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&row, &SEALED, read).await?.pop().transpose()
    }

    /// Consents of a client, the newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consents_of_client(
        &self,
        client_id: &str,
        filter: &ConsentFilter,
        limit: usize,
    ) -> Result<Vec<ConsentRow>, StoreError> {
        let before = filter.before.map_or(i64::MAX, |(at, _)| micros(at));
        let rows = sqlx::query(
            "select * from consents where client_id = $1 and ($2 = '' or status = $2) \
             and ($3 = '' or institution_id = $3) \
             and (created_at < $4 or (created_at = $4 and consent_id < $5)) \
             and ($7 = '' or kind = $7) order by created_at desc, consent_id desc limit $6",
        )
        .bind(client_id)
        .bind(filter.status.map_or("", ConsentStatus::as_str))
        .bind(filter.institution.as_ref().map_or("", InstitutionId::as_str))
        .bind(before)
        .bind(filter.before.map(|(_, id)| id.to_string()).unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(filter.kind.map_or("", ConsentKind::as_str))
        .fetch_all(self.database.pool())
        .await?;
        self.vault.read(&rows, &SEALED, read).await?.into_iter().collect()
    }

    /// Consents that a person gave, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consents_of_psu(&self, psu_digest: &str) -> Result<Vec<ConsentRow>, StoreError> {
        let rows = sqlx::query("select * from consents where psu_digest = $1 order by created_at desc")
            .bind(psu_digest)
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&rows, &SEALED, read).await?.into_iter().collect()
    }

    /// Consents that somebody must look at now, the longest due first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consents_due(&self, now: Timestamp) -> Result<Vec<ConsentRow>, StoreError> {
        let rows =
            sqlx::query("select * from consents where next_step_at <= $1 order by next_step_at limit 200")
                .bind(micros(now))
                .fetch_all(self.database.pool())
                .await?;
        Ok(readable(self.vault.read(&rows, &SEALED, read).await?.into_iter()))
    }

    /// Takes a consent for this process until `until`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another has it, or if it changed meanwhile.
    pub async fn lease_consent(
        &self,
        consent: &ConsentRow,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update consents set next_step_at = $4 \
             where consent_id = $1 and revision = $2 and next_step_at <= $3",
        )
        .bind(consent.id.to_string())
        .bind(consent.revision)
        .bind(micros(now))
        .bind(micros(until))
        .execute(self.database.pool())
        .await?;
        exactly_one(&done)
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
        let id = consent.id.to_string();
        let key = self.key_of_new(&id).await?;
        sqlx::query(
            "insert into consents (consent_id, client_id, institution_id, status, terms, bank, \
             expires_at, created_at, updated_at, life, next_step_at, kind) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)",
        )
        .bind(&id)
        .bind(&consent.client_id)
        .bind(consent.institution.as_ref().map(ToString::to_string))
        .bind(consent.status.as_str())
        .bind(key.seal(TERMS, &id, &consent.terms)?)
        .bind(key.seal(BANK, &id, &consent.bank)?)
        .bind(consent.expires_at.map(micros))
        .bind(micros(consent.created_at))
        .bind(json_text(&consent.life)?)
        .bind(consent.next_step_at().map(micros))
        .bind(consent.terms.kind().as_str())
        .execute(&mut self.0)
        .await?;
        self.index(&id, key.index(&consent.terms.funds_of, consent.bank.psu_id.as_ref())).await?;
        self.note_change(&id, "", consent.status.as_str(), "client", None, consent.created_at).await?;
        Ok(())
    }

    /// Keeps what changed in a consent, provided nobody changed it since the
    /// caller read it, and notes the step if its status moved or the note says
    /// why. Returns the place of the step in the consent's life, 0 for none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was changed meanwhile, or if its life has
    /// no such step.
    pub async fn update_consent(
        &mut self,
        was: ConsentStatus,
        consent: &ConsentRow,
        note: Note<'_>,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        if was != consent.status {
            was.step(consent.status).map_err(|_| StoreError::Conflict)?;
        }
        let id = consent.id.to_string();
        let key = self.key_of(&id).await?;
        let done = sqlx::query(
            "update consents set status = $3, terms = $4, bank = $5, expires_at = $6, updated_at = $7, \
             institution_id = $8, life = $10, psu_digest = $11, next_step_at = $12, \
             bank_consent_id = $13, revision = revision + 1 where consent_id = $1 and status = $2 and revision = $9",
        )
        .bind(&id)
        .bind(was.as_str())
        .bind(consent.status.as_str())
        .bind(key.seal(TERMS, &id, &consent.terms)?)
        .bind(key.seal(BANK, &id, &consent.bank)?)
        .bind(consent.expires_at.map(micros))
        .bind(micros(at))
        .bind(consent.institution.as_ref().map(ToString::to_string))
        .bind(consent.revision)
        .bind(json_text(&consent.life)?)
        .bind(&consent.psu_digest)
        .bind(consent.next_step_at().map(micros))
        .bind(key.bank_id(consent.bank.consent_id.as_ref()))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)?;
        self.2.note(consent.id);
        self.index(&id, key.index(None, consent.bank.psu_id.as_ref())).await?;
        if was == consent.status && note.reason.is_none() {
            return Ok(0);
        }
        let (from, to) = (was.as_str(), consent.status.as_str());
        self.note_change(&id, from, to, note.actor, note.reason, at).await
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
            "insert into changes (subject_id, sequence, at, from_status, to_status, actor, reason) \
             values ($1, (select coalesce(max(sequence), 0) + 1 from changes where subject_id = $1), \
             $2, $3, $4, $5, $6) returning sequence",
        )
        .bind(subject_id)
        .bind(micros(at))
        .bind(from)
        .bind(to)
        .bind(actor)
        .bind(reason)
        .fetch_one(&mut self.0)
        .await?;
        Ok(sqlx::Row::try_get(&row, "sequence")?)
    }
}

pub(crate) fn read(row: &AnyRow, keys: &Unlocked) -> Result<ConsentRow, StoreError> {
    let columns = Columns::new(row, "consents", "consent_id")?;
    let institution = columns.optional_text("institution_id")?;
    Ok(ConsentRow {
        id: columns.parsed("consent_id")?,
        client_id: columns.text("client_id")?,
        institution: institution.map(|_| columns.parsed("institution_id")).transpose()?,
        status: columns.word("status", ConsentStatus::from_word)?,
        terms: columns.sealed_json("terms", keys)?,
        bank: columns.sealed_json("bank", keys)?,
        life: columns.json("life")?,
        psu_digest: columns.optional_text("psu_digest")?,
        expires_at: columns.optional_time("expires_at")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
        revision: columns.number("revision")?,
    })
}
