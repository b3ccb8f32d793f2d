//! HTTP Message Signatures (RFC 9421) with `Content-Digest` (RFC 9530), as banks of the Berlin Group have them that
//! have moved on from draft-cavage.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::jose::{SigningKey, sha256};

/// `Content-Digest` of a body (RFC 9530 §2).
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256(body)))
}

/// What a signature says of itself (RFC 9421 §2.3), and whether a byte of it is changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made<'a> {
    /// Whose key.
    pub key_id: &'a str,
    /// When, in seconds since 1970.
    pub created: i64,
    /// What it is for, where it says so.
    pub tag: Option<&'a str>,
    /// A byte is changed.
    pub spoiled: bool,
}

/// `Signature-Input` and `Signature` over components, derived ones by their names with an `@` (RFC 9421 §2, §3.1), as
/// of an instant in seconds since 1970. `spoiled` changes a byte of the signature.
#[must_use]
pub fn sign(key: &SigningKey, made: &Made<'_>, components: &[(String, String)]) -> (String, String) {
    // RFC 9421 §6.2.2, and what the algorithm is called in a JWS.
    let (algorithm, alg) = match key.alg() {
        "PS256" => ("rsa-v1_5-sha256", "RS256"),
        "ES256" => ("ecdsa-p256-sha256", "ES256"),
        _ => ("ed25519", "EdDSA"),
    };
    let names: Vec<_> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let tag = made.tag.map(|tag| format!(";tag={}", quoted(tag))).unwrap_or_default();
    let (covered, created, key_id) = (names.join(" "), made.created, quoted(made.key_id));
    let parameters = format!("({covered});created={created};keyid={key_id};alg=\"{algorithm}\"{tag}");
    let mut lines: Vec<_> = components.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    lines.push(format!("\"@signature-params\": {parameters}"));
    let mut signature = key.sign(alg, lines.join("\n").as_bytes());
    if made.spoiled
        && let Some(byte) = signature.first_mut()
    {
        *byte ^= 1;
    }
    (format!("sig1={parameters}"), format!("sig1=:{}:", BASE64_STANDARD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530 appendix B.1's body and RFC 9421 §2.5's shape, and a key that says whether it fits.
    #[test]
    fn what_is_signed_is_written_as_the_standard_says() {
        assert_eq!(
            content_digest(b"{\"hello\": \"world\"}\n"),
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
        let key = SigningKey::fresh_p256().unwrap();
        let components =
            [("@method", "POST"), ("@target-uri", "https://bank.example/v1/consents?a=b"), ("x-a", "1")];
        let components = components.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let made =
            Made { key_id: "SN=1,CA=CN=\"A\"", created: 1_700_000_000, tag: Some("psd2"), spoiled: false };
        let (input, signature) = sign(&key, &made, &components);
        let parameters = r#"("@method" "@target-uri" "x-a");created=1700000000;keyid="SN=1,CA=CN=\"A\"";alg="ecdsa-p256-sha256";tag="psd2""#;
        assert_eq!(input, format!("sig1={parameters}"));
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": https://bank.example/v1/consents?a=b\n\"x-a\": 1\n\"@signature-params\": {parameters}"
        );
        let read = |text: &str| {
            let inner = text.strip_prefix("sig1=:").and_then(|rest| rest.strip_suffix(':')).unwrap();
            BASE64_STANDARD.decode(inner).unwrap()
        };
        let public = crate::jose::Jwk::set(&serde_json::json!({"keys": [key.public()]})).remove(0);
        assert!(public.verifies("ES256", base.as_bytes(), &read(&signature)));
        let (_, spoiled) = sign(&key, &Made { spoiled: true, ..made }, &components);
        assert!(!public.verifies("ES256", base.as_bytes(), &read(&spoiled)));
    }
}
