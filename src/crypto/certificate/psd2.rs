//! Whether a certificate is one that PSD2 wants, and of whom (ETSI TS 119 495,
//! Open Banking's OBWAC and transport certificates).

use domain::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer;

use super::{Certificate, InvalidCertificate, Psd2Role, QcType};
use crate::signed::{Signed, contents};

/// One thing that makes a certificate unfit for PSD2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Psd2Problem {
    /// It is no certificate.
    #[error(transparent)]
    Malformed(#[from] InvalidCertificate),
    /// QcCompliance is absent.
    #[error("the certificate does not state that it is qualified")]
    NotQualified,
    /// QcType is absent or another one.
    #[error("the certificate is qualified for {} and has to be for {}", kind(*found), wanted.as_str())]
    WrongType {
        /// What it states.
        found: Option<QcType>,
        /// What it has to state.
        wanted: QcType,
    },
    /// No PSD2 statement.
    #[error("the certificate has no PSD2 statement")]
    NoStatement,
    /// No known role.
    #[error("the PSD2 statement grants no role")]
    NoRole,
    /// The role that is needed is not among those it grants.
    #[error("the PSD2 statement does not grant {}", .0.as_str())]
    MissingRole(Psd2Role),
    /// The authority's identifier is malformed.
    #[error("the identifier of the competent authority is malformed: {0}")]
    MalformedAuthority(String),
    /// No organizationIdentifier.
    #[error("the subject has no organizationIdentifier")]
    NoOrganizationIdentifier,
    /// It does not have the form `PSDCC-NCA-number`.
    #[error("the organizationIdentifier is malformed: {0}")]
    MalformedOrganizationIdentifier(String),
    /// Identifier and statement name different authorities.
    #[error("the PSD2 statement names {stated} and the organizationIdentifier {identified}")]
    AuthorityMismatch {
        /// The authority of the statement.
        stated: String,
        /// The authority of the identifier.
        identified: String,
    },
    /// The key usage does not fit the type.
    #[error("the key usage does not allow this")]
    KeyUsage,
    /// Its time is over.
    #[error("the certificate ran out at {0}")]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("the certificate begins at {0}")]
    NotYetValid(Timestamp),
    /// Its issuer is nobody we know.
    #[error("no authority that is trusted here has the name {0}")]
    UnknownIssuer(String),
    /// Its issuer has the name of one we know, and another key.
    #[error("it is signed by somebody else than the trusted authority whose name it bears: {0}")]
    LookAlikeIssuer(String),
    /// Nothing in its subject names an organisation.
    #[error("the subject names no organisation of the directory")]
    NoOrganisation,
}

/// By whose rules a certificate is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A QWAC: qualified, for connections, with roles and authority.
    Eidas,
    /// Of the Open Banking directory: an OBWAC, which has the statement of a QWAC,
    /// or an older transport certificate, whose roles the directory knows.
    OpenBanking,
}

/// Whose certificates are taken, by which rules.
#[derive(Clone, Debug)]
pub struct TrustProfile {
    scheme: Scheme,
    issuers: Vec<TrustAnchor<'static>>,
}

impl TrustProfile {
    /// `issuers_pem` are the authorities that issue such certificates
    /// themselves: those of the trusted lists, or of the directory.
    ///
    /// # Errors
    ///
    /// [`InvalidCertificate`] if there is none, or one cannot be read.
    pub fn new(scheme: Scheme, issuers_pem: &str) -> Result<Self, InvalidCertificate> {
        let malformed = InvalidCertificate::Malformed;
        let mut issuers = Vec::new();
        for der in CertificateDer::pem_slice_iter(issuers_pem.as_bytes()) {
            let der = der.map_err(|_| malformed)?;
            issuers.push(webpki::anchor_from_trusted_cert(&der).map_err(|_| malformed)?.to_owned());
        }
        if issuers.is_empty() { Err(InvalidCertificate::NoPem) } else { Ok(Self { scheme, issuers }) }
    }

