//! The verdict: what the bank saw, and what the client told the one it works for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::mode::{Mode, Wants};
use super::seen::{Endpoint, Seen};
use crate::jose::{base64url, sha256};

/// What the client told the one it works for.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The consent counts as given.
    pub authorised: bool,
    /// There was data.
    pub data: bool,
    /// What it said.
    pub says: String,
}

/// What a journey says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It does what it must.
    Holds,
    /// It does not.
    Broken(String),
    /// The journey did not come to where the bank is wrong, so that nothing is known.
    NotReached(String),
}

/// Judges a client by a journey.
#[must_use]
pub fn judge(mode: Mode, issuer: &str, seen: &[Seen], told: &Told) -> Judged {
    // Where nobody must go, nobody must go in any mode.
    if let Some(lured) = seen.iter().find(|one| one.at == Endpoint::Elsewhere) {
        return Judged::Broken(format!("it went where the bank lured it: {}", lured.line));
    }
    let how_far = || {
        let lines: Vec<_> = seen.iter().map(|one| format!("{:?}", one.at)).collect();
        format!("the bank saw {}; the client said {}", lines.join(", "), told.says)
    };
    if mode.wants() == Wants::Data || mode.wants() == Wants::OneCode {
        if !told.data || !seen.iter().any(Seen::reads) {
            return Judged::Broken(format!("it did not end with data: {}", how_far()));
        }
        return match more(mode, issuer, seen) {
            Ok(()) => Judged::Holds,
            Err(why) => Judged::Broken(why),
        };
    }
    if told.authorised {
        return Judged::Broken(format!("the consent counts as given: {}", told.says));
    }
    if told.data {
        return Judged::Broken("there is data of a consent that was not given".to_owned());
    }
    let at = |endpoint: Endpoint| seen.iter().any(|one| one.at == endpoint);
    let redeemed = seen.iter().any(Seen::redeems);
    let (reached, after) = match mode.wants() {
        Wants::NoRequest => {
            (at(Endpoint::Connection), seen.iter().find(|one| one.at != Endpoint::Connection))
        }
        Wants::NothingAfterMetadata => {
            let beyond = |one: &&Seen| !matches!(one.at, Endpoint::Metadata | Endpoint::Connection);
            (at(Endpoint::Metadata), seen.iter().find(beyond))
        }
        Wants::NothingAfterPush => {
            let beyond = |one: &&Seen| one.at == Endpoint::Authorize || one.redeems();
            (at(Endpoint::Push), seen.iter().find(beyond))
        }
        Wants::NothingAfterAnswer => (at(Endpoint::Authorize), seen.iter().find(|one| one.redeems())),
        Wants::NothingAfterToken => {
            // What the metadata says wrong may be refused as soon as it is read.
            let early = mode.name().starts_with("metadata-") && at(Endpoint::Metadata);
            (redeemed || early, seen.iter().find(|one| one.reads()))
        }
        Wants::Data | Wants::OneCode => (true, None),
    };
    match (reached, after) {
        (_, Some(after)) => Judged::Broken(format!("it went on: {} ({:?})", after.line, after.at)),
        (false, None) if mode.wants() == Wants::NoRequest => Judged::NotReached(format!(
            "nobody connected: a client that could not reach the bank before may leave it alone for a while, \
             and is best started anew ({})",
            told.says
        )),
        (false, None) => Judged::NotReached(format!("the journey ended before its point: {}", how_far())),
        (true, None) => Judged::Holds,
    }
}

