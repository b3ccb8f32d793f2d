//! What the key may be used for (RFC 5280 §4.2.1, ETSI EN 319 412-3 and 412-4).

use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, SubjectAltName,
};

use super::Kind;
use super::read::{COMMON_NAME, Certificate};
use crate::lint::Finding;

const KEY_USAGE: &str = "2.5.29.15";
const ALT_NAME: &str = "2.5.29.17";
const BASIC: &str = "2.5.29.19";
const CRL: &str = "2.5.29.31";
const AUTHORITY_KEY: &str = "2.5.29.35";
const EXTENDED: &str = "2.5.29.37";
const AUTHORITY_INFO: &str = "1.3.6.1.5.5.7.1.1";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const OCSP: &str = "1.3.6.1.5.5.7.48.1";

pub(super) fn check(certificate: &Certificate, kind: Kind, findings: &mut Vec<Finding>) {
    basic_constraints(certificate, findings);
    key_usage(certificate, kind, findings);
    extended(certificate, kind, findings);
    // The directory issues none to third party providers.
    if kind == Kind::Qwac {
        alternative_names(certificate, kind, findings);
    }
    status(certificate, findings);
}

/// Without a QcType: TLS clients and servers say so, seals do not.
pub(super) fn is_for_connections(certificate: &Certificate) -> bool {
    extended_usages(certificate)
        .is_some_and(|usages| usages.iter().any(|usage| usage == SERVER_AUTH || usage == CLIENT_AUTH))
}

fn extended_usages(certificate: &Certificate) -> Option<Vec<String>> {
    let (usage, _) = certificate.typed::<ExtendedKeyUsage>()?;
    Some(usage.0.iter().map(ToString::to_string).collect())
}

fn basic_constraints(certificate: &Certificate, findings: &mut Vec<Finding>) {
    if certificate.typed::<BasicConstraints>().is_some_and(|(basic, _)| basic.ca) {
        findings.push(
            Finding::error(
                "authority-as-leaf",
                "RFC 5280 §4.2.1.9",
                "The certificate says of itself that it is a certificate authority",
            )
            .meant("basicConstraints with CA:FALSE, or the file with its own certificate first")
            .at(BASIC),
        );
    }
}

fn key_usage(certificate: &Certificate, kind: Kind, findings: &mut Vec<Finding>) {
    let clause = if kind.is_for_web() { "ETSI EN 319 412-4 §4.1" } else { "ETSI EN 319 412-2 §4.3.2" };
    let wanted = if kind.is_for_web() {
        "digitalSignature, for RSA keys perhaps with keyEncipherment"
    } else {
        "nonRepudiation (contentCommitment), digitalSignature, or both"
    };
    let Some((usage, critical)) = certificate.typed::<KeyUsage>() else {
        findings.push(
            Finding::error("key-usage-missing", clause, "The certificate has no key usage")
                .meant(format!("a critical keyUsage with {wanted}"))
                .at(KEY_USAGE),
        );
        return;
    };
    if !critical {
        findings.push(
            Finding::warning(
                "key-usage-not-critical",
                "RFC 5280 §4.2.1.3",
                "The key usage is not marked critical",
            )
            .meant("keyUsage marked critical")
            .at(KEY_USAGE),
        );
    }
    let unfit = |says: String| Finding::error("key-usage-unfit", clause, says).meant(wanted).at(KEY_USAGE);
    if usage.key_cert_sign() || usage.crl_sign() {
        findings.push(unfit(
            "The key may sign certificates or revocation lists, which is for authorities".into(),
        ));
    }
    if kind.is_for_web() {
        if !usage.digital_signature() {
            findings.push(unfit("The key may not sign, so no handshake of TLS 1.3 can use it".into()));
        } else if usage.non_repudiation() {
            findings.push(
                Finding::warning(
                    "key-usage-mixed",
                    clause,
                    format!("The key of a {} may also make seals (nonRepudiation)", kind.as_str()),
                )
                .meant(wanted)
                .at(KEY_USAGE),
            );
        }
    } else if !usage.digital_signature() && !usage.non_repudiation() {
        findings.push(unfit("The key may not sign, so it can make no seal".into()));
    } else if usage.key_encipherment() || usage.data_encipherment() || usage.key_agreement() {
        findings.push(
            Finding::warning(
                "key-usage-mixed",
                clause,
                "The key of a seal may also encipher or agree on keys",
            )
            .meant(wanted)
            .at(KEY_USAGE),
        );
    }
}

