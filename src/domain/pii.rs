//! Personal data, and what keeps it out of texts.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Something that says who a person is, what they own or what they do: names, addresses, references
/// and texts of payments, numbers of accounts.
///
/// Printed it is `***`, wherever it is nested. It reads as what it holds, and goes into JSON as that:
/// answers and sealed columns are for those whose data it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// What it holds, which prints itself from then on.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl Pii<String> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Deref> Deref for Pii<T> {
    type Target = T::Target;

    fn deref(&self) -> &T::Target {
        &self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for Pii<String> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Pii<Self>> for String {
    fn from(text: Pii<Self>) -> Self {
        text.0
    }
}

impl Borrow<str> for Pii<String> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Pii<String> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Pii<String> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountIdentification, Iban, SortCodeAccount};

    #[derive(Debug)]
    struct Person {
        _name: Option<Pii<String>>,
        _accounts: Vec<AccountIdentification>,
        _status: u16,
    }

    #[test]
    fn personal_data_is_printed_as_asterisks() {
        let iban: Iban = "DE89370400440532013000".parse().unwrap();
        let person = Person {
            _name: Some("Anna Weber".into()),
            _accounts: vec![
                AccountIdentification::Iban(iban),
                AccountIdentification::SortCode(SortCodeAccount::new("200052", "70872490").unwrap()),
                AccountIdentification::Bban("4711815".to_owned()),
                AccountIdentification::MaskedPan("525412******0033".to_owned()),
                AccountIdentification::Other {
                    identification: "4711815".to_owned(),
                    scheme_name: "X".to_owned(),
                },
            ],
            _status: 200,
        };
        for printed in [format!("{person:?}"), format!("{person:#?}")] {
            for kept in ["Anna", "DE89", "3000", "2000", "7087", "4711", "5254", "0033"] {
                assert!(!printed.contains(kept), "{printed}");
            }
            assert!(printed.contains("***") && printed.contains("200"), "{printed}");
        }
    }

    #[test]
    fn it_is_in_json_what_it_holds() {
        let name: Pii<String> = serde_json::from_str("\"Anna\"").unwrap();
        assert_eq!((serde_json::to_string(&name).unwrap().as_str(), name), ("\"Anna\"", "Anna".into()));
    }
}
