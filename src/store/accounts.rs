//! Which resource of a bank an account is. No name, number or balance is kept.

use domain::{AccountId, ConsentId};

use crate::rows::Columns;
use crate::{RegionalStore, StoreError};

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
        rows.iter()
            .map(|row| {
                let columns = Columns::new(row, "account_links", "account_id")?;
                Ok(AccountLink {
                    account: columns.parsed("account_id")?,
                    resource_id: columns.text("resource_id")?,
                })
            })
            .collect()
    }

    /// Remembers the accounts seen under a consent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn link_accounts(&self, consent: ConsentId, links: &[AccountLink]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for link in links {
            sqlx::query(
                "insert into account_links (consent_id, account_id, resource_id) values ($1, $2, $3) \
                 on conflict (consent_id, account_id) do update set resource_id = excluded.resource_id",
            )
            .bind(consent.to_string())
            .bind(link.account.to_string())
            .bind(&link.resource_id)
            .execute(&mut *tx.0)
            .await?;
        }
        tx.commit().await
    }
}
