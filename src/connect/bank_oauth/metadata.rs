//! The bank's authorization server, as its metadata describes it (RFC 8414,
//! OpenID Connect Discovery). Unknown members are ignored.

use serde::Deserialize;
use url::Url;

use crate::{BankError, BankErrorKind, BankRequest, BankResponse, Profile, QuirkName};

/// Where a bank's authorization server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Issuer identifier.
    pub issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: Url,
    /// Where tokens come from.
    pub token_endpoint: Url,
    /// Where requests are pushed, if they are (RFC 9126).
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// The server's keys, if it signs anything.
    pub jwks_uri: Option<Url>,
    /// Where clients register, if they do so by a request (RFC 7591). Its host is
    /// judged when somebody registers: nothing else goes there.
    pub registration_endpoint: Option<Url>,
    /// Every authorization response names the issuer (RFC 9207).
    pub iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Wire {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    pushed_authorization_request_endpoint: Option<Url>,
    jwks_uri: Option<Url>,
    registration_endpoint: Option<Url>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

/// RFC 8705 §5: addresses for clients with a certificate, as we are.
#[derive(Default, Deserialize)]
struct Aliases {
    token_endpoint: Option<Url>,
    pushed_authorization_request_endpoint: Option<Url>,
    registration_endpoint: Option<Url>,
}

impl Metadata {
    /// What the profile states itself, where the bank publishes no metadata.
    #[must_use]
    pub fn of_profile(profile: &Profile) -> Option<Self> {
        let server = profile.authorization_server.as_ref()?;
        profile.quirks.find(QuirkName::MetadataUnpublished, "discovery", "")?;
        Some(Self {
            issuer: server.issuer.clone()?,
            authorization_endpoint: server.authorization_endpoint.clone()?,
            token_endpoint: server.token_endpoint.clone()?,
            pushed_authorization_request_endpoint: server.pushed_authorization_request_endpoint.clone(),
            jwks_uri: server.jwks_uri.clone(),
            registration_endpoint: server.registration_endpoint.clone(),
            iss_parameter_supported: false,
        })
    }
}

/// Asks for the metadata: at `named`, if the bank's own answer named a place,
/// else where the profile says, else below the issuer.
///
/// # Errors
///
/// `profile-error` if neither names a place.
pub fn metadata_request(profile: &Profile, named: Option<&Url>) -> Result<BankRequest, BankError> {
    let missing = || BankError::profile(&profile.id, "authorization_server.issuer");
    let server = profile.authorization_server.as_ref();
    let stated = server.and_then(|server| server.metadata_url.as_ref());
    let url = match named.or(stated) {
        Some(url) => url.clone(),
        None => {
            let issuer = server.and_then(|server| server.issuer.as_deref()).ok_or_else(missing)?;
            let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            Url::parse(&address).map_err(|_| missing())?
        }
    };
    BankRequest::get(url)
        .header("accept", "application/json")
        .map_err(|name| BankError::profile(&profile.id, name))
}

/// Reads the metadata that came from `from`. The issuer in it must be the
/// profile's, or the one that publishes there (RFC 8414 §3.3); endpoints that
/// the profile states win; every address must be one the profile permits.
///
/// # Errors
///
/// The bank's failure, `malformed-response` or `authorization-invalid`.
pub fn metadata_read(profile: &Profile, from: &Url, response: &BankResponse) -> Result<Metadata, BankError> {
    super::token::refuse_failure(profile, response)?;
    let wire: Wire = super::token::json(profile, response)?;
    let invalid = |field: &str| BankError::new(&profile.id, BankErrorKind::AuthorizationInvalid).at(field);
    let server = profile.authorization_server.as_ref();
    let genuine = match server.and_then(|server| server.issuer.as_deref()) {
        Some(known) => wire.issuer == known,
        None => publishes_at(&wire.issuer, from),
    };
    if !genuine {
        return Err(invalid("/issuer"));
    }
    let stated = |pick: fn(&crate::AuthorizationServer) -> &Option<Url>| {
        server.and_then(|server| pick(server).clone())
    };
    let metadata = Metadata {
        authorization_endpoint: stated(|server| &server.authorization_endpoint)
            .unwrap_or(wire.authorization_endpoint),
        token_endpoint: stated(|server| &server.token_endpoint)
            .or(wire.mtls_endpoint_aliases.token_endpoint)
            .unwrap_or(wire.token_endpoint),
        pushed_authorization_request_endpoint: stated(|server| &server.pushed_authorization_request_endpoint)
            .or(wire.mtls_endpoint_aliases.pushed_authorization_request_endpoint)
            .or(wire.pushed_authorization_request_endpoint),
        jwks_uri: stated(|server| &server.jwks_uri).or(wire.jwks_uri),
        registration_endpoint: stated(|server| &server.registration_endpoint)
            .or(wire.mtls_endpoint_aliases.registration_endpoint)
            .or(wire.registration_endpoint),
        issuer: wire.issuer,
        iss_parameter_supported: wire.authorization_response_iss_parameter_supported,
    };
    let called = [
        ("/token_endpoint", Some(&metadata.token_endpoint)),
        ("/pushed_authorization_request_endpoint", metadata.pushed_authorization_request_endpoint.as_ref()),
        ("/jwks_uri", metadata.jwks_uri.as_ref()),
    ];
    for (field, url) in called {
        if url.is_some_and(|url| !profile.permits(url)) {
            return Err(invalid(field));
        }
    }
    // The browser goes there, not we: https is enough.
    if metadata.authorization_endpoint.scheme() != "https" {
        return Err(invalid("/authorization_endpoint"));
    }
    Ok(metadata)
}

/// Whether metadata of `issuer` stands at `from`: behind the issuer (OpenID
/// Connect Discovery §4) or with the well-known part in front (RFC 8414 §3.1).
fn publishes_at(issuer: &str, from: &Url) -> bool {
    let behind = issuer.trim_end_matches('/');
    let Ok(parsed) = Url::parse(issuer) else { return false };
    let path = parsed.path().trim_end_matches('/');
    ["openid-configuration", "oauth-authorization-server"].iter().any(|name| {
        let mut front = parsed.clone();
        front.set_path(&format!("/.well-known/{name}{path}"));
        from.as_str() == format!("{behind}/.well-known/{name}") || *from == front
    })
}
