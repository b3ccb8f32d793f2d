//! What X.509 signs: certificates and OCSP answers are a sequence of what is
//! signed, the algorithm and the signature (RFC 5280 §4.1.1, RFC 6960 §4.2.1).

use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::ALL_VERIFICATION_ALGS;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Tag};

/// The parts as they were signed.
pub(crate) struct Signed<'a> {
    /// What is signed, with its tag.
    pub(crate) data: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    rest: Vec<&'a [u8]>,
}

impl<'a> Signed<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let parts = elements(contents(der, Tag::Sequence)?)?;
        let [data, algorithm, signature, rest @ ..] = parts.as_slice() else { return None };
        let algorithm = contents(algorithm, Tag::Sequence)?;
        Some(Self { data, algorithm, signature: bits(signature)?, rest: rest.to_vec() })
    }

    /// The elements of the tagged sequence that follows the signature.
    pub(crate) fn tagged(&self) -> Option<Vec<&'a [u8]>> {
        let (_, tagged) = Any::from_der(self.rest.first()?).ok()?;
        elements(contents(tagged.data, Tag::Sequence)?)
    }

    /// True if this key (SubjectPublicKeyInfo without its tag) signed it.
    pub(crate) fn is_by(&self, key: &[u8]) -> bool {
        let Some((kind, key)) = key_of(key) else { return false };
        let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == kind
        };
        let mut fitting = ALL_VERIFICATION_ALGS.iter().filter(fits);
        fitting.any(|algorithm| algorithm.verify_signature(key, self.data, self.signature).is_ok())
    }
}

/// Algorithm and key of a SubjectPublicKeyInfo without its tag.
pub(crate) fn key_of(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let [kind, key] = elements(info)?[..] else { return None };
    Some((contents(kind, Tag::Sequence)?, bits(key)?))
}

/// What is behind the tag of the only element.
pub(crate) fn contents(der: &[u8], tag: Tag) -> Option<&[u8]> {
    let (rest, any) = Any::from_der(der).ok()?;
    (rest.is_empty() && any.header.tag() == tag).then_some(any.data)
}

/// The elements, each with its tag.
fn elements(mut der: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, _) = Any::from_der(der).ok()?;
        let length = der.len().checked_sub(rest.len())?;
        found.push(der.get(..length)?);
        der = rest;
    }
    Some(found)
}

/// The bytes of a BIT STRING, which has no bits left over.
fn bits(der: &[u8]) -> Option<&[u8]> {
    contents(der, Tag::BitString)?.strip_prefix(&[0])
}
