//! The worked example of RFC 9421, and signatures of our own that are changed.

use super::*;

/// RFC 9421 appendix B.1.4.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";

/// RFC 9421 appendix B.2.6 over the request of appendix B.2.
fn example() -> MessageSignature {
    MessageSignature {
        input: r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#.into(),
        signature: "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:".into(),
    }
}

fn example_sent(name: &str) -> Option<String> {
    let value = match name {
        "date" => "Tue, 20 Apr 2021 02:07:55 GMT",
        "@method" => "POST",
        "@path" => "/foo",
        "@authority" => "example.com",
        "content-type" => "application/json",
        "content-length" => "18",
        _ => return None,
    };
    Some(value.to_owned())
}

/// RFC 9421 appendix B.2.6: made by others, so that both sides of ours cannot agree on a mistake.
#[test]
fn the_worked_example_is_right_and_a_changed_one_is_not() {
    let key = PublicKey::from_pem(PUBLIC).unwrap();
    let parameters = verify(&example(), &key, example_sent, &["@method", "@path"]).unwrap();
    let stated = Parameters { created: 1_618_884_473, key_id: "test-key-ed25519".into(), tag: None };
    assert_eq!(parameters, stated);
    let changed = |name: &str| {
        if name == "@method" { Some("PUT".to_owned()) } else { example_sent(name) }
    };
    assert_eq!(verify(&example(), &key, changed, &[]), Err(InvalidSignature::Signature));
    let uncovered = verify(&example(), &key, example_sent, &["content-digest"]);
    assert_eq!(uncovered, Err(InvalidSignature::Coverage));
    let unsent = |name: &str| example_sent(name).filter(|_| name != "date");
    assert_eq!(verify(&example(), &key, unsent, &[]), Err(InvalidSignature::Coverage));
}

/// RFC 9530 appendix B.1.
#[test]
fn a_content_digest_is_written_as_others_write_it_and_a_changed_body_is_found() {
    let body = br#"{"hello": "world"}"#;
    let header = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    assert_eq!(content_digest(body), header);
    assert_eq!(verify_content_digest(header, body), Ok(()));
    assert_eq!(verify_content_digest(header, b"{}"), Err(InvalidSignature::Digest));
    let both = format!("sha-512=:AAAA:, {header}");
    assert_eq!(verify_content_digest(&both, body), Ok(()));
    for unreadable in ["", "sha-512=:AAAA:", "sha-256=X48E", "sha-256=(:AAAA:)"] {
        assert_eq!(verify_content_digest(unreadable, body), Err(InvalidSignature::Malformed), "{unreadable}");
    }
}

fn keys() -> [SigningKey; 3] {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
    [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519].map(|algorithm| {
        let pem = KeyPair::generate_for(algorithm).unwrap().serialize_pem();
        SigningKey::from_pem(&pem, "k").unwrap()
    })
}

const COVERED: [(&str, &str); 2] = [("@method", "GET"), ("@target-uri", "https://bank.example/v1?a=%20b")];

fn sent(name: &str) -> Option<String> {
    COVERED.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn ours() -> Parameters {
    Parameters { created: 1_780_000_000, key_id: "SN=1,CA=CN=A \\ B".into(), tag: Some("psd2".into()) }
}

/// RFC 9421 §3.1, §3.2 with every kind of key.
#[test]
fn what_each_kind_of_key_signs_verifies_by_that_key_alone() {
    let keys = keys();
    for key in &keys {
        let signed = sign(key, &ours(), &COVERED).unwrap();
        let read = verify(&signed, key.public_key(), sent, &["@method", "@target-uri"]);
        assert_eq!(read, Ok(ours()));
        for other in keys.iter().filter(|other| other.algorithm() != key.algorithm()) {
            let refused = verify(&signed, other.public_key(), sent, &[]);
            assert_eq!(refused, Err(InvalidSignature::Algorithm));
        }
    }
}

/// RFC 9421 §2 and §7: what is covered twice, with parameters that we do not
/// know, or without a time is not taken, nor one signature of several.
#[test]
fn a_signature_that_says_other_than_what_we_read_is_refused() {
    let [_, key, _] = keys();
    let signed = sign(&key, &ours(), &COVERED).unwrap();
    let changes = [
        (r#""@method""#, r#""@method" "@method""#),
        (r#""@method""#, r#""@method";req"#),
        (r#""@method""#, r#""@signature-params""#),
        (r#""@method""#, "method"),
        ("created=1780000000", "created=\"now\""),
        (";created=1780000000", ""),
        ("keyid=\"SN", "kid=\"SN"),
        ("sig1=", "sig2="),
        ("sig1=", "sig0=();created=1;keyid=\"k\", sig1="),
    ];
    for (from, to) in changes {
        assert!(signed.input.contains(from), "{from}");
        let changed = MessageSignature { input: signed.input.replace(from, to), ..signed.clone() };
        let refused = verify(&changed, key.public_key(), sent, &[]);
        assert_eq!(refused, Err(InvalidSignature::Malformed), "{to}");
    }
    let later =
        MessageSignature { input: signed.input.replace("1780000000", "1780000001"), ..signed.clone() };
    assert_eq!(verify(&later, key.public_key(), sent, &[]), Err(InvalidSignature::Signature));
    let long = MessageSignature { input: format!("{}{}", signed.input, " ".repeat(9000)), ..signed };
    assert_eq!(verify(&long, key.public_key(), sent, &[]), Err(InvalidSignature::Malformed));
}

/// RFC 9421 §7.5.1: a value with a line break would be two components.
#[test]
fn what_no_header_can_hold_is_not_signed() {
    let [_, key, _] = keys();
    let split = [("@method", "GET\n\"@path\": /")];
    assert_eq!(sign(&key, &ours(), &split), Err(SigningFailed::Unwritable));
    let foreign = Parameters { key_id: "Autorité".into(), ..ours() };
    assert_eq!(sign(&key, &foreign, &COVERED), Err(SigningFailed::Unwritable));
}
