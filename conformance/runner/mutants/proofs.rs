//! Proofs of possession: the proxy has a key of its own in the place of the runner's.

use serde_json::{Map, Value, json};
use url::Url;

use super::world::{Asked, Endpoint, World};
use crate::case::random;
use crate::jose::{Jwk, Unverified, base64url, compact, sha256, thumbprint};

/// What is wrong with a proof (RFC 9449 §4.3).
fn defects(world: &World, asked: &Asked, token: Option<&str>) -> Vec<&'static str> {
    let proofs: Vec<_> = asked.request.headers.iter().filter(|(name, _)| name == "dpop").collect();
    let proof = match proofs.as_slice() {
        [] => return vec!["missing"],
        [(_, proof)] => proof,
        _ => return vec!["twice"],
    };
    let Some(read) = Unverified::read(proof) else { return vec!["no-jwt"] };
    let mut wrong = Vec::new();
    if read.header.get("typ") != Some(&json!("dpop+jwt")) {
        wrong.push("typ");
    }
    match read.header.get("jwk") {
        None => wrong.push("no-jwk"),
        Some(jwk) => {
            if jwk.get("d").is_some() {
                wrong.push("private-jwk");
            } else if read.alg().eq_ignore_ascii_case("none") {
                wrong.push("alg-none");
            } else if read.alg().starts_with("HS") {
                wrong.push("alg-hmac");
            } else if read.clone().verified(&Jwk::set(&json!({"keys": [jwk]})), &["ES256"]).is_err() {
                wrong.push("signature");
            }
            // Of a token whose key has been seen.
            let name = token.map(|token| format!("key of {token}"));
            let known = name.and_then(|name| world.state().notes.get(&name).cloned());
            if known.is_some_and(|known| known != thumbprint(jwk)) {
                wrong.push("key");
            }
        }
    }
    let claim = |name: &str| read.claims.get(name);
    match claim("jti").and_then(Value::as_str) {
        None => wrong.push("no-jti"),
        Some(jti) if world.came_before(jti) => wrong.push("replay"),
        Some(_) => {}
    }
    match claim("htm") {
        None => wrong.push("no-htm"),
        Some(htm) if *htm == json!(asked.request.method) => {}
        Some(_) => wrong.push("htm"),
    }
    let plain = |url: &Url| {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url
    };
    match claim("htu").and_then(Value::as_str) {
        None => wrong.push("no-htu"),
        Some(htu) if Url::parse(htu).is_ok_and(|htu| plain(&htu) == plain(&asked.request.url)) => {}
        Some(_) => wrong.push("htu"),
    }
    match claim("iat").map(Value::as_i64) {
        None => wrong.push("no-iat"),
        Some(Some(iat)) if (world.clock.now() - iat).abs() <= 60 => {}
        Some(Some(iat)) if iat > world.clock.now() => wrong.push("future"),
        Some(Some(_)) => wrong.push("old"),
        Some(None) => wrong.push("iat-text"),
    }
    if let Some(token) = token {
        match claim("ath") {
            None => wrong.push("no-ath"),
            Some(ath) if *ath == json!(base64url(&sha256(token.as_bytes()))) => {}
            Some(_) => wrong.push("ath"),
        }
    }
    wrong
}

/// Whether a defect is ignored, its proofs seem right.
pub(super) fn proof(world: &World, asked: &mut Asked, ignored: &[&str]) {
    let shown = asked.token();
    let bound = match asked.endpoint {
        Endpoint::Token | Endpoint::Push => asked.header("dpop").is_some(),
        Endpoint::Resource => shown
            .as_ref()
            .is_some_and(|(_, token)| world.state().notes.contains_key(&format!("key of {token}"))),
        Endpoint::Metadata
        | Endpoint::Keys
        | Endpoint::Authorize
        | Endpoint::Introspect
        | Endpoint::Revoke
        | Endpoint::Other => false,
    };
    if !bound {
        return;
    }
    let token = shown.map(|(_, token)| token).filter(|_| asked.endpoint == Endpoint::Resource);
    let mut wrong = defects(world, asked, token.as_deref());
    if asked.header("authorization").is_some_and(|value| value.starts_with("Bearer")) {
        wrong.push("bearer");
    }
    let runner = asked.header("dpop").and_then(Unverified::read);
    let runner = runner.and_then(|read| read.header.get("jwk").map(thumbprint));
    if let Some(jkt) = asked.value("dpop_jkt")
        && Some(&jkt) == runner.as_ref()
    {
        asked.set("dpop_jkt", thumbprint(&world.own.public()));
    }
    asked.request.headers.retain(|(name, _)| name != "dpop");
    if !wrong.iter().all(|defect| ignored.contains(defect)) {
        // What is wrong in another way stays wrong.
        asked.set_header("dpop", "wrong.wrong.wrong");
        return;
    }
    if let Some(token) = &token {
        asked.set_header("authorization", format!("DPoP {token}"));
    }
    asked.set_header("dpop", own(world, &asked.request.method, &asked.request.url, token.as_deref()));
}

/// Whose proof a token came for, seen from the runner.
pub(super) fn remember(world: &World, before: &Asked, answer: &crate::http::Response) {
    let token = answer.json().get("access_token").and_then(Value::as_str).map(str::to_owned);
    let jwk =
        before.header("dpop").and_then(Unverified::read).and_then(|read| read.header.get("jwk").cloned());
    if let (Some(token), Some(jwk)) = (token, jwk) {
        world.state().notes.insert(format!("key of {token}"), thumbprint(&jwk));
    }
}

fn own(world: &World, method: &str, url: &Url, token: Option<&str>) -> String {
    let mut target = url.clone();
    target.set_query(None);
    let header = Map::from_iter([
        ("typ".to_owned(), json!("dpop+jwt")),
        ("alg".to_owned(), json!(world.own.alg())),
        ("jwk".to_owned(), world.own.public()),
    ]);
    let mut claims = Map::from_iter([
        ("jti".to_owned(), json!(random(22))),
        ("htm".to_owned(), json!(method)),
        ("htu".to_owned(), json!(target.as_str())),
        ("iat".to_owned(), json!(world.clock.now())),
    ]);
    if let Some(token) = token {
        claims.insert("ath".to_owned(), json!(base64url(&sha256(token.as_bytes()))));
    }
    compact(&header, &claims, |message| world.own.sign(world.own.alg(), message))
}
