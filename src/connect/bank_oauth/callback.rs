//! The browser comes back from the bank.

use secrecy::SecretString;
use subtle::ConstantTimeEq;

use super::{AuthorizationRequest, OAuthClient};
use crate::{BankError, BankErrorKind, Profile, ResponseType};

/// A checked callback.
pub struct Callback {
    /// To exchange once.
    pub code: SecretString,
    /// Identity token of the hybrid response type, not yet checked.
    pub id_token: Option<String>,
}

impl OAuthClient<'_> {
    /// Checks the parameters of a callback, `name=value&…` without `?` or `#`:
    /// none twice, our state, this bank's `iss` (RFC 9207 §2.4), then the error
    /// or the code.
    ///
    /// # Errors
    ///
    /// `authorization-invalid` if a check fails; else what the bank's error means.
    pub fn callback_check(
        &self,
        parameters: &str,
        request: &AuthorizationRequest,
    ) -> Result<Callback, BankError> {
        let invalid = |field: &str| self.error(BankErrorKind::AuthorizationInvalid).at(field);
        let once = |name: &str| once(self.profile, parameters, name);
        let (state, iss, id_token) = (once("state")?, once("iss")?, once("id_token")?);

        let ours = state.is_some_and(|state| bool::from(state.as_bytes().ct_eq(request.state.as_bytes())));
        if !ours {
            return Err(invalid("state"));
        }
        match iss {
            Some(iss) if iss != self.metadata.issuer => return Err(invalid("iss")),
            None if self.metadata.iss_parameter_supported => return Err(invalid("iss")),
            Some(_) | None => {}
        }
        let code = code_of(self.profile, parameters)?;
        let hybrid = self.server().is_some_and(|server| server.response_type == ResponseType::CodeIdToken);
        if hybrid && id_token.is_none() {
            return Err(invalid("id_token"));
        }
        Ok(Callback { code, id_token })
    }
}

/// The code of a callback whose `state` was recognised, of banks that send
/// nothing else along.
///
/// # Errors
///
/// What the bank's error means; `authorization-invalid` without one code.
pub fn code_of(profile: &Profile, parameters: &str) -> Result<SecretString, BankError> {
    let (code, error) = (once(profile, parameters, "code")?, once(profile, parameters, "error")?);
    if let Some(error) = error {
        return Err(BankError::new(&profile.id, kind_of(&error)).with_bank_code(&error));
    }
    let missing = || BankError::new(&profile.id, BankErrorKind::AuthorizationInvalid).at("code");
    code.filter(|code| !code.is_empty()).map(SecretString::from).ok_or_else(missing)
}

/// The value of a parameter that may come once.
fn once(profile: &Profile, parameters: &str, name: &str) -> Result<Option<String>, BankError> {
    let mut values = url::form_urlencoded::parse(parameters.as_bytes())
        .filter(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned());
    let value = values.next();
    let twice = values.next().is_some();
    if twice {
        Err(BankError::new(&profile.id, BankErrorKind::AuthorizationInvalid).at(name))
    } else {
        Ok(value)
    }
}

/// RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6.
fn kind_of(error: &str) -> BankErrorKind {
    match error {
        "access_denied" => BankErrorKind::PsuCancelled,
        "login_required" | "interaction_required" | "account_selection_required" | "consent_required" => {
            BankErrorKind::PsuActionRequired
        }
        "unauthorized_client" => BankErrorKind::RegistrationMissing,
        "temporarily_unavailable" => BankErrorKind::BankUnavailable,
        "server_error" => BankErrorKind::BankFailed,
        _ => BankErrorKind::InvalidRequest,
    }
}
