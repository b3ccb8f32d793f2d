//! Software statements (RFC 7591 §2.3): what a directory says of a client, and
//! registrations that the client signed itself (UK Dynamic Client Registration).

use crypto::{Algorithm, Jwks, jws};
use serde_json::{Map, Value, json};

use crate::authenticate::claim;
use crate::{OAuth, OAuthError, seconds_after};

/// Somebody whose software statements are believed, by configuration.
#[derive(Clone, Debug)]
pub struct SoftwareIssuer {
    /// `iss` of its statements.
    pub issuer: String,
    /// Its keys.
    pub keys: Jwks,
}

/// A statement that was verified.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    claims: Map<String, Value>,
}

/// Seconds that the issuer's clock may be ahead.
const SKEW: i64 = 15;
/// Longest life of a signed registration in seconds.
const MAX_LIFE: i64 = 3_600;
/// UK: a software id has at most 22 characters.
const MAX_SOFTWARE_ID: usize = 64;

fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_software_statement", why)
}

/// Verifies a statement: by a trusted issuer, in time.
pub(crate) fn check(oauth: &OAuth, statement: &str) -> Result<Statement, OAuthError> {
    let unverified = jws::peek_claims(statement).map_err(|_| invalid("the software statement is no JWT"))?;
    let issuer = unverified.get("iss").and_then(Value::as_str).unwrap_or_default();
    let issuer = oauth.software_issuers.iter().find(|known| known.issuer == issuer);
    let issuer = issuer.ok_or_else(|| {
        OAuthError::new(
            "unapproved_software_statement",
            "the issuer of the software statement is not trusted here",
        )
    })?;
    let verified = jws::verify_compact(statement, &issuer.keys, &Algorithm::ALL)
        .map_err(|_| invalid("the software statement is not signed by its issuer"))?;
    let claims = verified.claims().map_err(|_| invalid("the software statement holds no JSON object"))?;
    let now = oauth.gateway.clock().now().as_second();
    let time = |name: &str| jws::numeric_date(claims.get(name));
    if claims.contains_key("exp") && time("exp").is_none_or(|exp| exp <= now) {
        return Err(invalid("the software statement has expired"));
    }
    if time("iat").is_none_or(|iat| iat > now.saturating_add(SKEW)) {
        return Err(invalid("the software statement has no iat, or one from the future"));
    }
    Ok(Statement { claims })
}

impl Statement {
    fn text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.claims.get(*name)?.as_str())
    }

    fn list(&self, names: &[&str]) -> Option<Vec<&str>> {
        let list = names.iter().find_map(|name| self.claims.get(*name)?.as_array())?;
        Some(list.iter().filter_map(Value::as_str).collect())
    }

    /// The keys that the statement names, if it holds any.
    fn keys(&self) -> Option<&Value> {
        ["jwks", "software_jwks"].iter().find_map(|name| self.claims.get(*name))
    }

    /// Puts what the statement says into metadata: it takes precedence, and
    /// bounds what the request may add.
    pub(crate) fn apply(&self, metadata: &mut Map<String, Value>) -> Result<(), OAuthError> {
        if let Some(name) = self.text(&["software_client_name", "client_name"]) {
            // One name: the request does not add others by language.
            metadata.retain(|member, _| !member.starts_with("client_name#"));
            metadata.insert("client_name".into(), name.into());
        }
        if let Some(id) = self.text(&["software_id"]) {
            metadata.insert("software_id".into(), id.into());
        }
        if let Some(keys) = self.keys() {
            metadata.insert("jwks".into(), keys.clone());
        }
        if let Some(stated) = self.list(&["software_redirect_uris", "redirect_uris"]) {
            let wanted = metadata.get("redirect_uris").and_then(Value::as_array);
            let outside = wanted.is_some_and(|wanted| {
                wanted.iter().any(|uri| uri.as_str().is_none_or(|uri| !stated.contains(&uri)))
            });
            if outside {
                return Err(OAuthError::new(
                    "invalid_redirect_uri",
                    "redirect_uris are among those of the software statement",
                ));
            }
            if wanted.is_none() {
                metadata.insert("redirect_uris".into(), json!(stated));
            }
        }
        if let Some(roles) = self.list(&["software_roles"]) {
            self.bound_scope(metadata, &roles)?;
        }
        Ok(())
    }

    fn bound_scope(&self, metadata: &mut Map<String, Value>, roles: &[&str]) -> Result<(), OAuthError> {
        let of_role = [("accounts", "AISP"), ("payments", "PISP"), ("fundsconfirmations", "CBPII")];
        let may: Vec<&str> =
            of_role.iter().filter(|(_, role)| roles.contains(role)).map(|(scope, _)| *scope).collect();
        match metadata.get("scope").and_then(Value::as_str) {
            None => {
                let scope = std::iter::once("openid").chain(may).collect::<Vec<_>>().join(" ");
                metadata.insert("scope".into(), scope.into());
                Ok(())
            }
            Some(scope) => {
                let of_a_role = |scope: &str| of_role.iter().any(|(known, _)| *known == scope);
                let outside = scope.split(' ').any(|scope| of_a_role(scope) && !may.contains(&scope));
                if outside {
                    return Err(OAuthError::new(
                        "invalid_client_metadata",
                        "the software statement does not give the role for every scope",
                    ));
                }
                Ok(())
            }
        }
    }
}

