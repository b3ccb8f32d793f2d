//! A registered client: RFC 7591 metadata with its meaning.

use crypto::{Certificate, Jwks};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// Scopes that a client can be registered for.
pub(crate) const SCOPES: &[&str] = &["openid", "accounts", "payments"];
/// Scopes that some clients ask for and that mean nothing here.
const TOLERATED_SCOPES: &[&str] = &["offline_access"];

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

/// RFC 7591 metadata as it comes; what we do not know is kept and ignored.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Metadata {
    client_name: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    jwks: Option<Value>,
    tls_client_auth_subject_dn: Option<String>,
    tls_client_auth_san_dns: Option<String>,
    tls_client_auth_san_uri: Option<String>,
    tls_client_auth_san_ip: Option<String>,
    tls_client_auth_san_email: Option<String>,
    organization_identifier: Option<String>,
}

/// The one attribute of a certificate that names the client (RFC 8705 §2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubjectMatch {
    Dn(String),
    Dns(String),
    Uri(String),
    Ip(std::net::IpAddr),
    Email(String),
}

impl SubjectMatch {
    /// Whether a certificate carries the attribute.
    pub(crate) fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Dn(dn) => same_dn(dn, &certificate.subject_dn),
            Self::Dns(name) => certificate.san_dns.iter().any(|san| san.eq_ignore_ascii_case(name)),
            Self::Uri(uri) => certificate.san_uri.contains(uri),
            Self::Ip(ip) => certificate.san_ip.contains(ip),
            Self::Email(mail) => certificate.san_email.contains(mail),
        }
    }
}

/// How a client authenticates.
#[derive(Clone, Debug)]
pub(crate) enum ClientAuth {
    /// RFC 7523, with these keys.
    PrivateKeyJwt(Jwks),
    /// RFC 8705 §2.1.
    Certificate(SubjectMatch),
    /// A method that is registered but not offered here.
    NotOffered,
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: String,
    /// Its name, as the PSU sees it.
    pub name: String,
    /// Addresses that answers may go to; compared exactly.
    pub redirect_uris: Vec<String>,
    /// Scopes it may ask for.
    pub scopes: Vec<String>,
    pub(crate) auth: ClientAuth,
    grant_types: Vec<String>,
    /// `organizationIdentifier` its certificates must carry.
    pub organization_identifier: Option<String>,
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
        let needs_redirect = grant_types.iter().any(|grant| grant == "authorization_code");
        if (needs_redirect && raw.redirect_uris.is_empty())
            || !raw.redirect_uris.iter().all(|uri| is_redirect_uri(uri))
        {
            return Err(InvalidMetadata::RedirectUri);
        }
        if raw.response_types.as_ref().is_some_and(|types| types.iter().any(|kind| kind != "code")) {
            return Err(bad("response_types is [\"code\"]"));
        }
        let name = raw.client_name.clone().unwrap_or_else(|| id.to_owned());
        if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(bad("client_name has 1 to 100 printable characters"));
        }
        let scopes: Vec<String> = match &raw.scope {
            Some(scope) => scope
                .split_ascii_whitespace()
                .filter(|scope| !TOLERATED_SCOPES.contains(scope))
                .map(str::to_owned)
                .collect(),
            None => SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
            return Err(bad("scope holds openid, accounts and payments"));
        }
        let auth = auth_of(&raw)?;
        let organization_identifier = raw.organization_identifier.clone();
        Ok(Self {
            id: id.to_owned(),
            name,
            redirect_uris: raw.redirect_uris,
            scopes,
            auth,
            grant_types,
            organization_identifier,
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
        let known = asked.iter().all(|scope| self.scopes.iter().any(|may| may == scope));
        let in_order = SCOPES.iter().copied().filter(|scope| asked.contains(scope)).collect::<Vec<_>>();
        (known && !in_order.is_empty()).then_some(in_order)
    }
}

fn auth_of(raw: &Metadata) -> Result<ClientAuth, InvalidMetadata> {
    let bad = InvalidMetadata::Metadata;
    match raw.token_endpoint_auth_method.as_deref() {
        Some("private_key_jwt") => {
            let jwks = raw.jwks.as_ref().ok_or(bad("private_key_jwt needs jwks"))?;
            let jwks = Jwks::from_value(jwks).map_err(|_| bad("jwks is not a usable set of public keys"))?;
            if jwks.is_empty() {
                return Err(bad("jwks holds no usable key: RSA of 2048 bits and more, P-256 or Ed25519"));
            }
            Ok(ClientAuth::PrivateKeyJwt(jwks))
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
        Some("self_signed_tls_client_auth") => Ok(ClientAuth::NotOffered),
        Some(_) | None => Err(bad("token_endpoint_auth_method is private_key_jwt or tls_client_auth")),
    }
}

/// RFC 4514 strings, however spaced and whichever case their types have.
fn same_dn(one: &str, other: &str) -> bool {
    let parts = |dn: &str| -> Vec<String> {
        dn.split(',')
            .map(|part| match part.trim().split_once('=') {
                Some((kind, value)) => {
                    let kind = kind.trim().to_ascii_uppercase();
                    let kind = match kind.as_str() {
                        "ORGANIZATIONIDENTIFIER" | "OID.2.5.4.97" => "2.5.4.97",
                        other => other,
                    };
                    format!("{kind}={}", value.trim())
                }
                None => part.trim().to_owned(),
            })
            .collect()
    };
    let (one, other) = (parts(one), parts(other));
    one == other || one.iter().rev().eq(other.iter())
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