/// What is looked at beyond how the journey ended.
fn more(mode: Mode, issuer: &str, seen: &[Seen]) -> Result<(), String> {
    let all = |wanted: fn(&Seen) -> bool| seen.iter().filter(move |one| wanted(one));
    let pushes: Vec<_> = all(|one| one.at == Endpoint::Push).collect();
    match mode.name() {
        "request-pushed" => browser(seen),
        "request-pkce" => pkce(&pushes, seen),
        "request-fresh" => fresh(&pushes, seen),
        "request-object" => object(&pushes, issuer),
        "request-assertion" => assertions(seen, issuer),
        "request-certificate" => certificate(seen),
        "response-again" if all(Seen::redeems).count() != 1 => {
            Err(format!("it redeemed {} codes", all(Seen::redeems).count()))
        }
        "refresh" | "token-ends" => {
            let used: Vec<_> = all(Seen::refreshes).filter_map(|one| one.sent("refresh_token")).collect();
            let once: BTreeSet<_> = used.iter().collect();
            if used.len() < 2 {
                Err(format!("it refreshed {} times in the place of twice", used.len()))
            } else if once.len() < used.len() {
                Err("it used a refresh token twice".to_owned())
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

/// A pushed request is all that the browser brings (RFC 9126 §4; FAPI 2.0 SP §5.3.3.2).
fn browser(seen: &[Seen]) -> Result<(), String> {
    let visits = seen.iter().filter(|one| one.at == Endpoint::Authorize);
    for (name, _) in visits.flat_map(|one| &one.sent) {
        if name != "client_id" && name != "request_uri" {
            return Err(format!("the browser brought {name}"));
        }
    }
    Ok(())
}

/// RFC 7636 §4.1, §4.2, §4.5.
fn pkce(pushes: &[&Seen], seen: &[Seen]) -> Result<(), String> {
    let asked = pushes.first().map(|push| push.asked()).unwrap_or_default();
    if asked.get("code_challenge_method") != Some(&json!("S256")) {
        return Err("code_challenge_method is not S256".to_owned());
    }
    let verifier = seen.iter().find(|one| one.redeems()).and_then(|one| one.sent("code_verifier"));
    let verifier = verifier.ok_or("the code came without a verifier")?;
    if !(43..=128).contains(&verifier.len()) {
        return Err(format!("the verifier has {} characters", verifier.len()));
    }
    let challenge = base64url(&sha256(verifier.as_bytes()));
    if asked.get("code_challenge") != Some(&json!(challenge)) {
        return Err("the verifier does not fit the challenge".to_owned());
    }
    let uri = seen.iter().find(|one| one.redeems()).and_then(|one| one.sent("redirect_uri"));
    if asked.get("redirect_uri").and_then(Value::as_str) != uri {
        return Err("the code came with another redirect_uri".to_owned());
    }
    Ok(())
}

/// Nothing that ties an answer to a request comes twice (FAPI 2.0 SP §5.3.3.2; RFC 9700 §4.7).
fn fresh(pushes: &[&Seen], seen: &[Seen]) -> Result<(), String> {
    if pushes.len() < 2 {
        return Err("there was one request only".to_owned());
    }
    for name in ["state", "nonce", "code_challenge"] {
        let sent: Vec<_> = pushes.iter().filter_map(|push| push.asked().get(name).cloned()).collect();
        if sent.len() < pushes.len() {
            return Err(format!("a request came without {name}"));
        }
        let texts: BTreeSet<_> = sent.iter().map(Value::to_string).collect();
        if texts.len() < sent.len() {
            return Err(format!("{name} came twice"));
        }
        if texts.iter().any(|text| text.len() < 22) {
            return Err(format!("{name} is too short for 128 bits of chance"));
        }
    }
    let jtis: Vec<_> = seen
        .iter()
        .flat_map(|one| [one.assertion(), one.object()])
        .flatten()
        .filter_map(|jwt| jwt.claims.get("jti").map(Value::to_string))
        .collect();
    let once: BTreeSet<_> = jtis.iter().collect();
    if once.len() < jtis.len() { Err("jti came twice".to_owned()) } else { Ok(()) }
}

/// RFC 9101 §4, §10.2; FAPI 2.0 MS §5.3.2: audience, issuer, a life of an hour at most.
fn object(pushes: &[&Seen], issuer: &str) -> Result<(), String> {
    let push = pushes.first().ok_or("nothing was pushed")?;
    let object = push.object().ok_or("there is no request object, which the profile asks for")?;
    if !["PS256", "ES256", "EdDSA"].contains(&object.alg()) {
        return Err(format!("the request object is signed with {}", object.alg()));
    }
    let claim = |name: &str| object.claims.get(name);
    if claim("aud") != Some(&json!(issuer)) && claim("aud") != Some(&json!([issuer])) {
        return Err("aud of the request object is not the issuer".to_owned());
    }
    if claim("iss").and_then(Value::as_str) != push.sent("client_id") {
        return Err("iss of the request object is not the client".to_owned());
    }
    let (from, to) = (claim("nbf").and_then(Value::as_i64), claim("exp").and_then(Value::as_i64));
    match (from, to) {
        (Some(from), Some(to)) if to > from && to.saturating_sub(from) <= 3_600 => Ok(()),
        _ => Err("the request object does not live for an hour at most".to_owned()),
    }
}

/// RFC 7523 §3; FAPI 2.0 SP §5.3.3.1: the audience is the issuer, as a text.
fn assertions(seen: &[Seen], issuer: &str) -> Result<(), String> {
    let at = |one: &&Seen| matches!(one.at, Endpoint::Token | Endpoint::Push);
    for one in seen.iter().filter(at) {
        let assertion = one.assertion().ok_or_else(|| format!("{} came without an assertion", one.line))?;
        let claim = |name: &str| assertion.claims.get(name);
        if !["PS256", "ES256", "EdDSA"].contains(&assertion.alg()) {
            return Err(format!("an assertion is signed with {}", assertion.alg()));
        }
        if claim("aud") != Some(&json!(issuer)) {
            return Err("aud of an assertion is not the issuer as a text".to_owned());
        }
        if claim("iss").is_none() || claim("iss") != claim("sub") {
            return Err("iss and sub of an assertion are not one client".to_owned());
        }
        if claim("jti").is_none() || claim("exp").and_then(Value::as_i64).is_none() {
            return Err("an assertion has no jti or no exp".to_owned());
        }
    }
    Ok(())
}

/// RFC 8705 §3: the certificate that fetched a token is there where it is used.
fn certificate(seen: &[Seen]) -> Result<(), String> {
    let at =
        |one: &&Seen| matches!(one.at, Endpoint::Token | Endpoint::Push | Endpoint::Consent | Endpoint::Data);
    let mut shown = BTreeSet::new();
    for one in seen.iter().filter(at) {
        let certificate = one.certificate.as_deref();
        shown.insert(certificate.ok_or_else(|| format!("{} came without a certificate", one.line))?);
    }
    if shown.len() == 1 { Ok(()) } else { Err(format!("{} certificates were shown", shown.len())) }
}