    /// The authorities that issue such certificates themselves.
    #[must_use]
    pub fn issuers(&self) -> &[TrustAnchor<'static>] {
        &self.issuers
    }

    /// Reads a DER certificate and judges it: [`Certificate::judge_psd2`].
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn judge(
        &self,
        der: &[u8],
        roles: &[Psd2Role],
        at: Timestamp,
    ) -> Result<Psd2Identity, Vec<Psd2Problem>> {
        let certificate = Certificate::parse(der).map_err(|why| vec![why.into()])?;
        certificate.judge_psd2(self, roles, at)
    }

    /// What is wrong with the issuer of a certificate.
    fn issuer_problem(&self, certificate: &Certificate) -> Option<Psd2Problem> {
        let name = || certificate.issuer_dn.clone();
        let unknown = Psd2Problem::UnknownIssuer(name());
        let Ok((_, x509)) = X509Certificate::from_der(&certificate.der) else { return Some(unknown) };
        let issuer = contents(x509.issuer().as_raw(), Tag::Sequence);
        let of_name = |anchor: &&TrustAnchor<'_>| Some(anchor.subject.as_ref()) == issuer;
        let known: Vec<_> = self.issuers.iter().filter(of_name).collect();
        let signed = Signed::parse(&certificate.der);
        let is_by = |anchor: &&TrustAnchor<'_>| {
            signed.as_ref().is_some_and(|signed| signed.is_by(&anchor.subject_public_key_info))
        };
        match known.as_slice() {
            [] => Some(unknown),
            known if known.iter().any(is_by) => None,
            _ => Some(Psd2Problem::LookAlikeIssuer(name())),
        }
    }
}

/// Whom a certificate is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psd2Identity {
    /// The organizationIdentifier, or the organisation's id in the directory.
    pub organisation: String,
    /// The roles it grants; `None` if the directory has to be asked.
    pub roles: Option<Vec<Psd2Role>>,
    /// The competent authority, such as `DE-BAFIN`.
    pub authority: Option<String>,
}

impl Certificate {
    /// Who the holder is, if the certificate is one of this profile at this
    /// time and grants these roles (none may be asked for).
    ///
    /// # Errors
    ///
    /// All that is wrong with it, each with what it names.
    pub fn judge_psd2(
        &self,
        profile: &TrustProfile,
        roles: &[Psd2Role],
        at: Timestamp,
    ) -> Result<Psd2Identity, Vec<Psd2Problem>> {
        let mut problems = match (profile.scheme, &self.psd2) {
            (Scheme::Eidas, _) | (Scheme::OpenBanking, Some(_)) => self.psd2_problems(QcType::Web),
            (Scheme::OpenBanking, None) => self.directory_problems(),
        };
        if let Some(statement) = &self.psd2 {
            let missing = roles.iter().filter(|role| !statement.roles.contains(role));
            problems.extend(missing.map(|role| Psd2Problem::MissingRole(*role)));
        }
        if at > self.not_after {
            problems.push(Psd2Problem::Expired(self.not_after));
        }
        if at < self.not_before {
            problems.push(Psd2Problem::NotYetValid(self.not_before));
        }
        problems.extend(profile.issuer_problem(self));
        let organisation = self.organization_identifier.as_ref().or(self.organizational_unit.as_ref());
        match organisation {
            Some(organisation) if problems.is_empty() => Ok(Psd2Identity {
                organisation: organisation.clone(),
                roles: self.psd2.as_ref().map(|statement| statement.roles.clone()),
                authority: self.psd2.as_ref().map(|statement| statement.nca_id.clone()),
            }),
            Some(_) | None => Err(problems),
        }
    }

