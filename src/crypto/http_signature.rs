//! HTTP message signatures as the Berlin Group and STET profile them: a
//! `Digest` header (RFC 3230) and a `Signature` header
//! (draft-cavage-http-signatures-12, algorithm `rsa-sha256`).
//!
//! The digest and the signature are separate checks; a caller makes both and
//! names the headers the signature has to cover.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{same, sha256};
use crate::key::{PublicKey, SigningFailed, SigningKey};

/// Longest `Signature` header we read, in bytes.
const MAX_HEADER: usize = 8 * 1024;
/// Most headers one signature may cover.
const MAX_COVERED: usize = 32;

/// Why a `Digest` or `Signature` header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// The header cannot be read.
    #[error("the signature header is malformed")]
    Malformed,
    /// The algorithm is not the one that the profile or the key has.
    #[error("the signature algorithm is not allowed")]
    Algorithm,
    /// A header that must be covered is not, or a covered one was not sent.
    #[error("the signature does not cover the headers it must")]
    Coverage,
    /// The body is not the one the digest was made of.
    #[error("the digest does not match the body")]
    Digest,
    /// The signature is not by that key over these headers.
    #[error("the signature does not match")]
    Signature,
}

/// The `Digest` value of a body: `SHA-256=` and base64. An empty body has one.
#[must_use]
pub fn digest(body: &[u8]) -> String {
    format!("SHA-256={}", STANDARD.encode(sha256(body)))
}

/// Checks a `Digest` header against the body.
///
/// # Errors
///
/// [`InvalidSignature::Malformed`] without a SHA-256 value, `Digest` if it
/// differs.
pub fn verify_digest(header: &str, body: &[u8]) -> Result<(), InvalidSignature> {
    // RFC 3230 §4.3.2: a comma-separated list, the algorithm without regard to case.
    let stated = header
        .split(',')
        .filter_map(|instance| instance.trim().split_once('='))
        .find(|(algorithm, _)| algorithm.eq_ignore_ascii_case("SHA-256"))
        .ok_or(InvalidSignature::Malformed)?;
    let stated = STANDARD.decode(stated.1).map_err(|_| InvalidSignature::Malformed)?;
    if same(&stated, &sha256(body)) { Ok(()) } else { Err(InvalidSignature::Digest) }
}

/// Signs `headers`, in the order given, and returns the `Signature` value.
/// The pseudo header `(request-target)` is given like any other, as
/// `post /path?query`.
///
/// # Errors
///
/// [`SigningFailed::WrongKind`] if the key is not RSA.
pub fn sign_cavage(
    key: &SigningKey,
    key_id: &str,
    headers: &[(&str, &str)],
) -> Result<String, SigningFailed> {
    let signature = key.sign_rsa_sha256(signing_string(headers).as_bytes())?;
    let names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    Ok(CavageHeader { key_id: key_id.to_owned(), headers: names, signature }.to_string())
}

/// Checks a `Signature` header. `sent` answers the value of a header by its
/// lower-case name as it was received; `required` names those the signature
/// has to cover.
///
/// # Errors
///
/// [`InvalidSignature`] names the first check that failed.
pub fn verify_cavage(
    header: &str,
    key: &PublicKey,
    sent: impl Fn(&str) -> Option<String>,
    required: &[&str],
) -> Result<CavageHeader, InvalidSignature> {
    let parsed = CavageHeader::parse(header)?;
    if required.iter().any(|name| !parsed.headers.iter().any(|covered| covered == name)) {
        return Err(InvalidSignature::Coverage);
    }
    let values: Option<Vec<(&str, String)>> =
        parsed.headers.iter().map(|name| Some((name.as_str(), sent(name)?))).collect();
    let values = values.ok_or(InvalidSignature::Coverage)?;
    let lines: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if key.verify_rsa_sha256(signing_string(&lines).as_bytes(), &parsed.signature) {
        Ok(parsed)
    } else {
        Err(InvalidSignature::Signature)
    }
}

