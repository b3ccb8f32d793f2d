//! Client assertions (RFC 7523 §3 with FAPI 2.0 SP §5.3.2.1).

use crypto::{Algorithm, jws};
use domain::Timestamp;
use serde_json::{Map, Value};

use crate::form::Form;
use crate::{Client, OAuthError};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds a client's clock may be ahead of ours.
const SKEW: i64 = 15;
/// Longest life of an assertion in seconds: for so long its id is remembered.
const MAX_LIFE: i64 = 3_600;

/// The id of an assertion that is in order, with the end of the time for which
/// it must be remembered.
pub(crate) type AssertionId = (String, Timestamp);

/// Checks the assertion of a form: signed by the client, for us, in time.
pub(crate) fn check(
    client: &Client,
    issuer: &str,
    form: &Form,
    assertion: &str,
    now: Timestamp,
) -> Result<AssertionId, OAuthError> {
    let refused = || OAuthError::client("client authentication failed");
    if form.get("client_assertion_type") != Some(JWT_BEARER) {
        return Err(OAuthError::client("client_assertion_type is not the one of RFC 7523"));
    }
    let allowed = match client.assertion_algorithm {
        Some(pinned) => vec![pinned],
        None => Algorithm::ALL.to_vec(),
    };
    let verified = jws::verify_compact(assertion, &client.keys, &allowed).map_err(|_| refused())?;
    let claims = verified.claims().map_err(|_| refused())?;
    judge(&claims, &client.id, issuer, now)
}

/// RFC 7523 §3 with FAPI 2.0 SP §5.3.2.1: what an assertion must claim. The
/// id and the end of its life.
fn judge(
    claims: &Map<String, Value>,
    client_id: &str,
    issuer: &str,
    now: Timestamp,
) -> Result<AssertionId, OAuthError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // (1), (2) iss and sub are the client
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return Err(OAuthError::client("iss and sub of the client assertion are the client_id"));
    }
    // (3) aud names us: the issuer, as a single string (FAPI 2.0 SP §5.3.2.1-8)
    if text("aud") != Some(issuer) {
        return Err(OAuthError::client("aud of the client assertion is the issuer, as a single string"));
    }
    let number = |name: &str| jws::numeric_date(claims.get(name));
    let now = now.as_second();
    // (4) not expired
    let exp = number("exp").ok_or_else(|| OAuthError::client("the client assertion has no exp"))?;
    if exp <= now.saturating_sub(SKEW) || exp > now.saturating_add(MAX_LIFE) {
        return Err(OAuthError::client("the client assertion has expired or lives too long"));
    }
    // (5), (6) not from the future
    for name in ["nbf", "iat"] {
        let given = claims.get(name).is_some_and(|value| !value.is_null());
        if given && number(name).is_none_or(|at| at > now.saturating_add(SKEW)) {
            return Err(OAuthError::client("the client assertion is from the future"));
        }
    }
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= 512);
    let jti = jti.ok_or_else(|| OAuthError::client("the client assertion has no jti"))?;
    let end =
        Timestamp::from_second(exp.saturating_add(SKEW)).map_err(|_| OAuthError::client("exp is no time"))?;
    Ok((jti.to_owned(), end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn verdict(change: impl FnOnce(&mut Value)) -> Result<AssertionId, OAuthError> {
        let mut claims = json!({
            "iss": "c", "sub": "c", "aud": "https://as.example", "jti": "1", "iat": NOW, "exp": NOW + 60,
        });
        change(&mut claims);
        judge(claims.as_object().unwrap(), "c", "https://as.example", Timestamp::from_second(NOW).unwrap())
    }

    /// FAPI 2.0 SP §5.3.2.1-8: aud is the issuer as a single string.
    #[test]
    fn an_assertion_for_another_audience_is_refused() {
        assert!(verdict(|_| {}).is_ok());
        for aud in [
            json!(["https://as.example"]),
            json!("https://as.example/oauth/token"),
            json!("https://as.example/oauth/par"),
            json!("https://as.example/"),
            json!(null),
        ] {
            assert_eq!(verdict(|claims| claims["aud"] = aud).unwrap_err().error, "invalid_client");
        }
    }

    /// FAPI 2.0 SP §5.3.2.1: a clock 8 seconds ahead is tolerated, one of 60 is not.
    #[test]
    fn a_client_clock_may_be_a_little_ahead() {
        assert!(verdict(|claims| claims["iat"] = json!(NOW + 8)).is_ok());
        assert!(verdict(|claims| claims["nbf"] = json!(NOW + 8)).is_ok());
        assert!(verdict(|claims| claims["iat"] = json!(NOW + 61)).is_err());
        assert!(verdict(|claims| claims["nbf"] = json!(NOW + 61)).is_err());
    }

    #[test]
    fn an_assertion_without_end_id_or_subject_is_refused() {
        for name in ["exp", "jti", "iss", "sub"] {
            assert!(verdict(|claims| claims[name] = Value::Null).is_err(), "{name}");
        }
        assert!(verdict(|claims| claims["exp"] = json!(NOW - 300)).is_err());
        assert!(verdict(|claims| claims["exp"] = json!(NOW + 86_400)).is_err());
        assert!(verdict(|claims| claims["sub"] = json!("other")).is_err());
    }
}
