//! Detached JWS over a body (RFC 7515 appendix F): `x-jws-signature` of UK Open Banking and PolishAPI.

use serde_json::{Map, Value};

use crate::jose::{Jwk, base64url, from_base64url};

/// `header..signature` over the exact bytes. With `b64` false in the header, the bytes are signed as
/// they are (RFC 7797).
pub fn sign(header: &Map<String, Value>, body: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let head = base64url(&serde_json::to_vec(header).unwrap_or_default());
    let signature = sign(&signed(&head, header, body));
    format!("{head}..{}", base64url(&signature))
}

/// The header of a detached JWS, if one of the keys made it over the bytes.
///
/// # Errors
///
/// A sentence about what does not hold.
pub fn verify(
    detached: &str,
    body: &[u8],
    keys: &[Jwk],
    algorithms: &[&str],
    critical: &[&str],
) -> Result<Map<String, Value>, String> {
    let parts: Vec<_> = detached.split('.').collect();
    let [head, "", signature] = parts.as_slice() else {
        return Err("it is not header..signature".to_owned());
    };
    let header = from_base64url(head).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let header: Map<String, Value> = header.ok_or("its header is no JSON object")?;
    let signature = from_base64url(signature).ok_or("its signature is no base64url")?;
    let alg = header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !algorithms.contains(&alg.as_str()) {
        return Err(format!("it is signed with {alg:?}, which is none of {algorithms:?}"));
    }
    // RFC 7515 §4.1.11: what is critical is understood, and is there.
    let crit = match header.get("crit") {
        None => Vec::new(),
        Some(Value::Array(names)) if !names.is_empty() => names.clone(),
        Some(_) => return Err("crit is no list of names".to_owned()),
    };
    for name in &crit {
        let known = name.as_str().filter(|name| critical.contains(name) && header.contains_key(*name));
        known.ok_or_else(|| format!("crit names {name}, which is not to be there"))?;
    }
    if let Some(missing) = critical.iter().find(|name| !crit.iter().any(|there| there == *name)) {
        return Err(format!("crit does not name {missing}"));
    }
    let kid = header.get("kid").and_then(Value::as_str);
    let message = signed(head, &header, body);
    let mut fitting = keys.iter().filter(|key| kid.is_none() || key.kid() == kid).peekable();
    if fitting.peek().is_none() {
        return Err(format!("no key of the key set has the kid {kid:?}"));
    }
    if fitting.any(|key| key.verifies(&alg, &message, &signature)) {
        Ok(header)
    } else {
        Err("it was not made over this body by the key that it names".to_owned())
    }
}

fn signed(head: &str, header: &Map<String, Value>, body: &[u8]) -> Vec<u8> {
    let raw = header.get("b64") == Some(&Value::Bool(false));
    let payload = if raw { body.to_vec() } else { base64url(body).into_bytes() };
    [head.as_bytes(), b".", &payload].concat()
}
