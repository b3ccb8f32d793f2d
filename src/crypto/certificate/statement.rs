//! Qualified certificate statements (RFC 3739 §3.2.6): those of ETSI EN 319
//! 412-5 and the PSD2 one of ETSI TS 119 495 §5.1.

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Oid, Tag};

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

    /// The scope of our interface that the role allows (PSD2 art. 65 to 67). Account
    /// servicing allows none: it is what banks do.
    #[must_use]
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::AccountServicing => None,
            Self::PaymentInitiation => Some("payments"),
            Self::AccountInformation => Some("accounts"),
            Self::CardIssuing => Some("fundsconfirmations"),
        }
    }

    /// The role that a scope needs; `None` if it needs none.
    #[must_use]
    pub fn for_scope(scope: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.scope() == Some(scope))
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

impl QcType {
    /// The name in ETSI EN 319 412-5.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "esign",
            Self::Seal => "eseal",
            Self::Web => "web",
        }
    }
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
