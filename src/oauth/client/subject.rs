//! The one attribute of a certificate that names a client (RFC 8705 §2.1.2).

use crypto::Certificate;

/// The one attribute of a certificate that names the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubjectMatch {
    Dn(String),
    Dns(String),
    Uri(String),
    Ip(std::net::IpAddr),
    Email(String),
}

impl SubjectMatch {
    /// Whether a certificate carries the attribute.
    pub(crate) fn matches(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Dn(dn) => same_dn(dn, &certificate.subject_dn),
            Self::Dns(name) => certificate.san_dns.iter().any(|san| san.eq_ignore_ascii_case(name)),
            Self::Uri(uri) => certificate.san_uri.contains(uri),
            Self::Ip(ip) => certificate.san_ip.contains(ip),
            Self::Email(mail) => certificate.san_email.contains(mail),
        }
    }
}

/// RFC 4514 strings, however spaced and whichever case their types have.
fn same_dn(one: &str, other: &str) -> bool {
    let parts = |dn: &str| -> Vec<String> {
        dn.split(',')
            .map(|part| match part.trim().split_once('=') {
                Some((kind, value)) => {
                    let kind = kind.trim().to_ascii_uppercase();
                    let kind = match kind.as_str() {
                        "ORGANIZATIONIDENTIFIER" | "OID.2.5.4.97" => "2.5.4.97",
                        other => other,
                    };
                    format!("{kind}={}", value.trim())
                }
                None => part.trim().to_owned(),
            })
            .collect()
    };
    let (one, other) = (parts(one), parts(other));
    one == other || one.iter().rev().eq(other.iter())
}
