//! Payments. Every step is one conditional update: of two who want to take the
//! same step, one gets [`StoreError::Conflict`].

use std::fmt;

use domain::{InstitutionId, MandateId, Order, PayeeMatch, PaymentId, PaymentState, PaymentType, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::database::micros;
pub use crate::identification::StoredAccount;
use crate::mandates::Draw;
use crate::orders::StoredTerms;
use crate::rows::{Columns, exactly_one, readable};
use crate::vault::Unlocked;
use crate::{RegionalStore, StoreError, Tx};

const TERMS: (&str, &str) = ("payments", "terms");
const BANK: (&str, &str) = ("payments", "bank");
const SEALED: &[&str] = &[TERMS.1, BANK.1];

/// What the TPP ordered, and how it wants the PSU back.
#[derive(Clone, Debug)]
pub struct PaymentTerms {
    /// The order.
    pub order: Order,
    /// Where the PSU's browser goes in the end.
    pub redirect_uri: String,
    /// Opaque value returned with it.
    pub state: Option<String>,
    /// The TPP's own name for the payment.
    pub client_reference: Option<String>,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// What it draws on, for a payment under a mandate.
    pub under: Option<UnderMandate>,
    /// Why it runs on its rail, where the TPP left that to us.
    pub scheme_choice: Option<String>,
    /// First instant of the day whose limit of its client it counts towards, if there is one.
    pub counted_on: Option<Timestamp>,
    /// Whether the payee's name is verified, where the TPP wants that.
    pub payee: Option<PayeeCheck>,
    /// The payment that it refunds.
    pub refund_of: Option<PaymentId>,
}

/// Whether a payee's name is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayeeCheck {
    /// Not yet: before the PSU sees the payment.
    Wanted,
    /// It is.
    Done {
        /// What the payee's bank said.
        result: PayeeMatch,
        /// When.
        at: Timestamp,
    },
}

/// The mandate of a payment, and its part in the mandate's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderMandate {
    /// The mandate.
    pub mandate: MandateId,
    /// Its part in each limit.
    pub draws: Vec<Draw>,
}

/// Why a payment did not come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `VALIDATION`, `CONSENT`, `SCA`, `SUBMISSION`, `EXECUTION` or `SETTLEMENT`.
    pub stage: String,
    /// Our code, as in problem documents.
    pub code: String,
    /// ISO 20022 reason, where the bank gave one.
    pub iso_reason: Option<String>,
    /// `GATEWAY`, `INSTITUTION` or `PSU`.
    pub source: String,
    /// Whether the same order may be tried again.
    pub retryable: bool,
}

/// Why a person must look after a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Our code.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

/// How one transfer of a batch stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferState {
    /// In our words.
    pub state: PaymentState,
    /// ISO 20022 status last reported.
    pub iso_status: Option<String>,
    /// ISO 20022 reason, where the bank gave one.
    pub iso_reason: Option<String>,
}

impl Default for TransferState {
    /// Nothing is known yet.
    fn default() -> Self {
        Self { state: PaymentState::Submitted, iso_status: None, iso_reason: None }
    }
}

/// A cancellation that the PSU must approve at the bank; the order stands until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    /// Address at the bank where approval begins.
    pub link: String,
    /// When the bank said so.
    pub asked_at: Timestamp,
    /// Until when the PSU can approve it.
    pub until: Timestamp,
    /// The PSU was sent to the bank.
    pub begun: bool,
}

/// What the bank knows of a payment. Tokens are never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct BankPayment {
    /// Id of the first request to the bank, kept before it is sent.
    pub lodge_request_id: Option<Uuid>,
    /// Id of the request that submits the order, kept before it is sent.
    pub submit_request_id: Option<Uuid>,
    /// The bank's id of what the PSU approves.
    pub consent_id: Option<String>,
    /// The bank's id of the order.
    pub payment_id: Option<String>,
    /// OAuth access token for this payment.
    pub access_token: Option<String>,
    /// End of its life, if the bank said it.
    pub access_token_expires_at: Option<Timestamp>,
    /// OAuth refresh token for this payment.
    pub refresh_token: Option<String>,
    /// The PSU's login name at the bank, where its interface wants it.
    pub psu_id: Option<String>,
    /// How the PSU approves: where to, or what scope (see `connect::ScaStart`).
    pub sca: Option<serde_json::Value>,
    /// Whether the order is sent after the PSU approved it.
    pub submits_after_sca: bool,
    /// Until when the PSU can approve it apart from the browser, in the bank's app for
    /// example: it is asked for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_apart_until: Option<Timestamp>,
    /// ISO 20022 status last reported.
    pub iso_status: Option<String>,
    /// How often the bank was asked for the status.
    pub polls: u32,
    /// How the transfers of a batch stand, in its order; empty while the bank says nothing of
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferState>,
    /// Since when the bank says nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered_since: Option<Timestamp>,
    /// Account to refund to, where the bank gives it.
    pub refund_account: Option<StoredAccount>,
    /// The bank has it in its books and says no more of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_word: bool,
    /// Its cancellation, where the PSU must approve that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelling: Option<Cancelling>,
    /// What a person who looked at the bank says became of it: whether it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_out: Option<bool>,
    /// Set where nobody can find out here what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Attention>,
}

