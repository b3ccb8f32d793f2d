//! `Digest` and `Signature` by the caller's seal, whose certificate it sends.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::Certificate;
use crypto::http_signature::{CavageHeader, verify_cavage, verify_digest};
use serde_json::Value;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::journal::Fact;

/// Some requests are made with the customer there, or not at all.
pub(super) fn require_psu_address(caller: &Caller) -> Result<(), Refusal> {
    let address = caller.header("psu-ip-address").and_then(|text| text.parse::<std::net::IpAddr>().ok());
    address.map(|_| ()).ok_or(Refusal::format("PSU-IP-Address is missing or no address"))
}

/// Demands digest and signature by the caller's seal.
pub(super) fn demand(bank: &Bank, caller: &Caller, body: &Bytes) -> Result<(), Refusal> {
    let missing =
        || Refusal::unauthorised("SIGNATURE_MISSING", "Digest, Signature or certificate is missing");
    let invalid = |text| Refusal::unauthorised("SIGNATURE_INVALID", text);
    let digest = caller.header("digest").ok_or_else(missing)?;
    let signature = caller.header("signature").ok_or_else(missing)?;
    let certificate = caller.header("tpp-signature-certificate").ok_or_else(missing)?;
    let seal = seal(bank, caller, certificate)?;
    verify_digest(digest, body).map_err(|_| invalid("The digest does not match the body"))?;
    let named = CavageHeader::parse(signature).map_err(|_| invalid("The signature cannot be read"))?;
    if !names(&named.key_id, &seal) {
        return Err(invalid("keyId does not name the certificate"));
    }
    let mut required = vec!["digest", "x-request-id"];
    required.extend(
        ["psu-id", "psu-corporate-id", "tpp-redirect-uri"]
            .into_iter()
            .filter(|name| caller.headers.contains_key(*name)),
    );
    verify_cavage(signature, seal.public_key(), |name| caller.sent(name), &required)
        .map_err(|_| invalid("The signature does not match the request"))?;
    caller.facts.note(Fact::Signature);
    Ok(())
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
