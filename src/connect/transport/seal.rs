//! Signs a request with our seal (QSealC, OBSeal): the exact bytes that go out.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::message_signature::{self, Parameters};
use crypto::{Algorithm, Certificate, SigningKey, http_signature, jws};
use domain::Timestamp;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::{BankError, BankErrorKind, BankRequest, Profile, QuirkName, Signature, Signing};

/// Name of the claim "when" in a detached JWS of UK Open Banking.
pub(crate) const IAT: &str = "http://openbanking.org.uk/iat";
/// Name of the claim "who".
pub(crate) const ISS: &str = "http://openbanking.org.uk/iss";
/// Name of the claim "whose trust".
pub(crate) const TAN: &str = "http://openbanking.org.uk/tan";
/// Headers the Berlin Group has signed, where they are sent (implementation guidelines 1.3.x, section 12.2).
const SIGNED_HEADERS: [&str; 5] =
    ["digest", "x-request-id", "psu-id", "psu-corporate-id", "tpp-redirect-uri"];

/// Our seal.
#[derive(Clone)]
pub struct Seal {
    /// The key; its `kid` is what banks find it by. PS256 for UK banks, RSA for the Berlin Group.
    pub key: Arc<SigningKey>,
    /// Its certificate.
    pub certificate: Arc<Certificate>,
    /// Who signs, for UK banks whose profile names nobody: `org-id/software-id`, or the certificate's subject.
    pub jws_issuer: String,
}

/// Adds the headers of the signature that the request asks for.
pub(super) fn sign(
    profile: &Profile,
    seal: Option<&Seal>,
    now: Timestamp,
    request: &mut BankRequest,
) -> Result<(), BankError> {
    let failed = || BankError::new(&profile.id, BankErrorKind::Internal).at("seal");
    match request.signature {
        Signature::None => Ok(()),
        Signature::DetachedJws => {
            let token = detached(profile, seal.ok_or_else(failed)?, now, request).ok_or_else(failed)?;
            insert(request, "x-jws-signature", &token).ok_or_else(failed)
        }
        Signature::DigestAndSignature => {
            digest_and_signature(seal.ok_or_else(failed)?, request).ok_or_else(failed)
        }
        Signature::DigestAndSignatureByUrl => {
            signature_by_url(profile, seal.ok_or_else(failed)?, now, request).ok_or_else(failed)
        }
        Signature::MessageSignature => {
            message_signature(profile, seal.ok_or_else(failed)?, now, request).ok_or_else(failed)
        }
        Signature::BodyJws => {
            let token = body_jws(seal.ok_or_else(failed)?, request).ok_or_else(failed)?;
            insert(request, "x-jws-signature", &token).ok_or_else(failed)
        }
    }
}

/// `header..signature` over the body: PS256, `crit` names the three claims and
/// nothing else; banks on the rules before 3.1.4 want `b64: false` as well.
fn detached(profile: &Profile, seal: &Seal, now: Timestamp, request: &BankRequest) -> Option<String> {
    let Signing::DetachedJws { iss, tan, .. } = &profile.signing else { return None };
    if seal.key.algorithm() != Algorithm::Ps256 {
        return None;
    }
    let mut header = Map::new();
    header.insert("typ".into(), json!("JOSE"));
    header.insert("cty".into(), json!("application/json"));
    header.insert(IAT.into(), json!(now.as_second()));
    header.insert(ISS.into(), json!(iss.as_deref().unwrap_or(&seal.jws_issuer)));
    header.insert(TAN.into(), json!(tan));
    let version = profile.payments_api.as_ref().map_or("", |api| api.version.as_str());
    let raw = profile.quirks.find(QuirkName::JwsPayloadNotEncoded, "pisp.consent", version).is_some();
    let mut critical = vec![IAT, ISS, TAN];
    if raw {
        header.insert("b64".into(), Value::Bool(false));
        critical.insert(0, "b64");
    }
    header.insert("crit".into(), json!(critical));
    jws::sign_detached(&seal.key, &header, request.body.as_deref().unwrap_or_default()).ok()
}

/// `header..signature` over the body. The header names the key and, as
/// PolishAPI wants it, the certificate of the seal.
fn body_jws(seal: &Seal, request: &BankRequest) -> Option<String> {
    let mut header = Map::new();
    header.insert("typ".into(), json!("JOSE"));
    header.insert("cty".into(), json!("application/json"));
    header.insert("x5t#S256".into(), json!(seal.certificate.thumbprint.to_string()));
    jws::sign_detached(&seal.key, &header, request.body.as_deref().unwrap_or_default()).ok()
}

