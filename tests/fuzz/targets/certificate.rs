//! Certificates, revocation lists and answers of OCSP responders, in DER and PEM; and the same
//! bytes as what an authority that we trust has signed.

#![no_main]

use std::sync::LazyLock;

use crypto::ocsp::{Question, Status};
use crypto::pki::Authority;
use crypto::{Certificate, Jwks, OrganizationIdSpelling, QcType, SigningKey};
use edge::{ClientTrust, Revocation};
use fuzz::now;
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// An authority, and a question about a certificate that it issued.
struct World {
    key: SigningKey,
    question: Question,
    /// The certificate in question, as OCSP names it.
    named: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let authority = Authority::new("Fuzz", now()).expect("an authority");
    let leaf = authority.issue_client_plain("Leaf").expect("a certificate");
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let root = der(authority.certificate_pem());
    let anchor = webpki::anchor_from_trusted_cert(&root).expect("an anchor");
    let question = Question::about(&der(&leaf.certificate_pem), &anchor).expect("a question");
    let key = SigningKey::from_pem(&authority.key_pem(), "root").expect("a key");
    // OCSPRequest, TBSRequest, requestList, Request, CertID.
    let mut named = question.request();
    for _ in 0..4 {
        named = inside(named);
    }
    World { key, named: named.to_vec(), question }
});

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::parse(data) {
        read(&certificate, data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(certificate) = Certificate::from_pem(text)
    {
        read(&certificate, &certificate.der);
    }
    let mut trust = ClientTrust::new(Revocation::Hard);
    let _ = (trust.add_lists(data), trust.add_anchors(data));
    let World { question, .. } = &*WORLD;
    assert!(question.read(data, now()).is_err(), "a stranger's answer");
    let _ = question.read(&answer(data), now());
    told(data);
});

fn read(certificate: &Certificate, der: &[u8]) {
    assert_eq!(certificate.der, der);
    assert!(Certificate::parse(&[der, &[0]].concat()).is_err(), "bytes behind the end");
    assert!(certificate.serial_hex.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()));
    for spelling in [
        OrganizationIdSpelling::AttributeName,
        OrganizationIdSpelling::DottedHex,
        OrganizationIdSpelling::DottedText,
    ] {
        let _ = certificate.subject_dn_spelt(spelling);
    }
    assert_eq!(certificate.berlin_group_key_id().matches('"').count(), 0);
    for wanted in [QcType::Web, QcType::Seal, QcType::Signature] {
        let _ = certificate.psd2_problems(wanted);
    }
    let keys = serde_json::json!({ "keys": [certificate.jwk()] });
    let keys = Jwks::from_value(&keys).expect("its key as a set");
    let thumbprints: Vec<_> = keys.iter().map(|jwk| jwk.key().thumbprint()).collect();
    assert_eq!(thumbprints, [certificate.public_key().thumbprint()]);
}

/// The bytes as what the authority says of the certificate: its state and its times.
fn told(state: &[u8]) {
    let single = element(0x30, &[&WORLD.named, state]);
    let responder = element(0xa2, &[&element(0x04, &[&[0; 20]])]);
    let produced = element(0x18, &[b"20260101000000Z"]);
    let data = element(0x30, &[&responder, &produced, &element(0x30, &[&single])]);
    let Ok(answer) = WORLD.question.read(&answer(&data), now()) else { return };
    match answer.status {
        Status::Good => assert_eq!(state.first(), Some(&0x80)),
        Status::Revoked => assert_eq!(state.first(), Some(&0xa1)),
    }
    assert!(answer.until >= now(), "an answer of the past");
}

/// An answer that the authority signed (RFC 6960 §4.2.1).
fn answer(data: &[u8]) -> Vec<u8> {
    let signature = WORLD.key.sign(data).expect("the key signs");
    let (r, s) = signature.split_at(32);
    let signature = element(0x30, &[&integer(r), &integer(s)]);
    let ecdsa_with_sha256 = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let basic =
        element(0x30, &[data, &element(0x30, &[&ecdsa_with_sha256]), &element(0x03, &[&[0], &signature])]);
    let basic_type = [0x06, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let bytes = element(0xa0, &[&element(0x30, &[&basic_type, &element(0x04, &[&basic])])]);
    element(0x30, &[&[0x0a, 1, 0], &bytes])
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let sign = if bytes[start] & 0x80 != 0 { [0].as_slice() } else { &[] };
    element(0x02, &[sign, &bytes[start..]])
}

/// One element in DER.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = u32::try_from(contents.len()).expect("small").to_be_bytes();
    let mut element = vec![tag];
    match contents.len() {
        0..0x80 => element.push(length[3]),
        0x80..0x100 => element.extend([0x81, length[3]]),
        0x100..0x1_0000 => element.extend([0x82, length[2], length[3]]),
        _ => element.extend([0x84, length[0], length[1], length[2], length[3]]),
    }
    element.extend(contents);
    element
}

/// What is in the first element, of one whose length takes one byte or two.
fn inside(der: &[u8]) -> &[u8] {
    match der[1] {
        0x81 => &der[3..3 + usize::from(der[2])],
        length => &der[2..2 + usize::from(length)],
    }
}
