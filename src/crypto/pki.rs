//! A certificate authority for the sandbox and for tests. It makes what a
//! qualified trust service provider makes: QWACs and QSealCs with the PSD2
//! statement of ETSI TS 119 495, and plain server and client certificates.
//!
//! Nobody trusts it but who is told to; keys are made by the library's own
//! random generator.

mod der;
mod revocation;

use std::net::IpAddr;

use domain::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize, SanType, SerialNumber,
};

use crate::certificate::{Certificate, Psd2Role, QcType};

/// The authority could not make a certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueFailed {
    /// A name does not fit its field.
    #[error("a name is not valid in a certificate")]
    Name,
    /// A point in time lies outside what certificates can say.
    #[error("the validity cannot be written")]
    Validity,
    /// Key generation or signing failed.
    #[error("the certificate could not be made")]
    Library(#[from] rcgen::Error),
    /// Certificate and key of a reloaded authority do not belong together.
    #[error("the authority's certificate and key do not belong together")]
    Mismatch,
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, PKCS#8.
    pub key_pem: String,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

/// Whom a PSD2 certificate is for.
#[derive(Clone, Debug)]
pub struct Psd2Subject {
    /// Common name.
    pub common_name: String,
    /// Legal name.
    pub organization: String,
    /// Two-letter country.
    pub country: String,
    /// Such as `PSDDE-BAFIN-100001`.
    pub organization_identifier: String,
    /// Granted roles.
    pub roles: Vec<Psd2Role>,
    /// Name of the competent authority.
    pub nca_name: String,
    /// Its identifier, such as `DE-BAFIN`.
    pub nca_id: String,
    /// DNS names.
    pub san_dns: Vec<String>,
    /// URIs.
    pub san_uri: Vec<String>,
}

/// A root that issues. Leaves are valid for one year from `now`.
pub struct Authority {
    common_name: String,
    key: KeyPair,
    certificate_pem: String,
    now: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("common_name", &self.common_name).finish_non_exhaustive()
    }
}

