//! An account as rows keep it: its scheme by a word of ours, and its number.

use domain::{AccountIdentification, SortCodeAccount};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An account as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAccount {
    scheme: String,
    value: String,
}

impl From<&AccountIdentification> for StoredAccount {
    fn from(account: &AccountIdentification) -> Self {
        let (scheme, value) = match account {
            AccountIdentification::Iban(iban) => ("iban", iban.as_str().to_owned()),
            AccountIdentification::SortCode(account) => ("sort_code", account.joined()),
            AccountIdentification::Bban(value) => ("bban", value.clone()),
            AccountIdentification::MaskedPan(value) => ("masked_pan", value.clone()),
            AccountIdentification::Other { identification, scheme_name } => {
                return Self { scheme: format!("other:{scheme_name}"), value: identification.clone() };
            }
        };
        Self { scheme: scheme.to_owned(), value }
    }
}

impl StoredAccount {
    /// Its scheme and its number.
    pub(crate) fn spelling(&self) -> (&str, &str) {
        (&self.scheme, &self.value)
    }

    /// The account; `None` if what is kept is none.
    #[must_use]
    pub fn identification(&self) -> Option<AccountIdentification> {
        let value = self.value.clone();
        Some(match self.scheme.as_str() {
            "iban" => AccountIdentification::Iban(value.parse().ok()?),
            "sort_code" => {
                let (sort_code, number) = value.split_at_checked(6)?;
                AccountIdentification::SortCode(SortCodeAccount::new(sort_code, number).ok()?)
            }
            "bban" => AccountIdentification::Bban(value),
            "masked_pan" => AccountIdentification::MaskedPan(value),
            other => AccountIdentification::Other {
                identification: value,
                scheme_name: other.strip_prefix("other:")?.to_owned(),
            },
        })
    }
}

/// Writes an account that may be absent.
pub(crate) fn serialize<S: Serializer>(
    account: &Option<AccountIdentification>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    account.as_ref().map(StoredAccount::from).serialize(serializer)
}

/// Reads what [`serialize`] wrote; the error does not repeat the number.
pub(crate) fn deserialize<'d, D: Deserializer<'d>>(
    deserializer: D,
) -> Result<Option<AccountIdentification>, D::Error> {
    let stored = Option::<StoredAccount>::deserialize(deserializer)?;
    let read = |stored: StoredAccount| {
        stored.identification().ok_or_else(|| serde::de::Error::custom("the account cannot be read"))
    };
    stored.map(read).transpose()
}