impl fmt::Debug for BankPayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BankPayment").field("iso_status", &self.iso_status).finish_non_exhaustive()
    }
}

/// A payment as it is kept.
#[derive(Clone, Debug)]
pub struct PaymentRow {
    /// The payment.
    pub id: PaymentId,
    /// TPP that ordered it.
    pub client_id: String,
    /// Institution it is paid from.
    pub institution: InstitutionId,
    /// Where it stands.
    pub state: PaymentState,
    /// What was ordered.
    pub terms: PaymentTerms,
    /// What the bank knows of it.
    pub bank: BankPayment,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the bank is to be asked next; none if nothing is to be asked.
    pub next_poll_at: Option<Timestamp>,
    /// What is refunded of it, in the currency's smallest units; counted by
    /// [`Tx::count_refund`] alone.
    pub refunded: i64,
    /// How often it was changed: what a writer that was overtaken is known by.
    pub revision: i64,
}

impl PaymentRow {
    /// Whether it can be ended here: no bank can execute it without us.
    #[must_use]
    pub fn can_cancel(&self) -> bool {
        self.state.can_cancel(self.bank.submits_after_sca)
    }

    /// Its cancellation, while the PSU can still approve that.
    #[must_use]
    pub fn cancelling(&self, now: Timestamp) -> Option<&Cancelling> {
        self.bank.cancelling.as_ref().filter(|known| !self.is_final() && now < known.until)
    }

    /// Whether nothing more will be known of it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.state.is_final() || self.bank.last_word
    }

    /// What kind of order it is.
    #[must_use]
    pub fn kind(&self) -> PaymentType {
        if self.terms.under.is_some() { PaymentType::Vrp } else { self.terms.order.kind() }
    }
}

/// Which payments.
#[derive(Clone, Debug, Default)]
pub struct PaymentsOf {
    /// Those under a mandate; otherwise a client's.
    pub mandate: Option<MandateId>,
    /// Those that refund a payment.
    pub refunds: Option<PaymentId>,
    /// Whose, where neither is named.
    pub client_id: String,
    /// Those in this state.
    pub state: Option<PaymentState>,
    /// Those at this institution.
    pub institution: Option<InstitutionId>,
}

impl PaymentsOf {
    /// All under a mandate.
    #[must_use]
    pub fn mandate(mandate: MandateId) -> Self {
        Self { mandate: Some(mandate), ..Self::default() }
    }

    /// All that refund a payment.
    #[must_use]
    pub fn refunds(payment: PaymentId) -> Self {
        Self { refunds: Some(payment), ..Self::default() }
    }
}

impl RegionalStore {
    /// Finds a payment.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn payment(&self, id: PaymentId) -> Result<Option<PaymentRow>, StoreError> {
        let row = sqlx::query("select * from payments where payment_id = $1")
            .bind(id.to_string())
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&row, SEALED, read).await?.pop().transpose()
    }

    /// Certain payments, the newest first, after a place in that order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn payments_of(
        &self,
        of: &PaymentsOf,
        after: Option<(Timestamp, PaymentId)>,
        limit: usize,
    ) -> Result<Vec<PaymentRow>, StoreError> {
        let (at, id) = after.map_or((i64::MAX, String::new()), |(at, id)| (micros(at), id.to_string()));
        // Each by an index of its own.
        let (whose, named) = match (of.mandate, of.refunds) {
            (Some(mandate), _) => ("mandate_id = $1", mandate.to_string()),
            (None, Some(payment)) => ("refund_of = $1", payment.to_string()),
            (None, None) => ("client_id = $1", of.client_id.clone()),
        };
        let sql = format!(
            "select * from payments where {whose} \
             and (created_at < $2 or (created_at = $2 and payment_id < $3)) \
             and ($5 = '' or state = $5) and ($6 = '' or institution_id = $6) \
             order by created_at desc, payment_id desc limit $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(named)
            .bind(at)
            .bind(id)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(of.state.map_or("", PaymentState::as_str))
            .bind(of.institution.as_ref().map_or("", |institution| institution.as_str()))
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&rows, SEALED, read).await?.into_iter().collect()
    }

    /// Payments whose bank is to be asked now, oldest first. One that cannot
    /// be read is logged and left out: it must not hold up the others.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn payments_due(&self, now: Timestamp) -> Result<Vec<PaymentRow>, StoreError> {
        let rows =
            sqlx::query("select * from payments where next_poll_at <= $1 order by next_poll_at limit 50")
                .bind(micros(now))
                .fetch_all(self.database.pool())
                .await?;
        Ok(readable(self.vault.read(&rows, SEALED, read).await?.into_iter()))
    }

    /// Payments that a person must look after, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn payments_flagged(&self) -> Result<Vec<PaymentRow>, StoreError> {
        let sql = "select * from payments where flagged = 1 order by created_at, payment_id";
        let rows = sqlx::query(sql).fetch_all(self.database.pool()).await?;
        Ok(readable(self.vault.read(&rows, SEALED, read).await?.into_iter()))
    }

    /// Takes the next poll of a payment for this process: the first to move
    /// `next_poll_at` on has it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if another has it.
    pub async fn lease_poll(&self, payment: &PaymentRow, until: Timestamp) -> Result<(), StoreError> {
        let done =
            sqlx::query("update payments set next_poll_at = $3 where payment_id = $1 and next_poll_at = $2")
                .bind(payment.id.to_string())
                .bind(payment.next_poll_at.map(micros))
                .bind(micros(until))
                .execute(self.database.pool())
                .await?;
        exactly_one(&done)
    }
}

