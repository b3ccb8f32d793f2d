//! Words for what an institution is and can do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// The text is no country code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a country is two letters (ISO 3166-1), such as \"DE\"")]
pub struct InvalidCountry;

impl Country {
    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = InvalidCountry;

    fn from_str(text: &str) -> Result<Self, InvalidCountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(InvalidCountry),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidCountry;

    fn try_from(text: String) -> Result<Self, InvalidCountry> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in the API and in profiles.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Finds the value by its word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(
    /// What the gateway can do at an institution.
    Capability {
        /// Accounts and their details.
        Accounts = "accounts",
        /// Balances.
        Balances = "balances",
        /// Transactions.
        Transactions = "transactions",
        /// A single payment.
        Payments = "payments",
        /// Scheduled payments.
        ScheduledPayments = "scheduled_payments",
        /// Standing orders.
        PeriodicPayments = "periodic_payments",
        /// Many payments in one order.
        BulkPayments = "bulk_payments",
        /// Taking back an order that the bank holds.
        PaymentCancellation = "payment_cancellation",
        /// Variable recurring payments.
        Vrp = "vrp",
        /// Confirmation of funds.
        FundsConfirmation = "funds_confirmation",
        /// Verification of payees.
        PayeeVerification = "payee_verification",
    }
);

words!(
    /// How the PSU authenticates at the bank (PSD2 "SCA approach").
    Approach {
        /// The browser goes to the bank and comes back.
        Redirect = "REDIRECT",
        /// The PSU confirms in the bank's app.
        Decoupled = "DECOUPLED",
        /// The PSU's credentials pass through our page.
        Embedded = "EMBEDDED",
    }
);
