//! How a bank has registered us.

use std::collections::BTreeSet;

use domain::Timestamp;
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::{POST, Registrar, RegistrationError};
use crate::{BankError, BankErrorKind, BankResponse, QuirkName, RegisteredClient};

/// Members of an answer that are secrets.
const SECRETS: [&str; 2] = ["client_secret", "registration_access_token"];

/// Seconds that a time of an answer may lie ahead: more than any registration
/// lasts, and less than a time in milliseconds.
const CENTURY: i64 = 100 * 366 * 86_400;

/// A registration as the bank has it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// What is needed to use and to manage it.
    pub client: RegisteredClient,
    /// Since when we are registered, if the bank says so.
    pub issued_at: Option<Timestamp>,
    /// What the bank has registered, without secrets.
    pub metadata: Map<String, Value>,
}

impl Registrar<'_> {
    /// Reads an answer that describes a registration; `asked` is what it must agree with.
    pub(super) fn answer(
        &self,
        response: &BankResponse,
        status: StatusCode,
        asked: Option<&Map<String, Value>>,
    ) -> Result<Registered, RegistrationError> {
        crate::bank_oauth::token::refuse_failure(self.profile, response)?;
        // The bank has done it: what cannot be read may have happened all the same.
        let malformed = |field: &str| BankError::malformed(&self.profile.id, field).unknown();
        if response.status != status {
            return Err(malformed("status").with_status(response.status.as_u16()).into());
        }
        let mut members: Map<String, Value> =
            crate::bank_oauth::token::json(self.profile, response).map_err(BankError::unknown)?;
        let text = |members: &Map<String, Value>, name: &str| {
            members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        // RFC 6749 appendix A.1: VSCHAR.
        let client_id = text(&members, "client_id")
            .filter(|id| id.len() <= 255 && id.bytes().all(|b| (0x20..=0x7e).contains(&b)))
            .ok_or_else(|| malformed("/client_id"))?;
        let access_token = text(&members, "registration_access_token").map(SecretString::from);
        let client_uri = text(&members, "registration_client_uri");
        members.retain(|name, _| !SECRETS.contains(&name.as_str()));
        let different = |source| RegistrationError::Different { client_id: client_id.clone(), source };
        let client_uri = self.client_uri(client_uri.as_deref()).map_err(different)?;
        let issued_at = self.times(&members).map_err(different)?;
        self.scope_shape(&members).map_err(different)?;
        if let Some(asked) = asked {
            self.agrees(asked, &members).map_err(different)?;
        }
        let client = RegisteredClient { client_id, client_uri, access_token };
        Ok(Registered { client, issued_at, metadata: members })
    }

    fn client_uri(&self, text: Option<&str>) -> Result<Option<Url>, BankError> {
        let field = "/registration_client_uri";
        let parse = |text: &str| Url::parse(text).map_err(|_| BankError::malformed(&self.profile.id, field));
        text.map(parse).transpose()?.map(|url| self.permitted(url, field)).transpose()
    }

    /// Times are in seconds (RFC 7591 §3.2.1), unless the profile knows better.
    fn times(&self, members: &Map<String, Value>) -> Result<Option<Timestamp>, BankError> {
        let quirk = self.quirk(QuirkName::RegistrationTimesInMillis, POST);
        let millis = quirk.map(|quirk| quirk.texts("claims")).unwrap_or_default();
        let mut issued_at = None;
        for name in ["client_id_issued_at", "iat", "exp"] {
            let Some(value) = members.get(name) else { continue };
            let malformed = || BankError::malformed(&self.profile.id, format!("/{name}"));
            let number = value.as_i64().filter(|number| *number >= 0).ok_or_else(malformed)?;
            let seconds = if millis.contains(&name) { number.div_euclid(1000) } else { number };
            if seconds > self.now.as_second().saturating_add(CENTURY) {
                return Err(malformed());
            }
            if name == "client_id_issued_at" {
                issued_at = Timestamp::from_second(seconds).ok();
            }
        }
        Ok(issued_at)
    }

    /// A scope is one text (RFC 7591 §2), unless the profile knows better.
    fn scope_shape(&self, members: &Map<String, Value>) -> Result<(), BankError> {
        let list = self.quirk(QuirkName::RegistrationScopeList, POST).is_some();
        match members.get("scope") {
            None | Some(Value::String(_)) => Ok(()),
            Some(Value::Array(words)) if list && words.iter().all(Value::is_string) => Ok(()),
            Some(_) => Err(BankError::malformed(&self.profile.id, "/scope")),
        }
    }

    /// RFC 7591 §3.2.1: a bank may register something else than was asked for, and
    /// we are to see whether that will do. What is not named has not changed.
    fn agrees(&self, asked: &Map<String, Value>, given: &Map<String, Value>) -> Result<(), BankError> {
        let different =
            |name: &str| BankError::new(&self.profile.id, BankErrorKind::EchoMismatch).at(format!("/{name}"));
        for name in ["token_endpoint_auth_method", "id_token_signed_response_alg", "software_id"] {
            if given.get(name).is_some_and(|given| asked.get(name) != Some(given)) {
                return Err(different(name));
            }
        }
        // An address more is a way for a code to get lost, one less a way that is closed.
        for (name, more_is_fine) in
            [("redirect_uris", false), ("grant_types", true), ("response_types", true), ("scope", true)]
        {
            let (Some(given), Some(asked)) = (given.get(name).map(words), asked.get(name).map(words)) else {
                continue;
            };
            if !asked.is_subset(&given) || !(more_is_fine || given.is_subset(&asked)) {
                return Err(different(name));
            }
        }
        Ok(())
    }
}

/// The words of a list, or of one text with blanks between.
fn words(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::String(text) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => BTreeSet::new(),
    }
}