fn extended(certificate: &Certificate, kind: Kind, findings: &mut Vec<Finding>) {
    let clause = "ETSI EN 319 412-4 §4.1";
    let usages = extended_usages(certificate);
    let has = |usage: &str| usages.iter().flatten().any(|one| one == usage);
    if !kind.is_for_web() {
        if has(SERVER_AUTH) || has(CLIENT_AUTH) {
            findings.push(
                Finding::warning(
                    "extended-key-usage-of-web",
                    "ETSI EN 319 412-3 §4.2",
                    "A certificate for seals may also be used for connections",
                )
                .meant("no serverAuth and no clientAuth here, and a certificate of its own for connections")
                .at(EXTENDED),
            );
        }
        return;
    }
    if usages.is_none() {
        findings.push(
            Finding::error("extended-key-usage-missing", clause, "The certificate has no extended key usage")
                .meant("extendedKeyUsage with serverAuth and clientAuth")
                .at(EXTENDED),
        );
        return;
    }
    if !has(CLIENT_AUTH) {
        findings.push(
            Finding::error(
                "client-auth-missing",
                clause,
                "The certificate may not be used by a client, which a provider is to a bank",
            )
            .meant("clientAuth (1.3.6.1.5.5.7.3.2) beside serverAuth")
            .at(EXTENDED),
        );
    }
    if !has(SERVER_AUTH) {
        findings.push(
            Finding::warning(
                "server-auth-missing",
                clause,
                "The certificate may not be used by a server, which certificates for web sites may",
            )
            .meant("serverAuth (1.3.6.1.5.5.7.3.1) beside clientAuth")
            .at(EXTENDED),
        );
    }
}

fn alternative_names(certificate: &Certificate, kind: Kind, findings: &mut Vec<Finding>) {
    let Some((names, _)) = certificate.typed::<SubjectAltName>().filter(|(names, _)| !names.0.is_empty())
    else {
        findings.push(
            Finding::error(
                "subject-alt-name-missing",
                "ETSI EN 319 412-4 §4.1",
                format!("A {} needs the names of its hosts, and there is no subjectAltName", kind.as_str()),
            )
            .meant("a subjectAltName with at least one DNS name")
            .at(ALT_NAME),
        );
        return;
    };
    let Some(common) = certificate.subject_text(COMMON_NAME).filter(|name| looks_like_host(name)) else {
        return;
    };
    let is_common = |name: &GeneralName| match name {
        GeneralName::DnsName(dns) => dns.as_str().eq_ignore_ascii_case(&common),
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => false,
    };
    if !names.0.iter().any(is_common) {
        findings.push(
            Finding::warning(
                "common-name-not-among-names",
                "CA/Browser Forum Baseline Requirements §7.1.4.3",
                format!("The common name {common} is a host that the subjectAltName does not have"),
            )
            .meant(format!("DNS:{common} in the subjectAltName"))
            .at(ALT_NAME),
        );
    }
}

fn looks_like_host(name: &str) -> bool {
    name.contains('.')
        && name.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '*')
        })
}

fn status(certificate: &Certificate, findings: &mut Vec<Finding>) {
    let info = certificate.typed::<AuthorityInfoAccessSyntax>();
    if info.is_none() {
        findings.push(
            Finding::warning(
                "authority-information-missing",
                "ETSI EN 319 412-2 §4.4.1",
                "The certificate does not say where its issuer's certificate and status are",
            )
            .meant("authorityInformationAccess with caIssuers and OCSP")
            .at(AUTHORITY_INFO),
        );
    }
    let ocsp = info.is_some_and(|(info, _)| info.0.iter().any(|one| one.access_method.to_string() == OCSP));
    if !ocsp && certificate.typed::<CrlDistributionPoints>().is_none() {
        findings.push(
            Finding::warning(
                "revocation-missing",
                "ETSI EN 319 412-2 §4.3.11",
                "The certificate names neither a list nor a responder that would know if it is revoked",
            )
            .meant("an OCSP address in authorityInformationAccess, or cRLDistributionPoints")
            .at(CRL),
        );
    }
    if certificate.typed::<AuthorityKeyIdentifier>().is_none() {
        findings.push(
            Finding::warning(
                "authority-key-id-missing",
                "RFC 5280 §4.2.1.1",
                "The certificate does not say which key of its issuer signed it",
            )
            .meant("authorityKeyIdentifier with the issuer's subjectKeyIdentifier")
            .at(AUTHORITY_KEY),
        );
    }
}
