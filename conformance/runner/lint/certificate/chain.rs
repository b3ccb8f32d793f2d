//! The issuers that come with a certificate (RFC 5280 §6.1, RFC 8446 §4.4.2).

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::keys::{pss_hash, weak_hash};
use super::place_name;
use super::read::{Certificate, ORGANISATION_IDENTIFIER};
use super::validity::moment;
use crate::lint::Finding;

const ORDER: &str = "RFC 8446 §4.4.2";
const PATH: &str = "RFC 5280 §6.1.3";

pub(super) fn check(
    certificates: &[Certificate],
    leaf: usize,
    is_pem: bool,
    at: i64,
    findings: &mut Vec<Finding>,
) {
    let Some(certificate) = certificates.get(leaf) else { return };
    if certificate.is_self_issued() {
        findings.push(self_signed(certificate).at(place_name(leaf)));
        return;
    }
    let path = path(certificates, leaf);
    order(certificates, &path, findings);
    for pair in path.windows(2) {
        let [child, issuer] = pair else { continue };
        if let (Some(of), Some(by)) = (certificates.get(*child), certificates.get(*issuer)) {
            link(of, by, *child, *issuer, findings);
            authority(by, *issuer, at, findings);
        }
    }
    if is_pem && path.len() == 1 {
        findings.push(
            Finding::note("chain-absent", ORDER, "The file does not hold the certificate's issuer")
                .meant("the certificate first, then its issuer, and so on up to the root, which stays out")
                .at(place_name(leaf)),
        );
    }
    let root =
        path.iter().skip(1).find(|&&place| certificates.get(place).is_some_and(Certificate::is_self_issued));
    if let Some(&root) = root {
        findings.push(
            Finding::warning(
                "chain-with-root",
                ORDER,
                "The file also holds the root, which the other side has to know already",
            )
            .meant("the same file without its root")
            .at(place_name(root)),
        );
    }
}

fn self_signed(certificate: &Certificate) -> Finding {
    let id = certificate.subject_text(ORGANISATION_IDENTIFIER).filter(|id| id.starts_with("PSD"));
    match id {
        Some(id) => Finding::error(
            "self-signed-look-alike",
            PATH,
            format!("The certificate says that it is of {id} and is its own issuer, as anybody can make one"),
        )
        .meant("a certificate from a qualified trust service provider, or from the directory"),
        None => Finding::error("self-signed", PATH, "The certificate is its own issuer")
            .meant("a certificate from a qualified trust service provider, or from the directory"),
    }
}

/// From the leaf to the last issuer that the file holds.
fn path(certificates: &[Certificate], leaf: usize) -> Vec<usize> {
    let mut path = vec![leaf];
    while let Some(last) = path.last().and_then(|&place| certificates.get(place)) {
        if last.is_self_issued() {
            break;
        }
        let candidates: Vec<usize> = certificates
            .iter()
            .enumerate()
            .filter(|(place, one)| !path.contains(place) && one.subject() == last.issuer())
            .map(|(place, _)| place)
            .collect();
        let by_key = candidates.iter().copied().find(|&place| {
            last.issuer_key_id().is_some()
                && certificates.get(place).and_then(Certificate::key_id) == last.issuer_key_id()
        });
        match by_key.or_else(|| candidates.first().copied()) {
            Some(next) => path.push(next),
            None => break,
        }
    }
    path
}

fn order(certificates: &[Certificate], path: &[usize], findings: &mut Vec<Finding>) {
    if !path.is_sorted() {
        let wanted: Vec<String> = path.iter().map(|&place| (place + 1).to_string()).collect();
        findings.push(
            Finding::error(
                "chain-order",
                ORDER,
                "The certificates of the file are not in the order of their signatures",
            )
            .meant(format!(
                "the certificate first and each issuer after what it signed: {}",
                wanted.join(", ")
            ))
            .at("file"),
        );
    }
    for (place, one) in certificates.iter().enumerate().filter(|(place, _)| !path.contains(place)) {
        let repeated = certificates.iter().take(place).any(|earlier| earlier.der() == one.der());
        let finding = if repeated {
            Finding::warning("chain-repeated", ORDER, "The file holds the same certificate twice")
                .meant("each certificate once")
        } else {
            Finding::error(
                "chain-stranger",
                ORDER,
                "The file holds a certificate that issued none of the others",
            )
            .meant("the issuer that the certificate before it names, or nothing")
        };
        findings.push(finding.at(place_name(place)));
    }
}

