//! Client authentication: by the registered method only (FAPI 2.0 SP §5.3.2.1).

use std::collections::HashMap;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use crypto::{Algorithm, jws};
use domain::Timestamp;
use edge::{PeerCertificate, PeerIdentity};
use http::header::CONTENT_TYPE;
use serde_json::Value;
use store::StoreError;

use crate::client::ClientAuth;
use crate::{Client, OAuth, OAuthError};

/// A form whose parameters are given once each.
pub(crate) struct Form(HashMap<String, String>);

impl Form {
    /// A parameter, if it is given and not empty (RFC 6749 §3.2).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be given.
    pub(crate) fn need(&self, name: &'static str, missing: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::request(missing))
    }
}

/// A form from a client that proved who it is.
pub(crate) struct ClientForm {
    pub(crate) client: Client,
    /// The certificate of the connection, trusted.
    pub(crate) certificate: PeerCertificate,
    pub(crate) form: Form,
}

const MAX_FORM: usize = 64 * 1024;
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds a client's clock may be ahead of ours.
const SKEW: i64 = 15;
/// Longest life of an assertion in seconds: for so long its id is remembered.
const MAX_ASSERTION_LIFE: i64 = 3_600;

impl FromRequest<OAuth> for ClientForm {
    type Rejection = OAuthError;

    async fn from_request(request: Request, oauth: &OAuth) -> Result<Self, OAuthError> {
        let peer = request.extensions().get::<PeerIdentity>().cloned();
        let form = read_form(request).await?;
        let certificate = peer
            .as_ref()
            .and_then(PeerIdentity::trusted)
            .cloned()
            .ok_or_else(|| OAuthError::client("a trusted client certificate is needed"))?;
        let client = authenticate(oauth, &form, &certificate).await?;
        let fixed = client.organization_identifier.as_deref();
        // PSD2: a client is one organisation; a certificate of another is not its.
        if fixed.is_some() && certificate.fields.organization_identifier.as_deref() != fixed {
            return Err(OAuthError::client("the certificate belongs to another organisation"));
        }
        Ok(Self { client, certificate, form })
    }
}

async fn read_form(request: Request) -> Result<Form, OAuthError> {
    let declared =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !declared
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return Err(OAuthError::request("the body is a form (application/x-www-form-urlencoded)"));
    }
    let bytes = to_bytes(request.into_body(), MAX_FORM)
        .await
        .map_err(|_| OAuthError::request("the body is too large or ended early"))?;
    let mut form = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        // RFC 6749 §3.2: a parameter is not repeated.
        if form.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err(OAuthError::request("a parameter is given twice"));
        }
    }
    Ok(Form(form))
}

