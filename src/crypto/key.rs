//! Asymmetric keys and the three signature algorithms we accept in JOSE.
//!
//! The type of a key decides its algorithm, so a caller cannot be talked into
//! another one (RFC 8725 §3.1). `none`, HMAC and RS256 do not exist here.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::pkcs11::{Fault, TokenKey};

/// A JWS signature algorithm (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256, salt of 32 bytes.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, in the order we prefer them.
    pub const ALL: [Self; 3] = [Self::Ps256, Self::Es256, Self::EdDsa];

    /// The `alg` value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of an `alg` value (case-sensitive, RFC 7515 §4.1.1).
    /// `Ed25519` is the name that RFC 9864 gives to what `EdDSA` means here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No key of the kind that is wanted in the PEM text.
    #[error("the text holds no such PEM key")]
    NoPem,
    /// The bytes are no key of the kind they claim.
    #[error("the key could not be read")]
    Malformed,
    /// A readable key of a type or curve we do not use.
    #[error("the key is neither RSA, P-256 nor Ed25519")]
    Unsupported,
    /// RSA below 2048 or above 8192 bits.
    #[error("the RSA key has fewer than 2048 or more than 8192 bits")]
    Size,
}

/// The library refused to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningFailed {
    /// Out of memory or a damaged key.
    #[error("the key could not sign")]
    Refused,
    /// The operation needs another kind of key.
    #[error("this signature needs {0}")]
    WrongKind(&'static str),
    /// What is to be signed has characters that a signature header cannot have.
    #[error("what is to be signed cannot be written in a header")]
    Unwritable,
    /// The PKCS#11 token is gone, or refused.
    #[error("the token could not sign ({0})")]
    Token(Fault),
}

/// A private key with its public half and `kid`: parsed once, or on a token.
pub struct SigningKey {
    kid: String,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Token(Box<TokenKey>),
}

impl SigningKey {
    /// Reads an unencrypted PEM private key: PKCS#8, and PKCS#1 or SEC 1 as
    /// `openssl` still writes them.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if there is none, or it is weak or of another kind.
    pub fn from_pem(pem: &str, kid: impl Into<String>) -> Result<Self, InvalidKey> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidKey::NoPem)?;
        let (pair, public) = Pair::from_der(&der)?;
        Ok(Self { kid: kid.into(), pair, public })
    }

    /// A key that stays on its token.
    #[must_use]
    pub fn on_token(key: TokenKey, kid: impl Into<String>) -> Self {
        let public = key.public_key().clone();
        Self { kid: kid.into(), pair: Pair::Token(Box::new(key)), public }
    }

    /// The name of the key in our key set.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm this key signs JWS with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as a JWK (RFC 7517) with `use`, `alg` and `kid`.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.public.members();
        jwk.insert("use".into(), json!("sig"));
        jwk.insert("alg".into(), json!(self.algorithm().as_str()));
        jwk.insert("kid".into(), json!(self.kid));
        Value::Object(jwk)
    }

    /// Signs in the form JWS wants: for ES256 that is `r || s`, 64 bytes.
    ///
    /// # Errors
    ///
    /// [`SigningFailed::Refused`] if the library could not, `Token` if the
    /// token could not.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| SigningFailed::Refused)?;
                Ok(signature)
            }
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SigningFailed::Refused),
            Pair::Ed25519(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SigningFailed::Refused),
            Pair::Token(key) => key.sign(message),
        }
    }

    /// Signs RSASSA-PKCS1-v1_5 with SHA-256, the `rsa-sha256` of HTTP
    /// signatures. Never for JWS.
    ///
    /// # Errors
    ///
    /// [`SigningFailed::WrongKind`] if this is no RSA key; else as [`SigningKey::sign`].
    pub fn sign_rsa_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let pair = match &self.pair {
            Pair::Rsa(pair) => pair,
            Pair::Token(key) => return key.sign_rsa_sha256(message),
            Pair::P256(_) | Pair::Ed25519(_) => return Err(SigningFailed::WrongKind("an RSA key")),
        };
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SigningFailed::Refused)?;
        Ok(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn from_der(der: &PrivateKeyDer<'_>) -> Result<(Self, PublicKey), InvalidKey> {
        let bytes = der.secret_der();
        let rsa = match der {
            PrivateKeyDer::Pkcs8(_) => RsaKeyPair::from_pkcs8(bytes),
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(bytes),
            PrivateKeyDer::Sec1(_) | _ => return Self::p256(bytes),
        };
        if let Ok(pair) = rsa {
            let public = pair.public_key();
            let public = PublicKey::rsa(
                public.modulus().big_endian_without_leading_zero(),
                public.exponent().big_endian_without_leading_zero(),
            )?;
            return Ok((Self::Rsa(pair), public));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
            let public = PublicKey::ed25519(pair.public_key().as_ref())?;
            return Ok((Self::Ed25519(pair), public));
        }
        Self::p256(bytes)
    }

    fn p256(bytes: &[u8]) -> Result<(Self, PublicKey), InvalidKey> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
            .map_err(|_| InvalidKey::Unsupported)?;
        let public = PublicKey::p256(pair.public_key().as_ref())?;
        Ok((Self::P256(pair), public))
    }
}

/// A public key, parsed once, ready to verify.
#[derive(Clone)]
pub struct PublicKey(Kind);

#[derive(Clone)]
enum Kind {
    Rsa { n: Vec<u8>, e: Vec<u8>, pss: ParsedPublicKey, pkcs1: ParsedPublicKey },
    P256 { point: Vec<u8>, key: ParsedPublicKey },
    Ed25519 { x: Vec<u8>, key: ParsedPublicKey },
}

