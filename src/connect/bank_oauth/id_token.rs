//! Identity tokens of banks: what ties an authorization to our consent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::{Algorithm, Jwks, jws};
use serde_json::{Map, Value};

use super::authorization::ACR_VALUES;
use super::{AuthorizationRequest, OAuthClient, Role};
use crate::{BankError, BankErrorKind, QuirkName};

/// Seconds a bank's clock may differ from ours.
const SKEW: i64 = 60;

/// Where an id_token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdTokenStep {
    /// The callback of the hybrid response type.
    Callback,
    /// The exchange of the code.
    Code,
    /// A refresh.
    Refresh,
}

/// What an id_token is checked against.
pub struct ExpectedIdToken<'a> {
    /// Where it came from.
    pub step: IdTokenStep,
    /// The authorization.
    pub request: &'a AuthorizationRequest,
    /// The code of the same callback, for `c_hash`.
    pub code: Option<&'a str>,
}

impl OAuthClient<'_> {
    /// Whether an answer at this step must carry an id_token: `openid` was
    /// asked for, and the profile knows no exception.
    #[must_use]
    pub fn expects_id_token(&self, expected: &ExpectedIdToken<'_>) -> bool {
        let openid = expected.request.scope.split_whitespace().any(|word| word == "openid");
        let refresh = expected.step == IdTokenStep::Refresh;
        // OpenID Connect Core §12.2: a refresh may answer without one.
        openid && !refresh && !self.tolerates(QuirkName::NoOpenIdConnect, expected)
    }

    /// Checks an id_token (OpenID Connect Core §3.1.3.7): a pinned algorithm and
    /// a key of the bank's; issuer, audience (ours and no other), expiry, nonce,
    /// the intent; `c_hash` and `s_hash` where it came through the browser.
    ///
    /// # Errors
    ///
    /// `authorization-invalid`, at the claim that fails.
    pub fn verify_id_token(
        &self,
        token: &str,
        keys: &Jwks,
        expected: &ExpectedIdToken<'_>,
    ) -> Result<(), BankError> {
        let invalid = |claim: &str| self.error(BankErrorKind::AuthorizationInvalid).at(claim);
        // Nothing of a token that cannot be verified is looked at.
        if self.tolerates(QuirkName::IdTokenUnreliable, expected) {
            return Ok(());
        }
        let allowed = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
        let verified = jws::verify_compact(token, keys, &allowed).map_err(|_| invalid("id_token"))?;
        let claims = verified.claims().map_err(|_| invalid("id_token"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);

        if !self.issuer_is_known(text("iss"), expected) {
            return Err(invalid("id_token/iss"));
        }
        if !self.audience_is_ours(&claims, expected.request.role)? {
            return Err(invalid("id_token/aud"));
        }
        if text("azp").is_some_and(|party| self.profile.client_of(expected.request.role) != Some(party)) {
            return Err(invalid("id_token/azp"));
        }
        let now = self.now.as_second();
        let millis = self.tolerates(QuirkName::IdTokenExpiryInMillis, expected);
        let exp = seconds(&claims, "exp", millis).ok_or_else(|| invalid("id_token/exp"))?;
        if exp <= now.saturating_sub(SKEW) {
            return Err(invalid("id_token/exp"));
        }
        let early = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_i64)
                .is_some_and(|at| !millis && at > now.saturating_add(SKEW))
        };
        if early("iat") || early("nbf") {
            return Err(invalid("id_token/iat"));
        }
        if text("sub").is_none_or(str::is_empty) {
            return Err(invalid("id_token/sub"));
        }
        match text("nonce") {
            Some(nonce) if nonce == expected.request.nonce => {}
            None if expected.step == IdTokenStep::Refresh
                || self.tolerates(QuirkName::IdTokenNonceMissing, expected) => {}
            Some(_) | None => return Err(invalid("id_token/nonce")),
        }
        self.check_authentication(&claims, expected, now)?;
        if let Some(intent) = &expected.request.intent_id {
            let subject_is_intent = text("sub") == Some(intent.as_str());
            match text("openbanking_intent_id") {
                Some(found) if found == intent => {}
                None if subject_is_intent
                    || expected.step == IdTokenStep::Refresh
                    || self.tolerates(QuirkName::IdTokenIntentMissing, expected) => {}
                Some(_) | None => return Err(invalid("id_token/openbanking_intent_id")),
            }
        }
        if expected.step == IdTokenStep::Callback {
            let code = expected.code.unwrap_or_default();
            if text("c_hash") != Some(half_hash(code).as_str()) {
                return Err(invalid("id_token/c_hash"));
            }
            if text("s_hash").is_some_and(|hash| hash != half_hash(&expected.request.state)) {
                return Err(invalid("id_token/s_hash"));
            }
        }
        Ok(())
    }

    /// How and when the PSU authenticated: both were asked for as essential with
    /// a consent (OpenID Connect Core §5.5.1.1, §2). A refresh need not repeat them.
    fn check_authentication(
        &self,
        claims: &Map<String, Value>,
        expected: &ExpectedIdToken<'_>,
        now: i64,
    ) -> Result<(), BankError> {
        if expected.request.intent_id.is_none() || expected.step == IdTokenStep::Refresh {
            return Ok(());
        }
        let invalid = |claim: &str| self.error(BankErrorKind::AuthorizationInvalid).at(claim);
        let unreliable = self.tolerates(QuirkName::IdTokenAcrUnreliable, expected);
        match claims.get("acr").and_then(Value::as_str) {
            Some(acr) if unreliable || ACR_VALUES.contains(&acr) => {}
            None if self.tolerates(QuirkName::IdTokenAcrMissing, expected) => {}
            Some(_) | None => return Err(invalid("id_token/acr")),
        }
        let millis = self.tolerates(QuirkName::IdTokenExpiryInMillis, expected);
        match seconds(claims, "auth_time", millis) {
            Some(at) if at > now.saturating_add(SKEW) => Err(invalid("id_token/auth_time")),
            Some(_) => Ok(()),
            None if self.tolerates(QuirkName::IdTokenAuthTimeMissing, expected) => Ok(()),
            None => Err(invalid("id_token/auth_time")),
        }
    }

    fn issuer_is_known(&self, issuer: Option<&str>, expected: &ExpectedIdToken<'_>) -> bool {
        let role = expected.request.role;
        let replaced = self
            .profile
            .quirks
            .find(QuirkName::RequestAudience, &format!("auth.{}", role.word()), role.version(self.profile))
            .filter(|quirk| quirk.also_issuer())
            .and_then(|quirk| quirk.text("audience"));
        let expected = replaced.unwrap_or(&self.metadata.issuer);
        issuer == Some(expected)
    }

    /// `aud` names us and nobody else.
    fn audience_is_ours(&self, claims: &Map<String, Value>, role: Role) -> Result<bool, BankError> {
        let ours = self.client_id(role)?;
        Ok(match claims.get("aud") {
            Some(Value::String(audience)) => audience == ours,
            Some(Value::Array(list)) => list.len() == 1 && list.first().and_then(Value::as_str) == Some(ours),
            _ => false,
        })
    }

    fn tolerates(&self, name: QuirkName, expected: &ExpectedIdToken<'_>) -> bool {
        let role = expected.request.role;
        let step = match expected.step {
            IdTokenStep::Callback => format!("auth.{}", role.word()),
            IdTokenStep::Code => format!("token.code.{}", role.word()),
            IdTokenStep::Refresh => format!("token.refresh.{}", role.word()),
        };
        self.profile.quirks.find(name, &step, role.version(self.profile)).is_some()
    }
}

/// A time of a token in seconds, written in milliseconds by some banks.
fn seconds(claims: &Map<String, Value>, name: &str, millis: bool) -> Option<i64> {
    let at = claims.get(name).and_then(Value::as_i64)?;
    if millis { at.checked_div(1000) } else { Some(at) }
}

/// The left half of the SHA-256, base64url (OpenID Connect Core §3.3.2.11):
/// the digest of PS256 and ES256, the only algorithms of the hybrid profile.
fn half_hash(value: &str) -> String {
    let digest = crypto::digest::sha256(value.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.get(..16).unwrap_or_default())
}
