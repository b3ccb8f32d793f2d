//! Proofs of possession in a header: DPoP (RFC 9449).
//!
//! Checks what one proof says about one request. Whether its `jti` was seen
//! before and whether its nonce is ours is for the caller to find out.

use serde_json::{Value, json};
use url::Url;

use crate::certificate::Thumbprint;
use crate::digest::{same, sha256_b64url};
use crate::jwks::Jwks;
use crate::jws;
use crate::key::Algorithm;

/// A proof that fits its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// JWK thumbprint of the key that made it (`jkt`).
    pub key: Thumbprint,
    /// Its unique id.
    pub jti: String,
    /// The server's nonce, if it carries one.
    pub nonce: Option<String>,
}

/// The request that a proof must be about.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Absolute address, without query and fragment.
    pub uri: &'a str,
    /// The access token that is shown with it, at a resource server.
    pub access_token: Option<&'a str>,
    /// Seconds since 1970.
    pub now: i64,
}

/// Why a proof is refused (RFC 9449 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// (2), (3): no well-formed JWT with the claims it must have.
    #[error("the DPoP proof is no JWT with jti, htm, htu and iat")]
    Malformed,
    /// (4)
    #[error("typ of the DPoP proof is dpop+jwt")]
    Type,
    /// (5)
    #[error("the DPoP proof is signed with PS256, ES256 or EdDSA")]
    Algorithm,
    /// (6), (7): `jwk` is no public key, or did not make the signature.
    #[error("the DPoP proof is not signed by the public key in its jwk header")]
    Signature,
    /// (8)
    #[error("htm of the DPoP proof is not the method of the request")]
    Method,
    /// (9)
    #[error("htu of the DPoP proof is not the address of the request")]
    Uri,
    /// (11)
    #[error("the DPoP proof is too old or from the future")]
    Time,
    /// (12)
    #[error("ath of the DPoP proof is not the digest of the access token")]
    Token,
}

/// Seconds that a proof may be old.
pub const MAX_AGE: i64 = 60;
/// Seconds for which a used proof must be remembered.
pub const MEMORY: u64 = 90;
/// Seconds that the prover's clock may be ahead.
const SKEW: i64 = 15;
/// Longest `jti` and nonce.
const MAX_ID: usize = 512;

/// Checks a proof against the request that carries it.
///
/// # Errors
///
/// [`InvalidProof`] names the first check of RFC 9449 §4.3 that failed.
pub fn check(proof: &str, request: Proven<'_>) -> Result<Proof, InvalidProof> {
    let header = jws::peek_header(proof).map_err(|_| InvalidProof::Malformed)?;
    // (4)
    let typed = header.get("typ").and_then(Value::as_str);
    if !typed.is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt")) {
        return Err(InvalidProof::Type);
    }
    // (5)
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
    algorithm.ok_or(InvalidProof::Algorithm)?;
    // (7) no private key in the header, (6) the key there made the signature
    let mut jwk = header.get("jwk").cloned().ok_or(InvalidProof::Signature)?;
    // The key in the header is the one, whatever the header calls it.
    if let Some(members) = jwk.as_object_mut() {
        members.remove("kid");
        members.extend(header.get("kid").map(|kid| ("kid".to_owned(), kid.clone())));
    }
    let keys = Jwks::from_value(&json!({ "keys": [jwk] })).map_err(|_| InvalidProof::Signature)?;
    let key = keys.iter().next().ok_or(InvalidProof::Signature)?.key().thumbprint();
    let verified = jws::verify_compact(proof, &keys, &Algorithm::ALL).map_err(|_| InvalidProof::Signature)?;
    let claims = verified.claims().map_err(|_| InvalidProof::Malformed)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // (3)
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= MAX_ID);
    let (Some(jti), Some(htm), Some(htu)) = (jti, text("htm"), text("htu")) else {
        return Err(InvalidProof::Malformed);
    };
    // (8)
    if htm != request.method {
        return Err(InvalidProof::Method);
    }
    // (9)
    if !same_resource(htu, request.uri) {
        return Err(InvalidProof::Uri);
    }
    // (11)
    let iat = jws::numeric_date(claims.get("iat")).ok_or(InvalidProof::Malformed)?;
    if iat < request.now.saturating_sub(MAX_AGE) || iat > request.now.saturating_add(SKEW) {
        return Err(InvalidProof::Time);
    }
    // (12)
    if let Some(token) = request.access_token {
        let ath = text("ath").ok_or(InvalidProof::Token)?;
        if !same(ath.as_bytes(), sha256_b64url(token.as_bytes()).as_bytes()) {
            return Err(InvalidProof::Token);
        }
    }
    let nonce = match claims.get("nonce") {
        None => None,
        Some(nonce) => {
            let nonce = nonce.as_str().filter(|nonce| nonce.len() <= MAX_ID);
            Some(nonce.ok_or(InvalidProof::Malformed)?.to_owned())
        }
    };
    let key = key.parse().map_err(|_| InvalidProof::Signature)?;
    Ok(Proof { key, jti: jti.to_owned(), nonce })
}

/// RFC 9449 §4.3: compared after normalisation of scheme, host and port
/// (RFC 3986 §6.2.2, §6.2.3), without query and fragment.
fn same_resource(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| url.username().is_empty())?;
        Some((
            url.scheme().to_owned(),
            url.host_str()?.to_owned(),
            url.port_or_known_default()?,
            url.path().to_owned(),
        ))
    };
    match (parts(one), parts(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9449 §4.3 (9), RFC 3986 §6.2 (RS5): scheme, host and port are compared
    /// normalised, query and fragment not at all, everything else exactly.
    #[test]
    fn an_address_is_compared_as_what_it_names() {
        let request = "https://api.example/v1/accounts";
        for same in [
            request,
            "https://api.example:443/v1/accounts",
            "HTTPS://API.Example/v1/accounts",
            "https://api.example/v1/./accounts",
            "https://api.example/v1/accounts?limit=1#top",
        ] {
            assert!(same_resource(same, request), "{same}");
        }
        for other in [
            "http://api.example/v1/accounts",
            "https://api.example:8443/v1/accounts",
            "https://api.example/v1/Accounts",
            "https://api.example/v1/accounts/",
            "https://api.example.evil/v1/accounts",
            "https://evil@api.example/v1/accounts",
            "/v1/accounts",
            "",
        ] {
            assert!(!same_resource(other, request), "{other}");
        }
    }
}
