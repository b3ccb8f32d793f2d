//! What somebody meant who wrote a role or an identifier a little wrong.

use std::sync::LazyLock;

use regex::Regex;

/// The roles of PSD2 (ETSI TS 119 495 §5.2.2): object identifier and name.
pub(super) const ROLES: [(&str, &str); 4] = [
    ("0.4.0.19495.1.1", "PSP_AS"),
    ("0.4.0.19495.1.2", "PSP_PI"),
    ("0.4.0.19495.1.3", "PSP_AI"),
    ("0.4.0.19495.1.4", "PSP_IC"),
];

/// What the same annex has for others than the providers of PSD2.
const OTHER_ROLES: [(&str, &str); 5] = [
    ("0.4.0.19495.1.0", "Unspecified"),
    ("0.4.0.19495.1.5", "PSP_CB"),
    ("0.4.0.19495.1.6", "PSP_PA"),
    ("0.4.0.19495.1.51", "VOP_RS"),
    ("0.4.0.19495.1.52", "VOP_VS"),
];

/// Competent authorities as their list at the European Banking Authority writes them, also
/// where it wrote them otherwise before (ETSI TS 119 495 Annex D).
const AUTHORITIES: [&str; 34] = [
    "AT-FMA",
    "BE-NBB",
    "BG-BNB",
    "CY-CBC",
    "CZ-CNB",
    "DE-BAFIN",
    "DK-DFSA",
    "EE-FI",
    "ES-BE",
    "FI-FINFSA",
    "FR-ACPR",
    "GB-FCA",
    "GR-BOG",
    "HR-HNB",
    "HR-CNB",
    "HU-CBH",
    "IE-CBI",
    "IS-CBI",
    "IS-FME",
    "IT-BI",
    "LI-FMA",
    "LT-BL",
    "LU-CSSF",
    "LV-BL",
    "LV-FCMC",
    "MT-MFSA",
    "NL-DNB",
    "NO-FSA",
    "PL-PFSA",
    "PT-BP",
    "RO-NBR",
    "SE-FINA",
    "SI-BS",
    "SK-NBS",
];

/// The object identifier and the name of a role by its object identifier.
pub(super) fn role_of_oid(oid: &str) -> Option<(&'static str, &'static str)> {
    ROLES.into_iter().chain(OTHER_ROLES).find(|(known, _)| oid == *known)
}

/// It is one of the four roles that PSD2 knows.
pub(super) fn is_of_psd2(oid: &str) -> bool {
    ROLES.into_iter().any(|(known, _)| oid == known)
}

/// International central banks and public authorities, which no national authority authorises.
pub(super) fn is_international(oid: &str) -> bool {
    matches!(oid, "0.4.0.19495.1.5" | "0.4.0.19495.1.6")
}

/// The same by its name, or by what people write instead.
pub(super) fn role_of_name(name: &str) -> Option<(&'static str, &'static str)> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_uppercase();
    let short = plain.strip_prefix("PSP").unwrap_or(&plain);
    let meant = match short {
        "AS" | "ASPSP" | "ASP" => "PSP_AS",
        "PI" | "PIS" | "PISP" => "PSP_PI",
        "AI" | "AIS" | "AISP" => "PSP_AI",
        "IC" | "IIS" | "PIISP" | "PIIS" | "CBPII" | "CBPIIS" => "PSP_IC",
        _ => return None,
    };
    ROLES.into_iter().find(|(_, known)| *known == meant)
}

/// `DE-BAFIN`: a country and an authority (ETSI TS 119 495 §5.1).
pub(super) fn is_authority(id: &str) -> bool {
    AUTHORITY.as_ref().is_some_and(|form| form.is_match(id))
}

/// It is an authority that the annex lists.
pub(super) fn is_listed(authority: &str) -> bool {
    AUTHORITIES.contains(&authority)
}