/// Verifies a registration that is a JWT: signed by the client with one of the
/// keys it registers, for us, in time, once (UK DCR 3.3).
pub(crate) async fn signed_by_client(
    oauth: &OAuth,
    jwt: &str,
    metadata: &Map<String, Value>,
    statement: Option<&Statement>,
) -> Result<(), OAuthError> {
    let bad = |why| OAuthError::new("invalid_client_metadata", why);
    let keys = statement.and_then(Statement::keys).or_else(|| metadata.get("jwks"));
    let keys = keys.and_then(|keys| Jwks::from_value(keys).ok());
    let keys = keys.ok_or_else(|| bad("a signed registration names the client's jwks"))?;
    let verified = jws::verify_compact(jwt, &keys, &Algorithm::ALL).map_err(|_| {
        bad("the registration is not signed with PS256, ES256 or EdDSA by a key of the client")
    })?;
    let claims = verified.claims().map_err(|_| bad("the registration holds no JSON object"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer = text("iss").filter(|iss| !iss.is_empty() && iss.len() <= MAX_SOFTWARE_ID);
    let issuer = issuer.ok_or_else(|| bad("iss of the registration is the software id"))?;
    let named = statement.and_then(|statement| statement.text(&["software_id"]));
    if named.is_some_and(|named| named != issuer) {
        return Err(bad("iss of the registration is the software id of the statement"));
    }
    let config = oauth.gateway.config();
    let aud = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(&config.issuer)),
        Some(one) => one.as_str() == Some(&config.issuer),
        None => false,
    };
    if !aud {
        return Err(bad("aud of the registration is the issuer"));
    }
    let now = oauth.gateway.clock().now();
    let time = |name: &str| jws::numeric_date(claims.get(name));
    let (at, latest) = (now.as_second(), now.as_second().saturating_add(MAX_LIFE));
    if time("exp").is_none_or(|exp| exp <= at || exp > latest) {
        return Err(bad("the registration has expired, has no exp, or lives longer than an hour"));
    }
    if time("iat").is_none_or(|iat| iat > at.saturating_add(SKEW)) {
        return Err(bad("the registration has no iat, or one from the future"));
    }
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= 512);
    let jti = jti.ok_or_else(|| bad("the registration has no jti"))?;
    let digest = crypto::digest::sha256_hex(format!("{issuer} {jti}").as_bytes());
    let used = bad("the registration was used before");
    claim(oauth, "registration", &digest, seconds_after(now, MAX_LIFE), used).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    /// RFC 7591 §2.3: what the statement says takes precedence, in every language.
    #[test]
    fn a_name_that_a_statement_gives_is_the_only_one() {
        let mut metadata =
            members(json!({ "client_name": "x", "client_name#de": "Ihre Bank", "tos_uri#de": "y" }));
        let statement = Statement { claims: members(json!({ "software_client_name": "Harbour Budget" })) };
        statement.apply(&mut metadata).unwrap();
        assert_eq!(Value::Object(metadata), json!({ "client_name": "Harbour Budget", "tos_uri#de": "y" }));
    }
}