impl Tx {
    /// Records an order that no bank has seen yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn record_payment(&mut self, payment: &PaymentRow) -> Result<(), StoreError> {
        let id = payment.id.to_string();
        let key = self.key_of_new(&id).await?;
        sqlx::query(
            "insert into payments (payment_id, client_id, institution_id, state, terms, bank, created_at, \
             updated_at, next_poll_at, mandate_id, refund_of) \
             values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)",
        )
        .bind(&id)
        .bind(&payment.client_id)
        .bind(payment.institution.to_string())
        .bind(payment.state.as_str())
        .bind(key.seal(TERMS, &id, &StoredTerms::from(&payment.terms))?)
        .bind(key.seal(BANK, &id, &payment.bank)?)
        .bind(micros(payment.created_at))
        .bind(payment.next_poll_at.map(micros))
        .bind(payment.terms.under.as_ref().map(|under| under.mandate.to_string()))
        .bind(payment.terms.refund_of.map(|of| of.to_string()))
        .execute(&mut self.0)
        .await?;
        let accounts = payment.terms.order.accounts();
        self.index(&id, key.index(accounts, payment.bank.psu_id.as_ref())).await?;
        self.note_change(&id, "", payment.state.as_str(), "client", None, payment.created_at).await?;
        Ok(())
    }

    /// Keeps what changed in a payment, provided nobody changed it since the
    /// caller read it, and notes the step if its state moved or it is `flagged` now.
    /// Returns the place of the step in the payment's life; zero if it is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if it stands elsewhere by now, or if its life
    /// has no such step.
    pub async fn update_payment(
        &mut self,
        was: PaymentState,
        payment: &PaymentRow,
        flagged: Option<&Attention>,
        actor: &str,
        at: Timestamp,
    ) -> Result<i64, StoreError> {
        if was != payment.state && !was.may_become(payment.state) {
            return Err(StoreError::Conflict);
        }
        let id = payment.id.to_string();
        let key = self.key_of(&id).await?;
        let done = sqlx::query(
            "update payments set state = $3, terms = $4, bank = $5, next_poll_at = $6, updated_at = $7, \
             revision = revision + 1, bank_consent_id = $9, bank_payment_id = $10, flagged = $11 \
             where payment_id = $1 and state = $2 and revision = $8",
        )
        .bind(&id)
        .bind(was.as_str())
        .bind(payment.state.as_str())
        .bind(key.seal(TERMS, &id, &StoredTerms::from(&payment.terms))?)
        .bind(key.seal(BANK, &id, &payment.bank)?)
        .bind(payment.next_poll_at.map(micros))
        .bind(micros(at))
        .bind(payment.revision)
        .bind(key.bank_id(payment.bank.consent_id.as_ref()))
        .bind(key.bank_id(payment.bank.payment_id.as_ref()))
        .bind(i64::from(payment.bank.attention.is_some() && !payment.is_final()))
        .execute(&mut self.0)
        .await?;
        exactly_one(&done)?;
        let refund = payment.bank.refund_account.as_ref().and_then(StoredAccount::identification);
        self.index(&id, key.index(&refund, payment.bank.psu_id.as_ref())).await?;
        if was == payment.state && flagged.is_none() {
            return Ok(0);
        }
        let failure = payment.terms.failure.as_ref().map(|failure| failure.code.as_str());
        let reason = flagged.map(|attention| attention.code.as_str()).or(failure);
        self.note_change(&id, was.as_str(), payment.state.as_str(), actor, reason, at).await
    }
}

fn read(row: &AnyRow, keys: &Unlocked) -> Result<PaymentRow, StoreError> {
    let columns = Columns::new(row, "payments", "payment_id")?;
    let stored: StoredTerms = columns.sealed_json("terms", keys)?;
    let corrupt = |id| StoreError::Corrupt { table: "payments", column: "terms", id };
    Ok(PaymentRow {
        id: columns.parsed("payment_id")?,
        client_id: columns.text("client_id")?,
        institution: columns.parsed("institution_id")?,
        state: columns.word("state", PaymentState::from_word)?,
        terms: stored.terms().ok_or_else(|| corrupt(columns.text("payment_id").unwrap_or_default()))?,
        bank: columns.sealed_json("bank", keys)?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
        revision: columns.number("revision")?,
        next_poll_at: columns.optional_time("next_poll_at")?,
        refunded: columns.number("refunded")?,
    })
}
