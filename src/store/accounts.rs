//! Which resource of a bank an account is. No name, number or balance is kept.

use std::sync::Arc;

use domain::{AccountId, AccountIdentification, ConsentId, ConsentStatus, Date};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::consents::{self, ConsentRow};
use crate::rows::Columns;
use crate::vault::Unlocked;
use crate::{RegionalStore, StoreError, transaction};

/// An account under a consent, by the bank's name of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLink {
    /// The account.
    pub account: AccountId,
    /// The bank's name of the resource.
    pub resource_id: String,
}

/// A consent, and what else a read under it begins with.
#[derive(Clone, Debug)]
pub struct ConsentToRead {
    /// The consent.
    pub consent: ConsentRow,
    /// The accounts seen under it.
    pub accounts: Vec<AccountLink>,
    /// As [`RegionalStore::unattended_calls`] has it, of this day.
    pub unattended: i64,
    /// Which day.
    pub day: Date,
}

impl RegionalStore {
    /// The same as [`consent_to_read`](Self::consent_to_read), as it was some seconds ago, if it was asked
    /// then. This process has not changed it since; another one may have, which is found out when the read
    /// is noted.
    #[must_use]
    pub fn recent_consent(&self, id: ConsentId, day: Date) -> Option<Arc<ConsentToRead>> {
        self.recent.get(id).filter(|recent| recent.day == day)
    }

    /// A consent with the accounts seen under it and its accesses without the PSU on a day, in one question:
    /// each costs as much as the rest of a read.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn consent_to_read(
        &self,
        id: ConsentId,
        day: Date,
    ) -> Result<Option<Arc<ConsentToRead>>, StoreError> {
        let before = self.recent.before();
        let rows = sqlx::query(
            "select c.*, l.account_id, l.resource_id, \
             (select coalesce(max(used), 0) from unattended_accesses u \
             where u.consent_id = c.consent_id and u.day >= $2) as used \
             from consents c left join account_links l on l.consent_id = c.consent_id \
             where c.consent_id = $1 order by l.account_id",
        )
        .bind(id.to_string())
        .bind(day.to_string())
        .fetch_all(self.database.pool())
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let [terms, bank] = consents::SEALED;
        let keys = self.vault.unlock(&rows, &[terms, bank, "resource_id"]).await?;
        let consent = consents::read(first, &keys)?;
        let unattended = Row::try_get(first, "used")?;
        let seen =
            rows.iter().filter(|row| !matches!(row.try_get::<Option<&str>, _>("account_id"), Ok(None)));
        let accounts = seen.map(|row| link(row, &keys)).collect::<Result<_, _>>()?;
        let found = Arc::new(ConsentToRead { consent, accounts, unattended, day });
        if found.consent.status == ConsentStatus::Authorized {
            self.recent.keep(before, &found);
        }
        Ok(Some(found))
    }

    /// The accounts seen under a consent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn account_links(&self, consent: ConsentId) -> Result<Vec<AccountLink>, StoreError> {
        let rows = sqlx::query("select * from account_links where consent_id = $1 order by account_id")
            .bind(consent.to_string())
            .fetch_all(self.database.pool())
            .await?;
        self.vault.read(&rows, &["resource_id"], link).await?.into_iter().collect()
    }

    /// Remembers the accounts seen under a consent, which is found by their numbers from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn link_accounts(
        &self,
        consent: ConsentId,
        links: &[AccountLink],
        numbers: &[AccountIdentification],
    ) -> Result<(), StoreError> {
        // What is linked already is linked the same.
        transaction!(keyed self, tx => {
            tx.2.note(consent);
            let subject = consent.to_string();
            let key = tx.key_of(&subject).await?;
            tx.index(&subject, key.index(numbers, None)).await?;
            for link in links {
                let account = link.account.to_string();
                sqlx::query(
                    "insert into account_links (consent_id, account_id, resource_id) values ($1, $2, $3) \
                     on conflict (consent_id, account_id) do update set resource_id = excluded.resource_id",
                )
                .bind(consent.to_string())
                .bind(&account)
                .bind(key.seal_text(("account_links", "resource_id"), &account, &link.resource_id)?)
                .execute(&mut tx.0)
                .await?;
            }
            Ok(())
        })
    }
}

fn link(row: &AnyRow, keys: &Unlocked) -> Result<AccountLink, StoreError> {
    let columns = Columns::new(row, "account_links", "account_id")?;
    let account = columns.parsed("account_id")?;
    Ok(AccountLink { account, resource_id: columns.sealed_text("resource_id", keys)? })
}
