//! Assertions, request objects and proofs: right, but for what a step changes.

use serde_json::{Map, Value, json};
use url::Url;

use super::{Failure, Play};
use crate::case::JwtEdit;
use crate::http::Request;
use crate::jose::{SigningKey, base64url, compact, sha256};
use crate::target::TestClient;

impl Play<'_> {
    /// A JWT that is right, but for the changes.
    pub(super) fn jwt(
        &self,
        key: &SigningKey,
        header: Map<String, Value>,
        claims: Map<String, Value>,
        edit: &JwtEdit,
    ) -> Result<String, Failure> {
        if let Some(text) = &edit.text {
            return Ok(self.values.filled(text));
        }
        let fresh;
        let signer = match edit.key.as_deref() {
            None => key,
            Some("fresh") => {
                fresh = SigningKey::fresh_p256()
                    .ok_or_else(|| Failure::Blocked("this machine makes no P-256 key".to_owned()))?;
                &fresh
            }
            Some(role) => self.key_of(role)?,
        };
        let mut header = edit.header.members(header, &self.values);
        let alg = match &edit.alg {
            Some(alg) => {
                header.insert("alg".to_owned(), json!(alg));
                alg.clone()
            }
            None => signer.alg().to_owned(),
        };
        let claims = edit.claims.members(claims, &self.values);
        let made = compact(&header, &claims, |signed| {
            let mut signature = signer.sign(&alg, signed);
            if edit.tamper
                && let Some(byte) = signature.first_mut()
            {
                *byte ^= 1;
            }
            signature
        });
        Ok(made)
    }

    fn key_of(&self, role: &str) -> Result<&SigningKey, Failure> {
        self.target
            .client(role)
            .and_then(|client| client.key.as_ref())
            .ok_or_else(|| Failure::NotApplicable(format!("no client {role} with a key is configured")))
    }

    /// A client assertion (RFC 7523 §3; FAPI 2.0 SP §5.3.2.1-8).
    pub(super) fn assertion(
        &mut self,
        client: &TestClient,
        edit: &JwtEdit,
    ) -> Result<Option<String>, Failure> {
        if edit.omit {
            return Ok(None);
        }
        if edit.again {
            return Ok(self.last_assertion.clone());
        }
        let Some(key) = &client.key else { return Ok(None) };
        let now = self.clock.now();
        let id = client.is.client_id.as_str();
        let claims = json!({
            "iss": id, "sub": id, "aud": self.values.text("issuer"), "iat": now, "nbf": now, "exp": now + 60,
            "jti": crate::case::random(22),
        });
        let made = self.jwt(key, header_of(client, key), object(claims), edit)?;
        self.last_assertion = Some(made.clone());
        Ok(Some(made))
    }

    /// A request object (RFC 9101; FAPI 2.0 MS §5.3.2) of the parameters.
    pub(super) fn request_object(
        &self,
        client: &TestClient,
        parameters: &[(String, String)],
        edit: &JwtEdit,
    ) -> Result<String, Failure> {
        let key = client
            .key
            .as_ref()
            .ok_or_else(|| Failure::NotApplicable(format!("the client {} has no key", client.role)))?;
        let now = self.clock.now();
        let mut claims = object(json!({
            "iss": client.is.client_id, "aud": self.values.text("issuer"), "iat": now, "nbf": now, "exp": now + 300,
            "jti": crate::case::random(22),
        }));
        for (name, value) in parameters {
            let value = match serde_json::from_str(value) {
                Ok(list @ Value::Array(_)) if name == "authorization_details" => list,
                Ok(of @ Value::Object(_)) if name == "claims" => of,
                _ => json!(value),
            };
            claims.insert(name.clone(), value);
        }
        let mut header = header_of(client, key);
        header.insert("typ".to_owned(), json!("oauth-authz-req+jwt"));
        self.jwt(key, header, claims, edit)
    }

    /// A request with a proof for it, which may come twice.
    pub(super) fn proven(
        &mut self,
        request: Request,
        token: Option<&str>,
        edit: &JwtEdit,
    ) -> Result<Request, Failure> {
        let Some(proof) = self.proof(&request.method, &request.url, token, edit)? else { return Ok(request) };
        let request = request.header("dpop", proof.clone());
        Ok(if edit.twice { request.header("dpop", proof) } else { request })
    }

    /// A DPoP proof (RFC 9449 §4.2) for a request, and for a token that goes with it.
    fn proof(
        &mut self,
        method: &str,
        url: &Url,
        token: Option<&str>,
        edit: &JwtEdit,
    ) -> Result<Option<String>, Failure> {
        if edit.omit {
            return Ok(None);
        }
        if edit.again {
            return Ok(self.last_proof.clone());
        }
        let mut target = url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let mut claims = object(json!({
            "jti": crate::case::random(22), "htm": method, "htu": target.as_str(), "iat": self.clock.now(),
        }));
        if let Some(token) = token {
            claims.insert("ath".to_owned(), json!(base64url(&sha256(token.as_bytes()))));
        }
        if let Some(nonce) = &self.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        // A new key is a key that fits its header: the proof is whole, and another's.
        let fresh;
        let key = if edit.key.as_deref() == Some("fresh") {
            fresh = SigningKey::fresh_p256()
                .ok_or_else(|| Failure::Blocked("this machine makes no P-256 key".to_owned()))?;
            &fresh
        } else {
            &self.proof_key
        };
        let header = object(json!({"typ": "dpop+jwt", "alg": key.alg(), "jwk": key.public()}));
        let edit = JwtEdit { key: edit.key.clone().filter(|key| key != "fresh"), ..edit.clone() };
        let made = self.jwt(key, header, claims, &edit)?;
        self.last_proof = Some(made.clone());
        Ok(Some(made))
    }
}

fn header_of(client: &TestClient, key: &SigningKey) -> Map<String, Value> {
    let mut header = object(json!({"alg": key.alg(), "typ": "JWT"}));
    if let Some(kid) = &client.is.kid {
        header.insert("kid".to_owned(), json!(kid));
    }
    header
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(of) => of,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
