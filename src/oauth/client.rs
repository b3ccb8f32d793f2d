//! A registered client: RFC 7591 metadata with its meaning.

mod metadata;
mod presentation;
mod subject;
mod theme;

use crypto::certificate::Psd2Role;
use crypto::{Algorithm, Certificate, Jwks};
use serde_json::{Value, json};
use url::Url;

use metadata::Metadata;
use presentation::Presentation;
pub(crate) use subject::SubjectMatch;

use crate::details::DETAIL_TYPES;
use crate::locale::Locale;

/// Scopes that a client can be registered for.
pub(crate) const SCOPES: &[&str] = &["openid", "accounts", "payments", "fundsconfirmations"];
/// Scopes of a client's own tokens, about its grants (FAPI Grant Management).
pub(crate) const GRANT_SCOPES: &[&str] = &["grant_management_query", "grant_management_revoke"];
/// Scopes that some clients ask for and that mean nothing here.
const TOLERATED_SCOPES: &[&str] = &["offline_access"];
/// Grant types that a client can be registered for.
pub(crate) const GRANT_TYPES: &[&str] =
    &["authorization_code", "refresh_token", "client_credentials", CIBA_GRANT];
/// CIBA Core §4.
pub(crate) const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Why metadata is refused (RFC 7591 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// `invalid_redirect_uri`.
    #[error("redirect_uris are absolute https addresses without fragment, at least one")]
    RedirectUri,
    /// `invalid_client_metadata`.
    #[error("{0}")]
    Metadata(&'static str),
}

/// How a client authenticates.
#[derive(Clone, Debug)]
pub(crate) enum ClientAuth {
    /// RFC 7523, with the client's keys.
    PrivateKeyJwt,
    /// RFC 8705 §2.1: a trusted certificate with this subject.
    Certificate(SubjectMatch),
    /// RFC 8705 §2.2: a certificate that the client's keys are published with.
    SelfSigned,
}

/// How the client learns that a PSU has decided (CIBA Core §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It asks.
    Poll,
    /// It is told to ask.
    Ping(String),
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: String,
    /// Its name, where it has none in the PSU's language.
    pub name: String,
    /// Addresses that answers may go to; compared exactly.
    pub redirect_uris: Vec<String>,
    /// Scopes it may ask for.
    pub scopes: Vec<String>,
    pub(crate) auth: ClientAuth,
    /// Its public keys: of assertions and request objects.
    pub(crate) keys: Jwks,
    grant_types: Vec<String>,
    /// `organizationIdentifier` its certificates must carry.
    pub organization_identifier: Option<String>,
    /// PSD2 roles of the certificate it registered with, where that stated any.
    roles: Option<Vec<Psd2Role>>,
    /// Algorithm its assertions must have, where it pinned one.
    pub(crate) assertion_algorithm: Option<Algorithm>,
    /// Algorithm its request objects must have, where it pinned one.
    pub(crate) request_algorithm: Option<Algorithm>,
    /// Whether what it pushes must be signed (RFC 9101 §10.5).
    pub(crate) signs_requests: bool,
    /// Whether its tokens are bound to a DPoP key (RFC 9449 §5.2).
    pub(crate) dpop_bound: bool,
    /// Whether introspection answers it with a signed JWT (RFC 9701 §6).
    pub(crate) signed_introspection: bool,
    /// Types of `authorization_details` it may use (RFC 9396 §10).
    pub(crate) detail_types: Vec<String>,
    pub(crate) delivery: Option<Delivery>,
    /// How it presents itself to a PSU.
    pub(crate) presentation: Presentation,
}

