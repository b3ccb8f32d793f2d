//! Signatures of our seal, checked with its public key alone.

use crypto::jws;
use crypto::message_signature::{self, MessageSignature};
use crypto::pki::{Authority, Psd2Subject};
use domain::{Clock, SystemClock};
use http::Method;

use super::*;
use crate::Effect;

fn seal() -> Seal {
    let authority = Authority::new("Test authority", SystemClock.now()).unwrap();
    let subject = Psd2Subject {
        common_name: "tpp.example".into(),
        organization: "Example TPP".into(),
        country: "FR".into(),
        organization_identifier: "PSDFR-ACPR-100001".into(),
        roles: vec![crypto::Psd2Role::AccountInformation],
        nca_name: "Autorité de contrôle prudentiel et de résolution".into(),
        nca_id: "FR-ACPR".into(),
        san_dns: Vec::new(),
        san_uri: Vec::new(),
    };
    let issued = authority.issue_qseal(&subject, true).unwrap();
    Seal {
        key: Arc::new(SigningKey::from_pem(&issued.key_pem, "seal-1").unwrap()),
        certificate: Arc::new(Certificate::from_pem(&issued.certificate_pem).unwrap()),
        jws_issuer: String::new(),
    }
}

/// RFC 9421 with what the Berlin Group had signed before: the request's own
/// address, body and headers, whoever the key belongs to, and when.
#[test]
fn a_message_signature_covers_the_request_and_names_key_time_and_purpose() {
    let (seal, now) = (seal(), "2026-06-01T10:00:00Z".parse().unwrap());
    let named = |key_id: Option<&str>| {
        let signing =
            Signing::MessageSignature { key_id: key_id.map(str::to_owned), tag: Some("psd2".to_owned()) };
        let mut request = request(Some("{\"a\":1}"), Signature::MessageSignature);
        request = request.header("psu-id", "anna").unwrap();
        sign(&profile(signing), Some(&seal), now, &mut request).unwrap();
        let text = |name: &str| request.header_text(name).map(str::to_owned);
        message_signature::verify_content_digest(&text("content-digest").unwrap(), b"{\"a\":1}").unwrap();
        let sent = |name: &str| match name {
            "@method" => Some("POST".to_owned()),
            "@target-uri" => Some("https://api.bank.example/v1.4/payment-requests?x=1".to_owned()),
            name => text(name),
        };
        let headers = MessageSignature {
            input: text("signature-input").unwrap(),
            signature: text("signature").unwrap(),
        };
        let covered = ["@method", "@target-uri", "content-digest", "content-type", "x-request-id", "psu-id"];
        let read = message_signature::verify(&headers, seal.key.public_key(), sent, &covered).unwrap();
        assert_eq!((read.created, read.tag.as_deref()), (now.as_second(), Some("psd2")));
        assert!(!headers.input.contains("authorization"));
        assert_eq!(text("tpp-signature-certificate").unwrap(), STANDARD.encode(&seal.certificate.der));
        read.key_id
    };
    assert_eq!(named(None), seal.certificate.berlin_group_key_id());
    let fingerprint = crypto::digest::sha256_hex(&seal.certificate.der);
    assert_eq!(named(Some("k-{sha256}")), format!("k-{fingerprint}"));
}

fn profile(signing: Signing) -> Profile {
    let (id, region) = ("fr-examplebank".parse().unwrap(), "eu".parse().unwrap());
    Profile { signing, ..Profile::blank(id, "Example", region, "stet") }
}

fn request(body: Option<&'static str>, signature: Signature) -> BankRequest {
    let url = "https://api.bank.example/v1.4/payment-requests?x=1".parse().unwrap();
    let request = BankRequest::of(Method::POST, url, Effect::Write)
        .header("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
        .and_then(|request| request.header("psu-ip-address", "192.0.2.1"))
        .and_then(|request| request.header("authorization", "Bearer token"))
        .unwrap()
        .signed(signature);
    match body {
        Some(body) => request.body("application/hal+json", body),
        None => request,
    }
}

/// STET 1.4 section 3.5.3: keyId is the address of the QSealC, with its
/// fingerprint; what identifies request and PSU is covered, no certificate sent.
#[test]
fn a_signature_by_url_covers_target_body_and_psu_and_names_the_certificate() {
    let (seal, now) = (seal(), "2026-06-01T10:00:00Z".parse().unwrap());
    let key_url = "https://tpp.example/qseal_{sha256}.pem".to_owned();
    let profile = profile(Signing::DigestSignatureByUrl { key_url });
    for body in [None, Some("{\"a\":1}")] {
        let mut request = request(body, Signature::DigestAndSignatureByUrl);
        sign(&profile, Some(&seal), now, &mut request).unwrap();
        assert_eq!(request.header_text("date"), Some("Mon, 01 Jun 2026 10:00:00 GMT"));
        let digest = request.header_text("digest").unwrap();
        http_signature::verify_digest(digest, body.unwrap_or_default().as_bytes()).unwrap();
        let length = body.unwrap_or_default().len().to_string();
        let sent = |name: &str| match name {
            "(request-target)" => Some("post /v1.4/payment-requests?x=1".to_owned()),
            "content-length" => Some(length.clone()),
            name => request.header_text(name).map(str::to_owned),
        };
        let mut required = vec!["(request-target)", "digest", "date", "x-request-id", "psu-ip-address"];
        if body.is_some() {
            required.extend(["content-type", "content-length"]);
        }
        let signature = request.header_text("signature").unwrap();
        let key = seal.key.public_key();
        let named = http_signature::verify_cavage(signature, key, sent, &required).unwrap();
        let fingerprint = crypto::digest::sha256_hex(&seal.certificate.der);
        assert_eq!(named.key_id, format!("https://tpp.example/qseal_{fingerprint}.pem"));
        assert!(!named.headers.contains(&"authorization".to_owned()));
        assert!(request.header_text("tpp-signature-certificate").is_none());
    }
}

#[test]
fn a_body_jws_names_key_and_certificate_and_has_no_critical_header() {
    let (seal, now) = (seal(), "2026-06-01T10:00:00Z".parse().unwrap());
    let mut request = request(Some("{\"a\":1}"), Signature::BodyJws);
    sign(&profile(Signing::BodyJws), Some(&seal), now, &mut request).unwrap();
    let token = request.header_text("x-jws-signature").unwrap();
    let keys = crypto::Jwks::of([&*seal.key]);
    let verified = jws::verify_detached(token, b"{\"a\":1}", &keys, &[Algorithm::Ps256], &[]).unwrap();
    assert_eq!(verified.header["x5t#S256"], seal.certificate.thumbprint.to_string());
    assert_eq!(verified.header["kid"], "seal-1");
    assert!(jws::verify_detached(token, b"{\"a\":2}", &keys, &[Algorithm::Ps256], &[]).is_err());
}
