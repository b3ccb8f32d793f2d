//! Mandates, and what was paid under each in every period of its limits.

use domain::{
    Alignment, InstitutionId, MandateConstraints, MandateId, MandateOrder, MandateScheme, MandateStatus,
    Money, Period, PeriodicLimit, Pii, RemittanceInformation, Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::consents::BankAccess;
use crate::database::micros;
use crate::payments::StoredAccount;
use crate::rows::{Columns, exactly_one, readable};
use crate::vault::Unlocked;
use crate::{RegionalStore, StoreError, Tx};

const TERMS: (&str, &str) = ("mandates", "terms");
const BANK: (&str, &str) = ("mandates", "bank");
const SEALED: &[&str] = &[TERMS.1, BANK.1];

/// What the TPP wants, and how it wants the PSU back.
#[derive(Clone, Debug)]
pub struct MandateTerms {
    /// The mandate.
    pub order: MandateOrder,
    /// Where the PSU's browser goes in the end.
    pub redirect_uri: String,
    /// Opaque value returned with it.
    pub state: Option<String>,
    /// The TPP's own name for the mandate.
    pub client_reference: Option<String>,
    /// Why it is where it is, where that needs saying.
    pub status_reason: Option<String>,
    /// When it began at the bank: its periods are counted from that day.
    pub began_at: Option<Timestamp>,
    /// When the PSU authorised it.
    pub authorized_at: Option<Timestamp>,
}

/// A mandate as it is kept.
#[derive(Clone, Debug)]
pub struct MandateRow {
    /// The mandate.
    pub id: MandateId,
    /// TPP that it is for.
    pub client_id: String,
    /// Institution it is paid from.
    pub institution: InstitutionId,
    /// Where it stands.
    pub status: MandateStatus,
    /// What was asked for.
    pub terms: MandateTerms,
    /// What opens the bank.
    pub bank: BankAccess,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it is to be looked at again.
    pub next_step_at: Option<Timestamp>,
    /// How often it was changed.
    pub revision: i64,
}

impl MandateRow {
    /// When its periods began.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.terms.began_at.unwrap_or(self.created_at)
    }
}

/// One payment's part in one period of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Place of the limit in its mandate.
    pub place: i64,
    /// First instant of the period.
    pub window_start: Timestamp,
}

impl Draw {
    /// The place of the number of payments, which is no periodic limit.
    const COUNT: i64 = -1;

    /// A payment's part in the number of payments under a mandate that began then: one.
    #[must_use]
    pub fn of_count(began: Timestamp) -> Self {
        Self { place: Self::COUNT, window_start: began }
    }

    /// What a payment of this many smallest units drew here.
    fn units(self, amount: i64) -> i64 {
        if self.place == Self::COUNT { 1 } else { amount }
    }
}

impl RegionalStore {
    /// Finds a mandate.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn mandate(&self, id: MandateId) -> Result<Option<MandateRow>, StoreError> {
        let row = sqlx::query("select * from mandates where mandate_id = $1")
            .bind(id.to_string())
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&row, SEALED, read).await?.pop().transpose()
    }

    /// Mandates of a client, the newest first, after a place in that order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn mandates(
        &self,
        client_id: &str,
        after: Option<(Timestamp, MandateId)>,
        limit: usize,
    ) -> Result<Vec<MandateRow>, StoreError> {
        let (at, id) = after.map_or((i64::MAX, String::new()), |(at, id)| (micros(at), id.to_string()));
        let rows = sqlx::query(
            "select * from mandates where client_id = $1 \
             and (created_at < $2 or (created_at = $2 and mandate_id < $3)) \
             order by created_at desc, mandate_id desc limit $4",
        )
        .bind(client_id)
        .bind(at)
        .bind(id)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.database.pool())
        .await?;
        self.vault.read(&rows, SEALED, read).await?.into_iter().collect()
    }

    /// Mandates to be looked at now, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn mandates_due(&self, now: Timestamp) -> Result<Vec<MandateRow>, StoreError> {
        let rows =
            sqlx::query("select * from mandates where next_step_at <= $1 order by next_step_at limit 50")
                .bind(micros(now))
                .fetch_all(self.database.pool())
                .await?;
        Ok(readable(self.vault.read(&rows, SEALED, read).await?.into_iter()))
    }

    /// Takes the next look at a mandate for this process: the first to move it on
    /// has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another has it.
    pub async fn lease_mandate(&self, mandate: &MandateRow, until: Timestamp) -> Result<(), StoreError> {
        let done =
            sqlx::query("update mandates set next_step_at = $3 where mandate_id = $1 and next_step_at = $2")
                .bind(mandate.id.to_string())
                .bind(mandate.next_step_at.map(micros))
                .bind(micros(until))
                .execute(self.database.pool())
                .await?;
        exactly_one(&done)
    }

    /// What was drawn in one period of a limit, in smallest units, or how many payments
    /// count.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn drawn(&self, id: MandateId, draw: Draw) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "select used, mandate_id from mandate_usage \
             where mandate_id = $1 and place = $2 and window_start = $3",
        )
        .bind(id.to_string())
        .bind(draw.place)
        .bind(micros(draw.window_start))
        .fetch_optional(self.database.pool())
        .await?;
        row.map_or(Ok(0), |row| Columns::new(&row, "mandate_usage", "mandate_id")?.number("used"))
    }
}

