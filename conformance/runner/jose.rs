//! JWTs, written and read by hand: what is sent must be able to be wrong in every way.

mod jwk;
mod key;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use jwk::{Jwk, Verified, thumbprint};
pub use key::{SigningKey, UnusableKey};

/// Base64url without padding (RFC 7515 §2).
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What base64url without padding holds.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

/// A compact JWS (RFC 7515 §3.1) that has been taken apart, and not verified.
#[derive(Clone, Debug)]
pub struct Unverified {
    /// The JOSE header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Unverified {
    /// Takes a compact JWS of a JSON object apart.
    #[must_use]
    pub fn read(compact: &str) -> Option<Self> {
        let (signed, signature) = compact.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header: serde_json::from_slice(&from_base64url(header)?).ok()?,
            claims: serde_json::from_slice(&from_base64url(claims)?).ok()?,
            signed: signed.to_owned(),
            signature: from_base64url(signature)?,
        })
    }

    /// The algorithm that the header names.
    #[must_use]
    pub fn alg(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// The claims, if one of the keys made the signature with one of the algorithms.
    ///
    /// # Errors
    ///
    /// A sentence about what does not hold.
    pub fn verified(self, keys: &[Jwk], algorithms: &[&str]) -> Result<Verified, String> {
        let alg = self.alg().to_owned();
        if !algorithms.contains(&alg.as_str()) {
            return Err(format!("it is signed with {alg:?}, which is none of {algorithms:?}"));
        }
        let kid = self.header.get("kid").and_then(Value::as_str);
        let mut fitting = keys.iter().filter(|key| kid.is_none() || key.kid() == kid).peekable();
        if fitting.peek().is_none() {
            return Err(format!("no key of the key set has the kid {kid:?}"));
        }
        if fitting.any(|key| key.verifies(&alg, self.signed.as_bytes(), &self.signature)) {
            Ok(Verified { header: self.header, claims: self.claims })
        } else {
            Err("its signature was not made by the key that it names".to_owned())
        }
    }
}

/// Writes a compact JWS. `sign` makes the signature over what is given to it.
pub fn compact(
    header: &Map<String, Value>,
    claims: &Map<String, Value>,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let part = |of: &Map<String, Value>| base64url(&serde_json::to_vec(of).unwrap_or_default());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", base64url(&signature))
}
