//! By what a person's rows are found, although nothing in them can be read: keyed digests
//! of account numbers and of login names at banks.

use domain::AccountIdentification;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::erasure::Subject;
use crate::identification::StoredAccount;
use crate::orders::StoredTerms;
use crate::together::placeholders;
use crate::vault::{SubjectKey, Vault};
use crate::{RegionalStore, StoreError, Tx};

/// Rows of one statement.
const AT_ONCE: usize = 500;

/// What is known of a person who asks for their data.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// An account of theirs.
    Account(&'a AccountIdentification),
    /// Their login name at a bank.
    Login(&'a str),
}

impl Known<'_> {
    pub(crate) fn index(&self, vault: &Vault) -> String {
        match self {
            Self::Account(account) => {
                let stored = StoredAccount::from(*account);
                let (scheme, value) = stored.spelling();
                vault.blind_index("account", &format!("{scheme}:{value}"))
            }
            Self::Login(name) => vault.blind_index("login", name),
        }
    }
}

impl SubjectKey {
    /// By what a person is found who has these accounts and this login name.
    pub(crate) fn index<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a AccountIdentification>,
        login: Option<&'a String>,
    ) -> Vec<String> {
        let accounts = accounts.into_iter().map(Known::Account);
        let known = accounts.chain(login.map(|name| Known::Login(name)));
        known.map(|known| known.index(self.vault())).collect()
    }
}

impl Tx {
    /// Notes by what a consent, payment or mandate is found.
    pub(crate) async fn index(&mut self, subject: &str, values: Vec<String>) -> Result<(), StoreError> {
        for some in values.chunks(AT_ONCE) {
            let sql = format!(
                "insert into subject_index (value, subject_id) values {} on conflict (value, subject_id) do nothing",
                placeholders(some.len(), 2)
            );
            let insert = some
                .iter()
                .fold(sqlx::query(AssertSqlSafe(sql)), |insert, value| insert.bind(value).bind(subject));
            insert.execute(&mut self.0).await?;
        }
        Ok(())
    }
}

impl RegionalStore {
    /// All that is kept of a consent, payment or mandate, for the person that it is about
    /// (GDPR art. 15 and 20); none if there is none. Without what opens their bank.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or if the key is gone.
    pub async fn export(&self, subject: Subject) -> Result<Option<Value>, StoreError> {
        let id = subject.to_string();
        let kept = match subject {
            Subject::Consent(consent) => {
                let Some(row) = self.consent(consent).await? else { return Ok(None) };
                let reads = self.usage(consent).await?;
                let reads = reads.iter().map(|usage| {
                    json!({
                        "kind": usage.kind.as_str(), "attended": usage.attended,
                        "unattended": usage.unattended, "first_at": usage.first_at,
                        "last_at": usage.last_at,
                    })
                });
                let accounts = self.account_links(consent).await?;
                let accounts = accounts.iter().map(
                    |link| json!({ "account_id": link.account.to_string(), "name_at_bank": link.resource_id }),
                );
                json!({
                    "client_id": row.client_id, "institution_id": row.institution, "status": row.status.as_str(),
                    "created_at": row.created_at, "updated_at": row.updated_at, "expires_at": row.expires_at,
                    "terms": row.terms, "life": row.life, "consent_at_bank": row.bank.consent_id,
                    "login_at_bank": row.bank.psu_id, "reads": reads.collect::<Vec<_>>(),
                    "accounts": accounts.collect::<Vec<_>>(),
                })
            }
            Subject::Payment(payment) => {
                let Some(row) = self.payment(payment).await? else { return Ok(None) };
                json!({
                    "client_id": row.client_id, "institution_id": row.institution, "status": row.state.as_str(),
                    "created_at": row.created_at, "updated_at": row.updated_at,
                    "terms": StoredTerms::from(&row.terms), "consent_at_bank": row.bank.consent_id,
                    "payment_at_bank": row.bank.payment_id, "login_at_bank": row.bank.psu_id,
                    "refund_account": row.bank.refund_account, "iso_status": row.bank.iso_status,
                })
            }
            Subject::Mandate(mandate) => {
                let Some(row) = self.mandate(mandate).await? else { return Ok(None) };
                json!({
                    "client_id": row.client_id, "institution_id": row.institution, "status": row.status.as_str(),
                    "created_at": row.created_at, "updated_at": row.updated_at,
                    "terms": crate::mandates::StoredTerms::from(&row.terms),
                    "consent_at_bank": row.bank.consent_id, "login_at_bank": row.bank.psu_id,
                })
            }
        };
        let changes = self.changes(&id).await?;
        let changes = changes.iter().map(|change| {
            json!({
                "at": change.at, "from": change.from, "to": change.to, "actor": change.actor,
                "reason": change.reason,
            })
        });
        Ok(Some(json!({
            "id": id, "region": self.region().as_str(), "kept": kept, "changes": changes.collect::<Vec<_>>(),
        })))
    }
}
