//! Certificates of PSD2: QWAC and QSealC of eIDAS (ETSI TS 119 495, ETSI EN 319 412), OBWAC and
//! OBSeal of the United Kingdom.
//!
//! Says what is wrong with a certificate and, where something was nearly right, what was meant.
//! Whether its issuer is one of a trusted list is not asked: that needs the list.

mod chain;
mod der;
mod file;
mod keys;
mod misspelt;
mod psd2;
mod read;
mod statements;
mod subject;
mod usage;
mod validity;

use clap::ValueEnum;
use serde::Serialize;

use read::Certificate;

use super::Finding;

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Kind {
    /// A qualified certificate for connections (Regulation (EU) 910/2014 Article 45).
    Qwac,
    /// A qualified certificate for electronic seals (Regulation (EU) 910/2014 Article 38).
    QSeal,
    /// The Open Banking directory's certificate for connections.
    Obwac,
    /// The Open Banking directory's certificate for seals.
    ObSeal,
}

impl Kind {
    /// Its usual name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qwac => "QWAC",
            Self::QSeal => "QSealC",
            Self::Obwac => "OBWAC",
            Self::ObSeal => "OBSeal",
        }
    }

    /// For connections, and not for seals.
    #[must_use]
    pub fn is_for_web(self) -> bool {
        matches!(self, Self::Qwac | Self::Obwac)
    }

    /// By the rules of the United Kingdom's directory.
    #[must_use]
    pub fn is_uk(self) -> bool {
        matches!(self, Self::Obwac | Self::ObSeal)
    }
}

/// What was found out about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// What the first certificate was judged as; nothing if none could be read.
    pub kind: Option<Kind>,
    /// What is wrong, in the order it was found.
    pub findings: Vec<Finding>,
}

/// Judges the certificate of a file and the issuers that come with it, at a moment in Unix
/// seconds. Without a kind, it is judged as what it looks like.
#[must_use]
pub fn check(file: &[u8], kind: Option<Kind>, at: i64) -> Judged {
    let mut findings = Vec::new();
    let contents = file::read(file, &mut findings);
    let mut certificates = Vec::new();
    for (place, der) in contents.certificates.into_iter().enumerate() {
        match Certificate::read(&der) {
            Ok(certificate) => certificates.push(certificate),
            Err(why) => findings.push(file::no_certificate(&der, &why, &place_name(place))),
        }
    }
    let leaf = certificates.iter().position(|one| !one.is_authority()).unwrap_or_default();
    let Some(certificate) = certificates.get(leaf) else { return Judged { kind: None, findings } };
    let kind = kind.unwrap_or_else(|| looks_like(certificate));

    validity::check(certificate, kind, at, &mut findings);
    keys::check(&certificates, &mut findings);
    usage::check(certificate, kind, &mut findings);
    let organisation = subject::check(certificate, kind, &mut findings);
    statements::check(certificate, kind, organisation.as_ref(), &mut findings);
    chain::check(&certificates, leaf, contents.is_pem, at, &mut findings);
    Judged { kind: Some(kind), findings }
}

/// What a certificate seems to be: what its QcType says, and without one, its usages.
fn looks_like(certificate: &Certificate) -> Kind {
    let web = match statements::type_stated(certificate) {
        Some(web) => web,
        None => usage::is_for_connections(certificate),
    };
    match (subject::is_of_uk_directory(certificate), web) {
        (false, true) => Kind::Qwac,
        (false, false) => Kind::QSeal,
        (true, true) => Kind::Obwac,
        (true, false) => Kind::ObSeal,
    }
}

/// How a certificate of the file is called.
fn place_name(place: usize) -> String {
    format!("certificate {}", place + 1)
}
