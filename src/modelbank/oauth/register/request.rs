//! What a bank checks before it makes somebody its client.

use axum::http::header::CONTENT_TYPE;
use crypto::{Algorithm, Certificate, Jwks, Psd2Role, QcType, jws};
use domain::Timestamp;
use serde_json::{Map, Value};

use super::super::refusal::OauthRefusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::book::{RegisteredClient, Seen};
use crate::journal::Fact;
use crate::registration::{RegistrationDesk, RegistrationWay};

/// Seconds that a request may live.
const LIFE: i64 = 1_800;
/// Seconds that a client's clock may be ahead.
const SKEW: i64 = 60;
/// Longest identifier of a software.
const SOFTWARE_ID: usize = 22;

type Claims = Map<String, Value>;

fn metadata(description: &'static str) -> OauthRefusal {
    OauthRefusal { error: "invalid_client_metadata", description }
}

fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

fn texts<'c>(claims: &'c Claims, name: &str) -> Option<Vec<&'c str>> {
    claims.get(name)?.as_array()?.iter().map(Value::as_str).collect()
}

/// The client that a request describes, if the bank takes it; without a name yet.
pub(super) fn checked(
    bank: &Bank,
    desk: &RegistrationDesk,
    caller: &Caller,
    body: &[u8],
) -> Result<RegisteredClient, OauthRefusal> {
    let peer = caller.peer.as_deref().filter(|peer| peer.psd2_problems(QcType::Web).is_empty());
    let peer = peer.ok_or(OauthRefusal::client("The certificate is no PSD2 certificate"))?;
    caller.facts.note(Fact::Role);
    let media = if desk.has(RegistrationWay::Jose) { "application/jose" } else { "application/jwt" };
    if caller.header(CONTENT_TYPE.as_str()) != Some(media) {
        return Err(OauthRefusal::request("The media type of the request is not the one of registrations"));
    }
    let token = std::str::from_utf8(body).map_err(|_| OauthRefusal::request("The request is no JWT"))?;
    let unsigned = jws::peek_claims(token).map_err(|_| OauthRefusal::request("The request is no JWT"))?;
    let statement = statement(bank, desk, peer, text(&unsigned, "software_statement"))?;
    let keys = statement.get("jwks").and_then(|jwks| Jwks::from_value(jwks).ok());
    let keys = keys.ok_or(untrusted("The statement has no keys that can be read"))?;
    let claims = jws::verify_compact(token, &keys, &[Algorithm::Ps256])
        .and_then(|verified| verified.claims())
        .map_err(|_| metadata("The request is not signed with PS256 by a key of the software"))?;
    caller.facts.note(Fact::Signature);
    meant_for_us(bank, desk, &statement, &claims)?;
    authentication(desk, peer, &claims)?;
    uses(desk, &claims)?;
    let redirect_uris = redirects(&statement, &claims)?;
    let scope = scope(desk, peer, &statement, &claims)?;
    // Last, so that a request that was refused for something else can be mended and sent again.
    once(bank, &claims)?;
    let kept = claims.iter().filter(|(name, _)| !["iss", "aud", "jti"].contains(&name.as_str()));
    Ok(RegisteredClient {
        id: String::new(),
        organisation: peer.organization_identifier.clone().unwrap_or_default(),
        redirect_uris,
        jwks: keys.to_value(),
        scope,
        issued: bank.now(),
        token: None,
        metadata: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
    })
}

fn untrusted(description: &'static str) -> OauthRefusal {
    OauthRefusal { error: "invalid_software_statement", description }
}

/// The claims of a software statement that a known directory signed for the
/// organisation of the certificate.
fn statement(
    bank: &Bank,
    desk: &RegistrationDesk,
    peer: &Certificate,
    statement: Option<&str>,
) -> Result<Claims, OauthRefusal> {
    let statement = statement.ok_or(untrusted("software_statement is missing"))?;
    let named = jws::peek_claims(statement).map_err(|_| untrusted("The statement is no JWT"))?;
    let directory = desk.directories.iter().find(|directory| text(&named, "iss") == Some(&directory.issuer));
    let directory = directory.ok_or(OauthRefusal {
        error: "unapproved_software_statement",
        description: "The statement is of no directory that the bank knows",
    })?;
    let claims = jws::verify_compact(statement, &directory.keys, &[Algorithm::Ps256, Algorithm::Es256])
        .and_then(|verified| verified.claims())
        .map_err(|_| untrusted("The directory did not sign the statement"))?;
    let now = bank.now().as_second();
    let issued = claims.get("iat").and_then(Value::as_i64).unwrap_or(i64::MAX);
    let ended = claims.get("exp").and_then(Value::as_i64).is_some_and(|exp| exp <= now);
    if issued > now.saturating_add(SKEW) || ended {
        return Err(untrusted("The statement is not valid now"));
    }
    if text(&claims, "org_id") != peer.organization_identifier.as_deref() {
        return Err(untrusted("The statement is about another organisation than the certificate"));
    }
    Ok(claims)
}

