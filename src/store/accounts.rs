//! Which resource of a bank an account is. No name, number or balance is kept.

use domain::{AccountId, AccountIdentification, ConsentId};

use crate::rows::Columns;
use crate::{RegionalStore, StoreError, transaction};

/// An account under a consent, by the bank's name of the resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLink {
    /// The account.
    pub account: AccountId,
    /// The bank's name of the resource.
    pub resource_id: String,
}

impl RegionalStore {
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
        let links = self.vault.read(&rows, &["resource_id"], |row, keys| {
            let columns = Columns::new(row, "account_links", "account_id")?;
            Ok(AccountLink {
                account: columns.parsed("account_id")?,
                resource_id: columns.sealed_text("resource_id", keys)?,
            })
        });
        links.await?.into_iter().collect()
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
