//! Whom a certificate is of (ETSI EN 319 412-3 §4.2.1, ETSI TS 119 495 §5.2).

use super::Kind;
use super::misspelt;
use super::read::{
    COMMON_NAME, COUNTRY, Certificate, ORGANISATION, ORGANISATION_IDENTIFIER, ORGANISATIONAL_UNIT,
    SERIAL_NUMBER,
};
use crate::lint::Finding;

const NAME: &str = "ETSI EN 319 412-3 §4.2.1";
const IDENTIFIER: &str = "ETSI TS 119 495 §5.2.1";
const DIRECTORY: &str = "Open Banking Directory, certificate profiles";
const FORM: &str =
    "PSD, the country, a hyphen, the authority, a hyphen and the number, such as PSDDE-BAFIN-100001";
/// Length of an organisation's id in the directory.
const DIRECTORY_ID: usize = 18;

/// The authority that an organizationIdentifier names.
pub(super) struct Organisation {
    pub(super) country: String,
    pub(super) authority: String,
}

impl Organisation {
    /// As the PSD2 statement has to write it.
    pub(super) fn authority_id(&self) -> String {
        format!("{}-{}", self.country, self.authority)
    }
}

/// Issued by the directory of the United Kingdom, or for it.
pub(super) fn is_of_uk_directory(certificate: &Certificate) -> bool {
    let is_directory = |name: Option<String>| {
        name.is_some_and(|name| {
            let plain: String = name.chars().filter(|c| !c.is_whitespace()).collect();
            plain.to_ascii_lowercase().starts_with("openbanking")
        })
    };
    is_directory(certificate.issuer_text(ORGANISATION))
        || is_directory(certificate.issuer_text(COMMON_NAME))
        || is_directory(certificate.subject_text(ORGANISATION))
        || certificate.subject_text(ORGANISATION_IDENTIFIER).is_some_and(|id| id.starts_with("PSDGB-OB-"))
}

pub(super) fn check(
    certificate: &Certificate,
    kind: Kind,
    findings: &mut Vec<Finding>,
) -> Option<Organisation> {
    if certificate.subject_texts(ORGANISATION).iter().all(|name| name.trim().is_empty()) {
        findings.push(
            Finding::error("organisation-name-missing", NAME, "The subject has no name of an organisation")
                .meant("the registered name in organizationName (O)")
                .at(ORGANISATION),
        );
    }
    let country = certificate.subject_text(COUNTRY);
    match &country {
        None => findings.push(
            Finding::error("country-missing", NAME, "The subject names no country")
                .meant("the country where the organisation is established in countryName (C)")
                .at(COUNTRY),
        ),
        Some(code) if code.len() != 2 || !code.chars().all(|c| c.is_ascii_uppercase()) => findings.push(
            Finding::error(
                "country-form",
                "ISO 3166-1",
                format!("The country of the subject is written {code:?}"),
            )
            .meant("two capital letters, such as DE")
            .at(COUNTRY),
        ),
        Some(_) => {}
    }
    if kind.is_uk() {
        directory(certificate, findings);
    }
    let organisation = identifier(certificate, kind, findings)?;
    if country.as_ref().is_some_and(|country| country.len() == 2 && *country != organisation.country) {
        findings.push(
            Finding::warning(
                "country-differs",
                IDENTIFIER,
                format!(
                    "The subject is in {} and is authorised in {}",
                    country.unwrap_or_default(),
                    organisation.country
                ),
            )
            .meant("the same country in both, unless the organisation is established elsewhere")
            .at(COUNTRY),
        );
    }
    Some(organisation)
}