impl Tx {
    /// Records a mandate that no bank has seen yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn record_mandate(&mut self, mandate: &MandateRow) -> Result<(), StoreError> {
        let id = mandate.id.to_string();
        let key = self.key_of_new(&id).await?;
        sqlx::query(
            "insert into mandates (mandate_id, client_id, institution_id, status, terms, bank, created_at, \
             updated_at, next_step_at) values ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
        )
        .bind(&id)
        .bind(&mandate.client_id)
        .bind(mandate.institution.to_string())
        .bind(mandate.status.as_str())
        .bind(key.seal(TERMS, &id, &StoredTerms::from(&mandate.terms))?)
        .bind(key.seal(BANK, &id, &mandate.bank)?)
        .bind(micros(mandate.created_at))
        .bind(mandate.next_step_at.map(micros))
        .execute(&mut self.0)
        .await?;
        let payee = [&mandate.terms.order.creditor_account];
        self.index(&id, key.index(payee, mandate.bank.psu_id.as_ref())).await?;
        self.note_change(&id, "", mandate.status.as_str(), "client", None, mandate.created_at).await?;
        Ok(())
    }

    /// Keeps what changed in a mandate, provided nobody changed it since the caller
    /// read it, and notes the step if its status moved. Returns the place of the
    /// step in the mandate's life, 0 for none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it was changed meanwhile, or if its life has no
    /// such step.
    pub async fn update_mandate(
        &mut self,
        was: MandateStatus,
        mandate: &MandateRow,
        actor: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        if was != mandate.status && !was.may_become(mandate.status) {
            return Err(StoreError::Conflict);
        }
        let id = mandate.id.to_string();
        let key = self.key_of(&id).await?;
        let done = sqlx::query(
            "update mandates set status = $3, terms = $4, bank = $5, next_step_at = $6, updated_at = $7, \
             bank_consent_id = $9, revision = revision + 1 where mandate_id = $1 and status = $2 and revision = $8",
        )
        .bind(&id)
        .bind(was.as_str())
        .bind(mandate.status.as_str())
        .bind(key.seal(TERMS, &id, &StoredTerms::from(&mandate.terms))?)
        .bind(key.seal(BANK, &id, &mandate.bank)?)
        .bind(mandate.next_step_at.map(micros))
        .bind(micros(at))
        .bind(mandate.revision)
        .bind(key.bank_id(mandate.bank.consent_id.as_ref()))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)?;
        self.index(&id, key.index(None, mandate.bank.psu_id.as_ref())).await?;
        if was == mandate.status {
            return Ok(0);
        }
        let reason = mandate.terms.status_reason.as_deref();
        self.note_change(&id, was.as_str(), mandate.status.as_str(), actor, reason, at).await
    }

    /// Counts a payment under a mandate that is in force. Payments of one mandate
    /// wait for each other here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it is not in force.
    pub async fn use_mandate(&mut self, id: MandateId) -> Result<(), StoreError> {
        let done =
            sqlx::query("update mandates set payments = payments + 1 where mandate_id = $1 and status = $2")
                .bind(id.to_string())
                .bind(MandateStatus::Authorized.as_str())
                .execute(&mut self.0)
                .await?;
        exactly_one(&done)
    }

    /// Draws an amount in one period of a limit, in smallest units, unless more than
    /// `most` would be drawn then: one statement, so that of two who would together
    /// exceed it one gets nothing. What is drawn after it; `None` if it is too much.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn draw(
        &mut self,
        id: MandateId,
        draw: Draw,
        units: i64,
        most: i64,
    ) -> Result<Option<i64>, StoreError> {
        if units > most {
            return Ok(None);
        }
        let row = sqlx::query(
            "insert into mandate_usage (mandate_id, place, window_start, used) values ($1, $2, $3, $4) \
             on conflict (mandate_id, place, window_start) \
             do update set used = mandate_usage.used + excluded.used \
             where mandate_usage.used + excluded.used <= $5 \
             returning mandate_id, used",
        )
        .bind(id.to_string())
        .bind(draw.place)
        .bind(micros(draw.window_start))
        .bind(units)
        .bind(most)
        .fetch_optional(&mut self.0)
        .await?;
        row.map(|row| Columns::new(&row, "mandate_usage", "mandate_id")?.number("used")).transpose()
    }

    /// Notes that a client is told that a limit nears; returns the place in the
    /// mandate's life.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn note_nearing(&mut self, mandate: &MandateRow, at: Timestamp) -> Result<i64, StoreError> {
        let (id, status) = (mandate.id.to_string(), mandate.status.as_str());
        self.note_change(&id, status, status, "gateway", Some("limit-nearing"), at).await
    }

    /// Gives back what a payment of `units` drew that was not executed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn give_back(&mut self, id: MandateId, draw: Draw, units: i64) -> Result<(), StoreError> {
        sqlx::query(
            "update mandate_usage set used = used - $4 \
             where mandate_id = $1 and place = $2 and window_start = $3 and used >= $4",
        )
        .bind(id.to_string())
        .bind(draw.place)
        .bind(micros(draw.window_start))
        .bind(draw.units(units))
        .execute(&mut self.0)
        .await?;
        Ok(())
    }
}

