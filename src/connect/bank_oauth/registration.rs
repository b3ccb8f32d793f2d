//! We become a client of a bank, and stay one: UK Dynamic Client Registration 3.x
//! (a JWT that we sign, carrying a software statement) or JSON (RFC 7591), and
//! what is done with a registration later (RFC 7592).
//!
//! What the bank answers is compared with what was asked for: a registration with
//! another redirect address or weaker authentication is none of ours.

mod answer;
mod statement;

use crypto::{Certificate, Jwks, SigningKey};
use domain::{Entropy, Timestamp};
use http::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

pub use answer::Registered;
pub use statement::{InvalidStatement, SoftwareStatement};

use super::{Metadata, OAuthClient, Role, claims_of, signed};
use crate::{
    BankError, BankErrorKind, BankRequest, BankResponse, ClientAuth, Effect, Profile, Quirk, QuirkName,
    RegisteredClient, Registration, RegistrationForm, ResponseType,
};

/// Where a registration is made, as quirks name it.
const POST: &str = "dcr.post";
/// Where it is read, replaced and ended.
const MANAGE: &str = "dcr.manage";

/// Grants that we use.
const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// What we register.
#[derive(Clone, Copy)]
pub struct RegistrationOrder<'a> {
    /// What the directory says of our software; JSON may do without.
    pub statement: Option<&'a SoftwareStatement>,
    /// Services that we want to use.
    pub roles: &'a [Role],
    /// Where the bank may send the browser back to.
    pub redirect_uris: &'a [Url],
}

/// We, who want to be a client of one bank, now.
#[derive(Clone, Copy)]
pub struct Registrar<'a> {
    /// The bank.
    pub profile: &'a Profile,
    /// Its authorization server.
    pub metadata: &'a Metadata,
    /// Signs the request; its public half is what the software statement vouches for.
    pub signing_key: &'a SigningKey,
    /// Our certificate for TLS, whose subject the bank will know us by.
    pub certificate: &'a Certificate,
    /// Now.
    pub now: Timestamp,
    /// For `jti`.
    pub entropy: &'a dyn Entropy,
}

/// Why a registration could not be made, read, replaced or ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The bank's answer, or a check of ours.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// The bank has registered us, but not as we asked. The identifier is needed to
    /// put that right, and is not used until then.
    #[error("the bank knows us as {client_id} now, but not as we asked")]
    Different {
        /// What the bank calls us.
        client_id: String,
        /// What is different.
        #[source]
        source: BankError,
    },
    /// The bank does not do this by request.
    #[error("the bank's profile does not say that a registration can be {0}")]
    NotOffered(&'static str),
    /// A signed request needs a software statement.
    #[error("the bank wants a software statement")]
    NoStatement,
    /// The statement covers less than is asked for.
    #[error("the software statement does not cover {0}")]
    NotCovered(String),
    /// The bank's token for this registration is not known.
    #[error(
        "the bank manages registrations by their access token, and registration_access_token is empty in the deployment"
    )]
    NoToken,
}

/// What a request about a registration is authorised by.
pub(crate) enum ManagedBy {
    /// The registration's own token (RFC 7592).
    ItsToken(SecretString),
    /// A token that our client asks for first.
    OwnToken(Box<BankRequest>),
}

