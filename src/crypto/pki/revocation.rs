//! What an authority says about its certificates after it issued them.

use rcgen::{
    CertificateRevocationListParams, CustomExtension, ExtendedKeyUsagePurpose, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, RevocationReason, RevokedCertParams, SerialNumber,
};

use super::{Authority, IssueFailed, Issued, der, leaf, shifted};
use crate::certificate::Certificate;

impl Authority {
    /// The certificates that are revoked, PEM. The list is out of date `days`
    /// after the authority's now; a negative number gives one that already is.
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if one of them is no certificate, or the list could not be signed.
    pub fn revocation_list(&self, revoked: &[&Issued], days: i64) -> Result<String, IssueFailed> {
        let revocation_time = shifted(self.now, -1)?;
        let revoked = revoked.iter().map(|issued| {
            let certificate =
                Certificate::from_pem(&issued.certificate_pem).map_err(|_| IssueFailed::Name)?;
            let serial = hex::decode(&certificate.serial_hex).map_err(|_| IssueFailed::Name)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
        });
        let params = CertificateRevocationListParams {
            this_update: shifted(self.now, days.min(0).saturating_sub(1))?,
            next_update: shifted(self.now, days)?,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, IssueFailed>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let root = Self::root_params(&self.common_name);
        Ok(params.signed_by(&Issuer::from_params(&root, &self.key))?.pem()?)
    }

    /// As [`Authority::issue_client_plain`], with the address of an OCSP
    /// responder (RFC 5280 §4.2.2.1).
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if the name is not valid.
    pub fn issue_client_asked_at(&self, common_name: &str, responder: &str) -> Result<Issued, IssueFailed> {
        let mut params = leaf(common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let access = der::ocsp_access(responder);
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }

    /// A certificate to sign OCSP responses with (RFC 6960 §4.2.2.2).
    ///
    /// # Errors
    ///
    /// [`IssueFailed`] if the name is not valid.
    pub fn issue_ocsp_signer(&self, common_name: &str) -> Result<Issued, IssueFailed> {
        let mut params = leaf(common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        self.sign(params, 365, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
    }
}
