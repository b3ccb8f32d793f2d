//! HTTP signatures of draft-cavage-http-signatures-12, as Berlin Group and STET have them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::jose::{Jwk, SigningKey, sha256};

/// `Digest` of a body (RFC 3230).
#[must_use]
pub fn digest(body: &[u8]) -> String {
    format!("SHA-256={}", BASE64_STANDARD.encode(sha256(body)))
}

/// `keyId` of a certificate in DER, as the Berlin Group has it (Implementation Guidelines §12.2):
/// serial number in hexadecimal, and issuer.
#[must_use]
pub fn key_id(certificate: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?.tbs_certificate;
    let serial = hex::encode(certificate.serial_number.as_bytes());
    Some(format!("SN={},CA={}", serial.trim_start_matches('0'), certificate.issuer))
}

/// The text that is signed: the covered headers, names in small letters, each on its line.
fn text(covered: &[(String, String)]) -> String {
    let lines: Vec<_> =
        covered.iter().map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase())).collect();
    lines.join("\n")
}

/// The value of `Signature` over some headers, `(request-target)` among them if it is given.
#[must_use]
pub fn sign(key: &SigningKey, key_id: &str, covered: &[(String, String)]) -> String {
    let (algorithm, alg) = match key.alg() {
        "PS256" => ("rsa-sha256", "RS256"),
        "ES256" => ("ecdsa-sha256", "ES256"),
        _ => ("ed25519", "EdDSA"),
    };
    let names: Vec<_> = covered.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let signature = BASE64_STANDARD.encode(key.sign(alg, text(covered).as_bytes()));
    let names = names.join(" ");
    format!("keyId=\"{key_id}\",algorithm=\"{algorithm}\",headers=\"{names}\",signature=\"{signature}\"")
}

/// A `Signature` header, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cavage {
    /// Whose key.
    pub key_id: String,
    /// What it is made with.
    pub algorithm: String,
    /// What it covers.
    pub headers: Vec<String>,
    /// Its bytes.
    pub signature: Vec<u8>,
}

impl Cavage {
    /// Takes a header apart.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
        let mut read = Self::default();
        let mut rest = header.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = after.split_once('"')?;
            match name.trim() {
                "keyId" => value.clone_into(&mut read.key_id),
                "algorithm" => value.clone_into(&mut read.algorithm),
                "headers" => read.headers = value.split(' ').map(str::to_owned).collect(),
                "signature" => read.signature = BASE64_STANDARD.decode(value).ok()?,
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ']);
        }
        (!read.key_id.is_empty() && !read.signature.is_empty()).then_some(read)
    }
}

/// Whether a key made a signature over what was sent.
#[must_use]
pub fn verify(key: &Jwk, signature: &Cavage, sent: &dyn Fn(&str) -> Option<String>) -> bool {
    let alg = match signature.algorithm.as_str() {
        "rsa-sha256" => "RS256",
        "ecdsa-sha256" => "ES256",
        "ed25519" => "EdDSA",
        _ => return false,
    };
    let covered: Option<Vec<_>> =
        signature.headers.iter().map(|name| Some((name.clone(), sent(name)?))).collect();
    covered.is_some_and(|covered| key.verifies(alg, text(&covered).as_bytes(), &signature.signature))
}