impl Authority {
    /// A fresh P-256 root, valid for ten years.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if key or certificate could not be made.
    pub fn new(common_name: &str, now: Timestamp) -> Result<Self, IssueFailed> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = Self::root_params(common_name);
        validity(&mut params, now, 3650)?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { common_name: common_name.to_owned(), key, certificate_pem, now })
    }

    /// An authority below this one, valid for five years.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if key or certificate could not be made.
    pub fn subordinate(&self, common_name: &str) -> Result<Self, IssueFailed> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let Issued { certificate_pem, .. } = self.sign(Self::root_params(common_name), 1_825, &key)?;
        Ok(Self { common_name: common_name.to_owned(), key, certificate_pem, now: self.now })
    }

    /// An authority made earlier by [`Authority::new`].
    ///
    /// # Errors
    ///
    /// [`IssueFailed::Mismatch`] if the two do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str, now: Timestamp) -> Result<Self, IssueFailed> {
        let certificate = Certificate::from_pem(certificate_pem).map_err(|_| IssueFailed::Mismatch)?;
        let key = KeyPair::from_pem(key_pem)?;
        let public = crate::key::SigningKey::from_pem(key_pem, "").map_err(|_| IssueFailed::Mismatch)?;
        if certificate.public_key() != public.public_key() || !certificate.is_ca {
            return Err(IssueFailed::Mismatch);
        }
        let common_name = certificate.common_name.ok_or(IssueFailed::Mismatch)?;
        Ok(Self { common_name, key, certificate_pem: certificate_pem.to_owned(), now })
    }

    /// The root certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The root's private key, PKCS#8.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server certificate.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name is not valid.
    pub fn issue_server(&self, dns: &[&str], ips: &[IpAddr]) -> Result<Issued, IssueFailed> {
        let mut params = leaf(dns.first().copied().unwrap_or("server"));
        for name in dns {
            params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
        }
        params.subject_alt_names.extend(ips.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// Issues a certificate for who is a server to some and a client to others (a cell), P-256.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name cannot stand in a certificate.
    pub fn issue_peer(&self, dns: &[&str]) -> Result<Issued, IssueFailed> {
        let mut params = leaf(dns.first().copied().unwrap_or("peer"));
        for name in dns {
            params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// A client certificate without PSD2 statement.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if the name is not valid.
    pub fn issue_client_plain(&self, common_name: &str) -> Result<Issued, IssueFailed> {
        let mut params = leaf(common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// A transport certificate as the Open Banking directory issued them before
    /// there were statements: organisation and software are units of the subject.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name is not valid.
    pub fn issue_transport(&self, organisation: &str, software: &str) -> Result<Issued, IssueFailed> {
        let mut params = leaf(software);
        params.distinguished_name.push(DnType::OrganizationalUnitName, organisation);
        params.distinguished_name.push(DnType::OrganizationName, "OpenBanking");
        params.distinguished_name.push(DnType::CountryName, "GB");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// A certificate for connections: P-256, server and client.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name is not valid.
    pub fn issue_qwac(&self, subject: &Psd2Subject) -> Result<Issued, IssueFailed> {
        self.issue_qwac_for(subject, 365)
    }

    /// As [`Authority::issue_qwac`], valid for `days` from the authority's now;
    /// a negative number gives one that has run out.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name or the validity is not valid.
    pub fn issue_qwac_for(&self, subject: &Psd2Subject, days: i64) -> Result<Issued, IssueFailed> {
        let mut params = psd2(subject, QcType::Web)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, days, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// A certificate for seals: RSA-2048, as PS256 and `rsa-sha256` need, or
    /// P-256.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if a name is not valid.
    pub fn issue_qseal(&self, subject: &Psd2Subject, rsa: bool) -> Result<Issued, IssueFailed> {
        let mut params = psd2(subject, QcType::Seal)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
        let key = if rsa {
            KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?
        } else {
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?
        };
        self.sign(params, 365, &key)
    }

    fn root_params(common_name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn sign(&self, mut params: CertificateParams, days: i64, key: &KeyPair) -> Result<Issued, IssueFailed> {
        if days < 0 {
            let start = shifted(self.now, days.saturating_sub(30))?;
            params.not_before = start;
            params.not_after = shifted(self.now, days)?;
        } else {
            validity(&mut params, self.now, days)?;
        }
        params.use_authority_key_identifier_extension = true;
        // 127 bits of the key's digest: unique per key, and positive in DER.
        let mut serial = crate::digest::sha256(&key.serialize_der()).to_vec();
        serial.truncate(16);
        if let Some(first) = serial.first_mut() {
            *first = (*first & 0x3f) | 0x40;
        }
        params.serial_number = Some(SerialNumber::from(serial));
        let root = Self::root_params(&self.common_name);
        let issuer = Issuer::from_params(&root, &self.key);
        let certificate = params.signed_by(key, &issuer)?;
        Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

/// A fresh Ed25519 key, PKCS#8 PEM, for webhook signatures.
///
/// # Errors
///
/// [`IssueFailed::Library`] if the library could not make one.
pub fn generate_ed25519() -> Result<String, IssueFailed> {
    Ok(KeyPair::generate_for(&PKCS_ED25519)?.serialize_pem())
}

/// The public half of a key (PKCS#8 PEM), PEM.
///
/// # Errors
///
/// [`IssueFailed::Library`] if the library cannot read it.
pub fn public_half(key_pem: &str) -> Result<String, IssueFailed> {
    Ok(KeyPair::from_pem(key_pem)?.public_key_pem())
}

/// A fresh P-256 key, PKCS#8 PEM, for ES256.
///
/// # Errors
///
/// [`IssueFailed::Library`] if the library could not make one.
pub fn generate_p256() -> Result<String, IssueFailed> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem())
}

/// A fresh RSA-2048 key, PKCS#8 PEM, for PS256.
///
/// # Errors
///
/// [`IssueFailed::Library`] if the library could not make one.
pub fn generate_rsa() -> Result<String, IssueFailed> {
    Ok(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?.serialize_pem())
}

fn leaf(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params
}

fn psd2(subject: &Psd2Subject, qc_type: QcType) -> Result<CertificateParams, IssueFailed> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, subject.country.as_str());
    name.push(DnType::OrganizationName, subject.organization.as_str());
    name.push(
        DnType::CustomDnType(vec![2, 5, 4, 97]),
        rcgen::DnValue::Utf8String(subject.organization_identifier.clone()),
    );
    name.push(DnType::CommonName, subject.common_name.as_str());
    params.distinguished_name = name;
    for dns in &subject.san_dns {
        params.subject_alt_names.push(SanType::DnsName(ia5(dns)?));
    }
    for uri in &subject.san_uri {
        params.subject_alt_names.push(SanType::URI(ia5(uri)?));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.custom_extensions = vec![
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 3], der::qc_statements(subject, qc_type)),
        CustomExtension::from_oid_content(&[2, 5, 29, 32], der::policies(qc_type)),
    ];
    Ok(params)
}

fn ia5(text: &str) -> Result<rcgen::string::Ia5String, IssueFailed> {
    text.try_into().map_err(|_| IssueFailed::Name)
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) -> Result<(), IssueFailed> {
    // A day back: the verifier's clock may be behind ours.
    params.not_before = shifted(now, -1)?;
    params.not_after = shifted(now, days)?;
    Ok(())
}

fn shifted(now: Timestamp, days: i64) -> Result<time::OffsetDateTime, IssueFailed> {
    let second = now.as_second().saturating_add(days.saturating_mul(86_400));
    time::OffsetDateTime::from_unix_timestamp(second).map_err(|_| IssueFailed::Validity)
}
