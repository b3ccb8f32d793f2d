//! Keys and signature algorithms of a certificate and of its issuers (ETSI TS 119 312).

use x509_cert::spki::AlgorithmIdentifierOwned;

use super::der::Node;
use super::place_name;
use super::read::Certificate;
use crate::lint::Finding;

const SUITES: &str = "ETSI TS 119 312 §7";
const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
const RSA_BITS: usize = 2048;
/// Signature algorithms whose hash is broken.
const WEAK: [(&str, &str); 7] = [
    ("1.2.840.113549.1.1.2", "MD2"),
    ("1.2.840.113549.1.1.3", "MD4"),
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const STRONG_HASHES: [&str; 3] =
    ["2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];
const NIST_CURVES: [&str; 3] = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];
const BRAINPOOL: &str = "1.3.36.3.3.2.8.1.1.";

pub(super) fn check(certificates: &[Certificate], findings: &mut Vec<Finding>) {
    for (place, certificate) in certificates.iter().enumerate() {
        let at = place_name(place);
        let outer = &certificate.parsed.signature_algorithm;
        if *outer != certificate.parsed.tbs_certificate.signature {
            findings.push(
                Finding::error(
                    "signature-algorithms-differ",
                    "RFC 5280 §4.1.1.2",
                    "The certificate names one signature algorithm inside what is signed and another outside",
                )
                .meant("the same algorithm, with the same parameters, at both places")
                .at(at.as_str()),
            );
        }
        if let Some(hash) = weak_hash(outer) {
            findings.push(
                Finding::error(
                    "signature-hash-weak",
                    SUITES,
                    format!("The certificate is signed with {hash}"),
                )
                .meant("a signature with SHA-256 or better")
                .at(at.as_str()),
            );
        }
        findings.extend(key(certificate).map(|finding| finding.at(at)));
    }
}

/// The broken hash that an algorithm signs with.
pub(super) fn weak_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<&'static str> {
    let oid = algorithm.oid.to_string();
    if oid == RSA_PSS {
        let hash = pss_hash(algorithm);
        return if hash.is_some_and(|hash| STRONG_HASHES.contains(&hash.as_str())) {
            None
        } else {
            Some("SHA-1")
        };
    }
    WEAK.iter().find(|(weak, _)| oid == *weak).map(|(_, hash)| *hash)
}

/// The hash of RSASSA-PSS; without parameters it is SHA-1 (RFC 4055 §3.1).
pub(super) fn pss_hash(algorithm: &AlgorithmIdentifierOwned) -> Option<String> {
    let parameters = algorithm.parameters.as_ref()?;
    Node { tag: super::der::SEQUENCE, content: parameters.value(), whole: &[] }
        .leaves()
        .iter()
        .find_map(Node::oid)
}

fn key(certificate: &Certificate) -> Option<Finding> {
    let info = &certificate.parsed.tbs_certificate.subject_public_key_info;
    match info.algorithm.oid.to_string().as_str() {
        RSA => {
            let bits = rsa_bits(info.subject_public_key.raw_bytes());
            let short = bits.is_none_or(|bits| bits < RSA_BITS);
            short.then(|| {
                let bits = bits.unwrap_or_default();
                Finding::error("rsa-key-short", SUITES, format!("The RSA key has {bits} bits"))
                    .meant(format!("an RSA key of {RSA_BITS} bits or more, or a key on P-256"))
            })
        }
        EC => {
            let curve =
                info.algorithm.parameters.as_ref().and_then(|parameters| {
                    parameters.decode_as::<x509_cert::der::oid::ObjectIdentifier>().ok()
                });
            let name = curve.map_or_else(|| "parameters of its own".to_owned(), |curve| curve.to_string());
            if NIST_CURVES.contains(&name.as_str()) {
                None
            } else if name.starts_with(BRAINPOOL) {
                Some(
                    Finding::warning(
                        "ec-curve-rare",
                        "RFC 8446 §4.2.7",
                        format!(
                            "The key is on the Brainpool curve {name}, which most TLS stacks do not take"
                        ),
                    )
                    .meant("a key on P-256 or P-384"),
                )
            } else {
                Some(
                    Finding::error("ec-curve-unsuited", SUITES, format!("The key is on the curve {name}"))
                        .meant("a key on P-256, P-384 or P-521"),
                )
            }
        }
        ED25519 => None,
        other => Some(
            Finding::error("key-algorithm-unsuited", SUITES, format!("The key is of the algorithm {other}"))
                .meant("an RSA key of 2048 bits or more, or a key on P-256"),
        ),
    }
}

fn rsa_bits(key: &[u8]) -> Option<usize> {
    let parts = Node::only(key)?.children();
    let modulus = parts.first()?.content;
    let first = modulus.iter().position(|&octet| octet != 0)?;
    let significant = modulus.get(first..)?;
    let leading = usize::try_from(significant.first()?.leading_zeros()).ok()?;
    Some(significant.len() * 8 - leading)
}
