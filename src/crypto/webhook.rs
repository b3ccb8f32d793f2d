//! Signatures of webhooks (Standard Webhooks 1.0): what is signed is
//! `id.timestamp.body`, by HMAC-SHA-256 (`v1`) or Ed25519 (`v1a`).
//!
//! One header may carry several signatures, parted by spaces, so that a
//! secret can be rotated without a gap.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{hmac_sha256, same};
use crate::key::{Algorithm, PublicKey, SigningFailed, SigningKey};

/// Most signatures we look at in one header.
const MAX_SIGNATURES: usize = 16;

/// What a receiver checks a webhook with.
#[derive(Clone, Copy)]
pub enum Verifier<'a> {
    /// The shared secret of `v1`, decoded.
    Secret(&'a [u8]),
    /// The sender's Ed25519 key of `v1a`.
    Key(&'a PublicKey),
}

/// Signs with Ed25519: `v1a,` and base64. `timestamp` counts seconds since
/// 1970.
///
/// # Errors
///
/// [`SigningFailed::WrongKind`] if the key is not Ed25519.
pub fn sign_v1a(key: &SigningKey, id: &str, timestamp: i64, body: &[u8]) -> Result<String, SigningFailed> {
    if key.algorithm() != Algorithm::EdDsa {
        return Err(SigningFailed::WrongKind("an Ed25519 key"));
    }
    Ok(format!("v1a,{}", STANDARD.encode(key.sign(&signed_content(id, timestamp, body))?)))
}

/// Signs with HMAC-SHA-256: `v1,` and base64. `secret` is the decoded secret,
/// without its `whsec_` prefix.
#[must_use]
pub fn sign_v1(secret: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(hmac_sha256(secret, &signed_content(id, timestamp, body))))
}

/// True if one of the signatures in `header` is right. How old `timestamp`
/// may be is the receiver's to judge.
#[must_use]
pub fn verify(verifier: Verifier<'_>, id: &str, timestamp: i64, body: &[u8], header: &str) -> bool {
    let content = signed_content(id, timestamp, body);
    header.split_ascii_whitespace().take(MAX_SIGNATURES).any(|signature| {
        let Some((version, signature)) = signature.split_once(',') else { return false };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        match (version, verifier) {
            ("v1", Verifier::Secret(secret)) => same(&hmac_sha256(secret, &content), &signature),
            ("v1a", Verifier::Key(key)) => {
                key.algorithm() == Algorithm::EdDsa && key.verify(&content, &signature)
            }
            _ => false,
        }
    })
}

fn signed_content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the Standard Webhooks reference libraries.
    #[test]
    fn the_published_hmac_example_matches_and_a_changed_body_does_not() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let header = sign_v1(&secret, id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let verifier = Verifier::Secret(&secret);
        let rotated = format!("v1,AAAA {header}");
        assert!(verify(verifier, id, 1_614_265_330, br#"{"test": 2432232314}"#, &rotated));
        assert!(!verify(verifier, id, 1_614_265_330, br#"{"test": 2432232315}"#, &header));
        assert!(!verify(verifier, id, 1_614_265_331, br#"{"test": 2432232314}"#, &header));
        assert!(!verify(
            verifier,
            id,
            1_614_265_330,
            br#"{"test": 2432232314}"#,
            &header.replace("v1,", "v1a,")
        ));
    }
}