impl PublicKey {
    /// An RSA key of its modulus and exponent, big endian. Leading zeros, which
    /// some key sets carry against RFC 7518 §6.3.1, do not count.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Size`] outside 2048 to 8192 bits, `Malformed` otherwise.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, InvalidKey> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let top = n.first().ok_or(InvalidKey::Malformed)?;
        let bits =
            n.len().saturating_mul(8).saturating_sub(usize::try_from(top.leading_zeros()).unwrap_or(8));
        if !(2048..=8192).contains(&bits) {
            return Err(InvalidKey::Size);
        }
        if e.len() > 8 || e == [1] {
            return Err(InvalidKey::Malformed);
        }
        let components = PublicKeyComponents { n, e };
        let pss =
            components.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256).map_err(|_| InvalidKey::Malformed)?;
        let pkcs1 = components
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| InvalidKey::Malformed)?;
        Ok(Self(Kind::Rsa { n: n.to_vec(), e: e.to_vec(), pss, pkcs1 }))
    }

    /// A P-256 key of its uncompressed point, 65 bytes beginning with 4.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Malformed`] if the point is not on the curve.
    pub fn p256(point: &[u8]) -> Result<Self, InvalidKey> {
        if point.len() != 65 || point.first() != Some(&4) {
            return Err(InvalidKey::Malformed);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| InvalidKey::Malformed)?;
        Ok(Self(Kind::P256 { point: point.to_vec(), key }))
    }

    /// An Ed25519 key of its 32 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Malformed`] for another length.
    pub fn ed25519(x: &[u8]) -> Result<Self, InvalidKey> {
        if x.len() != 32 {
            return Err(InvalidKey::Malformed);
        }
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| InvalidKey::Malformed)?;
        Ok(Self(Kind::Ed25519 { x: x.to_vec(), key }))
    }

    /// Reads a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if it is malformed, weak or of another kind.
    pub fn from_spki(der: &[u8]) -> Result<Self, InvalidKey> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| InvalidKey::Malformed)?;
        if !rest.is_empty() {
            return Err(InvalidKey::Malformed);
        }
        Self::of(&spki)
    }

    /// Reads a PEM public key (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if there is none, or it is weak or of another kind.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidKey> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidKey::NoPem)?;
        Self::from_spki(der.as_ref())
    }

    pub(crate) fn of(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, InvalidKey> {
        let bits = spki.subject_public_key.data.as_ref();
        match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => match spki.parsed() {
                Ok(x509_parser::public_key::PublicKey::RSA(key)) => Self::rsa(key.modulus, key.exponent),
                _ => Err(InvalidKey::Malformed),
            },
            "1.2.840.10045.2.1" => {
                let curve = spki.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
                match curve {
                    Some(oid) if oid.to_id_string() == "1.2.840.10045.3.1.7" => Self::p256(bits),
                    _ => Err(InvalidKey::Unsupported),
                }
            }
            "1.3.101.112" => Self::ed25519(bits),
            _ => Err(InvalidKey::Unsupported),
        }
    }

    /// The algorithm a JWS by this key has.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Rsa { .. } => Algorithm::Ps256,
            Kind::P256 { .. } => Algorithm::Es256,
            Kind::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    /// True if `signature` over `message` is by this key, in the form JWS has.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = match &self.0 {
            Kind::Rsa { pss, .. } => pss,
            Kind::P256 { key, .. } | Kind::Ed25519 { key, .. } => key,
        };
        key.verify_sig(message, signature).is_ok()
    }

    /// True if `signature` is RSASSA-PKCS1-v1_5 with SHA-256 by this key.
    #[must_use]
    pub fn verify_rsa_sha256(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Rsa { pkcs1, .. } => pkcs1.verify_sig(message, signature).is_ok(),
            Kind::P256 { .. } | Kind::Ed25519 { .. } => false,
        }
    }

    /// The key as a bare JWK: only the members its thumbprint is made of.
    #[must_use]
    pub fn jwk(&self) -> Value {
        Value::Object(self.members())
    }

    /// SHA-256 thumbprint of the JWK, base64url (RFC 7638): a stable `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        // RFC 7638 §3.2: members in lexicographic order, no white space.
        let mut jwk = self.jwk();
        jwk.sort_all_objects();
        crate::digest::sha256_b64url(jwk.to_string().as_bytes())
    }

    pub(crate) fn members(&self) -> Map<String, Value> {
        let b64 = |bytes: &[u8]| Value::String(URL_SAFE_NO_PAD.encode(bytes));
        let mut jwk = Map::new();
        match &self.0 {
            Kind::Rsa { n, e, .. } => {
                jwk.insert("e".into(), b64(e));
                jwk.insert("kty".into(), json!("RSA"));
                jwk.insert("n".into(), b64(n));
            }
            Kind::P256 { point, .. } => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                jwk.insert("crv".into(), json!("P-256"));
                jwk.insert("kty".into(), json!("EC"));
                jwk.insert("x".into(), b64(x));
                jwk.insert("y".into(), b64(y));
            }
            Kind::Ed25519 { x, .. } => {
                jwk.insert("crv".into(), json!("Ed25519"));
                jwk.insert("kty".into(), json!("OKP"));
                jwk.insert("x".into(), b64(x));
            }
        }
        jwk
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.members() == other.members()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.thumbprint()).finish()
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
