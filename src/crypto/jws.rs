//! JSON Web Signature (RFC 7515), compact and with detached payload
//! (appendix F, RFC 7797).
//!
//! The header never chooses: algorithms are the caller's list, keys come from
//! the caller's set, `jwk`, `jku`, `x5c` and `x5u` are never followed, and a
//! `crit` name the caller did not declare refuses the signature.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json::unique_object;
use crate::jwks::Jwks;
use crate::key::{Algorithm, SigningFailed, SigningKey};

/// Longest token we look at, in bytes.
const MAX_TOKEN: usize = 256 * 1024;
/// Longest protected header we look at, in base64url characters.
const MAX_HEADER: usize = 16 * 1024;

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJws {
    /// Not three base64url parts, or what should be a JSON object is none, or
    /// repeats a name or nests too deep ([`crate::json`]).
    #[error("the token is no compact JWS")]
    Malformed,
    /// Longer than we are willing to read.
    #[error("the token is too large")]
    TooLarge,
    /// The algorithm is not one the caller allows.
    #[error("the signature algorithm is not allowed")]
    Algorithm,
    /// `crit` is malformed or names an extension that is not understood.
    #[error("a critical header is not understood")]
    Critical,
    /// No key of the set has this `kid` and algorithm.
    #[error("the signing key is unknown")]
    UnknownKey,
    /// The signature is not by that key over these bytes.
    #[error("the signature does not match")]
    Signature,
}

/// Header and payload of a JWS whose signature was checked. Only this module
/// makes one.
#[derive(Clone)]
#[non_exhaustive]
pub struct Verified {
    /// The protected header.
    pub header: Map<String, Value>,
    /// The signed bytes.
    pub payload: Vec<u8>,
}

impl Verified {
    /// The payload as a JSON object: the claims of a JWT (RFC 7519 §7.2).
    ///
    /// # Errors
    ///
    /// [`InvalidJws::Malformed`] if it is none, repeats a name or nests too deep.
    pub fn claims(&self) -> Result<Map<String, Value>, InvalidJws> {
        unique_object(&self.payload).map_err(|_| InvalidJws::Malformed)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("payload_bytes", &self.payload.len()).finish_non_exhaustive()
    }
}

