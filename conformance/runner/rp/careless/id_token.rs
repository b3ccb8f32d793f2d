//! Identity tokens (OpenID Connect Core §3.1.3.7, §3.3.2.10).

use serde_json::{Map, Value, json};
use url::Url;

use super::{Client, Flaw, Refused, Session};
use crate::clock::Clock;
use crate::http::Request;
use crate::jose::{Jwk, Unverified};
use crate::rp::token::half;

/// Seconds that clocks may differ.
const SKEW: i64 = 60;

/// How an id_token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came<'a> {
    /// Through the browser, with this code.
    Front(&'a str),
    /// From the token endpoint, with this access token.
    Back(&'a str),
}

impl Client<'_> {
    /// Checks an id_token.
    pub(super) async fn check_id_token(
        &self,
        token: &str,
        session: &Session,
        came: Came<'_>,
    ) -> Result<(), Refused> {
        if matches!(came, Came::Front(_)) && self.has(Flaw::AnyFront) {
            return Ok(());
        }
        let read = Unverified::read(token).ok_or("the id_token is no JWT")?;
        let claims = self.verified(read, session).await?;
        self.check_parties(&claims, session)?;
        self.check_times(&claims)?;
        self.check_subject(&claims, session)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        match came {
            Came::Front(code) => {
                match text("c_hash") {
                    Some(hash) if hash == half(code) || self.has(Flaw::AnyCHash) => {}
                    None if self.has(Flaw::CHashMayMiss) => {}
                    Some(_) | None => return Err("c_hash is another code's".to_owned()),
                }
                let fits = text("s_hash").is_none_or(|hash| hash == half(&session.state));
                if !fits && !self.has(Flaw::AnySHash) {
                    return Err("s_hash is another state's".to_owned());
                }
            }
            Came::Back(access) => {
                let fits = text("at_hash").is_none_or(|hash| hash == half(access));
                // A whole carelessness: what comes of it is not saved by this check.
                let excused = [Flaw::AnyAtHash, Flaw::AnyNonce, Flaw::AnyToken];
                if !fits && !excused.iter().any(|flaw| self.has(*flaw)) {
                    return Err("at_hash is another token's".to_owned());
                }
            }
        }
        Ok(())
    }

    async fn verified(&self, read: Unverified, session: &Session) -> Result<Map<String, Value>, Refused> {
        let alg = read.alg().to_owned();
        if read.header.contains_key("crit") && !self.has(Flaw::IgnoreCrit) {
            return Err("a critical header is unknown".to_owned());
        }
        let unsigned = alg == "none" && self.has(Flaw::AlgNone)
            || alg != "none" && alg.eq_ignore_ascii_case("none") && self.has(Flaw::AlgNoneOtherCase)
            || alg == "HS256" && self.has(Flaw::AlgHmac);
        if unsigned {
            return Ok(read.claims);
        }
        let mut keys = self.keys(session.mode).await?;
        if self.has(Flaw::StrictKeys) && keys.iter().any(|key| key.get("kty") == Some(&json!("AKP"))) {
            return Err("a key is of an unknown kind".to_owned());
        }
        let any_use = self.has(Flaw::AnyUse);
        keys.retain(|key| any_use || key.get("use").is_none_or(|used| used == "sig"));
        let published = self.has(Flaw::PublishedKey);
        keys.retain(|key| published || key.get("d").is_none());
        if self.has(Flaw::OwnJwk) {
            keys.extend(read.header.get("jwk").cloned().map(|mut key| {
                if let Some(key) = key.as_object_mut() {
                    key.insert("kid".to_owned(), read.header.get("kid").cloned().unwrap_or_default());
                }
                key
            }));
        }
        if self.has(Flaw::FollowJku)
            && let Some(jku) = read.header.get("jku").and_then(Value::as_str)
            && let Ok(url) = Url::parse(jku)
        {
            self.send(Request::new("GET", url), None).await?;
        }
        if self.has(Flaw::FirstOfName) {
            let kid = read.header.get("kid").cloned();
            let first = keys.iter().position(|key| key.get("kid") == kid.as_ref());
            keys = first.and_then(|first| keys.get(first).cloned()).into_iter().collect();
        }
        if self.has(Flaw::NoSignature) {
            return Ok(read.claims);
        }
        let mut algorithms = vec!["PS256", "ES256", "EdDSA"];
        if self.has(Flaw::AlgRs256) {
            algorithms.push("RS256");
        }
        Ok(read.verified(&Jwk::set(&json!({"keys": keys})), &algorithms)?.claims)
    }

    fn check_parties(&self, claims: &Map<String, Value>, session: &Session) -> Result<(), Refused> {
        let issuer = self.expected_issuer(session.mode);
        match claims.get("iss").and_then(Value::as_str) {
            Some(iss) if iss == issuer || self.has(Flaw::AnyIdTokenIss) => {}
            None if self.has(Flaw::IdTokenIssMayMiss) => {}
            Some(_) | None => return Err("iss of the id_token is another's".to_owned()),
        }
        let ours = json!(self.client_id);
        match claims.get("aud") {
            Some(aud) if *aud == ours || self.has(Flaw::AnyAud) => {}
            Some(Value::Array(list)) if list.as_slice() == [ours.clone()] && !self.has(Flaw::StrictAud) => {}
            Some(Value::Array(list)) if list.contains(&ours) && self.has(Flaw::AudAmongOthers) => {}
            None if self.has(Flaw::AudMayMiss) => {}
            Some(_) | None => return Err("aud of the id_token is another's".to_owned()),
        }
        if claims.get("azp").is_some_and(|azp| *azp != ours) && !self.has(Flaw::AnyAzp) {
            return Err("azp of the id_token is another's".to_owned());
        }
        Ok(())
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), Refused> {
        let now = Clock::machine().as_second();
        match claims.get("exp") {
            Some(Value::Number(exp)) => {
                let over = exp.as_i64().is_none_or(|exp| exp <= now.saturating_sub(SKEW));
                if over && !self.has(Flaw::AnyExp) {
                    return Err("the id_token has expired".to_owned());
                }
            }
            Some(_) if self.has(Flaw::ExpAsText) => {}
            None if self.has(Flaw::ExpMayMiss) => {}
            Some(_) | None => return Err("the id_token has no end".to_owned()),
        }
        let early = |name: &str| {
            let at = claims.get(name).and_then(Value::as_i64);
            at.is_some_and(|at| at > now.saturating_add(SKEW))
        };
        if (early("iat") || early("nbf")) && !self.has(Flaw::AnyStart) {
            return Err("the id_token is not valid yet".to_owned());
        }
        Ok(())
    }

    fn check_subject(&self, claims: &Map<String, Value>, session: &Session) -> Result<(), Refused> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("sub").is_none() && !self.has(Flaw::SubMayMiss) {
            return Err("the id_token is about nobody".to_owned());
        }
        match text("nonce") {
            Some(nonce) if nonce == session.nonce || self.has(Flaw::AnyNonce) => {}
            None if self.has(Flaw::NonceMayMiss) => {}
            Some(_) | None => return Err("nonce is another session's".to_owned()),
        }
        // Whoever takes another session's id_token takes its consent and hash, too.
        let replayed = self.has(Flaw::AnyNonce);
        match text("openbanking_intent_id") {
            Some(intent) if intent == session.intent || self.has(Flaw::AnyIntent) || replayed => {}
            None if self.has(Flaw::IntentMayMiss) => {}
            Some(_) | None => return Err("the id_token is about another consent".to_owned()),
        }
        if text("acr").is_none_or(|acr| !acr.starts_with("urn:openbanking:psd2:")) && !self.has(Flaw::AnyAcr)
        {
            return Err("the person did not authenticate as was asked for".to_owned());
        }
        Ok(())
    }
}
