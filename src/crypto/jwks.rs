//! JSON Web Key Sets (RFC 7517) as a peer publishes them: untrusted input.
//!
//! Keys we cannot use are left out, as §5 asks; a set that carries a private
//! or symmetric key is refused as a whole, since its secret is public now.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::certificate::{Certificate, Thumbprint};
use crate::json::unique_value;
use crate::key::{Algorithm, InvalidKey, PublicKey, SigningKey};

/// Largest key set we read, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Most keys in a set we read.
const MAX_KEYS: usize = 100;
/// Longest `kid` we keep, in bytes.
const MAX_KID: usize = 256;

/// Why a key set was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwks {
    /// Not an object with an array `keys`, or JSON of two meanings ([`crate::json`]).
    #[error("the document is no JSON Web Key Set")]
    Malformed,
    /// More than 256 KiB or 100 keys.
    #[error("the key set is too large")]
    TooLarge,
    /// A private or symmetric key is inside.
    #[error("the key set publishes a private key")]
    PrivateKey,
}

/// One usable signature key.
#[derive(Clone, Debug)]
pub struct Jwk {
    kid: Option<String>,
    key: PublicKey,
    certificate: Option<Thumbprint>,
}

impl Jwk {
    /// The name of the key, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate that the key is published with (`x5c`), if the two belong
    /// together.
    #[must_use]
    pub fn certificate(&self) -> Option<&Thumbprint> {
        self.certificate.as_ref()
    }

    /// The algorithm the key verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
}

/// The usable signature keys of one party.
#[derive(Clone, Debug, Default)]
pub struct Jwks(Vec<Jwk>);

impl Jwks {
    /// Reads a published key set.
    ///
    /// # Errors
    ///
    /// [`InvalidJwks`] if it is malformed, too large or leaks a private key.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidJwks> {
        if bytes.len() > MAX_BYTES {
            return Err(InvalidJwks::TooLarge);
        }
        let value = unique_value(bytes).map_err(|_| InvalidJwks::Malformed)?;
        Self::from_value(&value)
    }

    /// Reads a key set that stands inside another document.
    ///
    /// # Errors
    ///
    /// As [`Jwks::parse`].
    pub fn from_value(value: &Value) -> Result<Self, InvalidJwks> {
        let keys = value.get("keys").and_then(Value::as_array).ok_or(InvalidJwks::Malformed)?;
        if keys.len() > MAX_KEYS {
            return Err(InvalidJwks::TooLarge);
        }
        let mut usable = Vec::new();
        for key in keys {
            let key = key.as_object().ok_or(InvalidJwks::Malformed)?;
            if PRIVATE_MEMBERS.iter().any(|member| key.contains_key(*member)) {
                return Err(InvalidJwks::PrivateKey);
            }
            usable.extend(usable_key(key));
        }
        Ok(Self(usable))
    }

    /// The set of one certificate's key; its `kid` is the JWK thumbprint.
    #[must_use]
    pub fn from_certificate(certificate: &Certificate) -> Self {
        Self::from_public_key(certificate.public_key().clone())
    }

    /// The set of one key; its `kid` is the JWK thumbprint.
    #[must_use]
    pub fn from_public_key(key: PublicKey) -> Self {
        Self(vec![Jwk { kid: Some(key.thumbprint()), key, certificate: None }])
    }

    /// The public set of our own keys.
    #[must_use]
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        let jwk = |key: &SigningKey| Jwk {
            kid: Some(key.kid().to_owned()),
            key: key.public_key().clone(),
            certificate: None,
        };
        Self(keys.into_iter().map(jwk).collect())
    }

    /// The keys that may have made a signature: same algorithm, and the named
    /// `kid` if the signature names one.
    pub fn find<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a PublicKey> + 'a {
        self.0
            .iter()
            .filter(move |jwk| jwk.algorithm() == algorithm && (kid.is_none() || jwk.kid() == kid))
            .map(Jwk::key)
    }

    /// The keys, in published order.
    pub fn iter(&self) -> impl Iterator<Item = &Jwk> {
        self.0.iter()
    }

    /// True if no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set as it is published.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let keys: Vec<Value> = self
            .0
            .iter()
            .map(|jwk| {
                let mut members = jwk.key.members();
                members.insert("use".into(), json!("sig"));
                members.insert("alg".into(), json!(jwk.algorithm().as_str()));
                if let Some(kid) = &jwk.kid {
                    members.insert("kid".into(), json!(kid));
                }
                Value::Object(members)
            })
            .collect();
        json!({ "keys": keys })
    }
}