/// Signs `payload` as a compact JWS. `alg` and `kid` come from the key;
/// `extra_header` adds the rest, such as `typ`.
///
/// # Errors
///
/// [`SigningFailed`] if the key could not sign.
pub fn sign_compact(
    key: &SigningKey,
    extra_header: &Map<String, Value>,
    payload: &[u8],
) -> Result<String, SigningFailed> {
    let mut token = protected(key, extra_header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Signs `payload` and leaves it out: `header..signature`. With `b64: false`
/// in the header the raw bytes are signed (RFC 7797), else their base64url.
///
/// # Errors
///
/// [`SigningFailed`] if the key could not sign.
pub fn sign_detached(
    key: &SigningKey,
    extra_header: &Map<String, Value>,
    payload: &[u8],
) -> Result<String, SigningFailed> {
    let header = protected(key, extra_header);
    let raw = extra_header.get("b64") == Some(&Value::Bool(false));
    let signature = key.sign(&signing_input(&header, payload, raw))?;
    Ok(format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Checks a compact JWS that has no critical extension.
///
/// # Errors
///
/// [`InvalidJws`] names the first check that failed.
pub fn verify_compact(token: &str, keys: &Jwks, allowed: &[Algorithm]) -> Result<Verified, InvalidJws> {
    let parts = Parts::split(token)?;
    let header = parts.header()?;
    critical(&header, &[])?;
    let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| InvalidJws::Malformed)?;
    let signed = token.get(..parts.signed_len()).ok_or(InvalidJws::Malformed)?;
    check(&header, keys, allowed, signed.as_bytes(), &parts.signature()?)?;
    Ok(Verified { header, payload })
}

/// Checks `header..signature` over `payload`. `understood_crit` names the
/// critical extensions the caller processes; `b64` among them allows
/// unencoded payloads.
///
/// # Errors
///
/// [`InvalidJws`] names the first check that failed.
pub fn verify_detached(
    signature: &str,
    payload: &[u8],
    keys: &Jwks,
    allowed: &[Algorithm],
    understood_crit: &[&str],
) -> Result<Verified, InvalidJws> {
    let parts = Parts::split(signature)?;
    if !parts.payload.is_empty() {
        return Err(InvalidJws::Malformed);
    }
    let header = parts.header()?;
    critical(&header, understood_crit)?;
    let raw = header.get("b64") == Some(&Value::Bool(false));
    let signed = signing_input(parts.header, payload, raw);
    check(&header, keys, allowed, &signed, &parts.signature()?)?;
    Ok(Verified { header, payload: payload.to_vec() })
}

/// The protected header of a token, unchecked: to choose the key set by, never
/// to believe.
///
/// # Errors
///
/// [`InvalidJws::Malformed`] or `TooLarge` if it cannot be read.
pub fn peek_header(token: &str) -> Result<Map<String, Value>, InvalidJws> {
    Parts::split(token)?.header()
}

/// The claims of a token, unchecked: to find the sender's key set by, never to
/// believe.
///
/// # Errors
///
/// [`InvalidJws::Malformed`] or `TooLarge` if they cannot be read.
pub fn peek_claims(token: &str) -> Result<Map<String, Value>, InvalidJws> {
    let payload = URL_SAFE_NO_PAD.decode(Parts::split(token)?.payload).map_err(|_| InvalidJws::Malformed)?;
    unique_object(&payload).map_err(|_| InvalidJws::Malformed)
}

/// A NumericDate (RFC 7519 §2) in whole seconds: a fraction does not count. A
/// number beyond all time is as far in the future as can be.
#[must_use]
pub fn numeric_date(claim: Option<&Value>) -> Option<i64> {
    let seconds = claim?.as_f64()?;
    Some(format!("{:.0}", seconds.floor()).parse().unwrap_or(i64::MAX))
}

struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, InvalidJws> {
        if token.len() > MAX_TOKEN {
            return Err(InvalidJws::TooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidJws::Malformed);
        };
        if header.len() > MAX_HEADER {
            return Err(InvalidJws::TooLarge);
        }
        Ok(Self { header, payload, signature })
    }

    fn header(&self) -> Result<Map<String, Value>, InvalidJws> {
        let bytes = URL_SAFE_NO_PAD.decode(self.header).map_err(|_| InvalidJws::Malformed)?;
        unique_object(&bytes).map_err(|_| InvalidJws::Malformed)
    }

    fn signature(&self) -> Result<Vec<u8>, InvalidJws> {
        URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| InvalidJws::Malformed)
    }

    fn signed_len(&self) -> usize {
        self.header.len().saturating_add(1).saturating_add(self.payload.len())
    }
}

fn protected(key: &SigningKey, extra: &Map<String, Value>) -> String {
    let mut header = extra.clone();
    header.insert("alg".into(), key.algorithm().as_str().into());
    header.insert("kid".into(), key.kid().into());
    URL_SAFE_NO_PAD.encode(Value::Object(header).to_string())
}

fn signing_input(header: &str, payload: &[u8], raw: bool) -> Vec<u8> {
    let mut input = Vec::with_capacity(header.len().saturating_add(payload.len().saturating_mul(2)));
    input.extend_from_slice(header.as_bytes());
    input.push(b'.');
    if raw {
        input.extend_from_slice(payload);
    } else {
        input.extend_from_slice(URL_SAFE_NO_PAD.encode(payload).as_bytes());
    }
    input
}

/// RFC 7515 §4.1.11 and RFC 7797 §6.
fn critical(header: &Map<String, Value>, understood: &[&str]) -> Result<(), InvalidJws> {
    let listed = match header.get("crit") {
        None => &[],
        Some(crit) => crit.as_array().filter(|crit| !crit.is_empty()).ok_or(InvalidJws::Critical)?.as_slice(),
    };
    let mut seen = Vec::with_capacity(listed.len());
    for name in listed {
        let name = name.as_str().ok_or(InvalidJws::Critical)?;
        // Each name is an extension we process, stands in the header, and is listed once.
        if !understood.contains(&name) || !header.contains_key(name) || seen.contains(&name) {
            return Err(InvalidJws::Critical);
        }
        seen.push(name);
    }
    match header.get("b64") {
        None => Ok(()),
        Some(Value::Bool(_)) if seen.contains(&"b64") => Ok(()),
        Some(_) => Err(InvalidJws::Critical),
    }
}

fn check(
    header: &Map<String, Value>,
    keys: &Jwks,
    allowed: &[Algorithm],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), InvalidJws> {
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::from_name)
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or(InvalidJws::Algorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(InvalidJws::Malformed)?),
    };
    let mut known = false;
    for key in keys.find(kid, algorithm) {
        known = true;
        if key.verify(signed, signature) {
            return Ok(());
        }
    }
    Err(if known { InvalidJws::Signature } else { InvalidJws::UnknownKey })
}
