//! Names in certificates: the RFC 4514 string, the subject's attributes and
//! the alternative names.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::x509::X509Name;

/// Most alternative names we keep.
const MAX_NAMES: usize = 100;

/// `organizationIdentifier`.
const ORGANIZATION_IDENTIFIER: &str = "2.5.4.97";

/// How a distinguished name writes `organizationIdentifier` (2.5.4.97), for which
/// RFC 4514 has no name: servers that compare texts want the one they know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrganizationIdSpelling {
    /// `organizationIdentifier=PSDGB-FCA-1`, as OpenSSL writes it.
    AttributeName,
    /// `2.5.4.97=#0c0b…`: the hexadecimal of the encoding, as RFC 4514 §2.4 says.
    #[default]
    DottedHex,
    /// `2.5.4.97=PSDGB-FCA-1`.
    DottedText,
}

impl OrganizationIdSpelling {
    /// Every spelling.
    pub const ALL: [Self; 3] = [Self::AttributeName, Self::DottedHex, Self::DottedText];

    /// The word in profiles.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttributeName => "attribute-name",
            Self::DottedHex => "dotted-decimal-hex",
            Self::DottedText => "dotted-decimal-text",
        }
    }
}

/// The subject's attributes that PSD2 uses.
#[derive(Default)]
pub(super) struct Subject {
    pub(super) common_name: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) organizational_unit: Option<String>,
    pub(super) country: Option<String>,
    pub(super) organization_identifier: Option<String>,
}

impl Subject {
    pub(super) fn of(name: &X509Name<'_>) -> Self {
        let mut subject = Self::default();
        for attribute in name.iter_attributes() {
            let slot = match attribute.attr_type().to_id_string().as_str() {
                "2.5.4.3" => &mut subject.common_name,
                "2.5.4.10" => &mut subject.organization,
                "2.5.4.11" => &mut subject.organizational_unit,
                "2.5.4.6" => &mut subject.country,
                ORGANIZATION_IDENTIFIER => &mut subject.organization_identifier,
                _ => continue,
            };
            if slot.is_none() {
                *slot = text(attribute.attr_value());
            }
        }
        subject
    }
}

/// Subject alternative names by kind.
#[derive(Default)]
pub(super) struct AlternativeNames {
    pub(super) dns: Vec<String>,
    pub(super) uri: Vec<String>,
    pub(super) ip: Vec<IpAddr>,
    pub(super) email: Vec<String>,
}

impl AlternativeNames {
    /// `None` if the extension is there but cannot be read.
    pub(super) fn of(x509: &X509Certificate<'_>) -> Option<Self> {
        let mut names = Self::default();
        let Some(extension) = x509.subject_alternative_name().ok()? else {
            return Some(names);
        };
        for name in extension.value.general_names.iter().take(MAX_NAMES) {
            if let GeneralName::DNSName(dns) = name {
                names.dns.push((*dns).to_owned());
            } else if let GeneralName::URI(uri) = name {
                names.uri.push((*uri).to_owned());
            } else if let GeneralName::RFC822Name(email) = name {
                names.email.push((*email).to_owned());
            } else if let GeneralName::IPAddress(bytes) = name {
                names.ip.push(address(bytes)?);
            }
        }
        Some(names)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Upper-case hexadecimal without leading zeros.
pub(super) fn serial_hex(bytes: &[u8]) -> String {
    let digits = hex::encode_upper(bytes);
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}

/// The RFC 4514 string. Attribute types of §3 by name and, as OpenSSL and
/// most banks write it, `organizationIdentifier`; others by dotted number.
pub(super) fn rfc4514(name: &X509Name<'_>) -> Option<String> {
    spelt(name, OrganizationIdSpelling::AttributeName)
}

/// The same with `organizationIdentifier` in this spelling.
pub(super) fn spelt(name: &X509Name<'_>, organization: OrganizationIdSpelling) -> Option<String> {
    let mut relative: Vec<String> = Vec::new();
    for rdn in name.iter() {
        let parts: Option<Vec<String>> = rdn
            .iter()
            .map(|attribute| {
                let id = attribute.attr_type().to_id_string();
                let hex = id == ORGANIZATION_IDENTIFIER && organization == OrganizationIdSpelling::DottedHex;
                let dotted = hex
                    || id == ORGANIZATION_IDENTIFIER && organization == OrganizationIdSpelling::DottedText;
                let shown = if dotted { Some(id.as_str()) } else { short_name(&id) };
                Some(match (shown, text(attribute.attr_value())) {
                    (Some(shown), Some(value)) if !hex => format!("{shown}={}", escaped(&value)),
                    // §2.4: a value without string form is the hexadecimal of its encoding.
                    _ => format!("{id}=#{}", hex::encode(encoding(attribute.attr_value())?)),
                })
            })
            .collect();
        relative.push(parts?.join("+"));
    }
    relative.reverse();
    Some(relative.join(","))
}

fn short_name(id: &str) -> Option<&'static str> {
    Some(match id {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        ORGANIZATION_IDENTIFIER => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

fn text(value: &Any<'_>) -> Option<String> {
    match value.header.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // Latin-1 in practice, and every byte of it is a character.
        Tag::T61String => Some(value.data.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units = value.data.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            String::from_utf16(&units.collect::<Vec<u16>>()).ok()
        }
        _ => None,
    }
}

/// Tag, length and value again, for the hexadecimal form.
fn encoding(value: &Any<'_>) -> Option<Vec<u8>> {
    let tag = u8::try_from(value.header.tag().0).ok()?;
    let mut der = vec![tag];
    let length = value.data.len();
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        der.push(short);
    } else {
        let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        der.push(0x80 | u8::try_from(bytes.len()).ok()?);
        der.extend(bytes);
    }
    der.extend_from_slice(value.data);
    Some(der)
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let edge_space = character == ' ' && (at == 0 || at == last);
        if character == '\0' {
            out.push_str("\\00");
            continue;
        }
        if edge_space || (character == '#' && at == 0) || "\"+,;<>\\".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped_as_rfc_4514_says() {
        assert_eq!(escaped("Acme, Inc. \"x\" + y"), "Acme\\, Inc. \\\"x\\\" \\+ y");
        assert_eq!(escaped("#1 "), "\\#1\\ ");
        assert_eq!(escaped("a#b c"), "a#b c");
    }

    #[test]
    fn a_serial_number_has_no_leading_zeros() {
        assert_eq!(serial_hex(&[0, 0x0a, 0x1b]), "A1B");
        assert_eq!(serial_hex(&[0]), "0");
    }
}
