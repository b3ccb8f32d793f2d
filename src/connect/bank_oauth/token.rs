//! The bank's token endpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{AuthorizationRequest, Form, OAuthClient, Role};
use crate::{BankError, BankErrorKind, BankRequest, BankResponse, Effect, Profile, Quirk, QuirkName};

/// What the token endpoint gave. Keep the refresh token before looking at
/// anything else: a bank that rotates has already burnt the one before.
pub struct BankTokens {
    /// Access token.
    pub access_token: SecretString,
    /// Refresh token, if there is one.
    pub refresh_token: Option<SecretString>,
    /// Identity token, not yet checked.
    pub id_token: Option<String>,
    /// Life of the access token, if stated.
    pub expires_in: Option<Duration>,
    /// Scope granted, if stated.
    pub scope: Option<String>,
}

/// What a token is asked for; its answer is judged by it.
#[derive(Clone, Copy)]
pub enum TokenAsked<'a> {
    /// A token of our own with this scope.
    Own(&'a str),
    /// The tokens of this authorization.
    Code(&'a AuthorizationRequest),
    /// A new access token for this service.
    Refresh(Role),
}

impl TokenAsked<'_> {
    /// The service that it is for.
    fn role(self) -> Role {
        match self {
            Self::Own(scope) => Role::of_scope(scope),
            Self::Code(request) => request.role,
            Self::Refresh(role) => role,
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    token_type: String,
    #[serde(default, deserialize_with = "optional_secret")]
    refresh_token: Option<SecretString>,
    id_token: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct WireError {
    error: String,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn optional_secret<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// A number, or a number in a text, as some banks write it.
fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
        Nothing(()),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(Some(number)),
        Either::Text(text) => text.trim().parse().map(Some).map_err(serde::de::Error::custom),
        Either::Nothing(()) => Ok(None),
    }
}

impl OAuthClient<'_> {
    /// Asks for a token of our own (RFC 6749 §4.4).
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if we cannot authenticate.
    pub fn client_credentials(&self, scope: &str) -> Result<BankRequest, BankError> {
        self.own_token(Role::of_scope(scope), Some(scope))
    }

    /// The same as the client of a service, with any scope or none.
    pub(super) fn own_token(&self, role: Role, scope: Option<&str>) -> Result<BankRequest, BankError> {
        let mut form = Form::new();
        form.push("grant_type", "client_credentials");
        if let Some(scope) = scope {
            form.push("scope", scope);
        }
        self.token_request(role, form, Effect::Read)
    }

    /// Exchanges the code of a callback (RFC 6749 §4.1.3, RFC 7636 §4.5). Send it once.
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if we cannot authenticate.
    pub fn exchange_code(
        &self,
        request: &AuthorizationRequest,
        code: &SecretString,
    ) -> Result<BankRequest, BankError> {
        let mut form = Form::new();
        form.push("grant_type", "authorization_code");
        form.push("code", code.expose_secret());
        form.push("redirect_uri", request.redirect_uri.as_str());
        form.push("code_verifier", request.code_verifier.expose_secret());
        self.token_request_for(TokenAsked::Code(request), form)
    }

    /// Asks for a new access token (RFC 6749 §6). Send it once: a bank that
    /// rotates takes the second use for a theft.
    ///
    /// # Errors
    ///
    /// `profile-error` or `internal` if we cannot authenticate.
    pub fn refresh(&self, role: Role, refresh_token: &SecretString) -> Result<BankRequest, BankError> {
        let mut form = Form::new();
        form.push("grant_type", "refresh_token");
        form.push("refresh_token", refresh_token.expose_secret());
        self.token_request_for(TokenAsked::Refresh(role), form)
    }

    /// Asks for the bank's keys.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank publishes none.
    pub fn keys(&self) -> Result<BankRequest, BankError> {
        let missing = || BankError::profile(&self.profile.id, "authorization_server.jwks_uri");
        Ok(BankRequest::get(self.metadata.jwks_uri.clone().ok_or_else(missing)?))
    }

    /// Reads the bank's keys.
    ///
    /// # Errors
    ///
    /// The bank's failure or `malformed-response`.
    pub fn keys_read(&self, response: &BankResponse) -> Result<crypto::Jwks, BankError> {
        refuse_failure(self.profile, response)?;
        crypto::Jwks::parse(&response.body).map_err(|_| BankError::malformed(&self.profile.id, "/keys"))
    }

    /// Reads the answer of the token endpoint: JSON, `Bearer` in any case, a
    /// missing `expires_in` is none.
    ///
    /// # Errors
    ///
    /// What the bank's error means, or `malformed-response`.
    pub fn token_read(&self, response: &BankResponse) -> Result<BankTokens, BankError> {
        refuse_failure(self.profile, response)?;
        tokens_of(self.profile, response)
    }

    /// Checks what the answer says that the token is good for (RFC 6749 §5.1):
    /// all that was asked for and no more, but for `openid`, which banks repeat
    /// or not. A caller keeps the tokens first.
    ///
    /// # Errors
    ///
    /// `authorization-invalid`, at `/scope`.
    pub fn check_scope(&self, tokens: &BankTokens, asked: TokenAsked<'_>) -> Result<(), BankError> {
        let Some(stated) = tokens.scope.as_deref() else { return Ok(()) };
        let quirk = |name| self.token_quirk(name, asked);
        let refused = || self.error(BankErrorKind::AuthorizationInvalid).at("/scope");
        if stated.trim().is_empty() {
            return quirk(QuirkName::TokenScopeEmpty).map(drop).ok_or_else(refused);
        }
        let expected = quirk(QuirkName::TokenScopeExpected).and_then(|quirk| quirk.text("scope"));
        let expected = match (expected, asked) {
            (Some(expected), _) => expected,
            (None, TokenAsked::Own(scope)) => scope,
            (None, TokenAsked::Code(request)) => self.scope_of(request),
            // A refresh asks for what there was (RFC 6749 §6).
            (None, TokenAsked::Refresh(_)) => return Ok(()),
        };
        let words = |scope: &str| -> BTreeSet<String> {
            let words = scope.split([' ', '+']).filter(|word| !matches!(*word, "" | "openid"));
            words.map(str::to_owned).collect()
        };
        let (expected, stated) = (words(expected), words(stated));
        let wider = quirk(QuirkName::TokenScopeWider).is_some();
        let fits = expected.is_subset(&stated) && (wider || stated.is_subset(&expected));
        if fits { Ok(()) } else { Err(refused()) }
    }

    /// The deviation of this name where such a token is asked for.
    fn token_quirk(&self, name: QuirkName, asked: TokenAsked<'_>) -> Option<&Quirk> {
        let role = asked.role();
        let step = match asked {
            TokenAsked::Own(_) => "token.cc".to_owned(),
            TokenAsked::Code(_) => format!("token.code.{}", role.word()),
            TokenAsked::Refresh(_) => format!("token.refresh.{}", role.word()),
        };
        self.profile.quirks.find(name, &step, role.version(self.profile))
    }

    /// A request with what spends something, and the scope that some banks want named.
    fn token_request_for(&self, asked: TokenAsked<'_>, mut form: Form) -> Result<BankRequest, BankError> {
        let named = self.token_quirk(QuirkName::TokenScopeRequested, asked);
        if let Some(scope) = named.and_then(|quirk| quirk.text("scope")) {
            form.push("scope", scope);
        }
        self.token_request(asked.role(), form, Effect::Write)
    }

    fn token_request(&self, role: Role, mut form: Form, effect: Effect) -> Result<BankRequest, BankError> {
        self.authenticate(role, &mut form)?;
        BankRequest::of(Method::POST, self.metadata.token_endpoint.clone(), effect)
            .body("application/x-www-form-urlencoded", form.finish())
            .header("accept", "application/json")
            .map_err(|name| self.error(BankErrorKind::Internal).at(name))
    }
}

/// Reads the tokens of a successful answer.
///
/// # Errors
///
/// `malformed-response`.
pub fn tokens_of(profile: &Profile, response: &BankResponse) -> Result<BankTokens, BankError> {
    let wire: Wire = json(profile, response)?;
    let malformed = |field: &str| BankError::malformed(&profile.id, field);
    if !wire.token_type.eq_ignore_ascii_case("bearer") {
        return Err(malformed("/token_type"));
    }
    // A header is what it is for: VSCHAR (RFC 6749 appendix A.12).
    let sendable = |token: &SecretString| {
        let token = token.expose_secret();
        !token.is_empty() && token.len() <= 16 * 1024 && token.bytes().all(|b| (0x21..=0x7e).contains(&b))
    };
    if !sendable(&wire.access_token) {
        return Err(malformed("/access_token"));
    }
    Ok(BankTokens {
        access_token: wire.access_token,
        refresh_token: wire.refresh_token.filter(|token| !token.expose_secret().is_empty()),
        id_token: wire.id_token.filter(|token| !token.is_empty()),
        expires_in: wire.expires_in.map(Duration::from_secs),
        scope: wire.scope,
    })
}

/// What an unsuccessful answer of an authorization server means (RFC 6749
/// §5.2). A redirect is one: it is never followed.
pub(super) fn refuse_failure(profile: &Profile, response: &BankResponse) -> Result<(), BankError> {
    if response.status.is_success() {
        return Ok(());
    }
    let status = response.status.as_u16();
    let code = serde_json::from_slice::<WireError>(&response.body).map(|wire| wire.error).unwrap_or_default();
    let kind = match code.as_str() {
        "invalid_grant" => BankErrorKind::TokenInvalid,
        "invalid_client" | "unauthorized_client" => BankErrorKind::RegistrationMissing,
        "unsupported_grant_type" => BankErrorKind::Unsupported,
        "temporarily_unavailable" => BankErrorKind::BankUnavailable,
        _ => match status {
            401 | 403 => BankErrorKind::RegistrationMissing,
            429 => BankErrorKind::Throttled,
            400..=499 => BankErrorKind::InvalidRequest,
            _ => BankErrorKind::BankFailed,
        },
    };
    let error = BankError::new(&profile.id, kind)
        .with_status(status)
        .with_bank_code(&code)
        .with_retry_after(response.retry_after());
    Err(if status >= 500 { error.unknown() } else { error })
}

/// Reads a JSON answer; anything but a JSON media type is refused.
pub(super) fn json<T: DeserializeOwned>(profile: &Profile, response: &BankResponse) -> Result<T, BankError> {
    let media = response.header_text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media != "application/json" && !media.ends_with("+json") {
        return Err(BankError::malformed(&profile.id, "content-type"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(&response.body);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string().replace('.', "/");
        BankError::malformed(&profile.id, format!("/{path}"))
    })
}