/// Who asks whom, and when.
fn meant_for_us(
    bank: &Bank,
    desk: &RegistrationDesk,
    statement: &Claims,
    claims: &Claims,
) -> Result<(), OauthRefusal> {
    let issuer = text(claims, "iss").filter(|iss| {
        (1..=SOFTWARE_ID).contains(&iss.len()) && iss.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    let software = text(statement, "software_id");
    let named = claims.get("software_id").is_none_or(|named| named.as_str() == software);
    if issuer.is_none() || issuer != software || !named {
        return Err(metadata("iss is not the software of the statement"));
    }
    let audience =
        if desk.has(RegistrationWay::AudienceIsIssuer) { &bank.pages_url } else { &desk.financial_id };
    if text(claims, "aud") != Some(audience) {
        return Err(metadata("aud is not the bank"));
    }
    let now = bank.now().as_second();
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let (Some(iat), Some(exp)) = (time("iat"), time("exp")) else {
        return Err(metadata("iat or exp is missing"));
    };
    if iat > now.saturating_add(SKEW) || exp <= now || exp.saturating_sub(iat) > LIFE {
        return Err(metadata("The request is not valid now"));
    }
    Ok(())
}

/// A request counts once.
fn once(bank: &Bank, claims: &Claims) -> Result<(), OauthRefusal> {
    let jti = text(claims, "jti").filter(|jti| !jti.is_empty()).ok_or(metadata("jti is missing"))?;
    let exp = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
    let until = Timestamp::from_second(exp).unwrap_or(bank.now());
    let seen = Seen { resource: String::new(), until };
    let before = bank.vault.change(|book| book.seen.insert(format!("dcr/{jti}"), seen));
    if before.is_some() { Err(metadata("The request was used before")) } else { Ok(()) }
}

fn authentication(desk: &RegistrationDesk, peer: &Certificate, claims: &Claims) -> Result<(), OauthRefusal> {
    match text(claims, "token_endpoint_auth_method") {
        Some("tls_client_auth") => {
            let subject = peer.subject_dn_spelt(desk.spelling());
            if text(claims, "tls_client_auth_subject_dn") != Some(&subject) {
                return Err(metadata("tls_client_auth_subject_dn is not the subject of the certificate"));
            }
        }
        Some("private_key_jwt") => {
            if !matches!(text(claims, "token_endpoint_auth_signing_alg"), Some("PS256" | "ES256")) {
                return Err(metadata("token_endpoint_auth_signing_alg is not supported"));
            }
        }
        _ => return Err(metadata("token_endpoint_auth_method is not supported")),
    }
    let signed = |name: &str, known: &[&str]| text(claims, name).is_some_and(|alg| known.contains(&alg));
    if !signed("id_token_signed_response_alg", &["PS256"])
        || !signed("request_object_signing_alg", &["PS256", "ES256"])
    {
        return Err(metadata("A signature algorithm is missing or not supported"));
    }
    Ok(())
}

fn uses(desk: &RegistrationDesk, claims: &Claims) -> Result<(), OauthRefusal> {
    let refresh = !desk.has(RegistrationWay::NoRefreshGrant);
    let grants = texts(claims, "grant_types").unwrap_or_default();
    let known = |grant: &&str| match *grant {
        "client_credentials" | "authorization_code" => true,
        "refresh_token" => refresh,
        _ => false,
    };
    if !grants.iter().all(known) || grants.len() < if refresh { 3 } else { 2 } {
        return Err(metadata("grant_types are not those of the bank"));
    }
    if texts(claims, "response_types").as_deref() != Some(&["code"]) {
        return Err(metadata("The bank supports the response type code only"));
    }
    if text(claims, "application_type") != Some("web") {
        return Err(metadata("application_type is not web"));
    }
    match text(claims, "subject_type") {
        Some("pairwise") => Ok(()),
        None if !desk.has(RegistrationWay::SubjectTypeNamed) => Ok(()),
        _ => Err(metadata("subject_type is not pairwise")),
    }
}

fn redirects(statement: &Claims, claims: &Claims) -> Result<Vec<String>, OauthRefusal> {
    let known = texts(statement, "software_redirect_uris").unwrap_or_default();
    let wanted = texts(claims, "redirect_uris").filter(|wanted| !wanted.is_empty());
    let wanted =
        wanted.filter(|wanted| wanted.iter().all(|uri| known.contains(uri) && uri.starts_with("https://")));
    let wanted = wanted.ok_or(OauthRefusal {
        error: "invalid_redirect_uri",
        description: "redirect_uris are not among those of the statement",
    })?;
    Ok(wanted.into_iter().map(str::to_owned).collect())
}

fn scope(
    desk: &RegistrationDesk,
    peer: &Certificate,
    statement: &Claims,
    claims: &Claims,
) -> Result<String, OauthRefusal> {
    let scope = text(claims, "scope").unwrap_or_default();
    let roles = texts(statement, "software_roles").unwrap_or_default();
    let may = |word: &str| match word {
        "openid" => true,
        "accounts" => roles.contains(&"AISP") && peer.has_role(Psd2Role::AccountInformation),
        "fundsconfirmations" => roles.contains(&"CBPII") && peer.has_role(Psd2Role::CardIssuing),
        "payments" => roles.contains(&"PISP") && peer.has_role(Psd2Role::PaymentInitiation),
        _ => false,
    };
    let services = scope.split(' ').filter(|word| *word != "openid").count();
    if services == 0 || !scope.split(' ').all(may) {
        return Err(metadata("scope is more than statement and certificate allow"));
    }
    if services > 1 && desk.has(RegistrationWay::PerRole) {
        return Err(metadata("A registration is for one service"));
    }
    Ok(scope.to_owned())
}
