//! What banks said has changed (notices): which of our consents, payments and mandates to
//! ask about. What a bank said of them is not kept.

use domain::{InstitutionId, Timestamp};

use crate::database::micros;
use crate::rows::{Columns, exactly_one, readable};
use crate::vault::BANK_ID;
use crate::{RegionalStore, StoreError, Tx};

/// A bank's word that something of ours has changed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The bank.
    pub institution: InstitutionId,
    /// Its name of the token that said so (`jti`); empty where there was none.
    pub token: String,
    /// Id of the consent, payment or mandate; empty where it is none of ours.
    pub subject: String,
    /// When the bank is asked; none once it was.
    pub due_at: Option<Timestamp>,
    /// How often it was asked in vain.
    pub attempts: i64,
    /// Until when the same token is known again.
    pub expires_at: Timestamp,
}

impl RegionalStore {
    /// Ids of what a bank calls by this name: consents, payments, mandates.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn named_at_bank(
        &self,
        institution: &InstitutionId,
        bank_id: &str,
    ) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "select consent_id as subject_id from consents \
             where institution_id = $1 and bank_consent_id = $2 \
             union select payment_id from payments where institution_id = $1 and bank_consent_id = $2 \
             union select payment_id from payments where institution_id = $1 and bank_payment_id = $2 \
             union select mandate_id from mandates where institution_id = $1 and bank_consent_id = $2",
        )
        .bind(institution.as_str())
        .bind(self.vault.blind_index(BANK_ID, bank_id))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter().map(|row| Columns::new(row, "bank_notices", "subject_id")?.text("subject_id")).collect()
    }

    /// Notices of which the bank is to be asked now, the longest due first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn notices_due(&self, now: Timestamp) -> Result<Vec<Notice>, StoreError> {
        let rows = sqlx::query("select * from bank_notices where due_at <= $1 order by due_at limit 50")
            .bind(micros(now))
            .fetch_all(self.database.pool())
            .await?;
        Ok(readable(rows.iter().map(read)))
    }

    /// Moves a notice on: the first to do so has it until then. With `due_at` it is asked
    /// about again then, without it never.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] if somebody else has moved it, or the bank has said it again.
    pub async fn move_notice(
        &self,
        notice: &Notice,
        due_at: Option<Timestamp>,
        attempts: i64,
    ) -> Result<(), StoreError> {
        let done = sqlx::query(
            "update bank_notices set due_at = $5, attempts = $6 \
             where institution_id = $1 and token_id = $2 and subject_id = $3 and due_at = $4",
        )
        .bind(notice.institution.as_str())
        .bind(&notice.token)
        .bind(&notice.subject)
        .bind(notice.due_at.map(micros))
        .bind(due_at.map(micros))
        .bind(attempts)
        .execute(self.database.pool())
        .await?;
        exactly_one(&done)
    }

    /// What a token of a bank's said, if it is known.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn notices_of(
        &self,
        institution: &InstitutionId,
        token: &str,
    ) -> Result<Vec<Notice>, StoreError> {
        let rows = sqlx::query("select * from bank_notices where institution_id = $1 and token_id = $2")
            .bind(institution.as_str())
            .bind(token)
            .fetch_all(self.database.pool())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Forgets notices whose tokens nobody takes any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn forget_notices(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from bank_notices where expires_at < $1")
            .bind(micros(now))
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}

impl Tx {
    /// Keeps a notice. False if the same token said the same before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn keep_notice(&mut self, notice: &Notice) -> Result<bool, StoreError> {
        self.put_notice(notice, "do nothing").await
    }

    /// Keeps a notice that has no token; one that was there is due as this one is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn renew_notice(&mut self, notice: &Notice) -> Result<(), StoreError> {
        let renewed = "do update set due_at = excluded.due_at, attempts = excluded.attempts, \
                       expires_at = excluded.expires_at";
        self.put_notice(notice, renewed).await.map(|_| ())
    }

    async fn put_notice(&mut self, notice: &Notice, known: &'static str) -> Result<bool, StoreError> {
        let sql = format!(
            "insert into bank_notices (institution_id, token_id, subject_id, due_at, attempts, expires_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (institution_id, token_id, subject_id) {known}"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(notice.institution.as_str())
            .bind(&notice.token)
            .bind(&notice.subject)
            .bind(notice.due_at.map(micros))
            .bind(notice.attempts)
            .bind(micros(notice.expires_at))
            .execute(&mut self.0)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<Notice, StoreError> {
    let columns = Columns::new(row, "bank_notices", "subject_id")?;
    Ok(Notice {
        institution: columns.parsed("institution_id")?,
        token: columns.text("token_id")?,
        subject: columns.text("subject_id")?,
        due_at: columns.optional_time("due_at")?,
        attempts: columns.number("attempts")?,
        expires_at: columns.time("expires_at")?,
    })
}
