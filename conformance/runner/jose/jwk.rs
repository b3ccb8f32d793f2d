//! Public keys of the target.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value, json};

use super::{base64url, from_base64url, sha256};

/// A JWS whose signature holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The JOSE header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// A public key of a key set (RFC 7517).
#[derive(Clone, Debug)]
pub struct Jwk(Value);

impl Jwk {
    /// The keys of a key set.
    #[must_use]
    pub fn set(document: &Value) -> Vec<Self> {
        document.get("keys").and_then(Value::as_array).into_iter().flatten().cloned().map(Self).collect()
    }

    /// What the key is called.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.text("kid")
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.0.get(member).and_then(Value::as_str)
    }

    fn bytes(&self, member: &str) -> Option<Vec<u8>> {
        self.text(member).and_then(from_base64url)
    }

    /// Whether the key made the signature with the algorithm.
    #[must_use]
    pub fn verifies(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        self.check(alg, message, signature).unwrap_or(false)
    }

    fn check(&self, alg: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let held = match (alg, self.text("kty")?) {
            ("ES256", "EC") => {
                let point = [vec![4], self.bytes("x")?, self.bytes("y")?].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            ("EdDSA" | "Ed25519", "OKP") => {
                UnparsedPublicKey::new(&ED25519, self.bytes("x")?).verify(message, signature)
            }
            ("PS256", "RSA") => self.rsa()?.verify(&RSA_PSS_2048_8192_SHA256, message, signature),
            ("RS256", "RSA") => self.rsa()?.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            _ => return None,
        };
        Some(held.is_ok())
    }

    fn rsa(&self) -> Option<RsaPublicKeyComponents<Vec<u8>>> {
        Some(RsaPublicKeyComponents { n: self.bytes("n")?, e: self.bytes("e")? })
    }
}

/// The SHA-256 thumbprint of a public key (RFC 7638), as `jkt` has it.
#[must_use]
pub fn thumbprint(public: &Value) -> String {
    let members: &[&str] = match public.get("kty").and_then(Value::as_str) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("RSA") => &["e", "kty", "n"],
        _ => &["crv", "kty", "x"],
    };
    // A map of serde_json keeps its members in the order of their names, as the RFC wants them.
    let only: Map<String, Value> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), public.get(name)?.clone()))).collect();
    base64url(&sha256(json!(only).to_string().as_bytes()))
}