impl Registrar<'_> {
    /// Asks to be registered. Send it once: a bank may register us twice.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`] if the bank takes no requests, or something is missing.
    pub fn register(&self, order: &RegistrationOrder<'_>) -> Result<BankRequest, RegistrationError> {
        if !self.registration()?.automatic {
            return Err(RegistrationError::NotOffered("made by a request"));
        }
        let request = BankRequest::of(Method::POST, self.endpoint()?, Effect::Write);
        self.carrying(request, self.claims(order)?)
    }

    /// Reads the answer to [`Registrar::register`].
    ///
    /// # Errors
    ///
    /// What the bank's error means, or what is different from what was asked for.
    pub fn registered(
        &self,
        order: &RegistrationOrder<'_>,
        response: &BankResponse,
    ) -> Result<Registered, RegistrationError> {
        self.answer(response, http::StatusCode::CREATED, Some(&self.claims(order)?))
    }

    /// Asks how a registration stands.
    pub(crate) fn read(
        &self,
        client: &RegisteredClient,
        token: &SecretString,
    ) -> Result<BankRequest, RegistrationError> {
        self.offers(self.registration()?.read, "read")?;
        self.managing(Method::GET, Effect::Read, client, token)
    }

    /// Reads the answer to [`Registrar::read`].
    pub(crate) fn read_answer(&self, response: &BankResponse) -> Result<Registered, RegistrationError> {
        self.answer(response, http::StatusCode::OK, None)
    }

    /// Replaces a registration by what is asked for now.
    pub(crate) fn update(
        &self,
        client: &RegisteredClient,
        token: &SecretString,
        order: &RegistrationOrder<'_>,
    ) -> Result<BankRequest, RegistrationError> {
        self.offers(self.registration()?.update, "replaced")?;
        let mut claims = self.claims(order)?;
        if self.registration()?.request == RegistrationForm::Json {
            // RFC 7592 §2.2: the client's identifier is part of it.
            claims.insert("client_id".into(), json!(client.client_id));
        }
        let request = self.managing(Method::PUT, Effect::Write, client, token)?;
        self.carrying(request, claims)
    }

    /// Reads the answer to [`Registrar::update`].
    pub(crate) fn updated(
        &self,
        order: &RegistrationOrder<'_>,
        response: &BankResponse,
    ) -> Result<Registered, RegistrationError> {
        self.answer(response, http::StatusCode::OK, Some(&self.claims(order)?))
    }

    /// Ends a registration.
    pub(crate) fn delete(
        &self,
        client: &RegisteredClient,
        token: &SecretString,
    ) -> Result<BankRequest, RegistrationError> {
        self.offers(self.registration()?.delete, "deleted")?;
        self.managing(Method::DELETE, Effect::Write, client, token)
    }

    /// Reads the answer to [`Registrar::delete`]: 204 (RFC 7592 §2.3).
    pub(crate) fn deleted(&self, response: &BankResponse) -> Result<(), RegistrationError> {
        super::token::refuse_failure(self.profile, response)?;
        if response.status == http::StatusCode::NO_CONTENT {
            return Ok(());
        }
        Err(BankError::malformed(&self.profile.id, "status")
            .with_status(response.status.as_u16())
            .unknown()
            .into())
    }

    /// What authorises requests about a registration: its own token (RFC 7592) where
    /// the request is JSON or the profile says so, else one that we ask for as its
    /// client (UK Dynamic Client Registration).
    pub(crate) fn managed_by(
        &self,
        client: &RegisteredClient,
        role: Option<Role>,
    ) -> Result<ManagedBy, RegistrationError> {
        let json = self.registration()?.request == RegistrationForm::Json;
        if json || self.quirk(QuirkName::RegistrationAccessToken, MANAGE).is_some() {
            return client.access_token.clone().map(ManagedBy::ItsToken).ok_or(RegistrationError::NoToken);
        }
        let role = role.unwrap_or(match self.profile.accounts_api {
            Some(_) => Role::Accounts,
            None => Role::Payments,
        });
        let quirk = self.quirk(QuirkName::RegistrationTokenScope, MANAGE);
        let by_role = |quirk: &Quirk| {
            let scopes = quirk.parameters.get("scope_by_role")?.as_table()?;
            scopes.get(role.word())?.as_str().map(str::to_owned)
        };
        let scope = quirk.and_then(|quirk| quirk.text("scope").map(str::to_owned).or_else(|| by_role(quirk)));
        let oauth = self.oauth();
        Ok(ManagedBy::OwnToken(Box::new(oauth.own_token(role, scope.as_deref())?)))
    }

    /// Reads the token that [`ManagedBy::OwnToken`] asked for.
    pub(crate) fn own_token(&self, response: &BankResponse) -> Result<SecretString, RegistrationError> {
        Ok(self.oauth().token_read(response)?.access_token)
    }

    fn oauth(&self) -> OAuthClient<'_> {
        OAuthClient {
            profile: self.profile,
            metadata: self.metadata,
            signing_key: Some(self.signing_key),
            now: self.now,
            entropy: self.entropy,
        }
    }

    fn registration(&self) -> Result<&Registration, BankError> {
        let missing = || BankError::profile(&self.profile.id, "registration");
        self.profile.registration.as_ref().ok_or_else(missing)
    }

    fn offers(&self, offered: bool, what: &'static str) -> Result<(), RegistrationError> {
        if offered { Ok(()) } else { Err(RegistrationError::NotOffered(what)) }
    }

    fn quirk(&self, name: QuirkName, step: &str) -> Option<&Quirk> {
        // Quirks of registration hold for every version of the services.
        self.profile.quirks.find(name, step, "")
    }

    fn endpoint(&self) -> Result<Url, BankError> {
        let missing = || BankError::profile(&self.profile.id, "authorization_server.registration_endpoint");
        let endpoint = self.metadata.registration_endpoint.clone().ok_or_else(missing)?;
        self.permitted(endpoint, "/registration_endpoint")
    }

    /// An address that our certificate and tokens may go to.
    fn permitted(&self, url: Url, field: &str) -> Result<Url, BankError> {
        if self.profile.permits(&url) {
            return Ok(url);
        }
        Err(BankError::new(&self.profile.id, BankErrorKind::AuthorizationInvalid).at(field))
    }

    /// What we ask for: the claims of RFC 7591 §2 as UK Dynamic Client Registration 3.2 has them.
    fn claims(&self, order: &RegistrationOrder<'_>) -> Result<Map<String, Value>, RegistrationError> {
        if let Some(statement) = order.statement {
            statement.covers(order)?;
        }
        let server = self.profile.authorization_server.as_ref();
        let response_type = server.map_or(ResponseType::Code, |server| server.response_type);
        let grants = self.quirk(QuirkName::RegistrationGrants, POST).map(|quirk| quirk.texts("grant_types"));
        let scopes = order.roles.iter().map(|role| role.scope());
        let scope: Vec<&str> = std::iter::once("openid").chain(scopes).collect();
        let algorithm = self.signing_key.algorithm().as_str();
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        put("redirect_uris", json!(order.redirect_uris));
        put("grant_types", json!(grants.unwrap_or_else(|| GRANTS.to_vec())));
        put("response_types", json!([response_type.as_str()]));
        put("application_type", json!("web"));
        put("scope", json!(scope.join(" ")));
        put("id_token_signed_response_alg", json!("PS256"));
        put("request_object_signing_alg", json!(algorithm));
        match self.profile.client_auth {
            ClientAuth::TlsClientAuth => {
                let spelling = self.registration()?.organisation_id_in_subject;
                put("token_endpoint_auth_method", json!("tls_client_auth"));
                put("tls_client_auth_subject_dn", json!(self.certificate.subject_dn_spelt(spelling)));
            }
            ClientAuth::PrivateKeyJwt => {
                put("token_endpoint_auth_method", json!("private_key_jwt"));
                put("token_endpoint_auth_signing_alg", json!(algorithm));
            }
        }
        if let Some(statement) = order.statement {
            put("software_id", json!(statement.software_id()));
            put("software_statement", json!(statement.as_str()));
        }
        if let Some(subject_type) =
            self.quirk(QuirkName::RegistrationSubjectType, POST).and_then(|quirk| quirk.text("value"))
        {
            put("subject_type", json!(subject_type));
        }
        match (self.registration()?.request, order.statement) {
            (RegistrationForm::Jwt, Some(statement)) => {
                claims.extend(claims_of(statement.software_id(), self.audience()?, self.now, self.entropy));
            }
            (RegistrationForm::Jwt, None) => return Err(RegistrationError::NoStatement),
            (RegistrationForm::Json, statement) => {
                put("tls_client_certificate_bound_access_tokens", json!(true));
                if statement.is_none() {
                    put("jwks", Jwks::of([self.signing_key]).to_value());
                }
            }
        }
        Ok(claims)
    }

    /// `aud` of the request: the bank's identifier in the directory.
    fn audience(&self) -> Result<&str, BankError> {
        match self.quirk(QuirkName::RegistrationAudience, POST).and_then(|quirk| quirk.text("audience")) {
            Some("issuer") => Ok(&self.metadata.issuer),
            Some(other) => Ok(other),
            None => {
                let missing = || BankError::profile(&self.profile.id, "financial_id");
                self.profile.financial_id.as_deref().ok_or_else(missing)
            }
        }
    }

    /// Puts claims into a request, signed or as they are.
    fn carrying(
        &self,
        request: BankRequest,
        claims: Map<String, Value>,
    ) -> Result<BankRequest, RegistrationError> {
        let request = match self.registration()?.request {
            RegistrationForm::Json => request.body("application/json", Value::Object(claims).to_string()),
            RegistrationForm::Jwt => {
                let jose = self.quirk(QuirkName::RegistrationMediaType, POST).is_some();
                let media = if jose { "application/jose" } else { "application/jwt" };
                let header = [("typ".to_owned(), json!("JWT"))].into_iter().collect();
                request.body(media, signed(self.profile, self.signing_key, &header, claims)?)
            }
        };
        self.with_header(request, header::ACCEPT.as_str(), "application/json")
    }

    fn managing(
        &self,
        method: Method,
        effect: Effect,
        client: &RegisteredClient,
        token: &SecretString,
    ) -> Result<BankRequest, RegistrationError> {
        let url = match &client.client_uri {
            Some(url) => self.permitted(url.clone(), "registration_client_uri")?,
            None => {
                let mut url = self.endpoint()?;
                if let Ok(mut path) = url.path_segments_mut() {
                    path.pop_if_empty().push(&client.client_id);
                }
                url
            }
        };
        let bearer = format!("Bearer {}", token.expose_secret());
        let request = BankRequest::of(method, url, effect);
        let request = self.with_header(request, header::AUTHORIZATION.as_str(), &bearer)?;
        self.with_header(request, header::ACCEPT.as_str(), "application/json")
    }

    fn with_header(
        &self,
        request: BankRequest,
        name: &'static str,
        value: &str,
    ) -> Result<BankRequest, RegistrationError> {
        let failed = |name| BankError::new(&self.profile.id, BankErrorKind::Internal).at(name);
        Ok(request.header(name, value).map_err(failed)?)
    }
}

#[cfg(test)]
mod tests;