impl Client {
    /// Gives metadata its meaning.
    ///
    /// # Errors
    ///
    /// [`InvalidMetadata`] with the first thing that is wrong.
    pub fn from_metadata(id: &str, metadata: &Value) -> Result<Self, InvalidMetadata> {
        let bad = InvalidMetadata::Metadata;
        let raw: Metadata = serde_json::from_value(metadata.clone())
            .map_err(|_| bad("a member of the metadata has the wrong type"))?;
        let grant_types = raw.grant_types.clone().unwrap_or_else(|| vec!["authorization_code".to_owned()]);
        if grant_types.iter().any(|known| !GRANT_TYPES.contains(&known.as_str())) {
            return Err(bad(
                "grant_types are authorization_code, refresh_token, client_credentials and CIBA",
            ));
        }
        let needs_redirect = grant_types.iter().any(|grant| grant == "authorization_code");
        if (needs_redirect && raw.redirect_uris.is_empty())
            || !raw.redirect_uris.iter().all(|uri| is_redirect_uri(uri))
        {
            return Err(InvalidMetadata::RedirectUri);
        }
        if raw.response_types.as_ref().is_some_and(|types| types.iter().any(|kind| kind != "code")) {
            return Err(bad("response_types is [\"code\"]"));
        }
        let presentation = Presentation::read(metadata)?;
        let keys = keys_of(&raw)?;
        let auth = auth_of(&raw, &keys)?;
        let dpop_bound = raw.dpop_bound_access_tokens.unwrap_or(false);
        if dpop_bound && raw.tls_client_certificate_bound_access_tokens == Some(true) {
            return Err(bad("tokens are bound to a certificate or to a DPoP key, not to both"));
        }
        only(&raw.id_token_signed_response_alg, &["PS256"], "id_tokens are signed with PS256")?;
        only(&raw.authorization_signed_response_alg, &["PS256"], "responses are signed with PS256")?;
        only(&raw.introspection_signed_response_alg, &["PS256"], "introspection is signed with PS256")?;
        Ok(Self {
            id: id.to_owned(),
            name: raw.client_name.clone().unwrap_or_else(|| id.to_owned()),
            presentation,
            scopes: scopes_of(&raw)?,
            auth,
            keys,
            delivery: delivery_of(&raw, &grant_types)?,
            grant_types,
            organization_identifier: raw.organization_identifier.clone(),
            roles: raw.psd2_roles.as_ref().map(|roles| {
                let known = |role: &&Psd2Role| roles.iter().any(|name| name == role.as_str());
                Psd2Role::ALL.iter().filter(known).copied().collect()
            }),
            assertion_algorithm: algorithm_of(&raw.token_endpoint_auth_signing_alg)?,
            request_algorithm: algorithm_of(&raw.request_object_signing_alg)?,
            signs_requests: raw.require_signed_request_object.unwrap_or(false),
            dpop_bound,
            signed_introspection: raw.introspection_signed_response_alg.is_some(),
            detail_types: detail_types_of(&raw)?,
            redirect_uris: raw.redirect_uris,
        })
    }

    /// Metadata as it is in effect: what was given, with what we filled in
    /// (RFC 7591 §3.2.1).
    #[must_use]
    pub fn effective(&self, metadata: &Value) -> Value {
        let mut effective = metadata.clone();
        if let Some(members) = effective.as_object_mut() {
            members.insert("client_id".to_owned(), self.id.clone().into());
            members.insert("client_name".to_owned(), self.name.clone().into());
            members.insert("scope".to_owned(), self.scopes.join(" ").into());
            members.insert("grant_types".to_owned(), json!(self.grant_types));
            members.insert("response_types".to_owned(), json!(["code"]));
            members.insert("redirect_uris".to_owned(), json!(self.redirect_uris));
            members.insert("authorization_details_types".to_owned(), json!(self.detail_types));
            members.insert("id_token_signed_response_alg".to_owned(), "PS256".into());
            members.insert("require_pushed_authorization_requests".to_owned(), true.into());
            members.insert("dpop_bound_access_tokens".to_owned(), self.dpop_bound.into());
            let certificate = "tls_client_certificate_bound_access_tokens".to_owned();
            members.insert(certificate, (!self.dpop_bound).into());
        }
        effective
    }

    /// Its name, as the PSU sees it.
    pub(crate) fn name_in(&self, locale: Locale) -> &str {
        self.presentation.name(locale).unwrap_or(&self.name)
    }

    /// Where the application can be started again: its home page, or the root
    /// of the address that answers go to.
    pub(crate) fn home(&self, locale: Locale) -> Option<Url> {
        let website = self.presentation.website(locale).and_then(|home| Url::parse(home).ok());
        website.or_else(|| {
            let answers = self.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
            answers.filter(|uri| uri.scheme() == "https").find_map(|uri| uri.join("/").ok())
        })
    }

