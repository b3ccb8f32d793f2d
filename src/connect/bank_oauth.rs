//! Our side as OAuth client of a bank, without input or output: requests are
//! built, answers are read and checked.
//!
//! Checks are named after the rules they keep: RFC 6749, 7636, 8414, 9101,
//! 9126, 9207, FAPI 2.0 Security Profile, Open Banking Security Profile.

mod authorization;
mod callback;
mod discovery;
mod id_token;
mod metadata;
mod registration;
mod token;

use crypto::{SigningKey, jws};
use domain::{Entropy, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

pub use callback::{Callback, code_of};
pub use discovery::{Discovery, Drift, Meaning, Published};
pub use id_token::{ExpectedIdToken, IdTokenStep};
pub use metadata::{Metadata, metadata_read, metadata_request};
pub(crate) use registration::ManagedBy;
pub use registration::{
    InvalidStatement, Registered, Registrar, RegistrationError, RegistrationOrder, SoftwareStatement,
};
pub use token::{BankTokens, TokenAsked, tokens_of};

use crate::{BankError, BankErrorKind, ClientAuth, Profile};

/// For which service we act; names the steps of quirks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Account information.
    Accounts,
    /// Payment initiation.
    Payments,
    /// Confirmation of funds.
    Funds,
    /// Recurring payments, as a client for payment initiation.
    Recurring,
}

impl Role {
    /// Every service that we are a client for.
    pub const ALL: [Self; 3] = [Self::Accounts, Self::Payments, Self::Funds];

    /// The word in steps of quirks and in deployment files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accounts => "aisp",
            Self::Payments => "pisp",
            Self::Funds => "cbpii",
            Self::Recurring => "vrp",
        }
    }

    /// The service of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// The scope that the UK standard has for it.
    pub(crate) fn scope(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Payments | Self::Recurring => "payments",
            Self::Funds => "fundsconfirmations",
        }
    }

    /// The service that a token of our own with this scope is for.
    #[must_use]
    pub fn of_scope(scope: &str) -> Self {
        let any = |wanted: [&str; 2]| scope.split(' ').any(|word| wanted.contains(&word));
        if any(["payments", "pisp"]) {
            Self::Payments
        } else if any(["fundsconfirmations", "cbpii"]) {
            Self::Funds
        } else {
            Self::Accounts
        }
    }

    pub(crate) fn version(self, profile: &Profile) -> &str {
        let api = match self {
            Self::Accounts => &profile.accounts_api,
            Self::Payments => &profile.payments_api,
            Self::Funds => &profile.funds_api,
            Self::Recurring => &profile.recurring_api,
        };
        api.as_ref().map_or("", |api| api.version.as_str())
    }
}

/// One authorization of a PSU at a bank, from sending the browser there to the
/// tokens. A caller keeps it until the callback and uses it once.
#[derive(Clone)]
pub struct AuthorizationRequest {
    /// For which service.
    pub role: Role,
    /// Ties the callback to the browser.
    pub state: String,
    /// Ties the id_token to this request.
    pub nonce: String,
    /// PKCE verifier (RFC 7636).
    pub code_verifier: SecretString,
    /// Our callback; one per bank, so that two banks cannot be confused.
    pub redirect_uri: Url,
    /// Scope: from [`crate::ScaStart::OAuth`].
    pub scope: String,
    /// `openbanking_intent_id`: from [`crate::ScaStart::OAuth`].
    pub intent_id: Option<String>,
    /// The PSU has authorised this consent before and confirms it again.
    pub again: bool,
}

impl AuthorizationRequest {
    /// A request with a fresh state, nonce and verifier of 256 bits each.
    #[must_use]
    pub fn new(
        entropy: &dyn Entropy,
        role: Role,
        redirect_uri: Url,
        scope: impl Into<String>,
        intent_id: Option<String>,
    ) -> Self {
        use secrecy::ExposeSecret;
        let fresh = || crypto::token(entropy, 32);
        Self {
            role,
            state: fresh().expose_secret().to_owned(),
            nonce: fresh().expose_secret().to_owned(),
            code_verifier: fresh(),
            redirect_uri,
            scope: scope.into(),
            intent_id,
            again: false,
        }
    }
}

/// We, at one bank's authorization server, now.
#[derive(Clone, Copy)]
pub struct OAuthClient<'a> {
    /// The bank.
    pub profile: &'a Profile,
    /// Its authorization server.
    pub metadata: &'a Metadata,
    /// Signs request objects and client assertions; needed where the profile asks for either.
    pub signing_key: Option<&'a SigningKey>,
    /// Now.
    pub now: Timestamp,
    /// For `jti`.
    pub entropy: &'a dyn Entropy,
}

impl OAuthClient<'_> {
    fn error(&self, kind: BankErrorKind) -> BankError {
        BankError::new(&self.profile.id, kind)
    }

    fn client_id(&self, role: Role) -> Result<&str, BankError> {
        self.profile.client_of(role).ok_or_else(|| BankError::profile(&self.profile.id, "client_id"))
    }

    /// Claims every JWT of ours has: short life, used once.
    fn base_claims(&self, role: Role, audience: &str) -> Result<Map<String, Value>, BankError> {
        let mut claims = claims_of(self.client_id(role)?, audience, self.now, self.entropy);
        claims.insert("nbf".into(), json!(self.now.as_second()));
        Ok(claims)
    }

    fn jwt(&self, header: &Map<String, Value>, claims: Map<String, Value>) -> Result<String, BankError> {
        let key = self.signing_key.ok_or_else(|| self.error(BankErrorKind::Internal).at("signing_key"))?;
        signed(self.profile, key, header, claims)
    }

    /// The parameters that prove who we are (RFC 8705 §2.1, RFC 7523 §2.2; the
    /// audience is the issuer alone, FAPI 2.0 §5.3.2.1-8).
    fn authenticate(&self, role: Role, form: &mut Form) -> Result<(), BankError> {
        form.push("client_id", self.client_id(role)?);
        if self.profile.client_auth == ClientAuth::PrivateKeyJwt {
            let mut claims = self.base_claims(role, &self.metadata.issuer)?;
            claims.insert("sub".into(), json!(self.client_id(role)?));
            let assertion = self.jwt(&Map::new(), claims)?;
            form.push("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            form.push("client_assertion", &assertion);
        }
        Ok(())
    }
}

/// Claims that every JWT of ours has: short life, used once.
fn claims_of(issuer: &str, audience: &str, now: Timestamp, entropy: &dyn Entropy) -> Map<String, Value> {
    let now = now.as_second();
    let mut claims = Map::new();
    claims.insert("iss".into(), json!(issuer));
    claims.insert("aud".into(), json!(audience));
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.saturating_add(300)));
    claims.insert("jti".into(), json!(entropy.uuid_v4()));
    claims
}

fn signed(
    profile: &Profile,
    key: &SigningKey,
    header: &Map<String, Value>,
    claims: Map<String, Value>,
) -> Result<String, BankError> {
    jws::sign_compact(key, header, Value::Object(claims).to_string().as_bytes())
        .map_err(|_| BankError::new(&profile.id, BankErrorKind::Internal).at("signing_key"))
}

/// A form body.
struct Form(url::form_urlencoded::Serializer<'static, String>);

impl Form {
    fn new() -> Self {
        Self(url::form_urlencoded::Serializer::new(String::new()))
    }

    fn push(&mut self, name: &str, value: &str) {
        self.0.append_pair(name, value);
    }

    fn finish(mut self) -> String {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests;