fn read(row: &AnyRow, keys: &Unlocked) -> Result<MandateRow, StoreError> {
    let columns = Columns::new(row, "mandates", "mandate_id")?;
    let stored: StoredTerms = columns.sealed_json("terms", keys)?;
    let corrupt = |id| StoreError::Corrupt { table: "mandates", column: "terms", id };
    Ok(MandateRow {
        id: columns.parsed("mandate_id")?,
        client_id: columns.text("client_id")?,
        institution: columns.parsed("institution_id")?,
        status: columns.word("status", MandateStatus::from_word)?,
        terms: stored.terms().ok_or_else(|| corrupt(columns.text("mandate_id").unwrap_or_default()))?,
        bank: columns.sealed_json("bank", keys)?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
        next_step_at: columns.optional_time("next_step_at")?,
        revision: columns.number("revision")?,
    })
}

/// [`MandateTerms`] as JSON. Reading parses again, so a row that was tampered with
/// does not become a mandate.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredTerms {
    scheme: MandateScheme,
    currency: String,
    max_per_payment: String,
    limits: Vec<StoredLimit>,
    #[serde(default)]
    max_count: Option<u32>,
    valid_from: Option<Timestamp>,
    valid_to: Option<Timestamp>,
    creditor_name: Pii<String>,
    creditor_account: StoredAccount,
    unstructured: Option<Pii<String>>,
    reference: Option<Pii<String>>,
    redirect_uri: String,
    state: Option<String>,
    client_reference: Option<String>,
    status_reason: Option<String>,
    began_at: Option<Timestamp>,
    authorized_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredLimit {
    period: Period,
    alignment: Alignment,
    amount: String,
}

impl From<&MandateTerms> for StoredTerms {
    fn from(terms: &MandateTerms) -> Self {
        let (order, constraints) = (&terms.order, &terms.order.constraints);
        let limit = |limit: &PeriodicLimit| StoredLimit {
            period: limit.period(),
            alignment: limit.alignment(),
            amount: limit.max_amount().amount_text(),
        };
        Self {
            scheme: order.scheme,
            currency: constraints.max_per_payment.currency().to_string(),
            max_per_payment: constraints.max_per_payment.amount_text(),
            limits: constraints.periodic_limits.iter().map(limit).collect(),
            max_count: constraints.max_count,
            valid_from: constraints.valid_from,
            valid_to: constraints.valid_to,
            creditor_name: order.creditor_name.clone(),
            creditor_account: StoredAccount::from(&order.creditor_account),
            unstructured: order.remittance.unstructured.clone(),
            reference: order.remittance.reference.clone(),
            redirect_uri: terms.redirect_uri.clone(),
            state: terms.state.clone(),
            client_reference: terms.client_reference.clone(),
            status_reason: terms.status_reason.clone(),
            began_at: terms.began_at,
            authorized_at: terms.authorized_at,
        }
    }
}

impl StoredTerms {
    fn terms(self) -> Option<MandateTerms> {
        let currency = self.currency.parse().ok()?;
        let limits = self.limits.into_iter().map(|limit| {
            let amount = Money::parse(&limit.amount, currency).ok()?;
            PeriodicLimit::new(limit.period, limit.alignment, amount).ok()
        });
        let order = MandateOrder {
            scheme: self.scheme,
            constraints: MandateConstraints {
                valid_from: self.valid_from,
                valid_to: self.valid_to,
                max_per_payment: Money::parse(&self.max_per_payment, currency).ok()?,
                periodic_limits: limits.collect::<Option<_>>()?,
                max_count: self.max_count,
            },
            creditor_name: self.creditor_name,
            creditor_account: self.creditor_account.identification()?,
            remittance: RemittanceInformation { unstructured: self.unstructured, reference: self.reference },
        };
        Some(MandateTerms {
            order,
            redirect_uri: self.redirect_uri,
            state: self.state,
            client_reference: self.client_reference,
            status_reason: self.status_reason,
            began_at: self.began_at,
            authorized_at: self.authorized_at,
        })
    }
}
