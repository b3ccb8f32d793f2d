//! A software statement (RFC 7591 §2.3), as a directory gives it to us.

use crypto::jws;
use serde_json::{Map, Value};
use url::Url;

use super::{RegistrationError, RegistrationOrder};
use crate::bank_oauth::Role;

/// What the directory says of our software: signed by it, and passed on as it is.
/// The bank checks the signature; here it is read for what we may ask for.
#[derive(Clone, Debug)]
pub struct SoftwareStatement {
    text: String,
    software_id: String,
    redirect_uris: Option<Vec<Url>>,
    roles: Option<Vec<String>>,
}

/// A text is no software statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// Not a signed JWT.
    #[error("the software statement is no JWT")]
    Malformed,
    /// A claim is missing, or not of its kind.
    #[error("{0} of the software statement is missing or not of its kind")]
    Claim(&'static str),
}

impl SoftwareStatement {
    /// Reads a statement, white space around it aside.
    ///
    /// # Errors
    ///
    /// [`InvalidStatement`] if it is none, or does not say which software it is about.
    pub fn parse(text: &str) -> Result<Self, InvalidStatement> {
        let text = text.trim().to_owned();
        let claims = jws::peek_claims(&text).map_err(|_| InvalidStatement::Malformed)?;
        let software_id = claims.get("software_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let software_id = software_id.ok_or(InvalidStatement::Claim("software_id"))?.to_owned();
        let redirects = texts(&claims, "software_redirect_uris")?;
        let redirects: Option<Result<Vec<Url>, _>> =
            redirects.map(|list| list.iter().map(|text| Url::parse(text)).collect());
        let redirect_uris =
            redirects.transpose().map_err(|_| InvalidStatement::Claim("software_redirect_uris"))?;
        Ok(Self { software_id, redirect_uris, roles: texts(&claims, "software_roles")?, text })
    }

    /// The statement itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which software it is about: we call ourselves so until the bank names us.
    #[must_use]
    pub fn software_id(&self) -> &str {
        &self.software_id
    }

    /// The services it vouches for.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| self.vouches_for(*role)).collect()
    }

    /// The redirect addresses it vouches for.
    #[must_use]
    pub fn redirect_uris(&self) -> &[Url] {
        self.redirect_uris.as_deref().unwrap_or_default()
    }

    fn vouches_for(&self, role: Role) -> bool {
        let named = |named: &String| named.eq_ignore_ascii_case(role.word());
        self.roles.as_ref().is_none_or(|roles| roles.iter().any(named))
    }

    /// What a bank would refuse is not asked for.
    pub(super) fn covers(&self, order: &RegistrationOrder<'_>) -> Result<(), RegistrationError> {
        let uncovered = |what: &str| Err(RegistrationError::NotCovered(what.to_owned()));
        if let Some(role) = order.roles.iter().find(|role| !self.vouches_for(**role)) {
            return uncovered(&format!("the service {}", role.word()));
        }
        let known = |url: &&Url| self.redirect_uris.as_ref().is_some_and(|known| !known.contains(url));
        match order.redirect_uris.iter().find(known) {
            Some(url) => uncovered(&format!("the redirect address {url}")),
            None => Ok(()),
        }
    }
}

/// A list of texts, if it is there.
fn texts(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<String>>, InvalidStatement> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let list = value.as_array().ok_or(InvalidStatement::Claim(name))?;
    let texts: Option<Vec<String>> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.map(Some).ok_or(InvalidStatement::Claim(name))
}
