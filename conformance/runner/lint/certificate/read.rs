//! A certificate, read once, with the parts that the rules ask for.

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};
use x509_cert::name::Name;

use super::der::Node;

/// A certificate and the bytes it was read from.
pub(super) struct Certificate {
    der: Vec<u8>,
    pub(super) parsed: x509_cert::Certificate,
}

pub(super) const COMMON_NAME: &str = "2.5.4.3";
pub(super) const SERIAL_NUMBER: &str = "2.5.4.5";
pub(super) const COUNTRY: &str = "2.5.4.6";
pub(super) const ORGANISATION: &str = "2.5.4.10";
pub(super) const ORGANISATIONAL_UNIT: &str = "2.5.4.11";
pub(super) const ORGANISATION_IDENTIFIER: &str = "2.5.4.97";

impl Certificate {
    pub(super) fn read(der: &[u8]) -> Result<Self, String> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|why| why.to_string())?;
        Ok(Self { der: der.to_vec(), parsed })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The bytes that are signed.
    pub(super) fn signed_part(&self) -> &[u8] {
        let outer = Node::only(&self.der).map(|outer| outer.children()).unwrap_or_default();
        outer.first().map_or(&[], |tbs| tbs.whole)
    }

    pub(super) fn extensions(&self) -> &[Extension] {
        self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default()
    }

    pub(super) fn extension(&self, oid: &str) -> Option<&Extension> {
        self.extensions().iter().find(|extension| extension.extn_id.to_string() == oid)
    }

    /// An extension of RFC 5280, and whether it is critical. One that cannot be read counts as absent.
    pub(super) fn typed<'a, T: Decode<'a> + AssociatedOid>(&'a self) -> Option<(T, bool)> {
        let found = self.extensions().iter().find(|extension| extension.extn_id == T::OID)?;
        T::from_der(found.extn_value.as_bytes()).ok().map(|value| (value, found.critical))
    }

    pub(super) fn is_authority(&self) -> bool {
        self.typed::<BasicConstraints>().is_some_and(|(basic, _)| basic.ca)
    }

    pub(super) fn subject(&self) -> Vec<u8> {
        self.parsed.tbs_certificate.subject.to_der().unwrap_or_default()
    }

    pub(super) fn issuer(&self) -> Vec<u8> {
        self.parsed.tbs_certificate.issuer.to_der().unwrap_or_default()
    }

    /// It names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    pub(super) fn key_id(&self) -> Option<Vec<u8>> {
        self.typed::<SubjectKeyIdentifier>().map(|(id, _)| id.0.as_bytes().to_vec())
    }

    pub(super) fn issuer_key_id(&self) -> Option<Vec<u8>> {
        let (id, _) = self.typed::<AuthorityKeyIdentifier>()?;
        id.key_identifier.map(|id| id.as_bytes().to_vec())
    }

    /// Unix seconds of its first and its last moment.
    pub(super) fn window(&self) -> (i64, i64) {
        let validity = &self.parsed.tbs_certificate.validity;
        let second = |time: &x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        (second(&validity.not_before), second(&validity.not_after))
    }

    /// The texts of an attribute of the subject.
    pub(super) fn subject_texts(&self, oid: &str) -> Vec<String> {
        texts(&self.parsed.tbs_certificate.subject, oid)
    }

    pub(super) fn subject_text(&self, oid: &str) -> Option<String> {
        self.subject_texts(oid).into_iter().next()
    }

    pub(super) fn issuer_text(&self, oid: &str) -> Option<String> {
        texts(&self.parsed.tbs_certificate.issuer, oid).into_iter().next()
    }

    /// The attributes of the subject as texts, each with its object identifier.
    pub(super) fn subject_attributes(&self) -> Vec<(String, String)> {
        attributes(&self.parsed.tbs_certificate.subject)
            .filter_map(|one| Some((one.oid.to_string(), text(one)?)))
            .collect()
    }
}

fn attributes(name: &Name) -> impl Iterator<Item = &AttributeTypeAndValue> {
    name.0.iter().flat_map(|part| part.0.iter())
}

fn texts(name: &Name, oid: &str) -> Vec<String> {
    attributes(name).filter(|one| one.oid.to_string() == oid).filter_map(text).collect()
}

fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let der = attribute.value.to_der().ok()?;
    Node::only(&der)?.text()
}