/// Members only private and symmetric keys have (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn usable_key(jwk: &Map<String, Value>) -> Option<Jwk> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let key = public_key(jwk).ok()?;
    if jwk.contains_key("alg") && text("alg").and_then(Algorithm::from_name) != Some(key.algorithm()) {
        return None;
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().filter(|kid| kid.len() <= MAX_KID)?.to_owned()),
    };
    let certificate = match jwk.get("x5c") {
        None => None,
        // RFC 7517 §4.7: base64, not base64url; the first one holds the key.
        Some(chain) => {
            let der = STANDARD.decode(chain.as_array()?.first()?.as_str()?).ok()?;
            let certificate = Certificate::parse(&der).ok().filter(|first| *first.public_key() == key)?;
            Some(certificate.thumbprint)
        }
    };
    Some(Jwk { kid, key, certificate })
}

fn public_key(jwk: &Map<String, Value>) -> Result<PublicKey, InvalidKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(InvalidKey::Malformed)
    };
    match (text("kty"), text("crv")) {
        (Some("RSA"), _) => PublicKey::rsa(&bytes("n")?, &bytes("e")?),
        (Some("EC"), Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err(InvalidKey::Malformed);
            }
            PublicKey::p256(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        (Some("OKP"), Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?),
        _ => Err(InvalidKey::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.2 and A.3.
    #[test]
    fn an_ed25519_key_has_the_published_thumbprint() {
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
        let set = Jwks::from_value(&set).unwrap();
        let key = set.find(None, Algorithm::EdDsa).next().unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn keys_we_cannot_use_are_left_out_and_the_rest_stays() {
        let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "good",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let mut other_use = good.clone();
        other_use["use"] = json!("enc");
        let mut other_alg = good.clone();
        other_alg["alg"] = json!("ES256");
        let mut sign_only = good.clone();
        sign_only["key_ops"] = json!(["sign"]);
        let set = json!({"keys": [{"kty": "XYZ"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, other_use,
            other_alg, sign_only, {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}, good]});
        let set = Jwks::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(set.iter().map(Jwk::kid).collect::<Vec<_>>(), [Some("good")]);
        assert!(set.find(Some("bad"), Algorithm::EdDsa).next().is_none());
        assert!(set.find(Some("good"), Algorithm::Ps256).next().is_none());
    }

    #[test]
    fn a_set_with_a_secret_inside_is_refused() {
        for secret in [json!({"kty": "oct", "k": "AA"}), json!({"kty": "EC", "d": "AA"})] {
            let refused = Jwks::from_value(&json!({ "keys": [secret] })).unwrap_err();
            assert_eq!(refused, InvalidJwks::PrivateKey);
        }
    }

    #[test]
    fn a_set_beyond_the_bounds_is_refused() {
        let many = json!({"keys": vec![json!({"kty": "XYZ"}); MAX_KEYS + 1]});
        assert_eq!(Jwks::from_value(&many).unwrap_err(), InvalidJwks::TooLarge);
        assert_eq!(Jwks::parse(&vec![b' '; MAX_BYTES + 1]).unwrap_err(), InvalidJwks::TooLarge);
        assert_eq!(Jwks::parse(b"[]").unwrap_err(), InvalidJwks::Malformed);
    }
}
