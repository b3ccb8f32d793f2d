//! X.509 certificates as PSD2 uses them: the fields of ETSI TS 119 495 and
//! the thumbprint that binds a token to a certificate (RFC 8705 §3.1).
//!
//! Parsing says what a certificate states, not whether it is trusted: the
//! chain is the TLS layer's business, the statement is checked by
//! [`Certificate::psd2_problems`].

mod names;
mod psd2;
mod statement;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::digest::{same, sha256};
use crate::key::{InvalidKey, PublicKey};

pub use names::OrganizationIdSpelling;
pub use psd2::{Psd2Identity, Psd2Problem, Scheme, TrustProfile};
pub use statement::{Psd2Role, Psd2Statement, QcType};

/// Largest certificate we read, in bytes.
const MAX_DER: usize = 64 * 1024;

/// SHA-256 of a DER certificate: the `x5t#S256` of RFC 8705.
#[derive(Clone, Copy)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// The thumbprint of a DER certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Thumbprint {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Thumbprint {}

impl std::hash::Hash for Thumbprint {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

/// The text is no base64url SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is 32 bytes in base64url")]
pub struct InvalidThumbprint;

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, InvalidThumbprint> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidThumbprint)?;
        bytes.try_into().map(Self).map_err(|_| InvalidThumbprint)
    }
}

/// Why a certificate could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// No PEM certificate in the text.
    #[error("the text holds no PEM certificate")]
    NoPem,
    /// The DER or one of its extensions cannot be read.
    #[error("the certificate is malformed")]
    Malformed,
    /// Its key is of a kind or size we do not accept.
    #[error("the key of the certificate is not usable")]
    Key(#[source] InvalidKey),
}

/// What a certificate states.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The DER bytes.
    pub der: Vec<u8>,
    /// `x5t#S256`.
    pub thumbprint: Thumbprint,
    /// Subject, RFC 4514 string: the most specific name first.
    pub subject_dn: String,
    /// Issuer, RFC 4514 string.
    pub issuer_dn: String,
    /// Serial number, upper-case hexadecimal without leading zeros or sign.
    pub serial_hex: String,
    /// Common name of the subject.
    pub common_name: Option<String>,
    /// Organization of the subject.
    pub organization: Option<String>,
    /// First organizational unit of the subject: in a directory, the organisation's id.
    pub organizational_unit: Option<String>,
    /// Country of the subject, two letters.
    pub country: Option<String>,
    /// `organizationIdentifier` (2.5.4.97), such as `PSDDE-BAFIN-100001`.
    pub organization_identifier: Option<String>,
    /// DNS names among the alternative names.
    pub san_dns: Vec<String>,
    /// URIs among the alternative names.
    pub san_uri: Vec<String>,
    /// Addresses among the alternative names.
    pub san_ip: Vec<std::net::IpAddr>,
    /// Mail addresses among the alternative names.
    pub san_email: Vec<String>,
    /// True if the certificate states it is qualified (QcCompliance).
    pub qc_compliance: bool,
    /// What it is qualified for.
    pub qc_type: Option<QcType>,
    /// The PSD2 statement.
    pub psd2: Option<Psd2Statement>,
    /// Key usage allows `digitalSignature`, or does not limit it.
    pub digital_signature: bool,
    /// Extended key usage allows `clientAuth`, or does not limit it.
    pub client_auth: bool,
    /// Extended key usage allows `serverAuth`, or does not limit it.
    pub server_auth: bool,
    /// True for an authority.
    pub is_ca: bool,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity, inclusive.
    pub not_after: Timestamp,
    public_key: PublicKey,
}

impl Certificate {
    /// Reads one DER certificate.
    ///
    /// # Errors
    ///
    /// [`InvalidCertificate`] if it is malformed or its key is not usable.
    pub fn parse(der: &[u8]) -> Result<Self, InvalidCertificate> {
        if der.len() > MAX_DER {
            return Err(InvalidCertificate::Malformed);
        }
        let (rest, x509) = X509Certificate::from_der(der).map_err(|_| InvalidCertificate::Malformed)?;
        if !rest.is_empty() {
            return Err(InvalidCertificate::Malformed);
        }
        let malformed = InvalidCertificate::Malformed;
        let sans = names::AlternativeNames::of(&x509).ok_or(malformed)?;
        let statements = statement::Statements::of(&x509).ok_or(malformed)?;
        let subject = names::Subject::of(x509.subject());
        let key_usage = x509.key_usage().map_err(|_| malformed)?;
        let extended = x509.extended_key_usage().map_err(|_| malformed)?;
        let basic = x509.basic_constraints().map_err(|_| malformed)?;
        let time = |at: i64| Timestamp::from_second(at).map_err(|_| malformed);
        Ok(Self {
            thumbprint: Thumbprint::of(der),
            subject_dn: names::rfc4514(x509.subject()).ok_or(malformed)?,
            issuer_dn: names::rfc4514(x509.issuer()).ok_or(malformed)?,
            serial_hex: names::serial_hex(x509.raw_serial()),
            common_name: subject.common_name,
            organization: subject.organization,
            organizational_unit: subject.organizational_unit,
            country: subject.country,
            organization_identifier: subject.organization_identifier,
            san_dns: sans.dns,
            san_uri: sans.uri,
            san_ip: sans.ip,
            san_email: sans.email,
            qc_compliance: statements.compliance,
            qc_type: statements.qc_type,
            psd2: statements.psd2,
            digital_signature: key_usage.is_none_or(|usage| usage.value.digital_signature()),
            client_auth: extended.as_ref().is_none_or(|usage| usage.value.client_auth || usage.value.any),
            server_auth: extended.as_ref().is_none_or(|usage| usage.value.server_auth || usage.value.any),
            is_ca: basic.is_some_and(|basic| basic.value.ca),
            not_before: time(x509.validity().not_before.timestamp())?,
            not_after: time(x509.validity().not_after.timestamp())?,
            public_key: PublicKey::of(x509.public_key()).map_err(InvalidCertificate::Key)?,
            der: der.to_vec(),
        })
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// As [`Certificate::parse`], and `NoPem` if there is none.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidCertificate> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidCertificate::NoPem)?;
        Self::parse(&der)
    }

    /// Subject, RFC 4514 string, with `organizationIdentifier` in this spelling.
    #[must_use]
    pub fn subject_dn_spelt(&self, spelling: OrganizationIdSpelling) -> String {
        let read = X509Certificate::from_der(&self.der).ok();
        // What could be read once can be read again.
        let spelt = read.and_then(|(_, x509)| names::spelt(x509.subject(), spelling));
        spelt.unwrap_or_else(|| self.subject_dn.clone())
    }

    /// The subject's key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject's key as a bare JWK.
    #[must_use]
    pub fn jwk(&self) -> serde_json::Value {
        self.public_key.jwk()
    }

    /// True if the certificate is valid at `at`.
    #[must_use]
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }

    /// The `keyId` the Berlin Group signs with: serial number and issuer.
    #[must_use]
    pub fn berlin_group_key_id(&self) -> String {
        // A quote cannot stand in the parameter, and a distinguished name may hold one.
        format!("SN={},CA={}", self.serial_hex, self.issuer_dn.replace('"', "'"))
    }
}
