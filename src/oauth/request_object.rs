//! Signed requests (JAR, RFC 9101; FAPI 2.0 Message Signing §5.3): only what
//! is inside counts.

use crypto::{Algorithm, jws};
use domain::Timestamp;
use serde_json::{Map, Value};

use crate::form::Form;
use crate::{Client, OAuthError};

/// Seconds from nbf to exp at most, and that nbf may lie back.
const MAX_LIFE: i64 = 3_600;
/// Seconds a client's clock may be ahead of ours.
const SKEW: i64 = 15;

fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_request_object", why)
}

/// The claims of a request object that is in order.
pub(crate) fn claims(
    client: &Client,
    issuer: &str,
    request: &str,
    now: Timestamp,
) -> Result<Map<String, Value>, OAuthError> {
    let allowed = match client.request_algorithm {
        Some(pinned) => vec![pinned],
        None => Algorithm::ALL.to_vec(),
    };
    // MS5: none, RS256, a changed object and another client's key end here.
    let verified = jws::verify_compact(request, &client.keys, &allowed).map_err(|_| {
        invalid("the request object is not signed by a key of the client with PS256, ES256 or EdDSA")
    })?;
    // RFC 9101 §10.8: a JWT of another kind is no request object.
    if let Some(typ) = verified.header.get("typ") {
        let typ = typ.as_str().unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if !["jwt", "oauth-authz-req+jwt"].contains(&typ) {
            return Err(invalid("typ of the request object is oauth-authz-req+jwt"));
        }
    }
    let claims =
        verified.claims().map_err(|_| invalid("the claims of the request object are no JSON object"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // MS4
    if text("iss") != Some(&client.id) {
        return Err(invalid("iss of the request object is the client_id"));
    }
    if claims.contains_key("client_id") && text("client_id") != Some(&client.id) {
        return Err(invalid("client_id inside the request object is another one than outside"));
    }
    // MS3
    let aud = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(issuer)),
        Some(one) => one.as_str() == Some(issuer),
        None => false,
    };
    if !aud {
        return Err(invalid("aud of the request object is the issuer"));
    }
    // MS2
    let now = now.as_second();
    let time = |name: &str| jws::numeric_date(claims.get(name));
    let exp = time("exp").ok_or_else(|| invalid("the request object has no exp"))?;
    let nbf = time("nbf").ok_or_else(|| invalid("the request object has no nbf"))?;
    if exp <= now {
        return Err(invalid("the request object has expired"));
    }
    if nbf > now.saturating_add(SKEW) {
        return Err(invalid("the request object is from the future"));
    }
    if nbf < now.saturating_sub(MAX_LIFE) || exp > nbf.saturating_add(MAX_LIFE) {
        return Err(invalid("nbf of the request object is at most 60 minutes old, and exp at most 60 later"));
    }
    if claims.contains_key("request") || claims.contains_key("request_uri") {
        return Err(invalid("a request object holds no request and no request_uri"));
    }
    Ok(claims)
}

/// The parameters of a push: those inside the request object, where there is
/// one or must be one.
pub(crate) fn parameters(
    client: &Client,
    issuer: &str,
    form: &Form,
    now: Timestamp,
) -> Result<Option<Form>, OAuthError> {
    match form.get("request") {
        Some(request) => claims(client, issuer, request, now).map(|claims| Some(Form::of_claims(claims))),
        // MS1
        None if client.signs_requests => {
            Err(OAuthError::request("the client is registered to sign its requests (request is missing)"))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::{Jwks, SigningKey};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;
    const ISSUER: &str = "https://as.example";

    fn key() -> SigningKey {
        SigningKey::from_pem(&crypto::pki::generate_p256().unwrap(), "k").unwrap()
    }

    fn verdict(change: impl FnOnce(&mut Value)) -> Result<Map<String, Value>, OAuthError> {
        let key = key();
        let client = Client::from_metadata(
            "c",
            &json!({
                "redirect_uris": ["https://fintech.example/cb"],
                "token_endpoint_auth_method": "private_key_jwt",
                "jwks": Jwks::of([&key]).to_value(),
            }),
        )
        .unwrap();
        let mut claims = json!({ "iss": "c", "client_id": "c", "aud": ISSUER, "nbf": NOW, "exp": NOW + 60 });
        change(&mut claims);
        let request = jws::sign_compact(&key, &Map::new(), claims.to_string().as_bytes()).unwrap();
        super::claims(&client, ISSUER, &request, Timestamp::from_second(NOW).unwrap())
    }

    /// FAPI 2.0 MS §5.3.1 (MS2): exp and nbf are there, not far apart, not far away.
    #[test]
    fn a_request_object_lives_at_most_an_hour_and_begins_at_most_an_hour_ago() {
        assert!(verdict(|_| {}).is_ok());
        assert!(verdict(|claims| claims["nbf"] = json!(NOW + 8)).is_ok());
        assert!(verdict(|claims| claims["exp"] = json!(NOW + 3_600)).is_ok());
        for (name, value) in [
            ("exp", json!(null)),
            ("nbf", json!(null)),
            ("exp", json!(NOW)),
            ("exp", json!(NOW + 3_601)),
            ("nbf", json!(NOW - 3_601)),
            ("nbf", json!(NOW + 61)),
            ("exp", json!("soon")),
        ] {
            let refused = verdict(|claims| claims[name] = value.clone()).unwrap_err();
            assert_eq!(refused.error, "invalid_request_object", "{name} {value}");
        }
    }

    /// FAPI 2.0 MS §5.3.1 (MS3, MS4, MS5).
    #[test]
    fn a_request_object_of_or_for_somebody_else_is_refused() {
        assert!(verdict(|claims| claims["aud"] = json!(["x", ISSUER])).is_ok());
        for (name, value) in [
            ("aud", json!("https://other.example")),
            ("aud", json!([])),
            ("aud", json!(null)),
            ("iss", json!("other")),
            ("iss", json!(null)),
            ("client_id", json!("other")),
            ("request", json!("a.b.c")),
            ("request_uri", json!("urn:x")),
        ] {
            assert!(verdict(|claims| claims[name] = value.clone()).is_err(), "{name} {value}");
        }
    }
}
