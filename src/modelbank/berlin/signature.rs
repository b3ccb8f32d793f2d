//! The signature by the caller's seal, whose certificate it sends: `Digest` and
//! `Signature`, or RFC 9421 where the bank has moved there.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::Certificate;
use crypto::http_signature::{verify_cavage, verify_digest};
use crypto::message_signature::{self, MessageSignature, verify_content_digest};
use serde_json::Value;

use super::refusal::Refusal;
use crate::BankKind;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::journal::Fact;

/// Most seconds between the making of a signature of RFC 9421 and its arrival.
const MAX_AGE: i64 = 300;

/// Some requests are made with the customer there, or not at all.
pub(super) fn require_psu_address(caller: &Caller) -> Result<(), Refusal> {
    let address = caller.header("psu-ip-address").and_then(|text| text.parse::<std::net::IpAddr>().ok());
    address.map(|_| ()).ok_or(Refusal::format("PSU-IP-Address is missing or no address"))
}

/// Demands digest and signature by the caller's seal, in the form that the bank wants.
pub(super) fn demand(bank: &Bank, caller: &Caller, body: &Bytes) -> Result<(), Refusal> {
    let sent = |name: &str| caller.header(name).ok_or_else(missing);
    let mut required: Vec<&str> = ["x-request-id"].into();
    required.extend(
        ["psu-id", "psu-corporate-id", "tpp-redirect-uri"]
            .into_iter()
            .filter(|name| caller.headers.contains_key(*name)),
    );
    if bank.kind == BankKind::BerlinGroupEmbedded {
        let digest = sent("content-digest")?;
        let headers = MessageSignature {
            input: sent("signature-input")?.to_owned(),
            signature: sent("signature")?.to_owned(),
        };
        let seal = seal(bank, caller, sent("tpp-signature-certificate")?)?;
        verify_content_digest(digest, body).map_err(|_| invalid("The digest does not match the body"))?;
        required.extend(["@method", "@target-uri", "content-digest"]);
        let covered = |name: &str| match name {
            "@target-uri" => caller.target(&bank.api_url),
            name => caller.sent(name),
        };
        let made = message_signature::verify(&headers, seal.public_key(), covered, &required)
            .map_err(|_| invalid("The signature does not match the request"))?;
        if !names(&made.key_id, &seal) {
            return Err(invalid("keyid does not name the certificate"));
        }
        if (bank.now().as_second() - made.created).abs() > MAX_AGE {
            return Err(invalid("The signature is out of date"));
        }
    } else {
        let (digest, signature) = (sent("digest")?, sent("signature")?);
        let seal = seal(bank, caller, sent("tpp-signature-certificate")?)?;
        verify_digest(digest, body).map_err(|_| invalid("The digest does not match the body"))?;
        required.push("digest");
        let named = verify_cavage(signature, seal.public_key(), |name| caller.sent(name), &required)
            .map_err(|_| invalid("The signature does not match the request"))?;
        if !names(&named.key_id, &seal) {
            return Err(invalid("keyId does not name the certificate"));
        }
    }
    caller.facts.note(Fact::Signature);
    Ok(())
}

fn missing() -> Refusal {
    Refusal::unauthorised("SIGNATURE_MISSING", "Digest, Signature or certificate is missing")
}

fn invalid(text: &'static str) -> Refusal {
    Refusal::unauthorised("SIGNATURE_INVALID", text)
}

fn seal(bank: &Bank, caller: &Caller, header: &str) -> Result<Certificate, Refusal> {
    let invalid =
        || Refusal::unauthorised("CERTIFICATE_INVALID", "The signature certificate is not acceptable");
    let der = STANDARD.decode(header.trim()).map_err(|_| invalid())?;
    let seal = Certificate::parse(&der).map_err(|_| invalid())?;
    if caller.seals_with(bank, &seal) { Ok(seal) } else { Err(invalid()) }
}

/// True if `SN=<hex>,CA=<issuer>` names the certificate by its serial number.
fn names(key_id: &str, seal: &Certificate) -> bool {
    let serial = key_id.strip_prefix("SN=").and_then(|rest| rest.split(',').next());
    serial.is_some_and(|serial| serial.trim_start_matches('0').eq_ignore_ascii_case(&seal.serial_hex))
        && key_id.contains(",CA=")
}

/// A body as a JSON object.
pub(super) fn object(body: &Bytes) -> Result<Value, Refusal> {
    let value: Value =
        serde_json::from_slice(body).map_err(|_| Refusal::format("The body is not valid JSON"))?;
    if value.is_object() { Ok(value) } else { Err(Refusal::format("The body is no object")) }
}
