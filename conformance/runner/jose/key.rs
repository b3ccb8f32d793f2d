//! Private keys of test clients.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::base64url;

/// A private key that signs: P-256, RSA or Ed25519.
pub struct SigningKey {
    inner: Inner,
}

enum Inner {
    P256(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// Why a file is no key that signs here.
#[derive(Debug, thiserror::Error)]
pub enum UnusableKey {
    /// There is no private key in it.
    #[error("there is no private key in PEM")]
    NoKey(#[source] rustls_pki_types::pem::Error),
    /// It is of a kind that is not known.
    #[error("the key is neither P-256 nor RSA nor Ed25519")]
    Unknown,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.alg())
    }
}

impl SigningKey {
    /// Reads a PEM file: PKCS #8, SEC 1 or PKCS #1.
    ///
    /// # Errors
    ///
    /// If there is no key in it, or one of another kind.
    pub fn read(file: &Path) -> Result<Self, UnusableKey> {
        Self::from_der(&PrivateKeyDer::from_pem_file(file).map_err(UnusableKey::NoKey)?)
    }

    /// Reads a key in DER.
    ///
    /// # Errors
    ///
    /// If it is of a kind that is not known.
    pub fn from_der(der: &PrivateKeyDer<'_>) -> Result<Self, UnusableKey> {
        let inner = match der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok().map(rsa),
            PrivateKeyDer::Sec1(key) => p256(&pkcs8_of_sec1(key.secret_sec1_der())),
            PrivateKeyDer::Pkcs8(key) => pkcs8(key.secret_pkcs8_der()),
            _ => None,
        };
        inner.map(|inner| Self { inner }).ok_or(UnusableKey::Unknown)
    }

    /// A new P-256 key.
    #[must_use]
    pub fn fresh_p256() -> Option<Self> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).ok()?;
        Some(Self { inner: p256(pkcs8.as_ref())? })
    }

    /// A new Ed25519 key, and its PKCS #8 form to keep.
    #[must_use]
    pub fn fresh_ed25519() -> Option<(Self, Vec<u8>)> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).ok()?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).ok()?;
        Some((Self { inner: Inner::Ed25519(Box::new(pair)) }, pkcs8.as_ref().to_vec()))
    }

    /// The algorithm that FAPI 2.0 has for it (SP §5.4).
    #[must_use]
    pub fn alg(&self) -> &'static str {
        match self.inner {
            Inner::P256(_) => "ES256",
            Inner::Rsa(_) => "PS256",
            Inner::Ed25519(_) => "EdDSA",
        }
    }

    /// Its public half as a JWK without further members (RFC 7517).
    #[must_use]
    pub fn public(&self) -> Value {
        match &self.inner {
            Inner::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
            Inner::Rsa(pair) => {
                let parts = ring::signature::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": base64url(&parts.n), "e": base64url(&parts.e)})
            }
            Inner::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())})
            }
        }
    }

    /// A signature by the algorithm that `alg` names where the key can make one, and otherwise by
    /// the key's own: what the header claims may be a lie. `none` has no signature, and `HS…` is
    /// made with the public half as the secret (RFC 8725 §2.1).
    #[must_use]
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        if alg.eq_ignore_ascii_case("none") {
            return Vec::new();
        }
        if alg.starts_with("HS") {
            let secret = self.public().to_string();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
            return ring::hmac::sign(&key, message).as_ref().to_vec();
        }
        let random = SystemRandom::new();
        match &self.inner {
            Inner::P256(pair) => pair.sign(&random, message).map(|made| made.as_ref().to_vec()),
            Inner::Rsa(pair) => {
                let padding: &dyn ring::signature::RsaEncoding =
                    if alg.starts_with("RS") { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                let mut made = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut made).map(|()| made)
            }
            Inner::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
        .unwrap_or_default()
    }
}

fn rsa(pair: RsaKeyPair) -> Inner {
    Inner::Rsa(Box::new(pair))
}

fn p256(pkcs8: &[u8]) -> Option<Inner> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
        .ok()
        .map(|pair| Inner::P256(Box::new(pair)))
}

fn pkcs8(der: &[u8]) -> Option<Inner> {
    p256(der).or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(rsa)).or_else(|| {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        Some(Inner::Ed25519(Box::new(pair)))
    })
}

/// PKCS #8 (RFC 5958) around a SEC 1 key of P-256 (RFC 5915), which is short: every length is one
/// or two bytes.
fn pkcs8_of_sec1(sec1: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] = &[
        0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
        0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let octets = tagged(0x04, sec1);
    tagged(0x30, &[ALGORITHM, &octets].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => vec![short],
        Ok(longer) => vec![0x81, longer],
        Err(_) => Vec::new(),
    };
    [&[tag], length.as_slice(), content].concat()
}
