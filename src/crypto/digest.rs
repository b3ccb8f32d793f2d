//! Digests, keyed digests, random tokens and the PKCE check.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Entropy;
use secrecy::SecretString;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest::digest(&digest::SHA256, data).as_ref()) {
        *to = *from;
    }
    out
}

/// SHA-256 of `data`, lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(data: &[u8]) -> String {
    hex(&sha256(data))
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len().saturating_mul(2)];
    // There is room for all of them: that is the only way to fail.
    let _ = hex::encode_to_slice(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Reads hexadecimal of exactly 32 bytes. False if the text is none.
#[must_use]
pub fn from_hex(text: &str, out: &mut [u8; 32]) -> bool {
    hex::decode_to_slice(text, out).is_ok()
}

/// SHA-256 of `data`, base64url without padding.
#[must_use]
pub fn sha256_b64url(data: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(data))
}

/// HMAC-SHA-256 (RFC 2104).
#[must_use]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    MacKey::new(key).digest(data)
}

/// A key of HMAC-SHA-256 that is used many times.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Prepares a key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// HMAC-SHA-256 of `data`.
    #[must_use]
    pub fn digest(&self, data: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(hmac::sign(&self.0, data).as_ref()) {
            *to = *from;
        }
        out
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// A fresh token of `bytes` random bytes, base64url without padding.
#[must_use]
pub fn token(entropy: &dyn Entropy, bytes: usize) -> SecretString {
    let mut random = vec![0; bytes];
    entropy.fill(&mut random);
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(&random));
    random.zeroize();
    token
}

/// The `code_challenge` of a verifier by method S256 (RFC 7636 §4.2).
#[must_use]
pub fn pkce_challenge(verifier: &str) -> String {
    sha256_b64url(verifier.as_bytes())
}

/// RFC 7636 §4.6: true if `verifier` is well formed and has this challenge.
/// Takes the same time wherever they differ.
#[must_use]
pub fn pkce_matches(verifier: &str, challenge: &str) -> bool {
    let formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    formed && same(pkce_challenge(verifier).as_bytes(), challenge.as_bytes())
}

/// Compares in a time that depends only on the lengths.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use domain::SystemEntropy;
    use secrecy::ExposeSecret;

    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_worked_pkce_example_matches_and_its_neighbour_does_not() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(pkce_matches(verifier, challenge));
        assert!(!pkce_matches(&verifier.replace('d', "e"), challenge));
        assert!(!pkce_matches("short", &pkce_challenge("short")), "a verifier has at least 43 characters");
    }

    /// RFC 4231 case 2.
    #[test]
    fn the_worked_hmac_example_matches() {
        let tag = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn two_tokens_differ_and_have_the_asked_length() {
        let (a, b) = (token(&SystemEntropy, 32), token(&SystemEntropy, 32));
        assert_eq!(a.expose_secret().len(), 43);
        assert_ne!(a.expose_secret(), b.expose_secret());
    }
}
