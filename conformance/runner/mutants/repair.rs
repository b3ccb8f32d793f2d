//! Making good what a client does wrong in its JWTs.

use serde_json::{Map, Value, json};

use super::world::{Asked, Endpoint, World};
use crate::case::random;
use crate::jose::{Jwk, SigningKey, Unverified, compact};
use crate::target::TestClient;

/// What is wrong with a JWT of a client: an assertion (RFC 7523) or a request object (RFC 9101).
fn defects(world: &World, jwt: &str, client: &TestClient, object: bool) -> Vec<&'static str> {
    let Some(read) = Unverified::read(jwt) else { return vec!["no-jwt"] };
    let mut wrong = Vec::new();
    let alg = read.alg().to_owned();
    if alg.eq_ignore_ascii_case("none") {
        wrong.push("alg-none");
    } else if alg.starts_with("HS") {
        wrong.push("alg-hmac");
    } else if alg.starts_with("RS") {
        wrong.push("alg-rs256");
    } else if !client.key.as_ref().is_some_and(|key| signed_by(&read, key)) {
        wrong.push(if read.header.contains_key("jwk") { "jwk-in-header" } else { "signature" });
    }
    if read.header.contains_key("crit") {
        wrong.push("crit");
    }
    let claims = &read.claims;
    let now = world.clock.now();
    let at = |name: &str| claims.get(name).and_then(Value::as_i64);
    match claims.get("exp") {
        None => wrong.push("no-exp"),
        Some(Value::Number(_)) if at("exp").is_some_and(|exp| exp > now - 15) => {}
        Some(Value::Number(_)) => wrong.push("expired"),
        Some(_) => wrong.push("exp-text"),
    }
    if at("nbf").is_some_and(|nbf| nbf > now + 20) {
        wrong.push("future");
    }
    let issuer = world.target.issuer.as_str().trim_end_matches('/');
    match claims.get("aud") {
        None => wrong.push("no-aud"),
        Some(Value::Array(of)) if of.iter().any(|aud| aud == issuer) => {
            if !object {
                wrong.push("aud-array");
            }
        }
        Some(aud) if aud == issuer => {}
        Some(_) => wrong.push("aud"),
    }
    let id = json!(client.is.client_id);
    if claims.get("iss") != Some(&id) {
        wrong.push(if claims.contains_key("iss") { "iss" } else { "no-iss" });
    }
    if object {
        if at("nbf").is_none() {
            wrong.push("no-nbf");
        }
        if at("nbf").is_some_and(|nbf| nbf < now - 3600) {
            wrong.push("nbf-old");
        }
        if at("exp").is_some_and(|exp| exp > at("nbf").unwrap_or(now) + 3600 && exp > now + 3600) {
            wrong.push("exp-far");
        }
        if claims.contains_key("request_uri") {
            wrong.push("request-uri-inside");
        }
        if claims.contains_key("request") {
            wrong.push("request-inside");
        }
        if claims.get("client_id").is_some_and(|named| *named != id) {
            wrong.push("client-id");
        }
    } else {
        if claims.get("sub") != Some(&id) {
            wrong.push(if claims.contains_key("sub") { "sub" } else { "no-sub" });
        }
        match claims.get("jti").and_then(Value::as_str) {
            None => wrong.push("no-jti"),
            Some(jti) if world.came_before(jti) => wrong.push("replay"),
            Some(_) => {}
        }
    }
    wrong
}

fn signed_by(read: &Unverified, key: &SigningKey) -> bool {
    let mut public = key.public();
    if let (Some(public), Some(kid)) = (public.as_object_mut(), read.header.get("kid")) {
        public.insert("kid".to_owned(), kid.clone());
    }
    let keys = Jwk::set(&json!({"keys": [public]}));
    read.clone().verified(&keys, &["PS256", "ES256", "EdDSA"]).is_ok()
}

/// A JWT by a client's own key.
pub(super) fn signed(client: &TestClient, typ: &str, claims: &Map<String, Value>) -> Option<String> {
    let key = client.key.as_ref()?;
    let mut header = Map::from_iter([("alg".to_owned(), json!(key.alg())), ("typ".to_owned(), json!(typ))]);
    if let Some(kid) = &client.is.kid {
        header.insert("kid".to_owned(), json!(kid));
    }
    Some(compact(&header, claims, |message| key.sign(key.alg(), message)))
}

/// Puts a right assertion into the form, in the place of whatever was there.
pub(super) fn authenticate(world: &World, asked: &mut Asked, client: &TestClient) {
    let now = world.clock.now();
    let id = client.is.client_id.as_str();
    let claims = json!({
        "iss": id, "sub": id, "aud": world.target.issuer.as_str().trim_end_matches('/'), "iat": now, "exp": now + 60,
        "jti": random(22),
    });
    let assertion = claims.as_object().and_then(|claims| signed(client, "JWT", claims));
    if let Some(assertion) =
        assertion.filter(|_| client.is.authentication == crate::target::Authentication::PrivateKeyJwt)
    {
        asked.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        asked.set("client_assertion", assertion);
    }
    asked.set("client_id", id);
    asked.request.certificate.clone_from(&client.is.certificate);
}

/// Whoever asks at the back channel: by the form, or by the assertion.
pub(super) fn client_of<'w>(world: &'w World, asked: &Asked) -> Option<&'w TestClient> {
    let id = asked.value("client_id").or_else(|| {
        let read = Unverified::read(&asked.value("client_assertion")?)?;
        Some(read.claims.get("sub").or_else(|| read.claims.get("iss"))?.as_str()?.to_owned())
    })?;
    world.client(&id)
}

/// Lets assertions pass whose only defects are these.
pub(super) fn assertion(world: &World, asked: &mut Asked, ignored: &[&str]) {
    let Some(client) = client_of(world, asked) else { return };
    let Some(jwt) = asked.value("client_assertion") else { return };
    let wrong = defects(world, &jwt, client, false);
    if !wrong.is_empty() && wrong.iter().all(|defect| ignored.contains(defect)) {
        authenticate(world, asked, client);
    }
}

/// Lets request objects pass whose only defects are these.
pub(super) fn object(world: &World, asked: &mut Asked, ignored: &[&str]) {
    if asked.endpoint != Endpoint::Push {
        return;
    }
    let Some(client) = client_of(world, asked) else { return };
    let Some(jwt) = asked.value("request") else { return };
    let wrong = defects(world, &jwt, client, true);
    if wrong.is_empty() || !wrong.iter().all(|defect| ignored.contains(defect)) {
        return;
    }
    let Some(read) = Unverified::read(&jwt) else { return };
    let mut claims = read.claims;
    claims.remove("request_uri");
    claims.remove("request");
    if let Some(made) = wrapped(world, client, claims) {
        asked.set("request", made);
    }
}

/// A right request object of these parameters.
pub(super) fn wrapped(world: &World, client: &TestClient, mut claims: Map<String, Value>) -> Option<String> {
    let now = world.clock.now();
    let id = client.is.client_id.as_str();
    for (name, value) in [
        ("iss", json!(id)),
        ("client_id", json!(id)),
        ("aud", json!(world.target.issuer.as_str().trim_end_matches('/'))),
        ("iat", json!(now)),
        ("nbf", json!(now)),
        ("exp", json!(now + 300)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    signed(client, "oauth-authz-req+jwt", &claims)
}
