//! Who asks, and what: told by the cell where a request came in, signed, for the one cell that
//! it is forwarded to.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::{Algorithm, Certificate, Jwks, SigningKey, jws};
use domain::{RequestId, Timestamp};
use http::HeaderName;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The header that carries it. Whatever a client sends under this name goes nowhere.
pub(crate) const CONTEXT: HeaderName = HeaderName::from_static("x-consentry-context");

/// What a token of this kind is (RFC 8725 §3.11).
const TYPE: &str = "consentry-context+jwt";
/// Seconds that it is good for.
const LIFE: i64 = 30;
/// Seconds by which the clocks of two cells may differ.
const SKEW: i64 = 5;

/// What home is told of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// The cell that tells it.
    pub(crate) iss: String,
    /// The cell that it is told to.
    pub(crate) aud: String,
    /// Second at which it was told.
    pub(crate) iat: i64,
    /// The id that the request has at both.
    pub(crate) jti: String,
    /// Method of the request.
    pub(crate) htm: String,
    /// Its path and query.
    pub(crate) htu: String,
    /// Origin at which it came in: what DPoP proofs are about.
    pub(crate) origin: String,
    /// Address of the client.
    pub(crate) address: SocketAddr,
    /// What the client proved to hold the key of, with its chain (DER, base64).
    pub(crate) x5c: Vec<String>,
}

/// Why a context is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContextRefused {
    /// There is none, or several.
    #[error("the request has no context")]
    Missing,
    /// Who sent it is no cell that is known here.
    #[error("who sent it is no cell that is known here")]
    Stranger,
    /// It is not signed by who sent it.
    #[error("the context is not signed by the cell that sent it")]
    Signature,
    /// It is of another cell, or for another one.
    #[error("the context is for another cell")]
    Elsewhere,
    /// It is about another request.
    #[error("the context is about another request")]
    Request,
    /// Too old, or from the future: a clock may be wrong.
    #[error("the context is too old or from the future: the clocks of the cells differ")]
    Time,
}

impl Context {
    /// The token.
    pub(crate) fn sign(&self, key: &SigningKey) -> Option<String> {
        let header = Map::from_iter([("typ".to_owned(), Value::from(TYPE))]);
        let payload = serde_json::to_vec(self).ok()?;
        jws::sign_compact(key, &header, &payload).ok()
    }

    /// Reads a token, told by the cell `from` whose certificate this is to the cell `to`.
    pub(crate) fn verify(
        token: &str,
        certificate: &Certificate,
        (from, to): (&str, &str),
        (method, target): (&str, &str),
        now: Timestamp,
    ) -> Result<Self, ContextRefused> {
        let keys = Jwks::from_public_key(certificate.public_key().clone());
        let verified = jws::verify_compact(token, &keys, &[Algorithm::Es256]);
        let verified = verified.map_err(|_| ContextRefused::Signature)?;
        if verified.header.get("typ").and_then(Value::as_str) != Some(TYPE) {
            return Err(ContextRefused::Signature);
        }
        let context: Self =
            serde_json::from_slice(&verified.payload).map_err(|_| ContextRefused::Signature)?;
        if context.iss != from || context.aud != to {
            return Err(ContextRefused::Elsewhere);
        }
        if context.htm != method || context.htu != target {
            return Err(ContextRefused::Request);
        }
        let age = now.as_second().saturating_sub(context.iat);
        if !(-SKEW..=LIFE).contains(&age) {
            return Err(ContextRefused::Time);
        }
        Ok(context)
    }

    /// The id of the request.
    pub(crate) fn request(&self) -> Result<RequestId, ContextRefused> {
        self.jti.parse().map_err(|_| ContextRefused::Request)
    }

    /// What the client showed.
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, ContextRefused> {
        let decoded = self.x5c.iter().map(|text| STANDARD.decode(text).map(CertificateDer::from));
        decoded.collect::<Result<_, _>>().map_err(|_| ContextRefused::Request)
    }

    /// A chain as a context carries it.
    pub(crate) fn encode(chain: &[CertificateDer<'_>]) -> Vec<String> {
        chain.iter().map(|der| STANDARD.encode(der)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crypto::pki::Authority;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn context() -> Context {
        Context {
            iss: "cell-uk".to_owned(),
            aud: "cell-eu".to_owned(),
            iat: 1_000,
            jti: "req_01a2220987ac795c99a8df167cd7c47e".to_owned(),
            htm: "GET".to_owned(),
            htu: "/v1/consents/con_eu_1?x=1".to_owned(),
            origin: "https://api.uk.example".to_owned(),
            address: "192.0.2.7:1234".parse().unwrap(),
            x5c: Context::encode(&[CertificateDer::from(vec![1, 2, 3])]),
        }
    }

    #[test]
    fn a_context_is_one_cells_word_to_another_about_one_request_now() {
        let ca = Authority::new("cells", at(0)).unwrap();
        let issued = ca.issue_server(&["localhost"], &[]).unwrap();
        let other = ca.issue_server(&["localhost"], &[]).unwrap();
        let certificate = Certificate::from_pem(&issued.certificate_pem).unwrap();
        let key = SigningKey::from_pem(&issued.key_pem, certificate.public_key().thumbprint()).unwrap();
        let token = context().sign(&key).unwrap();
        let asked = ("GET", "/v1/consents/con_eu_1?x=1");
        let way = ("cell-uk", "cell-eu");
        let verify =
            |token: &str, way, asked, second| Context::verify(token, &certificate, way, asked, at(second));
        let read = verify(&token, way, asked, 1_000).unwrap();
        assert_eq!(read, context());
        assert_eq!(read.chain().unwrap(), [CertificateDer::from(vec![1, 2, 3])]);
        assert!(verify(&token, way, asked, 995).is_ok() && verify(&token, way, asked, 1_030).is_ok());
        for (outcome, why) in [
            (verify(&token, way, asked, 994), ContextRefused::Time),
            (verify(&token, way, asked, 1_031), ContextRefused::Time),
            (verify(&token, ("cell-fr", "cell-eu"), asked, 1_000), ContextRefused::Elsewhere),
            (verify(&token, ("cell-uk", "cell-fr"), asked, 1_000), ContextRefused::Elsewhere),
            (verify(&token, way, ("POST", asked.1), 1_000), ContextRefused::Request),
            (verify(&token, way, ("GET", "/v1/consents/con_eu_2"), 1_000), ContextRefused::Request),
            (verify(&token.replace('.', ".A"), way, asked, 1_000), ContextRefused::Signature),
        ] {
            assert_eq!(outcome, Err(why));
        }
        let stranger = Certificate::from_pem(&other.certificate_pem).unwrap();
        assert_eq!(Context::verify(&token, &stranger, way, asked, at(1_000)), Err(ContextRefused::Signature));
        // Signed by the right key, and no context.
        let header = Map::from_iter([("typ".to_owned(), Value::from("at+jwt"))]);
        let jwt = jws::sign_compact(&key, &header, &serde_json::to_vec(&context()).unwrap()).unwrap();
        assert_eq!(verify(&jwt, way, asked, 1_000), Err(ContextRefused::Signature));
    }
}
