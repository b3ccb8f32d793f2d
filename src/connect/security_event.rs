//! Security event tokens of banks (RFC 8417, as UK Open Banking has them): verified before
//! anything in them is looked at, and refused in the words of RFC 8935.

use crypto::jws::{self, InvalidJws, numeric_date};
use crypto::{Algorithm, Jwks};
use domain::Timestamp;
use serde_json::{Map, Value};

use crate::Profile;

/// Largest token, bytes.
pub const LARGEST_EVENT: usize = 16 * 1024;
/// Oldest token that is taken, seconds after it was issued: a bank may have been unable to
/// deliver it for a day.
pub const OLDEST_EVENT: i64 = 86_400;
/// Seconds that a bank's clock may be ahead of ours.
pub const EVENT_SKEW: i64 = 60;
/// Longest `jti` and `txn`.
const LONGEST_NAME: usize = 128;
/// Algorithms that banks sign with.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Ps256, Algorithm::Es256];
/// `typ` that a token may have (RFC 8417 §2.3), in small letters.
const TYPES: [&str; 4] = ["jwt", "jose", "secevent+jwt", "application/secevent+jwt"];

/// A token that is the bank's, for us, and of now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// Its name, at most 128 bytes.
    pub jti: String,
    /// What happened, by type.
    pub events: Map<String, Value>,
}

/// Why a token is not taken (RFC 8935 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventRefused {
    /// No token, or one that lacks something.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// Signed by a key that the bank does not publish.
    #[error("the signing key is none that the issuer publishes")]
    InvalidKey,
    /// Another's.
    #[error("the issuer is not the one that is expected here")]
    InvalidIssuer,
    /// Not for us.
    #[error("the audience is not this recipient")]
    InvalidAudience,
    /// Not signed by the bank.
    #[error("the signature does not verify")]
    AuthenticationFailed,
}

impl EventRefused {
    /// Its code in the registry of RFC 8935.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidKey => "invalid_key",
            Self::InvalidIssuer => "invalid_issuer",
            Self::InvalidAudience => "invalid_audience",
            Self::AuthenticationFailed => "authentication_failed",
        }
    }
}

/// Verifies a token by the bank's keys.
///
/// # Errors
///
/// [`EventRefused`] names the first check that failed. After
/// [`EventRefused::InvalidKey`] the bank may have newer keys.
pub fn verify_event(
    profile: &Profile,
    now: Timestamp,
    token: &str,
    keys: &Jwks,
) -> Result<SecurityEvent, EventRefused> {
    let incomplete = EventRefused::InvalidRequest;
    if token.len() > LARGEST_EVENT {
        return Err(incomplete("the token is too large"));
    }
    // Keys without a name would let any of the bank's sign.
    let header = jws::peek_header(token).map_err(|_| incomplete("the body is no token"))?;
    if !header.get("kid").is_some_and(Value::is_string) {
        return Err(incomplete("kid is missing"));
    }
    // An id_token of the same bank has the same keys, issuer and audience (RFC 8417 §4.6).
    let known = |typ: &Value| typ.as_str().is_some_and(|typ| TYPES.contains(&&*typ.to_ascii_lowercase()));
    if !header.get("typ").is_none_or(known) {
        return Err(incomplete("typ is another kind of token's"));
    }
    let claims = jws::verify_compact(token, keys, &ALGORITHMS)
        .and_then(|verified| verified.claims())
        .map_err(refused)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let server = profile.authorization_server.as_ref();
    let stated = profile.notifications.as_ref().and_then(|stated| stated.issuer.as_deref());
    let issuer = stated.or_else(|| server.and_then(|server| server.issuer.as_deref()));
    if issuer.is_none() || text("iss") != issuer {
        return Err(EventRefused::InvalidIssuer);
    }
    let ours = |id: &Value| {
        let mut known = profile.client_id.iter().chain(profile.client_ids.values());
        known.any(|known| id == known)
    };
    let for_us = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if !for_us {
        return Err(EventRefused::InvalidAudience);
    }
    let latest = now.as_second().saturating_add(EVENT_SKEW);
    let issued = numeric_date(claims.get("iat")).ok_or(incomplete("iat is missing"))?;
    if issued > latest || issued < now.as_second().saturating_sub(OLDEST_EVENT) {
        return Err(incomplete("iat is not of now"));
    }
    if numeric_date(claims.get("toe")).is_none_or(|happened| happened > latest) {
        return Err(incomplete("toe is missing, or to come"));
    }
    let name = |claim: &'static str| {
        text(claim).filter(|name| (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('\0'))
    };
    name("txn").ok_or(incomplete("txn is missing"))?;
    let jti = name("jti").ok_or(incomplete("jti is missing"))?.to_owned();
    match claims.get("events") {
        Some(Value::Object(events)) if !events.is_empty() => {
            Ok(SecurityEvent { jti, events: events.clone() })
        }
        Some(_) | None => Err(incomplete("events are missing")),
    }
}

fn refused(invalid: InvalidJws) -> EventRefused {
    match invalid {
        InvalidJws::UnknownKey => EventRefused::InvalidKey,
        InvalidJws::Signature => EventRefused::AuthenticationFailed,
        InvalidJws::Algorithm => EventRefused::InvalidRequest("the algorithm is not PS256 or ES256"),
        InvalidJws::Critical => EventRefused::InvalidRequest("a critical header is not understood"),
        InvalidJws::Malformed | InvalidJws::TooLarge => EventRefused::InvalidRequest("the body is no token"),
    }
}

#[cfg(test)]
mod tests;
