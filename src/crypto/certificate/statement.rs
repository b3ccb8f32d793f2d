//! Qualified certificate statements (RFC 3739 §3.2.6): those of ETSI EN 319
//! 412-5 and the PSD2 one of ETSI TS 119 495 §5.1.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Oid, Tag};

use super::Certificate;

/// A role a competent authority granted (ETSI TS 119 495 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Psd2Role {
    /// Account servicing.
    AccountServicing,
    /// Payment initiation.
    PaymentInitiation,
    /// Account information.
    AccountInformation,
    /// Issuing of card-based payment instruments.
    CardIssuing,
}

impl Psd2Role {
    /// Every role.
    pub const ALL: [Self; 4] =
        [Self::AccountServicing, Self::PaymentInitiation, Self::AccountInformation, Self::CardIssuing];

    /// The name in a certificate.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountServicing => "PSP_AS",
            Self::PaymentInitiation => "PSP_PI",
            Self::AccountInformation => "PSP_AI",
            Self::CardIssuing => "PSP_IC",
        }
    }

    /// The object identifier in a certificate, dotted.
    #[must_use]
    pub fn oid(self) -> &'static str {
        match self {
            Self::AccountServicing => "0.4.0.19495.1.1",
            Self::PaymentInitiation => "0.4.0.19495.1.2",
            Self::AccountInformation => "0.4.0.19495.1.3",
            Self::CardIssuing => "0.4.0.19495.1.4",
        }
    }

    /// The role of a name such as `PSP_AI`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// What a certificate is qualified for (ETSI EN 319 412-5 §4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QcType {
    /// Signatures of a person.
    Signature,
    /// Seals of an organisation: a QSealC.
    Seal,
    /// Web sites and connections: a QWAC.
    Web,
}

/// The PSD2 statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psd2Statement {
    /// Granted roles.
    pub roles: Vec<Psd2Role>,
    /// Name of the competent authority.
    pub nca_name: String,
    /// Its identifier: country, hyphen, two to eight letters.
    pub nca_id: String,
}

/// One thing that makes a certificate unfit for PSD2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Psd2Problem {
    /// QcCompliance is absent.
    #[error("the certificate does not state that it is qualified")]
    NotQualified,
    /// QcType is absent or another one.
    #[error("the certificate is qualified for another purpose")]
    WrongType,
    /// No PSD2 statement.
    #[error("the certificate has no PSD2 statement")]
    NoStatement,
    /// No known role.
    #[error("the PSD2 statement grants no role")]
    NoRole,
    /// The authority's identifier is malformed.
    #[error("the identifier of the competent authority is malformed")]
    MalformedAuthority,
    /// No organizationIdentifier.
    #[error("the subject has no organizationIdentifier")]
    NoOrganizationIdentifier,
    /// It does not have the form `PSDCC-NCA-number`.
    #[error("the organizationIdentifier is malformed")]
    MalformedOrganizationIdentifier,
    /// Identifier and statement name different authorities.
    #[error("the organizationIdentifier and the PSD2 statement name different authorities")]
    AuthorityMismatch,
    /// The key usage does not fit the type.
    #[error("the key usage does not allow this")]
    KeyUsage,
}

impl Certificate {
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
        require(self.qc_type == Some(wanted), Psd2Problem::WrongType);
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
                require(authority.is_some(), Psd2Problem::MalformedOrganizationIdentifier);
                authority
            }
        };
        match &self.psd2 {
            None => require(false, Psd2Problem::NoStatement),
            Some(statement) => {
                require(!statement.roles.is_empty(), Psd2Problem::NoRole);
                require(is_authority(&statement.nca_id), Psd2Problem::MalformedAuthority);
                let agrees = authority.is_none_or(|authority| authority == statement.nca_id);
                require(agrees, Psd2Problem::AuthorityMismatch);
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

/// The statements we use of the qcStatements extension.
#[derive(Default)]
pub(super) struct Statements {
    pub(super) compliance: bool,
    pub(super) qc_type: Option<QcType>,
    pub(super) psd2: Option<Psd2Statement>,
}

impl Statements {
    /// `None` if the extension is there but cannot be read.
    pub(super) fn of(x509: &X509Certificate<'_>) -> Option<Self> {
        let mut found = Self::default();
        let extension =
            x509.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.3");
        let Some(extension) = extension else { return Some(found) };
        for statement in elements(sequence(extension.value)?)? {
            let parts = elements(contents(&statement, Tag::Sequence)?)?;
            let (id, info) = (oid(parts.first()?)?, parts.get(1));
            match id.as_str() {
                "0.4.0.1862.1.1" => found.compliance = true,
                "0.4.0.1862.1.6" => found.qc_type = qc_type(info?)?,
                "0.4.0.19495.2" => found.psd2 = Some(psd2(info?)?),
                _ => {}
            }
        }
        Some(found)
    }
}

fn qc_type(info: &Any<'_>) -> Option<Option<QcType>> {
    let types = elements(contents(info, Tag::Sequence)?)?;
    Some(match oid(types.first()?)?.as_str() {
        "0.4.0.1862.1.6.1" => Some(QcType::Signature),
        "0.4.0.1862.1.6.2" => Some(QcType::Seal),
        "0.4.0.1862.1.6.3" => Some(QcType::Web),
        _ => None,
    })
}

fn psd2(info: &Any<'_>) -> Option<Psd2Statement> {
    let parts = elements(contents(info, Tag::Sequence)?)?;
    let mut roles = Vec::new();
    for role in elements(contents(parts.first()?, Tag::Sequence)?)? {
        let id = oid(elements(contents(&role, Tag::Sequence)?)?.first()?)?;
        roles.extend(Psd2Role::ALL.into_iter().find(|known| known.oid() == id));
    }
    Some(Psd2Statement { roles, nca_name: utf8(parts.get(1)?)?, nca_id: utf8(parts.get(2)?)? })
}

fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (rest, any) = Any::from_der(der).ok()?;
    (rest.is_empty() && any.header.tag() == Tag::Sequence).then_some(any.data)
}

fn contents<'a>(any: &Any<'a>, tag: Tag) -> Option<&'a [u8]> {
    (any.header.tag() == tag).then_some(any.data)
}

fn elements(mut der: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, any) = Any::from_der(der).ok()?;
        found.push(any);
        der = rest;
    }
    Some(found)
}

fn oid(any: &Any<'_>) -> Option<String> {
    contents(any, Tag::Oid).map(|bytes| Oid::new(bytes.into()).to_id_string())
}

fn utf8(any: &Any<'_>) -> Option<String> {
    let text = contents(any, Tag::Utf8String).or_else(|| contents(any, Tag::PrintableString))?;
    std::str::from_utf8(text).ok().map(str::to_owned)
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