async fn authenticate(
    oauth: &OAuth,
    form: &Form,
    certificate: &PeerCertificate,
) -> Result<Client, OAuthError> {
    let refused = OAuthError::client("client authentication failed");
    let assertion = form.get("client_assertion");
    if form.get("client_secret").is_some() {
        return Err(OAuthError::client("client secrets are not accepted"));
    }
    let claimed = match (form.get("client_id"), assertion) {
        (Some(id), _) => id.to_owned(),
        // Which client an assertion is for is needed to find the key that verifies it.
        (None, Some(assertion)) => jws::peek_claims(assertion)
            .ok()
            .and_then(|claims| claims.get("sub")?.as_str().map(str::to_owned))
            .ok_or(refused)?,
        (None, None) => return Err(refused),
    };
    let row = oauth.gateway.stores().global().client(&claimed).await?.ok_or(refused)?;
    if row.status != "active" {
        return Err(refused);
    }
    let client = Client::from_metadata(&row.client_id, &row.metadata).map_err(|_| refused)?;
    match (&client.auth, assertion) {
        (ClientAuth::PrivateKeyJwt(keys), Some(assertion)) => {
            if form.get("client_assertion_type") != Some(JWT_BEARER) {
                return Err(OAuthError::client("client_assertion_type is not the one of RFC 7523"));
            }
            let allowed = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
            let verified = jws::verify_compact(assertion, keys, &allowed).map_err(|_| refused)?;
            let claims = Value::Object(verified.claims().map_err(|_| refused)?);
            let now = oauth.gateway.clock().now();
            let (jti, exp) = judge(&claims, &client.id, &oauth.gateway.config().issuer, now)?;
            let digest = crypto::digest::sha256_hex(jti.as_bytes());
            let mut tx = oauth.gateway.stores().global().begin().await?;
            // (7) the id has not been seen before
            match tx.claim_assertion(&client.id, &digest, exp).await {
                Ok(()) => tx.commit().await?,
                Err(StoreError::Conflict) => {
                    return Err(OAuthError::client("the client assertion was used before"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        (ClientAuth::Certificate(subject), None) => {
            if !subject.matches(&certificate.fields) {
                return Err(OAuthError::client("the certificate is not the registered one"));
            }
        }
        // By the registered method, not by another one that would do too.
        (ClientAuth::PrivateKeyJwt(_), None)
        | (ClientAuth::Certificate(_), Some(_))
        | (ClientAuth::NotOffered, _) => {
            return Err(OAuthError::client("the client is not registered for this way to authenticate"));
        }
    }
    Ok(client)
}

/// RFC 7523 §3 with FAPI 2.0 SP §5.3.2.1: what an assertion must claim. The
/// id and the end of its life.
fn judge(
    claims: &Value,
    client_id: &str,
    issuer: &str,
    now: Timestamp,
) -> Result<(String, Timestamp), OAuthError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // (1), (2) iss and sub are the client
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return Err(OAuthError::client("iss and sub of the client assertion are the client_id"));
    }
    // (3) aud names us: the issuer, as a single string (FAPI 2.0 SP §5.3.2.1-8)
    if text("aud") != Some(issuer) {
        return Err(OAuthError::client("aud of the client assertion is the issuer, as a single string"));
    }
    let number = |name: &str| claims.get(name).and_then(Value::as_f64).map(floor);
    let now = now.as_second();
    // (4) not expired
    let exp = number("exp").ok_or_else(|| OAuthError::client("the client assertion has no exp"))?;
    if exp <= now.saturating_sub(SKEW) || exp > now.saturating_add(MAX_ASSERTION_LIFE) {
        return Err(OAuthError::client("the client assertion has expired or lives too long"));
    }
    // (5), (6) not from the future
    for name in ["nbf", "iat"] {
        let given = claims.get(name).is_some_and(|value| !value.is_null());
        if given && number(name).is_none_or(|at| at > now.saturating_add(SKEW)) {
            return Err(OAuthError::client("the client assertion is from the future"));
        }
    }
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= 512);
    let jti = jti.ok_or_else(|| OAuthError::client("the client assertion has no jti"))?;
    let end =
        Timestamp::from_second(exp.saturating_add(SKEW)).map_err(|_| OAuthError::client("exp is no time"))?;
    Ok((jti.to_owned(), end))
}

/// NumericDate (RFC 7519 §2) may have a fraction; whole seconds are what
/// counts. A number beyond all time is as far in the future as can be.
fn floor(seconds: f64) -> i64 {
    format!("{:.0}", seconds.floor()).parse().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn verdict(change: impl FnOnce(&mut Value)) -> Result<(String, Timestamp), OAuthError> {
        let mut claims = json!({
            "iss": "c", "sub": "c", "aud": "https://as.example", "jti": "1", "iat": NOW, "exp": NOW + 60,
        });
        change(&mut claims);
        judge(&claims, "c", "https://as.example", Timestamp::from_second(NOW).unwrap())
    }

    /// FAPI 2.0 SP §5.3.2.1-8: aud is the issuer as a single string.
    #[test]
    fn an_assertion_for_another_audience_is_refused() {
        assert!(verdict(|_| {}).is_ok());
        for aud in [
            json!(["https://as.example"]),
            json!("https://as.example/oauth/token"),
            json!("https://as.example/oauth/par"),
            json!("https://as.example/"),
            json!(null),
        ] {
            assert_eq!(verdict(|claims| claims["aud"] = aud).unwrap_err().error, "invalid_client");
        }
    }

    /// FAPI 2.0 SP §5.3.2.1: a clock 8 seconds ahead is tolerated, one of 60 is not.
    #[test]
    fn a_client_clock_may_be_a_little_ahead() {
        assert!(verdict(|claims| claims["iat"] = json!(NOW + 8)).is_ok());
        assert!(verdict(|claims| claims["nbf"] = json!(NOW + 8)).is_ok());
        assert!(verdict(|claims| claims["iat"] = json!(NOW + 61)).is_err());
        assert!(verdict(|claims| claims["nbf"] = json!(NOW + 61)).is_err());
    }

    #[test]
    fn an_assertion_without_end_id_or_subject_is_refused() {
        for name in ["exp", "jti", "iss", "sub"] {
            assert!(verdict(|claims| claims[name] = Value::Null).is_err(), "{name}");
        }
        assert!(verdict(|claims| claims["exp"] = json!(NOW - 300)).is_err());
        assert!(verdict(|claims| claims["exp"] = json!(NOW + 86_400)).is_err());
        assert!(verdict(|claims| claims["sub"] = json!("other")).is_err());
    }
}
