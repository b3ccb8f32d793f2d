//! What a token is bound to (RFC 7800 `cnf`): nothing here is bearer.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use crate::certificate::Thumbprint;

/// The key that a sender must prove to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// A certificate that chains to a trust anchor (RFC 8705 §3.1).
    Certificate(Thumbprint),
    /// A certificate that the client itself registered (RFC 8705 §2.2): its
    /// trust is the registration, not a chain.
    SelfSigned(Thumbprint),
    /// The key of DPoP proofs, by its JWK thumbprint (RFC 9449 §6.1).
    Key(Thumbprint),
}

impl Confirmation {
    /// The `cnf` member (RFC 8705 §3.1, RFC 9449 §6.1).
    #[must_use]
    pub fn cnf(&self) -> Value {
        match self {
            Self::Certificate(thumbprint) | Self::SelfSigned(thumbprint) => {
                json!({ "x5t#S256": thumbprint.to_string() })
            }
            Self::Key(thumbprint) => json!({ "jkt": thumbprint.to_string() }),
        }
    }

    /// The `token_type` of a token that is bound so (RFC 6750, RFC 9449 §5).
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        match self {
            Self::Certificate(_) | Self::SelfSigned(_) => "Bearer",
            Self::Key(_) => "DPoP",
        }
    }
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(thumbprint) => write!(f, "x5t:{thumbprint}"),
            Self::SelfSigned(thumbprint) => write!(f, "self:{thumbprint}"),
            Self::Key(thumbprint) => write!(f, "jkt:{thumbprint}"),
        }
    }
}

/// The text names no key that a token can be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a confirmation is x5t, self or jkt with a thumbprint")]
pub struct InvalidConfirmation;

impl FromStr for Confirmation {
    type Err = InvalidConfirmation;

    fn from_str(text: &str) -> Result<Self, InvalidConfirmation> {
        let (kind, thumbprint) = text.split_once(':').ok_or(InvalidConfirmation)?;
        let thumbprint = thumbprint.parse().map_err(|_| InvalidConfirmation)?;
        match kind {
            "x5t" => Ok(Self::Certificate(thumbprint)),
            "self" => Ok(Self::SelfSigned(thumbprint)),
            "jkt" => Ok(Self::Key(thumbprint)),
            _ => Err(InvalidConfirmation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_is_read_back_as_what_it_was() {
        let thumbprint = Thumbprint::of(b"certificate");
        for one in [
            Confirmation::Certificate(thumbprint),
            Confirmation::SelfSigned(thumbprint),
            Confirmation::Key(thumbprint),
        ] {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        for text in ["", "x5t", "x5t:", "bearer:AAAA", "jkt:not base64url"] {
            assert_eq!(text.parse::<Confirmation>(), Err(InvalidConfirmation), "{text}");
        }
    }
}