/// STET 1.4 has signed: the request's target, the body by its digest, and what
/// is sent of `Content-*`, `Date`, `X-Request-ID` and `PSU-*`.
fn signature_by_url(profile: &Profile, seal: &Seal, now: Timestamp, request: &mut BankRequest) -> Option<()> {
    let Signing::DigestSignatureByUrl { key_url } = &profile.signing else { return None };
    let body = request.body.clone().unwrap_or_default();
    insert(request, "digest", &http_signature::digest(&body))?;
    insert(request, "date", &crate::http_date(now))?;
    let target = http_signature::request_target(
        request.method.as_str(),
        &request.url[url::Position::BeforePath..url::Position::AfterQuery],
    );
    let mut signed = vec![("(request-target)", target)];
    if request.body.is_some() {
        // Written by the connection itself, from the same bytes.
        signed.push(("content-length", body.len().to_string()));
    }
    let mut sent: Vec<(&str, String)> = Vec::new();
    for (name, value) in &request.headers {
        let covered = matches!(name.as_str(), "digest" | "date" | "x-request-id" | "content-type")
            || name.as_str().starts_with("psu-");
        if covered {
            sent.push((name.as_str(), value.to_str().ok()?.trim().to_owned()));
        }
    }
    sent.sort();
    signed.extend(sent);
    let lines: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let key_id = fingerprinted(key_url, seal);
    let signature = http_signature::sign_cavage(&seal.key, &key_id, &lines).ok()?;
    insert(request, "signature", &signature)
}

fn digest_and_signature(seal: &Seal, request: &mut BankRequest) -> Option<()> {
    let digest = http_signature::digest(request.body.as_deref().unwrap_or_default());
    insert(request, "digest", &digest)?;
    let values: Vec<(&str, String)> = SIGNED_HEADERS
        .iter()
        .filter_map(|name| Some((*name, request.header_text(name)?.trim().to_owned())))
        .collect();
    let signed: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let key_id = seal.certificate.berlin_group_key_id();
    let signature = http_signature::sign_cavage(&seal.key, &key_id, &signed).ok()?;
    insert(request, "signature", &signature)?;
    insert(request, "tpp-signature-certificate", &STANDARD.encode(&seal.certificate.der))
}

/// RFC 9421 with the body by its digest (RFC 9530), and what is sent of what the
/// Berlin Group had signed before.
fn message_signature(
    profile: &Profile,
    seal: &Seal,
    now: Timestamp,
    request: &mut BankRequest,
) -> Option<()> {
    let Signing::MessageSignature { key_id, tag } = &profile.signing else { return None };
    let digest = message_signature::content_digest(request.body.as_deref().unwrap_or_default());
    insert(request, "content-digest", &digest)?;
    let mut covered = vec![
        ("@method", request.method.as_str().to_owned()),
        ("@target-uri", request.url.as_str().to_owned()),
        ("content-digest", digest),
    ];
    for name in ["content-type"].iter().chain(SIGNED_HEADERS.iter().filter(|name| **name != "digest")) {
        if let Some(value) = request.headers.get(*name) {
            covered.push((name, value.to_str().ok()?.trim().to_owned()));
        }
    }
    let components: Vec<(&str, &str)> = covered.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let key_id = match key_id {
        Some(key_id) => fingerprinted(key_id, seal),
        None => seal.certificate.berlin_group_key_id(),
    };
    let parameters = Parameters { created: now.as_second(), key_id, tag: tag.clone() };
    let signed = message_signature::sign(&seal.key, &parameters, &components).ok()?;
    insert(request, "signature-input", &signed.input)?;
    insert(request, "signature", &signed.signature)?;
    insert(request, "tpp-signature-certificate", &STANDARD.encode(&seal.certificate.der))
}

/// A name of the key with the fingerprint of its certificate.
fn fingerprinted(name: &str, seal: &Seal) -> String {
    name.replace("{sha256}", &crypto::digest::hex(seal.certificate.thumbprint.as_bytes()))
}

fn insert(request: &mut BankRequest, name: &'static str, value: &str) -> Option<()> {
    request.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).ok()?);
    Some(())
}

#[cfg(test)]
mod tests;
