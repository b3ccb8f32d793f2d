//! The file a certificate comes in: PEM with the leaf first, or DER (RFC 7468, X.690).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::der::{Node, OCTET_STRING, SEQUENCE};
use crate::lint::Finding;

const PEM: &str = "RFC 7468 §5.1";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// What a file holds.
pub(super) struct Contents {
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) is_pem: bool,
}

/// The certificates of a file, and what is wrong with the file itself.
pub(super) fn read(file: &[u8], findings: &mut Vec<Finding>) -> Contents {
    let contents = match std::str::from_utf8(file) {
        Ok(text) if text.contains(BEGIN) => Contents { certificates: read_pem(text, findings), is_pem: true },
        Ok(text) => Contents { certificates: read_bare_base64(text, findings), is_pem: true },
        Err(_) => Contents { certificates: read_der(file, findings), is_pem: false },
    };
    if contents.certificates.is_empty() && findings.is_empty() {
        findings.push(Finding::error("file-empty", PEM, "The file holds no certificate").meant(
            "a PEM file with the certificate first and its issuers after it, or one certificate in DER",
        ));
    }
    contents
}

fn read_pem(text: &str, findings: &mut Vec<Finding>) -> Vec<Vec<u8>> {
    let mut certificates = Vec::new();
    let mut rest = text;
    let mut block = 0_usize;
    while let Some(start) = rest.find(BEGIN) {
        block += 1;
        let at = format!("block {block}");
        let after = rest.get(start + BEGIN.len()..).unwrap_or_default();
        let Some((label, body)) = after.split_once("-----") else {
            findings.push(broken(&at, "its first line has no end"));
            return certificates;
        };
        let Some((body, tail)) = body.split_once(END) else {
            findings.push(broken(&at, "it has no END line"));
            return certificates;
        };
        rest = tail;
        if !tail.starts_with(label) {
            findings.push(broken(&at, "its END line has another label than its BEGIN line"));
            continue;
        }
        if label.ends_with("PRIVATE KEY") {
            findings.push(private_key(&at));
            continue;
        }
        let is_certificate = label == "CERTIFICATE";
        if !is_certificate {
            findings.push(label_finding(label).at(at.as_str()));
            if !matches!(label, "X509 CERTIFICATE" | "TRUSTED CERTIFICATE") {
                continue;
            }
        }
        let packed: String = body.split_whitespace().collect();
        match STANDARD.decode(packed) {
            Ok(der) if label == "TRUSTED CERTIFICATE" => {
                let own = Node::read(&der).map(|(node, _)| node.whole.to_vec());
                certificates.extend(own);
            }
            Ok(der) => certificates.push(der),
            Err(_) => findings.push(broken(&at, "what is between its lines is not base64")),
        }
    }
    certificates
}

fn label_finding(label: &str) -> Finding {
    let says = format!("A block of the file is labelled {label:?}, which is not the label of a certificate");
    let meant = match label {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            "the certificate that the issuer made from this request, labelled CERTIFICATE"
        }
        "PKCS7" | "CMS" => "the certificates of this bundle, each in a block of its own labelled CERTIFICATE",
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "the certificate that holds this key, labelled CERTIFICATE",
        _ => "-----BEGIN CERTIFICATE-----",
    };
    Finding::error("pem-label", PEM, says).meant(meant)
}

fn broken(at: &str, why: &str) -> Finding {
    Finding::error("pem-broken", PEM, format!("A PEM block cannot be read: {why}"))
        .meant("the block as the issuer sent it, from its BEGIN line to its END line")
        .at(at)
}

fn read_bare_base64(text: &str, findings: &mut Vec<Finding>) -> Vec<Vec<u8>> {
    let packed: String = text.split_whitespace().collect();
    let Some(der) = STANDARD.decode(packed).ok().filter(|der| der.first() == Some(&SEQUENCE)) else {
        return Vec::new();
    };
    findings.push(
        Finding::error("pem-lines-missing", PEM, "The file is base64 without the lines that make it PEM")
            .meant("the same text between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"),
    );
    vec![der]
}

fn read_der(file: &[u8], findings: &mut Vec<Finding>) -> Vec<Vec<u8>> {
    match Node::read(file) {
        Some((node, rest)) if node.tag == SEQUENCE => {
            if !rest.is_empty() {
                findings.push(
                    Finding::error(
                        "bytes-after-certificate",
                        "X.690 §8.1",
                        format!("{} bytes come after the certificate", rest.len()),
                    )
                    .meant("one certificate and nothing else; several go into a PEM file"),
                );
            }
            vec![node.whole.to_vec()]
        }
        _ => {
            findings.push(unreadable("it is neither PEM nor DER").at("file"));
            Vec::new()
        }
    }
}

fn private_key(at: &str) -> Finding {
    Finding::error("private-key-in-file", "ETSI EN 319 411-1 §6.3.5", "The file holds a private key")
        .meant("a file without the key; if anybody else has it, revoke the certificate and make a new key")
        .at(at)
}

/// What to say of DER that the strict reader refuses: it may be something else that is in order.
pub(super) fn no_certificate(der: &[u8], why: &str, at: &str) -> Finding {
    let children = Node::only(der).map(|node| node.children()).unwrap_or_default();
    let [first, second, ..] = children.as_slice() else { return unreadable(why).at(at) };
    let is_integer = |node: &Node<'_>, value: u8| node.tag == INTEGER && node.content == [value];
    let inner = first.children();
    if is_integer(first, 0) || (is_integer(first, 1) && second.tag == OCTET_STRING) {
        return private_key(at);
    }
    let says = if first.oid().as_deref() == Some(SIGNED_DATA) {
        "it is a bundle of PKCS#7"
    } else if is_integer(first, 3) && second.leaves().first().and_then(Node::oid).as_deref() == Some(DATA) {
        "it is a store of PKCS#12, which usually holds the private key too"
    } else if inner.len() == 4 && inner.last().is_some_and(|last| last.tag == ATTRIBUTES) {
        "it is a request for a certificate"
    } else {
        return unreadable(why).at(at);
    };
    unreadable(says).meant("the certificate alone, in PEM or in DER, and its issuers after it").at(at)
}

const INTEGER: u8 = 0x02;
/// The attributes of a request (RFC 2986 §4.1).
const ATTRIBUTES: u8 = 0xa0;
const DATA: &str = "1.2.840.113549.1.7.1";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";

/// A certificate that is none.
fn unreadable(why: &str) -> Finding {
    Finding::error(
        "certificate-unreadable",
        "RFC 5280 §4.1",
        format!("The certificate cannot be read: {why}"),
    )
    .meant("a certificate of X.509, in PEM or in DER")
}