/// The value of the pseudo header `(request-target)`: `post /path?query`.
#[must_use]
pub fn request_target(method: &str, path_and_query: &str) -> String {
    format!("{} {path_and_query}", method.to_ascii_lowercase())
}

/// The string that is signed: `name: value` lines joined by a line feed.
#[must_use]
pub fn signing_string(headers: &[(&str, &str)]) -> String {
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{}: {}", name.to_ascii_lowercase(), value.trim()))
        .collect();
    lines.join("\n")
}

/// A parsed `Signature` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CavageHeader {
    /// The name of the key; for the Berlin Group `SN=…,CA=…`.
    pub key_id: String,
    /// The covered headers, lower case, in signing order.
    pub headers: Vec<String>,
    /// The signature bytes.
    pub signature: Vec<u8>,
}

impl CavageHeader {
    /// Reads the parameters. Unknown ones are left out, a repeated one or
    /// another algorithm is refused.
    ///
    /// # Errors
    ///
    /// [`InvalidSignature::Malformed`] or `Algorithm`.
    pub fn parse(header: &str) -> Result<Self, InvalidSignature> {
        if header.len() > MAX_HEADER {
            return Err(InvalidSignature::Malformed);
        }
        let (mut key_id, mut algorithm, mut headers, mut signature) = (None, None, None, None);
        let mut rest = header.trim();
        while !rest.is_empty() {
            let (name, value, tail) = parameter(rest).ok_or(InvalidSignature::Malformed)?;
            let slot = match name {
                "keyId" => &mut key_id,
                "algorithm" => &mut algorithm,
                "headers" => &mut headers,
                "signature" => &mut signature,
                _ => {
                    rest = tail;
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(InvalidSignature::Malformed);
            }
            rest = tail;
        }
        if algorithm.is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("rsa-sha256")) {
            return Err(InvalidSignature::Algorithm);
        }
        let key_id = key_id.filter(|key_id| !key_id.is_empty()).ok_or(InvalidSignature::Malformed)?;
        let signature = signature.and_then(|signature| STANDARD.decode(signature).ok());
        let headers: Vec<String> = headers
            .ok_or(InvalidSignature::Malformed)?
            .split_ascii_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let doubled = headers.iter().enumerate().any(|(at, name)| headers.iter().take(at).any(|n| n == name));
        if headers.is_empty() || headers.len() > MAX_COVERED || doubled {
            return Err(InvalidSignature::Malformed);
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            headers,
            signature: signature.ok_or(InvalidSignature::Malformed)?,
        })
    }
}

impl fmt::Display for CavageHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "keyId=\"{}\",algorithm=\"rsa-sha256\",headers=\"{}\",signature=\"{}\"",
            self.key_id,
            self.headers.join(" "),
            STANDARD.encode(&self.signature)
        )
    }
}

/// Splits `name="value"` or `name=number` off the front, and the comma after it.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => Some(rest.split_at(rest.find(',').unwrap_or(rest.len())))
            .filter(|(bare, _)| !bare.contains('"'))?,
    };
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix(',') {
        Some(rest) if !rest.trim().is_empty() => rest.trim_start(),
        None if rest.is_empty() => rest,
        Some(_) | None => return None,
    };
    Some((name.trim(), value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 §5.6.2: what is not quoted is a token, and a token has no quote.
    #[test]
    fn a_quote_in_a_bare_value_is_refused() {
        let header = |headers: &str| format!("keyId=\"a\",headers={headers},signature=\"AA==\"");
        assert_eq!(CavageHeader::parse(&header("\"digest date\"")).unwrap().headers, ["digest", "date"]);
        assert_eq!(CavageHeader::parse(&header("digest")).unwrap().headers, ["digest"]);
        for wrong in ["=\"digest date\"", "dig\"est", " \"digest\""] {
            assert_eq!(CavageHeader::parse(&header(wrong)), Err(InvalidSignature::Malformed), "{wrong}");
        }
    }
}