fn link(of: &Certificate, by: &Certificate, child: usize, issuer: usize, findings: &mut Vec<Finding>) {
    if let (Some(wanted), Some(own)) = (of.issuer_key_id(), by.key_id())
        && wanted != own
    {
        findings.push(
            Finding::error(
                "chain-key-id",
                PATH,
                format!(
                    "It names the issuer's key {} and {} has {}",
                    hex::encode(wanted),
                    place_name(issuer),
                    hex::encode(own)
                ),
            )
            .meant("the issuer's certificate for the key that signed; issuers often have several of one name")
            .at(place_name(child)),
        );
        return;
    }
    match is_signed_by(of, by) {
        Some(true) => {}
        Some(false) => findings.push(
            Finding::error(
                "chain-signature",
                PATH,
                format!("The key of {} did not sign it, although the names fit", place_name(issuer)),
            )
            .meant("the issuer's own certificate; one of the same name can be anybody's")
            .at(place_name(child)),
        ),
        // A signature with a broken hash has been refused already.
        None if weak_hash(&of.parsed.signature_algorithm).is_some() => {}
        None => findings.push(
            Finding::note(
                "chain-signature-unchecked",
                PATH,
                format!(
                    "Its signature was not checked: {} is not known here",
                    of.parsed.signature_algorithm.oid
                ),
            )
            .at(place_name(child)),
        ),
    }
}

fn authority(by: &Certificate, issuer: usize, at: i64, findings: &mut Vec<Finding>) {
    if !by.is_authority() {
        findings.push(
            Finding::error(
                "chain-not-authority",
                "RFC 5280 §4.2.1.9",
                "The issuer's certificate does not say that it is a certificate authority",
            )
            .meant("an issuer with basicConstraints CA:TRUE")
            .at(place_name(issuer)),
        );
    }
    let (from, to) = by.window();
    if at < from || at > to {
        findings.push(
            Finding::error(
                "chain-expired",
                "RFC 5280 §6.1.3",
                format!("The issuer's certificate is valid from {} to {}", moment(from), moment(to)),
            )
            .meant("the issuer's certificate that is valid now")
            .at(place_name(issuer)),
        );
    }
}

/// Whether the one key made the other's signature; nothing if the algorithm is not known here.
fn is_signed_by(of: &Certificate, by: &Certificate) -> Option<bool> {
    let algorithm = algorithm(of, by)?;
    let key = by.parsed.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes();
    let signature = of.parsed.signature.raw_bytes();
    Some(UnparsedPublicKey::new(algorithm, key).verify(of.signed_part(), signature).is_ok())
}

fn algorithm(of: &Certificate, by: &Certificate) -> Option<&'static dyn VerificationAlgorithm> {
    let named = &of.parsed.signature_algorithm;
    let issuer = &by.parsed.tbs_certificate.subject_public_key_info.algorithm;
    let curve = issuer.parameters.as_ref().and_then(|parameters| {
        parameters.decode_as::<x509_cert::der::oid::ObjectIdentifier>().ok().map(|oid| oid.to_string())
    });
    match (named.oid.to_string().as_str(), curve.as_deref()) {
        ("1.2.840.113549.1.1.11", _) => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        ("1.2.840.113549.1.1.12", _) => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        ("1.2.840.113549.1.1.13", _) => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        ("1.2.840.113549.1.1.10", _) => match pss_hash(named)?.as_str() {
            "2.16.840.1.101.3.4.2.1" => Some(&signature::RSA_PSS_2048_8192_SHA256),
            "2.16.840.1.101.3.4.2.2" => Some(&signature::RSA_PSS_2048_8192_SHA384),
            "2.16.840.1.101.3.4.2.3" => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        },
        ("1.2.840.10045.4.3.2", Some("1.2.840.10045.3.1.7")) => Some(&signature::ECDSA_P256_SHA256_ASN1),
        ("1.2.840.10045.4.3.3", Some("1.2.840.10045.3.1.7")) => Some(&signature::ECDSA_P256_SHA384_ASN1),
        ("1.2.840.10045.4.3.2", Some("1.3.132.0.34")) => Some(&signature::ECDSA_P384_SHA256_ASN1),
        ("1.2.840.10045.4.3.3", Some("1.3.132.0.34")) => Some(&signature::ECDSA_P384_SHA384_ASN1),
        ("1.3.101.112", _) => Some(&signature::ED25519),
        _ => None,
    }
}
