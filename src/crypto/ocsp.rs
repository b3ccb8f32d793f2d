//! The Online Certificate Status Protocol (RFC 6960), as one asks it: a
//! question about one certificate, and the signed answer.
//!
//! An answer is believed if the issuer of the certificate signed it, or whom
//! the issuer gave a certificate to do so (§4.2.2.2), and while it is fresh.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use domain::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Any as DerAny, Decode, Encode};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request, TbsRequest, Version,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{FromDer, Tag};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::digest::sha256;
use crate::signed::{Signed, contents, key_of};

/// Largest answer that is read, in bytes.
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// Most certificates of an answer that are looked at.
const MOST_SIGNERS: usize = 4;

/// Seconds that clocks may be apart.
const SKEW: i64 = 300;

/// Seconds that an answer is believed for that does not say how long.
const UNLIMITED: i64 = 86_400;

/// id-kp-OCSPSigning (RFC 6960 §4.2.2.2), without tag and length.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is, for good or for now.
    Revoked,
}

/// An answer that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Until when it says so, with what clocks may be apart.
    pub until: Timestamp,
}

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    /// It cannot be read.
    #[error("the answer is malformed")]
    Malformed,
    /// The responder did not answer the question.
    #[error("the responder refuses to answer")]
    Refused,
    /// It is about other certificates.
    #[error("the answer is about another certificate")]
    OtherCertificate,
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    NotKnown,
    /// It is not of now.
    #[error("the answer is out of date")]
    OutOfDate,
    /// Nobody signed it who may.
    #[error("the answer is not signed by who may say it")]
    Signature,
}

/// A question about one certificate.
#[derive(Debug)]
pub struct Question {
    id: CertId,
    issuer: TrustAnchor<'static>,
    request: Vec<u8>,
    responder: Option<String>,
}

impl Question {
    /// The question about `leaf`, which `issuer` signed. `None` if one of the
    /// two cannot be read.
    #[must_use]
    pub fn about(leaf: &[u8], issuer: &TrustAnchor<'_>) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(leaf).ok()?;
        let (_, key) = key_of(&issuer.subject_public_key_info)?;
        let id = CertId {
            hash_algorithm: sha1()?,
            issuer_name_hash: hashed(x509.issuer().as_raw())?,
            issuer_key_hash: hashed(key)?,
            serial_number: SerialNumber::new(x509.raw_serial()).ok()?,
        };
        let request = OcspRequest {
            tbs_request: TbsRequest {
                version: Version::V1,
                requestor_name: None,
                request_list: vec![Request { req_cert: id.clone(), single_request_extensions: None }],
                request_extensions: None,
            },
            optional_signature: None,
        };
        let request = request.to_der().ok()?;
        Some(Self { id, issuer: issuer.to_owned(), request, responder: responder(&x509) })
    }

    /// The question in DER.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Whom the certificate says to ask: an address.
    #[must_use]
    pub fn responder(&self) -> Option<&str> {
        self.responder.as_deref()
    }

    /// The same for the same certificate only.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        sha256(&self.request)
    }

    /// Reads an answer in DER.
    ///
    /// # Errors
    ///
    /// [`Unbelieved`] if it is no fresh answer to this question by who may give it.
    pub fn read(&self, answer: &[u8], now: Timestamp) -> Result<Answer, Unbelieved> {
        if answer.len() > LARGEST_ANSWER {
            return Err(Unbelieved::Malformed);
        }
        let answer = OcspResponse::from_der(answer).map_err(|_| Unbelieved::Malformed)?;
        if answer.response_status != OcspResponseStatus::Successful {
            return Err(Unbelieved::Refused);
        }
        let bytes = answer.response_bytes.ok_or(Unbelieved::Malformed)?;
        let signed = Signed::parse(bytes.response.as_bytes()).ok_or(Unbelieved::Malformed)?;
        // RFC 6960 §3.2 (2), (3): nothing of it is looked at before it is known to be theirs.
        if !self.is_theirs(&signed, now) {
            return Err(Unbelieved::Signature);
        }
        let data = x509_ocsp::ResponseData::from_der(signed.data).map_err(|_| Unbelieved::Malformed)?;
        let single = data.responses.iter().find(|single| self.asks(&single.cert_id)); // (1)
        let single = single.ok_or(Unbelieved::OtherCertificate)?;
        let at = |time: &x509_ocsp::OcspGeneralizedTime| instant(time.0.to_unix_duration());
        let (from, until) = (at(&single.this_update), single.next_update.as_ref().map(at));
        let until = moved(until.unwrap_or_else(|| moved(from, UNLIMITED)), SKEW);
        // (5), (6)
        if from > moved(now, SKEW) || until < now {
            return Err(Unbelieved::OutOfDate);
        }
        match single.cert_status {
            CertStatus::Good(_) => Ok(Answer { status: Status::Good, until }),
            CertStatus::Revoked(_) => Ok(Answer { status: Status::Revoked, until }),
            CertStatus::Unknown(_) => Err(Unbelieved::NotKnown),
        }
    }

    fn asks(&self, id: &CertId) -> bool {
        // The parameters of the algorithm may be absent.
        id.hash_algorithm.oid == self.id.hash_algorithm.oid
            && id.issuer_name_hash == self.id.issuer_name_hash
            && id.issuer_key_hash == self.id.issuer_key_hash
            && id.serial_number == self.id.serial_number
    }

    fn is_theirs(&self, signed: &Signed<'_>, now: Timestamp) -> bool {
        if signed.is_by(&self.issuer.subject_public_key_info) {
            return true;
        }
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let signers = signed.tagged().unwrap_or_default();
        signers.into_iter().take(MOST_SIGNERS).any(|der| {
            let der = CertificateDer::from(der);
            let Ok(signer) = EndEntityCert::try_from(&der) else { return false };
            let issuer = std::slice::from_ref(&self.issuer);
            let usage = KeyUsage::required(OCSP_SIGNING);
            let issued = signer.verify_for_usage(ALL_VERIFICATION_ALGS, issuer, &[], now, usage, None, None);
            let key = signer.subject_public_key_info();
            issued.is_ok() && contents(&key, Tag::Sequence).is_some_and(|key| signed.is_by(key))
        })
    }
}

/// RFC 5019 §2.1.1: the one that every responder knows. It names a
/// certificate and protects nothing.
fn sha1() -> Option<AlgorithmIdentifierOwned> {
    let oid = ObjectIdentifier::new("1.3.14.3.2.26").ok()?;
    Some(AlgorithmIdentifierOwned { oid, parameters: Some(DerAny::from(Null)) })
}

fn hashed(bytes: &[u8]) -> Option<OctetString> {
    OctetString::new(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()).ok()
}

/// RFC 5280 §4.2.2.1: the first address of a responder.
fn responder(x509: &X509Certificate<'_>) -> Option<String> {
    x509.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        let mut responders = access
            .accessdescs
            .iter()
            .filter(|access| access.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1");
        responders.find_map(|access| {
            if let GeneralName::URI(uri) = access.access_location { Some(uri.to_owned()) } else { None }
        })
    })
}

fn instant(since_epoch: Duration) -> Timestamp {
    i64::try_from(since_epoch.as_secs())
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or_default()
}

fn moved(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(at.as_second().saturating_add(seconds)).unwrap_or(at)
}
