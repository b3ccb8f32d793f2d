//! The issuers that come with a certificate.

use consentry_conformance::lint::certificate::{Kind, check};
use rcgen::KeyPair;

use crate::der::{children, content, oid, seq, tlv};
use crate::forge::{
    Authority, INTERMEDIATE, NOW, ROOT, Recipe, authority, authority_with, pem, reforged, rules,
};

fn of(ders: &[&[u8]]) -> Vec<&'static str> {
    let file: String = ders.iter().map(|der| pem(der)).collect();
    rules(&check(file.as_bytes(), Some(Kind::Qwac), NOW))
}

#[test]
fn a_leaf_alone_is_noted() {
    assert_eq!(of(&[&Recipe::qwac().der()]), ["chain-absent"]);
}

#[test]
fn rfc_8446_4_4_2_the_order_is_that_of_the_signatures() {
    let leaf = Recipe::qwac().der();
    assert_eq!(of(&[&INTERMEDIATE.der, &leaf]), ["chain-order"]);
    assert_eq!(of(&[&leaf, &INTERMEDIATE.der, &ROOT.der]), ["chain-with-root"]);
    assert_eq!(of(&[&leaf, &INTERMEDIATE.der, &INTERMEDIATE.der]), ["chain-repeated"]);
    let stranger = authority("Somebody", Some(&ROOT), (2024, 2034));
    assert_eq!(of(&[&leaf, &stranger.der, &INTERMEDIATE.der]), ["chain-stranger"]);
    assert_eq!(of(&[&leaf, &stranger.der]), ["chain-stranger", "chain-absent"]);
}

#[test]
fn rfc_5280_6_1_3_the_issuer_made_the_signature() {
    let namesake = authority("Test QTSP", Some(&ROOT), (2024, 2034));
    assert_eq!(of(&[&Recipe::qwac().der(), &namesake.der]), ["chain-key-id"]);
    let anonymous = Recipe { names_issuer_key: false, ..Recipe::qwac() }.der();
    assert_eq!(of(&[&anonymous, &namesake.der]), ["authority-key-id-missing", "chain-signature"]);
    let forged = reforged(&Recipe::qwac().der(), &namesake, &[], None);
    assert_eq!(of(&[&forged, &INTERMEDIATE.der]), ["chain-signature"]);
}

#[test]
fn among_issuers_of_one_name_the_one_with_the_key_is_taken() {
    let namesake = authority("Test QTSP", Some(&ROOT), (2024, 2034));
    assert_eq!(of(&[&Recipe::qwac().der(), &namesake.der, &INTERMEDIATE.der]), ["chain-stranger"]);
}

#[test]
fn a_signature_of_an_algorithm_that_is_not_known_here_is_said_to_be_unchecked() {
    let sha512 = seq(&[oid("1.2.840.10045.4.3.4")]);
    let der = reforged(&Recipe::qwac().der(), &INTERMEDIATE, &[(2, sha512.clone())], Some(sha512));
    assert_eq!(of(&[&der, &INTERMEDIATE.der]), ["chain-signature-unchecked"]);
}

#[test]
fn an_issuer_has_to_be_an_authority_that_is_in_date() {
    let spent: Authority = authority("Spent", Some(&ROOT), (2020, 2025));
    let leaf = Recipe::qwac().params().signed_by(&KeyPair::generate().unwrap(), &spent.issuer).unwrap();
    assert_eq!(of(&[leaf.der(), &spent.der]), ["chain-expired"]);

    let mut params = Recipe::qwac().params();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "No authority");
    let key = KeyPair::generate().unwrap();
    let by = params.signed_by(&key, &ROOT.issuer).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let leaf = Recipe::qwac().params().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    assert_eq!(of(&[leaf.der(), by.der()]), ["chain-not-authority"]);
}

#[test]
fn a_certificate_that_issues_itself_is_a_look_alike() {
    let key = KeyPair::generate().unwrap();
    let own = Recipe::qwac().params().self_signed(&key).unwrap();
    assert_eq!(of(&[own.der()]), ["self-signed-look-alike"]);
    let tax = Recipe::qwac().set_subject("2.5.4.97", Some("VATDE-1")).params().self_signed(&key).unwrap();
    assert_eq!(of(&[tax.der()]), ["organisation-identifier-other", "self-signed"]);
}

/// RFC 4055: the two paddings of RSA, the second with its parameters.
#[test]
fn signatures_of_rsa_are_checked_with_either_padding() {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let signer = ring::signature::RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
    let by = authority_with("RSA", Some(&ROOT), (2024, 2034), key);
    let leaf = Recipe::qwac().params().signed_by(&KeyPair::generate().unwrap(), &by.issuer).unwrap();
    assert_eq!(of(&[leaf.der(), &by.der]), Vec::<&str>::new());

    let sha256 = seq(&[oid("2.16.840.1.101.3.4.2.1")]);
    let mask = seq(&[oid("1.2.840.113549.1.1.8"), sha256.clone()]);
    let salt = tlv(0x02, &[vec![32]]);
    let parameters = seq(&[tlv(0xa0, &[sha256]), tlv(0xa1, &[mask]), tlv(0xa2, &[salt])]);
    let algorithm = seq(&[oid("1.2.840.113549.1.1.10"), parameters]);
    let mut signed = children(content(&children(content(leaf.der()))[0]));
    signed[2] = algorithm.clone();
    let signed = seq(&signed);
    let mut signature = vec![0; signer.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    signer.sign(&ring::signature::RSA_PSS_SHA256, &random, &signed, &mut signature).unwrap();
    let whole =
        |signature: Vec<u8>| seq(&[signed.clone(), algorithm.clone(), tlv(0x03, &[vec![0], signature])]);
    assert_eq!(of(&[&whole(signature.clone()), &by.der]), Vec::<&str>::new());
    signature[9] ^= 1;
    assert_eq!(of(&[&whole(signature), &by.der]), ["chain-signature"]);
}
