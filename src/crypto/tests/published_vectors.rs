//! Worked open-banking signatures, made and verified by independent libraries.
//! Read from beside the checkout; without them these tests say so and pass.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod published;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry_crypto::http_signature::{CavageHeader, InvalidSignature, verify_cavage, verify_digest};
use consentry_crypto::{Algorithm, Certificate, Jwks, Psd2Problem, Psd2Role, QcType, jws};
use published::published;
use serde_json::Value;

fn seal(examples: &Value) -> Certificate {
    let der = examples["berlin_group"]["headers"]["tpp-signature-certificate"].as_str().unwrap();
    Certificate::parse(&STANDARD.decode(der).unwrap()).unwrap()
}

#[test]
fn the_worked_http_signatures_verify_and_a_changed_header_does_not() {
    let Some(examples) = published("signature-examples.json") else { return };
    let seal = seal(&examples);
    for (name, required) in [("berlin_group", "tpp-redirect-uri"), ("ing", "date"), ("stet", "date")] {
        let example = &examples[name];
        let body = example["body"].as_str().unwrap().as_bytes();
        verify_digest(example["headers"]["digest"].as_str().unwrap(), body).unwrap();
        let header = example["headers"]["signature"].as_str().unwrap();
        let target = format!("get {}", example["path"].as_str().unwrap());
        let sent = |name: &str| match name {
            "(request-target)" => Some(target.clone()),
            name => example["headers"][name].as_str().map(str::to_owned),
        };
        let required = ["digest", "x-request-id", required];
        let parsed = verify_cavage(header, seal.public_key(), sent, &required).unwrap();
        assert_eq!(parsed.to_string(), header, "what we write is what others write");
        let changed = |name: &str| {
            sent(name).map(|value| if name == "x-request-id" { value.replace('9', "8") } else { value })
        };
        let refused = verify_cavage(header, seal.public_key(), changed, &required);
        assert_eq!(refused, Err(InvalidSignature::Signature));
    }
}

#[test]
fn the_key_id_of_the_worked_signature_is_the_one_we_derive() {
    let Some(examples) = published("signature-examples.json") else { return };
    let header = examples["berlin_group"]["headers"]["signature"].as_str().unwrap();
    let theirs = CavageHeader::parse(header).unwrap().key_id;
    let ours = seal(&examples).berlin_group_key_id();
    assert_eq!(theirs.split(',').next(), ours.split(',').next());
}

#[test]
fn the_worked_uk_signatures_verify_only_when_their_extensions_are_understood() {
    let Some(examples) = published("signature-examples.json") else { return };
    let uk = "http://openbanking.org.uk/";
    let claims: Vec<String> = ["iat", "iss", "tan"].iter().map(|name| format!("{uk}{name}")).collect();
    let mut understood: Vec<&str> = claims.iter().map(String::as_str).collect();
    for name in ["ukob_v314plus", "ukob_v313"] {
        let body = examples[name]["body"].as_str().unwrap().as_bytes();
        let signature = examples[name]["x-jws-signature"].as_str().unwrap();
        let kid = jws::peek_header(signature).unwrap()["kid"].clone();
        let mut jwk = seal(&examples).jwk();
        jwk["kid"] = kid;
        let keys = Jwks::from_value(&serde_json::json!({ "keys": [jwk] })).unwrap();
        let verify = |understood: &[&str], body: &[u8]| {
            jws::verify_detached(signature, body, &keys, &[Algorithm::Ps256], understood).map(|_| ())
        };
        assert_eq!(verify(&[], body), Err(jws::InvalidJws::Critical));
        if name == "ukob_v313" {
            assert_eq!(verify(&understood, body), Err(jws::InvalidJws::Critical), "b64 is critical");
            understood.push("b64");
        }
        assert_eq!(verify(&understood, body), Ok(()));
        let longer = [body, b" "].concat();
        assert_eq!(verify(&understood, &longer), Err(jws::InvalidJws::Signature));
    }
}

/// Certificates another tool made: a PISP, an AISP, one that ran out, a seal
/// and one without any PSD2 statement.
#[test]
fn the_certificates_of_an_independent_pki_state_what_they_were_made_for() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/judges/mkpki.sh");
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("pki");
    let run = std::process::Command::new("bash").arg(script).arg(&made).output();
    if !run.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {script} or openssl is not here");
        return;
    }
    let read = |name: &str| {
        let pem = std::fs::read_to_string(made.join(format!("{name}.crt"))).unwrap();
        Certificate::from_pem(&pem).unwrap()
    };
    let now = domain::Clock::now(&domain::SystemClock);
    let (a, b, seal) = (read("tpp-a"), read("tpp-b"), read("seal-a"));
    assert_eq!(a.psd2_problems(QcType::Web), []);
    assert_eq!(
        a.subject_dn,
        "CN=fintech-a.example,organizationIdentifier=PSDDE-BAFIN-100001,O=Fintech A GmbH,C=DE"
    );
    assert_eq!(a.issuer_dn, "CN=Test QTSP Root,O=Test QTSP GmbH,C=DE");
    assert!(a.has_role(Psd2Role::PaymentInitiation) && a.has_role(Psd2Role::AccountInformation));
    assert_eq!(b.psd2_problems(QcType::Web), []);
    assert!(!b.has_role(Psd2Role::PaymentInitiation));
    assert_eq!(b.public_key().algorithm(), Algorithm::Ps256);
    assert_eq!(seal.psd2_problems(QcType::Seal), []);
    assert!(
        seal.psd2_problems(QcType::Web)
            .contains(&Psd2Problem::WrongType { found: Some(QcType::Seal), wanted: QcType::Web })
    );
    assert!(a.is_valid_at(now) && !read("tpp-expired").is_valid_at(now));
    assert!(read("plain").psd2_problems(QcType::Web).contains(&Psd2Problem::NoStatement));
}