fn identifier(certificate: &Certificate, kind: Kind, findings: &mut Vec<Finding>) -> Option<Organisation> {
    let ids = certificate.subject_texts(ORGANISATION_IDENTIFIER);
    if ids.len() > 1 {
        findings.push(
            Finding::error(
                "organisation-identifier-repeated",
                IDENTIFIER,
                format!("The subject has {} organizationIdentifiers", ids.len()),
            )
            .meant("one organizationIdentifier, the one that the competent authority registered")
            .at(ORGANISATION_IDENTIFIER),
        );
    }
    let Some(id) = ids.into_iter().next() else {
        if let Some(finding) = absent(certificate, kind) {
            findings.push(finding);
        }
        return None;
    };
    if let Some((country, authority, _)) = misspelt::organisation(&id) {
        return Some(Organisation { country, authority });
    }
    if misspelt::is_other_scheme(&id) {
        findings.push(
            Finding::note(
                "organisation-identifier-other",
                IDENTIFIER,
                format!("The organizationIdentifier {id} is not an authorisation number"),
            )
            .meant(format!("{FORM}; since version 1.5 another scheme where there is no such number"))
            .at(ORGANISATION_IDENTIFIER),
        );
        return None;
    }
    let meant = misspelt::organisation_meant(&id).unwrap_or_else(|| FORM.to_owned());
    findings.push(
        Finding::error(
            "organisation-identifier-form",
            IDENTIFIER,
            format!("The organizationIdentifier is written {id:?}"),
        )
        .meant(meant)
        .at(ORGANISATION_IDENTIFIER),
    );
    None
}

/// What to say when there is none: it may be at another place of the subject.
fn absent(certificate: &Certificate, kind: Kind) -> Option<Finding> {
    let elsewhere = certificate
        .subject_attributes()
        .into_iter()
        .find(|(oid, text)| oid != COMMON_NAME && misspelt::organisation(text).is_some());
    if let Some((oid, text)) = elsewhere {
        let place = match oid.as_str() {
            SERIAL_NUMBER => "serialNumber",
            ORGANISATIONAL_UNIT => "organizationalUnitName",
            _ => "another attribute",
        };
        return Some(
            Finding::error(
                "organisation-identifier-misplaced",
                IDENTIFIER,
                format!("The authorisation number {text} is in {place} and not in organizationIdentifier"),
            )
            .meant(format!("the same text in organizationIdentifier ({ORGANISATION_IDENTIFIER})"))
            .at(oid),
        );
    }
    // Older certificates of the directory name the organisation by its id there.
    if kind.is_uk()
        && certificate.subject_text(ORGANISATIONAL_UNIT).is_some_and(|unit| is_directory_id(&unit))
    {
        return None;
    }
    Some(
        Finding::error(
            "organisation-identifier-missing",
            IDENTIFIER,
            "The subject has no organizationIdentifier",
        )
        .meant(FORM)
        .at(ORGANISATION_IDENTIFIER),
    )
}

fn is_directory_id(text: &str) -> bool {
    text.len() == DIRECTORY_ID && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The directory finds an organisation by its id: the common name of an OBWAC or OBSeal, the
/// unit of older certificates, whose common name is the software's.
fn directory(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let common = certificate.subject_text(COMMON_NAME).unwrap_or_default();
    let unit = certificate.subject_text(ORGANISATIONAL_UNIT);
    let older = unit.as_ref().is_some_and(|unit| is_directory_id(unit));
    if older && certificate.subject_text(ORGANISATION_IDENTIFIER).is_none() {
        findings.push(
            Finding::note(
                "directory-older-profile",
                DIRECTORY,
                "The certificate is of the directory's older profile and does not say its roles",
            )
            .meant("an OBWAC for connections and an OBSeal for signatures")
            .at(ORGANISATIONAL_UNIT),
        );
    } else if !is_directory_id(&common) && !older {
        findings.push(
            Finding::error(
                "directory-id-form",
                DIRECTORY,
                format!("The common name {common:?} is not the id of an organisation in the directory"),
            )
            .meant("the id of the organisation, of 18 letters and digits, such as 0015800001041RHAAY")
            .at(COMMON_NAME),
        );
    }
}