    /// Whether it is registered for a grant type.
    pub(crate) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.iter().any(|known| known == grant_type)
    }

    /// The scopes of a request, in our order, if it may ask for all of them.
    pub(crate) fn scope_of(&self, asked: &str) -> Option<Vec<&'static str>> {
        let asked: Vec<&str> =
            asked.split_ascii_whitespace().filter(|scope| !TOLERATED_SCOPES.contains(scope)).collect();
        let known = asked
            .iter()
            .all(|scope| self.scopes.iter().any(|may| may == scope) || GRANT_SCOPES.contains(scope));
        let ours = SCOPES.iter().chain(GRANT_SCOPES);
        let in_order = ours.copied().filter(|scope| asked.contains(scope)).collect::<Vec<_>>();
        (known && !in_order.is_empty()).then_some(in_order)
    }

    /// PSD2 (ETSI TS 119 495): whether the certificate, or else the one the
    /// client registered with, states the role that a scope needs. One that
    /// states no roles is judged by the registration alone.
    pub(crate) fn role_covers(&self, certificate: Option<&Certificate>, scope: &str) -> bool {
        let Some(role) = Psd2Role::for_scope(scope) else { return true };
        match certificate.filter(|certificate| certificate.psd2.is_some()) {
            Some(certificate) => certificate.has_role(role),
            None => self.roles.as_ref().is_none_or(|roles| roles.contains(&role)),
        }
    }
}

/// Why a scope is not given to who does not have the role for it.
pub(crate) fn role_missing<'a>(scopes: impl IntoIterator<Item = &'a str>) -> &'static str {
    match scopes.into_iter().find_map(Psd2Role::for_scope) {
        Some(Psd2Role::AccountInformation) => {
            "the certificate does not state the PSD2 role PSP_AI, which the scope accounts needs"
        }
        Some(Psd2Role::PaymentInitiation) => {
            "the certificate does not state the PSD2 role PSP_PI, which the scope payments needs"
        }
        Some(Psd2Role::CardIssuing) => {
            "the certificate does not state the PSD2 role PSP_IC, which the scope fundsconfirmations needs"
        }
        Some(Psd2Role::AccountServicing) | None => {
            "the certificate does not state the PSD2 role that this scope needs"
        }
    }
}

fn only(given: &Option<String>, known: &[&str], why: &'static str) -> Result<(), InvalidMetadata> {
    match given {
        Some(given) if !known.contains(&given.as_str()) => Err(InvalidMetadata::Metadata(why)),
        Some(_) | None => Ok(()),
    }
}

fn algorithm_of(given: &Option<String>) -> Result<Option<Algorithm>, InvalidMetadata> {
    let bad = InvalidMetadata::Metadata("signatures of clients are PS256, ES256 or EdDSA");
    given.as_deref().map(|name| Algorithm::from_name(name).ok_or(bad)).transpose()
}

fn scopes_of(raw: &Metadata) -> Result<Vec<String>, InvalidMetadata> {
    let scopes: Vec<String> = match &raw.scope {
        Some(scope) => scope
            .split_ascii_whitespace()
            .filter(|scope| !TOLERATED_SCOPES.contains(scope) && !GRANT_SCOPES.contains(scope))
            .map(str::to_owned)
            .collect(),
        None => SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(InvalidMetadata::Metadata(
            "scope holds openid, accounts, payments and fundsconfirmations",
        ));
    }
    Ok(scopes)
}

fn detail_types_of(raw: &Metadata) -> Result<Vec<String>, InvalidMetadata> {
    let all = || DETAIL_TYPES.iter().map(|kind| (*kind).to_owned()).collect();
    let types: Vec<String> = raw.authorization_details_types.clone().unwrap_or_else(all);
    if types.iter().any(|kind| !DETAIL_TYPES.contains(&kind.as_str())) {
        return Err(InvalidMetadata::Metadata(
            "authorization_details_types are account_access, payment_initiation, vrp and funds_confirmation",
        ));
    }
    Ok(types)
}

fn keys_of(raw: &Metadata) -> Result<Jwks, InvalidMetadata> {
    let bad = InvalidMetadata::Metadata;
    if raw.jwks_uri.is_some() {
        return Err(bad("keys are registered by value: jwks, not jwks_uri"));
    }
    match &raw.jwks {
        Some(jwks) => Jwks::from_value(jwks).map_err(|_| bad("jwks is not a usable set of public keys")),
        None => Ok(Jwks::default()),
    }
}

fn delivery_of(raw: &Metadata, grant_types: &[String]) -> Result<Option<Delivery>, InvalidMetadata> {
    let bad = InvalidMetadata::Metadata;
    if !grant_types.iter().any(|grant| grant == CIBA_GRANT) {
        return Ok(None);
    }
    if raw.backchannel_user_code_parameter == Some(true) {
        return Err(bad("user codes are not used here"));
    }
    algorithm_of(&raw.backchannel_authentication_request_signing_alg)?;
    match raw.backchannel_token_delivery_mode.as_deref() {
        Some("poll") => Ok(Some(Delivery::Poll)),
        Some("ping") => {
            let endpoint = raw.backchannel_client_notification_endpoint.as_deref().unwrap_or_default();
            if !endpoint.starts_with("https://") || !is_redirect_uri(endpoint) {
                return Err(bad("ping needs an https backchannel_client_notification_endpoint"));
            }
            Ok(Some(Delivery::Ping(endpoint.to_owned())))
        }
        Some(_) | None => Err(bad("backchannel_token_delivery_mode is poll or ping")),
    }
}

