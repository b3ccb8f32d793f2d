//! Server keys of the kinds `crypto` has, above all those that a PKCS#11 token
//! keeps. A handshake waits in its thread for the token.

use std::sync::Arc;

use crypto::{Algorithm, SigningKey};
use rustls::sign::{Signer, SigningKey as RustlsKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// The key as rustls takes it.
pub(super) fn rustls_key(key: Arc<SigningKey>) -> Arc<dyn RustlsKey> {
    Arc::new(Held(key))
}

#[derive(Debug)]
struct Held(Arc<SigningKey>);

#[derive(Debug)]
struct WithScheme {
    key: Arc<SigningKey>,
    scheme: SignatureScheme,
}

impl Held {
    /// What the key can sign, best first.
    fn schemes(&self) -> &'static [SignatureScheme] {
        match self.0.algorithm() {
            // TLS 1.2 clients may know the older one only.
            Algorithm::Ps256 => &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256],
            Algorithm::Es256 => &[SignatureScheme::ECDSA_NISTP256_SHA256],
            Algorithm::EdDsa => &[SignatureScheme::ED25519],
        }
    }
}

impl RustlsKey for Held {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes().iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(WithScheme { key: Arc::clone(&self.0), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            Algorithm::Ps256 => SignatureAlgorithm::RSA,
            Algorithm::Es256 => SignatureAlgorithm::ECDSA,
            Algorithm::EdDsa => SignatureAlgorithm::ED25519,
        }
    }
}

impl Signer for WithScheme {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = if self.scheme == SignatureScheme::RSA_PKCS1_SHA256 {
            self.key.sign_rsa_sha256(message)
        } else {
            self.key.sign(message)
        };
        let signature = signed.map_err(|error| {
            tracing::error!(error = %error, "The key of the server certificate could not sign");
            Error::General("the key could not sign".to_owned())
        })?;
        let is_ecdsa = self.scheme == SignatureScheme::ECDSA_NISTP256_SHA256;
        Ok(if is_ecdsa { ecdsa_sequence(&signature) } else { signature })
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// `r || s` as the sequence of integers that TLS has (RFC 3279 §2.2.3).
fn ecdsa_sequence(pair: &[u8]) -> Vec<u8> {
    let (r, s) = pair.split_at_checked(pair.len() / 2).unwrap_or_default();
    let body = [integer(r), integer(s)].concat();
    element(0x30, &body)
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let mut digits = bytes.get(start..).unwrap_or_default().to_vec();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    element(0x02, &digits)
}

/// Short form only: two integers of 33 bytes fit in it.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u8::try_from(contents.len()).unwrap_or(u8::MAX);
    [&[tag, length], contents].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_neither_leading_zeros_nor_a_sign() {
        let mut pair = vec![0; 64];
        pair[31] = 0x7f;
        pair[32] = 0x80;
        let der = ecdsa_sequence(&pair);
        assert_eq!(der[..7], [0x30, 38, 2, 1, 0x7f, 2, 33]);
        assert_eq!(der[7..9], [0, 0x80]);
        assert_eq!(ecdsa_sequence(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }
}
