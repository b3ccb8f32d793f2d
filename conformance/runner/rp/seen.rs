//! What a bank saw of a client.

use serde_json::{Map, Value};

use crate::http::Request;
use crate::jose::Unverified;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A connection, where the certificate is wrong.
    Connection,
    /// The metadata.
    Metadata,
    /// The key set.
    Keys,
    /// A pushed request.
    Push,
    /// The person's browser.
    Authorize,
    /// The token endpoint.
    Token,
    /// Consents to account information.
    Consent,
    /// Accounts and what belongs to them.
    Data,
    /// Where nobody must go.
    Elsewhere,
    /// Anything else.
    Other,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was asked for.
    pub at: Endpoint,
    /// Method and path.
    pub line: String,
    /// Parameters of the query and of a form, as they came.
    pub sent: Vec<(String, String)>,
    /// The access token that was shown.
    pub bearer: Option<String>,
    /// SHA-256 of the client certificate, if one was shown.
    pub certificate: Option<String>,
    /// When it came.
    pub when: jiff::Timestamp,
    /// As it came, if it was a request.
    pub request: Option<Request>,
}

impl Seen {
    /// A parameter as it was sent.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<&str> {
        self.sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The request object, not verified.
    #[must_use]
    pub fn object(&self) -> Option<Unverified> {
        self.sent("request").and_then(Unverified::read)
    }

    /// The client assertion, not verified.
    #[must_use]
    pub fn assertion(&self) -> Option<Unverified> {
        self.sent("client_assertion").and_then(Unverified::read)
    }

    /// The parameters that count: those of a request object, or those that were sent.
    #[must_use]
    pub fn asked(&self) -> Map<String, Value> {
        match self.object() {
            Some(object) => object.claims,
            None => {
                self.sent.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
            }
        }
    }

    /// A code was redeemed.
    #[must_use]
    pub fn redeems(&self) -> bool {
        self.at == Endpoint::Token && self.sent("grant_type") == Some("authorization_code")
    }

    /// A token was refreshed.
    #[must_use]
    pub fn refreshes(&self) -> bool {
        self.at == Endpoint::Token && self.sent("grant_type") == Some("refresh_token")
    }

    /// Data was asked for with the token of an authorisation.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.at == Endpoint::Data
    }
}
