//! What identifies a payment account: IBAN, sort code with account number, …

use std::fmt;
use std::str::FromStr;

use iban::IbanLike;
use serde::{Deserialize, Serialize};

use crate::Country;

/// An IBAN (ISO 13616) with a valid checksum and country format.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Iban(String);

/// The text identifies no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentification {
    /// Wrong length, characters, country or checksum of an IBAN.
    #[error("an IBAN has its country's length and a valid checksum (ISO 13616)")]
    Iban,
    /// Not six and eight digits.
    #[error("a UK account is a sort code of six digits and an account number of eight")]
    SortCode,
}

impl Iban {
    /// The IBAN without spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Iban {
    type Err = InvalidIdentification;

    fn from_str(text: &str) -> Result<Self, InvalidIdentification> {
        let iban: iban::Iban = text.parse().map_err(|_| InvalidIdentification::Iban)?;
        Ok(Self(iban.electronic_str().to_owned()))
    }
}

impl TryFrom<String> for Iban {
    type Error = InvalidIdentification;

    fn try_from(text: String) -> Result<Self, InvalidIdentification> {
        text.parse()
    }
}

impl From<Iban> for String {
    fn from(iban: Iban) -> Self {
        iban.0
    }
}

/// Personal data.
impl fmt::Debug for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A UK sort code (six digits) with an account number (eight digits).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SortCodeAccount {
    sort_code: String,
    account_number: String,
}

impl SortCodeAccount {
    /// Parses both parts; spaces and hyphens in the sort code are dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidIdentification::SortCode`] unless six and eight digits remain.
    pub fn new(sort_code: &str, account_number: &str) -> Result<Self, InvalidIdentification> {
        let digits = |text: &str| text.chars().filter(|c| *c != '-' && *c != ' ').collect::<String>();
        let (sort_code, account_number) = (digits(sort_code), digits(account_number));
        let number = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        if number(&sort_code, 6) && number(&account_number, 8) {
            Ok(Self { sort_code, account_number })
        } else {
            Err(InvalidIdentification::SortCode)
        }
    }

    /// Six digits.
    #[must_use]
    pub fn sort_code(&self) -> &str {
        &self.sort_code
    }

    /// Eight digits.
    #[must_use]
    pub fn account_number(&self) -> &str {
        &self.account_number
    }

    /// Fourteen digits, as UK Open Banking writes it.
    #[must_use]
    pub fn joined(&self) -> String {
        format!("{}{}", self.sort_code, self.account_number)
    }
}

impl fmt::Debug for SortCodeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One way to name a payment account.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum AccountIdentification {
    /// International bank account number.
    Iban(Iban),
    /// UK sort code and account number.
    SortCode(SortCodeAccount),
    /// National account number (basic bank account number).
    Bban(String),
    /// Card number with its middle hidden by the bank.
    MaskedPan(String),
    /// Any other scheme, by the bank's name for it.
    Other {
        /// The identification.
        identification: String,
        /// Name of the scheme.
        scheme_name: String,
    },
}

impl AccountIdentification {
    /// A text that is equal for the same account however the bank spells it:
    /// the input of the account key.
    #[must_use]
    pub fn normalised(&self) -> String {
        match self {
            Self::Iban(iban) => format!("iban:{}", iban.as_str()),
            Self::SortCode(account) => format!("scan:{}", account.joined()),
            Self::Bban(text) => format!("bban:{}", squeezed(text)),
            Self::MaskedPan(text) => format!("pan:{}", squeezed(text)),
            Self::Other { identification, scheme_name } => {
                format!("other:{}:{}", squeezed(scheme_name), squeezed(identification))
            }
        }
    }

    /// The UK account that this is: named as such, or by its IBAN, which holds both numbers
    /// after the four letters of the bank.
    #[must_use]
    pub fn uk_account(&self) -> Option<SortCodeAccount> {
        match self {
            Self::SortCode(account) => Some(account.clone()),
            Self::Iban(iban) => {
                let numbers = iban.as_str().strip_prefix("GB")?.get(6..)?;
                SortCodeAccount::new(numbers.get(..6)?, numbers.get(6..)?).ok()
            }
            Self::Bban(_) | Self::MaskedPan(_) | Self::Other { .. } => None,
        }
    }

    /// The country whose banks count this account, and its number there, which begins with
    /// the bank's own: in the UK with the sort code, elsewhere as the IBAN after its check
    /// digits.
    #[must_use]
    pub fn national_number(&self) -> Option<(Country, String)> {
        if let Some(account) = self.uk_account() {
            return Some(("GB".parse().ok()?, account.joined()));
        }
        match self {
            Self::Iban(iban) => {
                Some((iban.as_str().get(..2)?.parse().ok()?, iban.as_str().get(4..)?.to_owned()))
            }
            Self::SortCode(_) | Self::Bban(_) | Self::MaskedPan(_) | Self::Other { .. } => None,
        }
    }
}

impl fmt::Debug for AccountIdentification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || *c == '*').collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iban_is_checked() {
        let iban: Iban = "GB29 NWBK 6016 1331 9268 19".parse().unwrap();
        assert_eq!(iban.as_str(), "GB29NWBK60161331926819");
        assert!("GB29NWBK60161331926810".parse::<Iban>().is_err());
    }

    #[test]
    fn a_sort_code_is_six_digits_however_spelled() {
        let account = SortCodeAccount::new("20-00-00", "55779911").unwrap();
        assert_eq!(account.joined(), "20000055779911");
        assert!(SortCodeAccount::new("2000", "55779911").is_err());
    }

    #[test]
    fn an_account_begins_with_the_number_of_its_bank() {
        let iban = |text: &str| AccountIdentification::Iban(text.parse().unwrap());
        let named = AccountIdentification::SortCode(SortCodeAccount::new("601613", "31926819").unwrap());
        let by_iban = iban("GB29NWBK60161331926819");
        assert_eq!(by_iban.uk_account(), named.uk_account());
        let uk = Some(("GB".parse().unwrap(), "60161331926819".to_owned()));
        assert_eq!((named.national_number(), by_iban.national_number()), (uk.clone(), uk));
        let german = iban("DE89370400440532013000");
        assert_eq!(german.national_number(), Some(("DE".parse().unwrap(), "370400440532013000".to_owned())));
        assert_eq!(german.uk_account(), None);
    }
}
