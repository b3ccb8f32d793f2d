//! DPoP proofs of a request (RFC 9449): one header, about this request, not
//! used before, with a nonce of ours where one is wanted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::dpop::{self, InvalidProof, Proof, Proven};
use flows::Gateway;
use http::HeaderName;
use http::request::Parts;

use crate::Origin;

/// The header that carries a proof.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header that carries our nonce (RFC 9449 §8).
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why the proof of a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofRefused {
    /// `invalid_dpop_proof`.
    Invalid(&'static str),
    /// `use_dpop_nonce`: the same request with the nonce of the answer will do.
    Nonce,
}

/// Seconds after which the nonce changes; the one before stays good.
const NONCE_LIFE: i64 = 60;

/// The nonce to use now.
#[must_use]
pub fn nonce(gateway: &Gateway) -> String {
    nonce_of(gateway, gateway.clock().now().as_second().div_euclid(NONCE_LIFE))
}

fn nonce_of(gateway: &Gateway, window: i64) -> String {
    let digest = gateway.id_key().digest(&["dpop-nonce", &window.to_string()]);
    URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default())
}

fn is_nonce(gateway: &Gateway, nonce: &str) -> bool {
    let window = gateway.clock().now().as_second().div_euclid(NONCE_LIFE);
    [window, window.saturating_sub(1)]
        .into_iter()
        .any(|window| crypto::digest::same(nonce.as_bytes(), nonce_of(gateway, window).as_bytes()))
}

/// The proof of a request, if it carries one. Whether its id was used before
/// is not looked at here.
///
/// # Errors
///
/// [`ProofRefused`] if there are several, or the one is not about this request.
pub fn proof_of(
    gateway: &Gateway,
    parts: &Parts,
    access_token: Option<&str>,
) -> Result<Option<Proof>, ProofRefused> {
    let mut given = parts.headers.get_all(DPOP).iter();
    let Some(text) = given.next() else { return Ok(None) };
    // RFC 9449 §4.3 (1)
    if given.next().is_some() {
        return Err(ProofRefused::Invalid("there is more than one DPoP header"));
    }
    let text = text.to_str().map_err(|_| refused(InvalidProof::Malformed))?;
    let elsewhere = parts.extensions.get::<Origin>().map(|origin| origin.0.as_str());
    let origin = elsewhere.unwrap_or(&gateway.config().api_origin);
    let uri = format!("{origin}{}", parts.uri.path());
    let now = gateway.clock().now().as_second();
    let request = Proven { method: parts.method.as_str(), uri: &uri, access_token, now };
    let proof = dpop::check(text, request).map_err(refused)?;
    // (10)
    match &proof.nonce {
        Some(given) if !is_nonce(gateway, given) => Err(ProofRefused::Nonce),
        None if gateway.config().require_dpop_nonce => Err(ProofRefused::Nonce),
        Some(_) | None => Ok(Some(proof)),
    }
}

fn refused(why: InvalidProof) -> ProofRefused {
    ProofRefused::Invalid(match why {
        InvalidProof::Malformed => "the DPoP proof is no JWT with jti, htm, htu and iat",
        InvalidProof::Type => "typ of the DPoP proof is dpop+jwt",
        InvalidProof::Algorithm => "the DPoP proof is signed with PS256, ES256 or Ed25519",
        InvalidProof::Signature => "the DPoP proof is not signed by the public key in its jwk header",
        InvalidProof::Method => "htm of the DPoP proof is not the method of the request",
        InvalidProof::Uri => "htu of the DPoP proof is not the address of the request",
        InvalidProof::Time => "the DPoP proof is too old or from the future",
        InvalidProof::Token => "ath of the DPoP proof is not the digest of the access token",
    })
}
