//! A prover of possession by DPoP (RFC 9449) that can also be wrong.

use std::sync::Arc;

use consentry::demo::{Answer, Tpp};
use crypto::SigningKey;
use domain::{Clock, Entropy, SystemEntropy};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fintech::{TOKEN, ec_key, raw_jws};
use crate::support::TestGateway;

/// A key and a clock.
pub struct Prover {
    pub key: SigningKey,
    clock: Arc<dyn Clock>,
}

/// Leaves a proof as it is.
pub fn right(_: &mut Value, _: &mut Value) {}

impl Prover {
    pub fn new(gw: &TestGateway) -> Self {
        Self::of(ec_key("dpop"), gw)
    }

    pub fn of(key: SigningKey, gw: &TestGateway) -> Self {
        Self { key, clock: Arc::clone(&gw.clock) }
    }

    /// `jkt` of the key.
    pub fn jkt(&self) -> String {
        self.key.public_key().thumbprint()
    }

    /// Header and claims of a proof, changed.
    pub fn parts(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> (Value, Value) {
        let mut header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm().as_str(),
            "jwk": self.key.public_key().jwk(),
        });
        let mut claims = json!({
            "jti": SystemEntropy.uuid_v4(),
            "htm": method,
            "htu": url,
            "iat": self.clock.now().as_second(),
        });
        if let Some(token) = token {
            claims["ath"] = json!(crypto::digest::sha256_b64url(token.as_bytes()));
        }
        change(&mut header, &mut claims);
        (header, claims)
    }

    /// A proof about a request, signed after `change`.
    pub fn proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> String {
        let (header, claims) = self.parts(method, url, token, change);
        raw_jws(&self.key, &header, claims.to_string().as_bytes())
    }

    /// Posts a form with a client assertion and a proof.
    pub async fn post(
        &self,
        tpp: &Tpp,
        endpoint: &str,
        form: &[(&str, &str)],
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> Answer {
        let proof = self.proof("POST", tpp.endpoint(endpoint).unwrap(), None, change);
        tpp.authenticated_with(endpoint, &[("dpop", &proof)], form).await.unwrap()
    }

    /// A token of the client's own, bound to the key.
    pub async fn own_token(&self, tpp: &Tpp, scope: &str) -> SecretString {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = self.post(tpp, TOKEN, &form, right).await.expect(200).unwrap();
        assert_eq!(answer.text("/token_type"), "DPoP");
        answer.text("/access_token").into()
    }

    /// Gets a path of the API with a proof.
    pub async fn get(
        &self,
        tpp: &Tpp,
        token: &SecretString,
        path: &str,
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> Answer {
        let url = format!("{}{path}", tpp.api);
        let proof = self.proof("GET", &url, Some(token.expose_secret()), change);
        shown(tpp, "DPoP", token, &url, &[&proof]).await
    }
}

/// Gets an address with a token of a scheme, and these DPoP headers.
pub async fn shown(tpp: &Tpp, scheme: &str, token: &SecretString, url: &str, proofs: &[&str]) -> Answer {
    let authorization = format!("{scheme} {}", token.expose_secret());
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(proofs.iter().map(|proof| ("dpop", *proof)));
    tpp.http.send(Method::GET, url, &headers, "").await.unwrap()
}