    /// What makes a transport certificate of a directory unfit, which has no statement.
    fn directory_problems(&self) -> Vec<Psd2Problem> {
        let mut problems = Vec::new();
        if !self.digital_signature || self.is_ca || !self.client_auth {
            problems.push(Psd2Problem::KeyUsage);
        }
        if self.organization_identifier.is_none() && self.organizational_unit.is_none() {
            problems.push(Psd2Problem::NoOrganisation);
        }
        problems
    }

    /// All that makes this certificate unfit to be a PSD2 certificate of type
    /// `wanted` (ETSI TS 119 495 §5, §6). Empty if it is fit.
    #[must_use]
    pub fn psd2_problems(&self, wanted: QcType) -> Vec<Psd2Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: Psd2Problem| {
            if !holds {
                problems.push(problem);
            }
        };
        require(self.qc_compliance, Psd2Problem::NotQualified);
        let found = self.qc_type;
        require(found == Some(wanted), Psd2Problem::WrongType { found, wanted });
        let fitting_usage =
            self.digital_signature && !self.is_ca && (wanted != QcType::Web || self.client_auth);
        require(fitting_usage, Psd2Problem::KeyUsage);
        let authority = match self.organization_identifier.as_deref() {
            None => {
                require(false, Psd2Problem::NoOrganizationIdentifier);
                None
            }
            Some(identifier) => {
                let authority = authority_of(identifier);
                let malformed = Psd2Problem::MalformedOrganizationIdentifier(identifier.to_owned());
                require(authority.is_some(), malformed);
                authority
            }
        };
        match &self.psd2 {
            None => require(false, Psd2Problem::NoStatement),
            Some(statement) => {
                require(!statement.roles.is_empty(), Psd2Problem::NoRole);
                let stated = statement.nca_id.clone();
                require(is_authority(&stated), Psd2Problem::MalformedAuthority(stated.clone()));
                if let Some(identified) = authority.filter(|authority| *authority != stated) {
                    let identified = identified.to_owned();
                    require(false, Psd2Problem::AuthorityMismatch { stated, identified });
                }
            }
        }
        problems
    }

    /// True if the PSD2 statement grants `role`.
    #[must_use]
    pub fn has_role(&self, role: Psd2Role) -> bool {
        self.psd2.as_ref().is_some_and(|statement| statement.roles.contains(&role))
    }
}

fn kind(found: Option<QcType>) -> &'static str {
    found.map_or("nothing", QcType::as_str)
}

/// The `CC-NCA` part of `PSDCC-NCA-number` (TS 119 495 §5.2.1).
fn authority_of(identifier: &str) -> Option<&str> {
    let rest = identifier.strip_prefix("PSD")?;
    let (country, rest) = rest.split_once('-')?;
    let (nca, number) = rest.split_once('-')?;
    let authority = rest_of(identifier, country, nca)?;
    let numbered = !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    (numbered && is_authority(authority)).then_some(authority)
}

fn rest_of<'a>(identifier: &'a str, country: &str, nca: &str) -> Option<&'a str> {
    let length = country.len().checked_add(1)?.checked_add(nca.len())?;
    identifier.get(3..)?.get(..length)
}

fn is_authority(id: &str) -> bool {
    let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
    id.split_once('-').is_some_and(|(country, nca)| {
        country.len() == 2 && upper(country) && (2..=8).contains(&nca.len()) && upper(nca)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_of_an_organization_identifier_is_its_middle() {
        assert_eq!(authority_of("PSDDE-BAFIN-100001"), Some("DE-BAFIN"));
        assert_eq!(authority_of("PSDGB-OB-Unknown0015800001041RHAAY"), Some("GB-OB"));
        assert_eq!(authority_of("PSDPL-PFSA-12.3-4"), Some("PL-PFSA"));
        for wrong in
            ["VATDE-123456789", "PSDDE-BAFIN-", "PSDDE-B-1", "PSDde-BAFIN-1", "PSDDE-BAFIN", "PSD", ""]
        {
            assert_eq!(authority_of(wrong), None, "{wrong}");
        }
    }
}
