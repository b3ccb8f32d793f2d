//! Signatures of deliveries: `v1` with HMAC-SHA-256, `v1a` with Ed25519 (Standard Webhooks 1.0).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::Ed25519KeyPair;

/// What deliveries are signed with. It is never shown.
pub struct SigningKey(Inner);

enum Inner {
    Secret(hmac::Key),
    Private(Ed25519KeyPair),
}

/// A secret or a key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not `whsec_` and base64 of 24 to 64 bytes.
    #[error("the secret is not whsec_ and base64 of 24 to 64 bytes")]
    Secret,
    /// Neither `whsk_` and base64, nor PKCS#8 in PEM.
    #[error("the key is neither whsk_ and base64 of an Ed25519 key, nor an Ed25519 key of PKCS#8 in PEM")]
    Private,
}

impl SigningKey {
    /// A shared secret, `whsec_…`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Secret`].
    pub fn secret(text: &str) -> Result<Self, InvalidKey> {
        let packed = text.trim();
        let packed = packed.strip_prefix("whsec_").ok_or(InvalidKey::Secret)?;
        let bytes = STANDARD.decode(packed).map_err(|_| InvalidKey::Secret)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(InvalidKey::Secret);
        }
        Ok(Self(Inner::Secret(hmac::Key::new(hmac::HMAC_SHA256, &bytes))))
    }

    /// A private key of Ed25519: `whsk_…` of its seed, or of seed and public half, or PKCS#8.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Private`].
    pub fn private(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        let invalid = InvalidKey::Private;
        let pair = if let Some(packed) = text.strip_prefix("whsk_") {
            let bytes = STANDARD.decode(packed).map_err(|_| invalid)?;
            match bytes.split_at_checked(32) {
                Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
                Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
                None => return Err(invalid),
            }
        } else {
            let inner = text
                .strip_prefix("-----BEGIN PRIVATE KEY-----")
                .and_then(|rest| rest.split_once("-----END PRIVATE KEY-----"))
                .ok_or(invalid)?;
            let packed: String = inner.0.split_whitespace().collect();
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(packed).map_err(|_| invalid)?)
        };
        Ok(Self(Inner::Private(pair.map_err(|_| invalid)?)))
    }

    /// The signature of a delivery.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        self.header(&self.raw(id, timestamp, body))
    }

    /// One of the right form that is wrong.
    pub(super) fn forge(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signature = self.raw(id, timestamp, body);
        if let Some(last) = signature.first_mut() {
            *last ^= 0x01;
        }
        self.header(&signature)
    }

    fn header(&self, signature: &[u8]) -> String {
        let version = match &self.0 {
            Inner::Secret(_) => "v1",
            Inner::Private(_) => "v1a",
        };
        format!("{version},{}", STANDARD.encode(signature))
    }

    fn raw(&self, id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        match &self.0 {
            Inner::Secret(key) => hmac::sign(key, &signed).as_ref().to_vec(),
            Inner::Private(pair) => pair.sign(&signed).as_ref().to_vec(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}
