//! Who calls: the certificate, its role, and the seal over a request.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::http_signature::{CavageHeader, verify_cavage, verify_digest};
use crypto::{Certificate, Psd2Role, QcType};
use serde_json::Value;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::journal::{Fact, Facts};
use crate::listen::Peer;

/// The caller of one request.
pub(super) struct Caller {
    peer: Option<Arc<Certificate>>,
    headers: HeaderMap,
    pub(super) facts: Facts,
}

impl FromRequestParts<Arc<Bank>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Bank>) -> Result<Self, Infallible> {
        Ok(Self {
            peer: parts.extensions.get::<Peer>().map(|peer| Arc::clone(&peer.0)),
            headers: parts.headers.clone(),
            facts: parts.extensions.get::<Facts>().cloned().unwrap_or_default(),
        })
    }
}

impl Caller {
    /// The caller's legal name, as its certificate says.
    pub(super) fn name(&self) -> String {
        let name = self.peer.as_deref().and_then(|peer| peer.organization.clone());
        name.unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The caller's `organizationIdentifier`, if its certificate is a QWAC
    /// with `role`.
    pub(super) fn organisation(&self, role: Psd2Role) -> Result<&str, Refusal> {
        let invalid = Refusal::unauthorised("CERTIFICATE_INVALID", "The client certificate is no QWAC");
        let peer = match self.peer.as_deref() {
            Some(peer) if peer.psd2_problems(QcType::Web).is_empty() => peer,
            Some(_) | None => return Err(invalid),
        };
        if !peer.has_role(role) {
            return Err(Refusal::unauthorised("ROLE_INVALID", "The certificate lacks the role"));
        }
        self.facts.note(Fact::Role);
        if self.psu_present() {
            self.facts.note(Fact::PsuPresent);
        }
        peer.organization_identifier.as_deref().ok_or(invalid)
    }

    /// True if the caller says that the customer is there.
    pub(super) fn psu_present(&self) -> bool {
        self.header("psu-ip-address").is_some()
    }

    pub(super) fn require_psu_address(&self) -> Result<(), Refusal> {
        let address = self.header("psu-ip-address").and_then(|text| text.parse::<std::net::IpAddr>().ok());
        address.map(|_| ()).ok_or(Refusal::format("PSU-IP-Address is missing or no address"))
    }

    /// Demands digest and signature by the caller's seal.
    pub(super) fn demand_signature(&self, bank: &Bank, body: &Bytes) -> Result<(), Refusal> {
        let missing =
            || Refusal::unauthorised("SIGNATURE_MISSING", "Digest, Signature or certificate is missing");
        let invalid = |text| Refusal::unauthorised("SIGNATURE_INVALID", text);
        let digest = self.header("digest").ok_or_else(missing)?;
        let signature = self.header("signature").ok_or_else(missing)?;
        let certificate = self.header("tpp-signature-certificate").ok_or_else(missing)?;
        let seal = self.seal(bank, certificate)?;
        verify_digest(digest, body).map_err(|_| invalid("The digest does not match the body"))?;
        let named = CavageHeader::parse(signature).map_err(|_| invalid("The signature cannot be read"))?;
        if !names(&named.key_id, &seal) {
            return Err(invalid("keyId does not name the certificate"));
        }
        let mut required = vec!["digest", "x-request-id"];
        required.extend(
            ["psu-id", "psu-corporate-id", "tpp-redirect-uri"]
                .into_iter()
                .filter(|name| self.headers.contains_key(*name)),
        );
        let sent = |name: &str| {
            let values: Option<Vec<&str>> =
                self.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
            values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
        };
        verify_cavage(signature, seal.public_key(), sent, &required)
            .map_err(|_| invalid("The signature does not match the request"))?;
        self.facts.note(Fact::Signature);
        Ok(())
    }

    /// The seal's certificate, if it is qualified, ours to trust, and of the
    /// organisation that connected: else anyone could replace it.
    fn seal(&self, bank: &Bank, header: &str) -> Result<Certificate, Refusal> {
        let invalid =
            || Refusal::unauthorised("CERTIFICATE_INVALID", "The signature certificate is not acceptable");
        let der = STANDARD.decode(header.trim()).map_err(|_| invalid())?;
        let seal = Certificate::parse(&der).map_err(|_| invalid())?;
        let connected = self.peer.as_deref().and_then(|peer| peer.organization_identifier.as_ref());
        let fits = seal.psd2_problems(QcType::Seal).is_empty()
            && seal.organization_identifier.as_ref() == connected
            && bank.trusts(&der);
        if fits { Ok(seal) } else { Err(invalid()) }
    }
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