/// The authority that the annex lists for a country.
pub(super) fn listed_of(country: &str) -> Option<&'static str> {
    AUTHORITIES.into_iter().find(|one| one.split_once('-').is_some_and(|(of, _)| of == country))
}

/// What an identifier of an authority was meant to be.
pub(super) fn authority(written: &str) -> Option<String> {
    let plain = plain(written);
    let plain = plain.strip_prefix("PSD").unwrap_or(&plain);
    // A listed one, however it was parted.
    let squeezed: String = plain.chars().filter(char::is_ascii_alphabetic).collect();
    if let Some(known) = AUTHORITIES.into_iter().find(|one| one.replace('-', "") == squeezed) {
        return Some(known.to_owned());
    }
    let parts = AUTHORITY_PARTS.as_ref()?.captures(plain)?;
    let country = parts.get(1)?.as_str();
    let guess = format!("{country}-{}", parts.get(2)?.as_str());
    (is_authority(&guess) && guess != written).then_some(guess)
}

/// `PSDDE-BAFIN-100001`, in its three parts (ETSI EN 319 412-1 §5.1.4).
pub(super) fn organisation(id: &str) -> Option<(String, String, String)> {
    let parts = ORGANISATION.as_ref()?.captures(id)?;
    let part = |at: usize| parts.get(at).map(|part| part.as_str().to_owned());
    Some((part(1)?, part(2)?, part(3)?))
}

/// Another scheme of ETSI EN 319 412-1 §5.1.4, such as `VATDE-123456789`.
pub(super) fn is_other_scheme(id: &str) -> bool {
    OTHER_SCHEME.as_ref().is_some_and(|form| form.is_match(id))
}

/// What an organizationIdentifier was meant to be.
pub(super) fn organisation_meant(written: &str) -> Option<String> {
    let plain = plain(written);
    let squeezed = plain.strip_prefix("PSD").unwrap_or(&plain).trim_start_matches('-');
    for known in AUTHORITIES {
        let (country, authority) = known.split_once('-')?;
        let rest = squeezed
            .strip_prefix(country)
            .and_then(|rest| rest.trim_start_matches('-').strip_prefix(authority))
            .map(|rest| rest.trim_start_matches('-'));
        if let Some(number) = rest.filter(|number| !number.is_empty() && *number != "-") {
            return Some(format!("PSD{known}-{number}"));
        }
    }
    let parts = ORGANISATION_PARTS.as_ref()?.captures(squeezed)?;
    let part = |at: usize| parts.get(at).map_or("", |part| part.as_str());
    let guess = format!("PSD{}-{}-{}", part(1), part(2), part(3));
    (organisation(&guess).is_some() && guess != written).then_some(guess)
}

/// Capitals, and hyphens for every separator.
fn plain(written: &str) -> String {
    let capitals = written.trim().to_uppercase();
    let mut plain = String::new();
    for c in capitals.chars() {
        let c = if matches!(c, '_' | ' ' | ':' | '/' | '.' | '\u{2010}' | '\u{2013}') { '-' } else { c };
        if c != '-' || !plain.ends_with('-') {
            plain.push(c);
        }
    }
    match plain.strip_prefix("PSD-") {
        Some(rest) => format!("PSD{rest}"),
        None => plain,
    }
}

static AUTHORITY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z]{2}-[A-Z]{2,8}$").ok());
static AUTHORITY_PARTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^-?([A-Z]{2})-?([A-Z]{2,8})(?:-.*)?$").ok());
static ORGANISATION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^PSD([A-Z]{2})-([A-Z]{2,8})-(\S.*)$").ok());
static ORGANISATION_PARTS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("^-?([A-Z]{2})-?([A-Z]{2,8}?)-?([0-9][0-9A-Z-]*)$").ok());
static OTHER_SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:VAT|NTR|GOV|EXC|TAX|EID)[A-Z]{2}|LEIXG|[A-Z]{2}:[A-Z]{2})-[!-~]+$").ok()
});
