//! Identifiers. The prefix says what a thing is; an identifier of personal
//! data carries its home region, so routing needs no lookup.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Clock, Entropy, Region};

/// The text is no identifier of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier here looks like \"{0}\"")]
pub struct InvalidId(&'static str);

macro_rules! serde_as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! regional_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            region: Region,
            uuid: Uuid,
        }

        impl $name {
            /// A new identifier, in time order.
            pub fn new(region: Region, clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                Self { region, uuid: entropy.uuid_v7(clock.now()) }
            }

            /// An identifier with this value, for things named by a digest.
            #[must_use]
            pub fn from_uuid(region: Region, uuid: Uuid) -> Self {
                Self { region, uuid }
            }

            /// Home region of the thing named.
            #[must_use]
            pub fn region(&self) -> Region {
                self.region
            }

            /// The value without prefix and region.
            #[must_use]
            pub fn uuid(&self) -> Uuid {
                self.uuid
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}_{}"), self.region, self.uuid.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId(concat!($prefix, "_eu_<32 hex digits>"));
                let rest = text.strip_prefix(concat!($prefix, "_")).ok_or(invalid.clone())?;
                let (region, value) = rest.split_once('_').ok_or(invalid.clone())?;
                let region = region.parse().map_err(|_| invalid.clone())?;
                Ok(Self { region, uuid: simple_uuid(value).ok_or(invalid)? })
            }
        }

        serde_as_text!($name);
    };
}

macro_rules! global_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A new identifier, in time order.
            pub fn new(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
                Self(entropy.uuid_v7(clock.now()))
            }

            /// An identifier with this value, for things named by a digest.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The value without prefix.
            #[must_use]
            pub fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(simple_uuid)
                    .map(Self)
                    .ok_or(InvalidId(concat!($prefix, "_<32 hex digits>")))
            }
        }

        serde_as_text!($name);
    };
}

regional_id!(
    /// One thing a client asked a PSU to allow (RFC 9396), kept in its home region.
    DetailId, "det"
);
regional_id!(
    /// One consent that a PSU gave to one TPP at one institution.
    ConsentId, "con"
);
regional_id!(
    /// One payment account as one TPP sees it. Derived from the account's own
    /// identification, so it is the same after every re-consent.
    AccountId, "acc"
);
regional_id!(
    /// One booked or pending entry. Derived from the bank's identifier, or from
    /// the entry's content where the bank has none.
    TransactionId, "txn"
);
regional_id!(
    /// One payment.
    PaymentId, "pay"
);
regional_id!(
    /// One mandate to pay again and again.
    MandateId, "man"
);
regional_id!(
    /// One event told to a TPP.
    EventId, "evt"
);
global_id!(
    /// What a PSU allowed a TPP in one authorization; holds one or more consents.
    GrantId, "grt"
);
global_id!(
    /// One visit of a PSU to our hosted pages.
    SessionId, "ses"
);
global_id!(
    /// One webhook endpoint of a TPP.
    WebhookId, "whk"
);
global_id!(
    /// One request to the gateway.
    RequestId, "req"
);

/// One institution (a bank's brand): a lower-case slug such as `gb-examplebank`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstitutionId(String);

impl InstitutionId {
    /// The slug.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstitutionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ok = (2..=96).contains(&text.len()) && text.bytes().all(allowed);
        if ok { Ok(Self(text.to_owned())) } else { Err(InvalidId("gb-examplebank")) }
    }
}

impl fmt::Display for InstitutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(InstitutionId);

/// Only the one spelling that we print: 32 lower-case hex digits.
fn simple_uuid(text: &str) -> Option<Uuid> {
    let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    plain.then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_and_parses_with_its_region() {
        let region: Region = "uk".parse().unwrap();
        let id = ConsentId::from_uuid(region, Uuid::from_u128(7));
        assert_eq!(id.to_string(), "con_uk_00000000000000000000000000000007");
        assert_eq!(id.to_string().parse::<ConsentId>().unwrap(), id);
        assert_eq!(id.region(), region);
    }

    #[test]
    fn an_id_of_another_kind_or_spelling_is_refused() {
        for text in [
            "pay_uk_00000000000000000000000000000007",
            "con_UK_00000000000000000000000000000007",
            "con_uk_0000000000000000000000000000000A",
            "con_uk_00000000-0000-0000-0000-000000000007",
            "con_00000000000000000000000000000007",
            "",
        ] {
            assert!(text.parse::<ConsentId>().is_err(), "{text}");
        }
    }
}
