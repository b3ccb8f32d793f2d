//! Checks that data cannot say.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::Url;

use super::{Failure, Play};
use crate::case::Step;
use crate::http::Request;
use crate::jose::Unverified;

impl Play<'_> {
    pub(super) async fn probe(&mut self, step: &Step) -> Result<(), Failure> {
        match step.probe.as_deref().unwrap_or_default() {
            "key-set" => self.key_set().await,
            "metadata-addresses" => self.metadata_addresses(),
            "tls" => self.tls(step).await,
            "webhooks" => self.webhooks(step).await,
            "crs" => self.crs(step).await,
            "contract" => {
                let known = std::sync::Arc::clone(&self.known);
                match &known.contract {
                    Some(contract) => crate::contract::ask(self, contract, step).await,
                    None => Err(Failure::Blocked("there is no description".to_owned())),
                }
            }
            "region-of" => self.with_region(step),
            "id-token" => self.id_token(),
            "chance" => self.chance(step),
            "signed-introspection" => self.signed_introspection(),
            "no-query-leak" => self.nothing_beside(step),
            "rp" => self.rp(step).await,
            other => Err(Failure::Blocked(format!("no probe is called {other:?}"))),
        }
    }

    /// The key set: read over https, every key public, named, and named once (RFC 7517 §4.5, §9).
    async fn key_set(&mut self) -> Result<(), Failure> {
        let url = self.known.metadata.get("jwks_uri").and_then(Value::as_str).unwrap_or_default().to_owned();
        let url = Url::parse(&url).map_err(|_| Failure::broken("jwks_uri is no address"))?;
        let answer = self
            .send(&Request::new("GET", url))
            .await
            .map_err(|error| Failure::Broken(format!("the key set cannot be read: {error}")))?;
        let json = answer.json();
        let keys = json.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
        if keys.is_empty() {
            return Err(Failure::broken("the key set has no keys"));
        }
        let mut names = BTreeSet::new();
        for key in &keys {
            let kid = key.get("kid").and_then(Value::as_str).unwrap_or_default();
            if !names.insert(kid.to_owned()) {
                return Err(Failure::broken("two keys have the same kid"));
            }
            if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|private| key.get(*private).is_some()) {
                return Err(Failure::broken("a private key is in the key set"));
            }
            let bits = key.get("n").and_then(Value::as_str).map(|n| n.len().saturating_mul(6));
            if bits.is_some_and(|bits| bits < 2048) {
                return Err(Failure::broken("an RSA key has less than 2048 bits"));
            }
        }
        if names.contains("") && keys.len() > 1 {
            return Err(Failure::broken("there are several keys, and one has no kid"));
        }
        Ok(())
    }

    /// Every address of the metadata is https, without a fragment (RFC 8414 §2).
    fn metadata_addresses(&self) -> Result<(), Failure> {
        let metadata = self.known.metadata.as_object().cloned().unwrap_or_default();
        let aliases =
            metadata.get("mtls_endpoint_aliases").and_then(Value::as_object).cloned().unwrap_or_default();
        let local = self.target.issuer.scheme() == "http";
        for (name, value) in metadata.iter().chain(aliases.iter()) {
            let Some(text) = value.as_str() else { continue };
            if !(name.ends_with("_endpoint") || name.ends_with("_uri") || name == "issuer") {
                continue;
            }
            match Url::parse(text) {
                Ok(url) if (url.scheme() == "https" || local) && url.fragment().is_none() => {}
                Ok(_) | Err(_) => return Err(Failure::Broken(format!("{name} is no https address"))),
            }
        }
        Ok(())
    }

    /// The id_token of the last token response (OIDC Core §3.1.3.7).
    fn id_token(&self) -> Result<(), Failure> {
        let Some(token) = self.values.text("id_token") else {
            return Err(Failure::NotApplicable("no id_token was issued".to_owned()));
        };
        let broken = |why: &str| Failure::Broken(format!("the id_token: {why}"));
        let read = Unverified::read(token).ok_or_else(|| broken("is no JWT"))?;
        let read =
            read.verified(&self.known.keys, &["PS256", "ES256", "EdDSA"]).map_err(|why| broken(&why))?;
        let claim = |name: &str| read.claims.get(name);
        let issuer = claim("iss").and_then(Value::as_str).unwrap_or_default();
        if issuer.trim_end_matches('/') != self.values.text("issuer").unwrap_or_default() {
            return Err(broken("iss is not the issuer"));
        }
        let client = self.values.get("client_id").cloned().unwrap_or_default();
        let aud = claim("aud").cloned().unwrap_or_default();
        if aud != client && aud != json!([client]) {
            return Err(broken("aud is not the client alone"));
        }
        let now = self.clock.now();
        if claim("exp").and_then(Value::as_i64).is_none_or(|exp| exp <= now) {
            return Err(broken("exp is missing or past"));
        }
        if claim("iat").and_then(Value::as_i64).is_none_or(|iat| (now - iat).abs() > 60) {
            return Err(broken("iat is missing or more than a minute away"));
        }
        if claim("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(broken("sub is missing"));
        }
        let nonce = self.values.get("nonce").filter(|nonce| !nonce.is_null());
        if claim("nonce") != nonce {
            return Err(broken("nonce is not the one that was sent"));
        }
        Ok(())
    }

    /// The last answer is a signed introspection (RFC 9701 §5): of the issuer, for the client, and live.
    fn signed_introspection(&self) -> Result<(), Failure> {
        let broken = |why: &str| Failure::Broken(format!("the signed introspection: {why}"));
        let read = Unverified::read(self.values.text("answer").unwrap_or_default());
        let read = read.ok_or_else(|| broken("is no JWT"))?;
        if read.header.get("typ") != Some(&json!("token-introspection+jwt")) {
            return Err(broken("typ is not token-introspection+jwt"));
        }
        let read =
            read.verified(&self.known.keys, &["PS256", "ES256", "EdDSA"]).map_err(|why| broken(&why))?;
        let issuer = read.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if issuer.trim_end_matches('/') != self.values.text("issuer").unwrap_or_default() {
            return Err(broken("iss is not the issuer"));
        }
        if read.claims.get("aud") != self.values.get("client_id") {
            return Err(broken("aud is not the client"));
        }
        let of = read.claims.get("token_introspection").cloned().unwrap_or_default();
        if of.get("active") != Some(&json!(true)) || of.get("cnf").is_none() {
            return Err(broken("token_introspection has not what a live, bound token has"));
        }
        Ok(())
    }

    /// Makes an id with another region of one that is known: `con_uk_…` becomes `con_eu_…`.
    fn with_region(&mut self, step: &Step) -> Result<(), Failure> {
        let text = |name: &str| step.with.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = self.values.text(text("id")).unwrap_or_default();
        let mut parts = id.splitn(3, '_');
        let (Some(kind), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::Broken(format!("the {} does not say a region", text("id"))));
        };
        let forged = format!("{kind}_{}_{rest}", text("region"));
        self.values.set(text("as"), forged);
        Ok(())
    }

    /// What was handed out holds at least 128 bits of chance, as far as its length can say, and came
    /// once only (FAPI 2.0 SP §5.4.1).
    fn chance(&self, step: &Step) -> Result<(), Failure> {
        let names = step.with.get("of").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut seen = BTreeSet::new();
        for name in names.iter().filter_map(Value::as_str) {
            let Some(text) = self.values.text(name) else {
                return Err(Failure::Broken(format!("there is no {name}")));
            };
            let own = text.rsplit(':').next().unwrap_or_default();
            let kinds: BTreeSet<char> = own.chars().collect();
            // 22 characters of base64url are 132 bits; a text of chance repeats few of them.
            if own.chars().count() < 22 || kinds.len() < 10 {
                return Err(Failure::Broken(format!(
                    "{name} is too short or too even for 128 bits of chance"
                )));
            }
            if !seen.insert(text.to_owned()) {
                return Err(Failure::Broken(format!("{name} was handed out before")));
            }
        }
        Ok(())
    }

    /// Nothing came back to the client beside what belongs there.
    fn nothing_beside(&self, step: &Step) -> Result<(), Failure> {
        let allowed: Vec<_> = step.with.get("allowed").and_then(Value::as_array).cloned().unwrap_or_default();
        let url = self.values.text("returned_to").and_then(|url| Url::parse(url).ok());
        let url = url.ok_or_else(|| Failure::broken("the browser did not come back"))?;
        if url.fragment().is_some_and(|fragment| !fragment.is_empty() && fragment != "_=_") {
            return Err(Failure::broken("the browser came back with a fragment"));
        }
        match url.query_pairs().find(|(name, _)| !allowed.iter().any(|known| known == name.as_ref())) {
            Some((name, _)) => Err(Failure::Broken(format!("the browser came back with {name}, too"))),
            None => Ok(()),
        }
    }
}