fn auth_of(raw: &Metadata, keys: &Jwks) -> Result<ClientAuth, InvalidMetadata> {
    let bad = InvalidMetadata::Metadata;
    match raw.token_endpoint_auth_method.as_deref() {
        Some("private_key_jwt") => {
            if raw.jwks.is_none() {
                return Err(bad("private_key_jwt needs jwks"));
            }
            if keys.is_empty() {
                return Err(bad("jwks holds no usable key: RSA of 2048 bits and more, P-256 or Ed25519"));
            }
            Ok(ClientAuth::PrivateKeyJwt)
        }
        Some("tls_client_auth") => {
            let ip = raw.tls_client_auth_san_ip.as_deref();
            let ip = ip.map(|ip| ip.parse().map_err(|_| bad("tls_client_auth_san_ip is no address")));
            let given: Vec<SubjectMatch> = [
                raw.tls_client_auth_subject_dn.clone().map(SubjectMatch::Dn),
                raw.tls_client_auth_san_dns.clone().map(SubjectMatch::Dns),
                raw.tls_client_auth_san_uri.clone().map(SubjectMatch::Uri),
                ip.transpose()?.map(SubjectMatch::Ip),
                raw.tls_client_auth_san_email.clone().map(SubjectMatch::Email),
            ]
            .into_iter()
            .flatten()
            .collect();
            match given.as_slice() {
                [one] => Ok(ClientAuth::Certificate(one.clone())),
                _ => Err(bad("tls_client_auth needs exactly one tls_client_auth_ subject attribute")),
            }
        }
        Some("self_signed_tls_client_auth") => {
            if keys.iter().any(|key| key.certificate().is_some()) {
                return Ok(ClientAuth::SelfSigned);
            }
            Err(bad("self_signed_tls_client_auth needs jwks with the certificate in x5c"))
        }
        Some(_) | None => Err(bad(
            "token_endpoint_auth_method is private_key_jwt, tls_client_auth or self_signed_tls_client_auth",
        )),
    }
}

fn is_redirect_uri(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    // RFC 8252 §7.3 lets a native app listen on loopback without TLS.
    let secure = url.scheme() == "https" || (url.scheme() == "http" && here);
    secure
        && url.fragment().is_none()
        && url.username().is_empty()
        && text.len() <= 2_048
        && !text.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata() -> Value {
        json!({
            "client_name": "Demo",
            "redirect_uris": ["https://fintech.example/cb"],
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "fintech.example",
            "scope": "accounts openid offline_access",
        })
    }

    #[test]
    fn scopes_are_granted_in_our_order_and_only_if_registered() {
        let client = Client::from_metadata("c", &metadata()).unwrap();
        assert_eq!(client.scope_of("accounts openid").unwrap(), ["openid", "accounts"]);
        assert_eq!(client.scope_of("offline_access accounts").unwrap(), ["accounts"]);
        assert!(client.scope_of("accounts payments").is_none());
        assert!(client.scope_of("").is_none());
    }

    /// RFC 8705 §2.1.2: exactly one subject attribute.
    #[test]
    fn two_subject_attributes_are_refused() {
        let mut two = metadata();
        two["tls_client_auth_subject_dn"] = json!("CN=x");
        assert!(Client::from_metadata("c", &two).is_err());
        two["tls_client_auth_san_dns"] = Value::Null;
        assert!(Client::from_metadata("c", &two).is_ok());
    }

    #[test]
    fn a_redirect_uri_is_https_and_has_no_fragment() {
        for uri in
            ["http://fintech.example/cb", "https://a.example/#x", "custom:cb", "/cb", "https://u@a.example/"]
        {
            let mut bad = metadata();
            bad["redirect_uris"] = json!([uri]);
            assert_eq!(Client::from_metadata("c", &bad).unwrap_err(), InvalidMetadata::RedirectUri, "{uri}");
        }
    }

    #[test]
    fn a_client_secret_is_no_way_to_authenticate() {
        for method in [json!("client_secret_basic"), json!("none"), Value::Null] {
            let mut bad = metadata();
            bad["token_endpoint_auth_method"] = method;
            assert!(Client::from_metadata("c", &bad).is_err());
        }
    }
}
