//! Our own signatures, key sets and certificates, made and read again, also
//! by other implementations where one is at hand.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use consentry_crypto::http_signature::{self, InvalidSignature};
use consentry_crypto::jws::{self, InvalidJws};
use consentry_crypto::pki::{self, Authority, Issued, Psd2Subject};
use consentry_crypto::webhook::{self, Verifier};
use consentry_crypto::{
    Algorithm, Certificate, Jwks, OrganizationIdSpelling, Psd2Role, QcType, SigningKey, Thumbprint,
};
use domain::{Clock, SystemClock};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn subject() -> Psd2Subject {
    Psd2Subject {
        common_name: "Fintech, \"A\"".into(),
        organization: "Müller & Söhne".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-100001".into(),
        roles: vec![Psd2Role::PaymentInitiation, Psd2Role::AccountInformation],
        nca_name: "Federal Financial Supervisory Authority".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: vec!["fintech-a.example".into()],
        san_uri: vec!["https://fintech-a.example/app".into()],
    }
}

fn authority() -> Authority {
    Authority::new("Sandbox Root", SystemClock.now()).unwrap()
}

fn keys() -> [SigningKey; 3] {
    [
        SigningKey::from_pem(&pki::generate_rsa().unwrap(), "rsa").unwrap(),
        SigningKey::from_pem(&pki::generate_p256().unwrap(), "ec").unwrap(),
        SigningKey::from_pem(&pki::generate_ed25519().unwrap(), "ed").unwrap(),
    ]
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn a_token_verifies_here_and_in_another_library_and_not_when_changed() {
    for (key, theirs) in keys().into_iter().zip([
        jsonwebtoken::Algorithm::PS256,
        jsonwebtoken::Algorithm::ES256,
        jsonwebtoken::Algorithm::EdDSA,
    ]) {
        let claims = json!({"iss": "us", "exp": 4_000_000_000_i64, "aud": "you"});
        let token =
            jws::sign_compact(&key, &object(json!({"typ": "JWT"})), claims.to_string().as_bytes()).unwrap();
        let set = Jwks::parse(Jwks::of([&key]).to_value().to_string().as_bytes()).unwrap();
        let verified = jws::verify_compact(&token, &set, &[key.algorithm()]).unwrap();
        assert_eq!(Value::Object(verified.claims().unwrap()), claims);
        assert_eq!((&verified.header["kid"], &verified.header["typ"]), (&json!(key.kid()), &json!("JWT")));

        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(theirs);
        rules.set_audience(&["you"]);
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        jsonwebtoken::decode::<Value>(&token, &decoding, &rules).unwrap();

        let others: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(|a| *a != key.algorithm()).collect();
        assert_eq!(jws::verify_compact(&token, &set, &others).unwrap_err(), InvalidJws::Algorithm);
        let changed = token.replacen('.', ".A", 1);
        assert!(jws::verify_compact(&changed, &set, &Algorithm::ALL).is_err());
        let stranger = Jwks::of(&keys()).clone();
        assert_eq!(
            jws::verify_compact(&token, &stranger, &Algorithm::ALL).unwrap_err(),
            InvalidJws::Signature
        );
    }
}

/// RFC 7515 §4: header names are unique; RFC 8725 §3.1: `none` is no algorithm.
#[test]
fn a_header_that_could_be_read_two_ways_is_refused() {
    use base64::Engine;
    let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let set = Jwks::of(&keys());
    let verdict = |header: &str| {
        jws::verify_compact(&format!("{}.{}.AA", b64(header), b64("{}")), &set, &Algorithm::ALL).unwrap_err()
    };
    assert_eq!(verdict(r#"{"alg":"ES256","alg":"none"}"#), InvalidJws::Malformed);
    assert_eq!(verdict(r#"{"alg":"none"}"#), InvalidJws::Algorithm);
    assert_eq!(verdict(r#"{"alg":"HS256"}"#), InvalidJws::Algorithm);
    assert_eq!(verdict(r#"{"alg":"ES256","crit":[]}"#), InvalidJws::Critical);
    assert_eq!(verdict(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#), InvalidJws::Critical);
    assert_eq!(verdict(r#"{"alg":"ES256","b64":false}"#), InvalidJws::Critical);
    assert_eq!(verdict(r#"{"alg":"ES256","kid":"nobody"}"#), InvalidJws::UnknownKey);
    assert_eq!(verdict(r#"["alg"]"#), InvalidJws::Malformed);
}

/// RFC 7515 §2: base64url has no padding, no white space and no other
/// characters; RFC 4648 §3.5: the bits that pad a last character are zero.
#[test]
fn junk_in_any_part_of_a_token_is_refused_before_its_signature_is_looked_at() {
    let [_, key, _] = keys();
    let set = Jwks::of([&key]);
    let token = jws::sign_compact(&key, &object(json!({"n": "12"})), b"{\"a\":12}").unwrap();
    jws::verify_compact(&token, &set, &Algorithm::ALL).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    for at in 0..3 {
        let with = |part: String| {
            let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            if let Some(place) = changed.get_mut(at) {
                *place = part;
            }
            changed.join(".")
        };
        let part = *parts.get(at).unwrap();
        let mut junk: Vec<String> =
            ["=", "==", " ", "\n", "+", "/", "\0", "é"].map(|more| format!("{part}{more}")).into();
        junk.push(format!(" {part}"));
        // The last character of two thirds of all lengths has bits that say nothing.
        if part.len() % 4 != 0 {
            let last =
                part.chars().next_back().map(|last| char::from_u32(u32::from(last) + 1).unwrap()).unwrap();
            junk.push(format!("{}{last}", &part[..part.len() - 1]));
        }
        for junk in junk {
            let refused = jws::verify_compact(&with(junk.clone()), &set, &Algorithm::ALL).unwrap_err();
            assert_eq!(refused, InvalidJws::Malformed, "part {at}: {junk:?}");
        }
    }
}

/// A token is read up to its bounds; a signed one too.
#[test]
fn oversized_deep_and_ambiguous_tokens_are_refused() {
    use base64::Engine;
    let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let [_, key, _] = keys();
    let set = Jwks::of([&key]);
    let verdict = |token: &str| jws::verify_compact(token, &set, &Algorithm::ALL).map(|_| ());
    let filled = |size: usize| object(json!({"x": "x".repeat(size)}));
    let long_header = jws::sign_compact(&key, &filled(16 * 1024), b"{}").unwrap();
    assert_eq!(verdict(&long_header), Err(InvalidJws::TooLarge));
    let long_payload = jws::sign_compact(&key, &Map::new(), &vec![b' '; 256 * 1024]).unwrap();
    assert_eq!(verdict(&long_payload), Err(InvalidJws::TooLarge));
    assert_eq!(jws::peek_claims(&long_payload), Err(InvalidJws::TooLarge));

    let deep = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
    for claims in [deep.as_str(), r#"{"cnf":{"jkt":"a","jkt":"b"}}"#, "[]", ""] {
        let token = jws::sign_compact(&key, &Map::new(), claims.as_bytes()).unwrap();
        assert_eq!(jws::peek_claims(&token), Err(InvalidJws::Malformed), "{claims}");
        let verified = jws::verify_compact(&token, &set, &Algorithm::ALL).unwrap();
        assert_eq!(verified.claims(), Err(InvalidJws::Malformed), "{claims}");
    }
    let header = format!(r#"{{"alg":"ES256","x":{deep}}}"#);
    assert_eq!(verdict(&format!("{}.e30.AA", b64(&header))), Err(InvalidJws::Malformed));
    assert_eq!(
        verdict(&format!("{}.e30.AA", b64(r#"{"alg":"ES256","x":{"a":1,"a":1}}"#))),
        Err(InvalidJws::Malformed)
    );
}

/// RFC 8725 §3.1 and §2.1: the type of the key says the algorithm, never the token.
#[test]
fn a_key_never_verifies_another_algorithm_than_its_own() {
    use base64::Engine;
    let b64 = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let keys = keys();
    let set = Jwks::of(&keys);
    for key in &keys {
        for named in ["PS256", "ES256", "EdDSA", "RS256", "HS256", "none", "ps256", "PS512", "ES256K", ""] {
            if named == key.algorithm().as_str() {
                continue;
            }
            let header = json!({"alg": named, "kid": key.kid()}).to_string();
            let input = format!("{}.{}", b64(&header), b64("{}"));
            let signature = key.sign(input.as_bytes()).unwrap();
            let token =
                format!("{input}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature));
            let known = Algorithm::from_name(named).is_some();
            let why = if known { InvalidJws::UnknownKey } else { InvalidJws::Algorithm };
            assert_eq!(jws::verify_compact(&token, &set, &Algorithm::ALL).unwrap_err(), why, "{named}");
        }
    }
    // The kid of another party's key does not make it that key.
    let [.., mine] = &keys;
    let stranger = SigningKey::from_pem(&pki::generate_ed25519().unwrap(), mine.kid()).unwrap();
    let token = jws::sign_compact(&stranger, &Map::new(), b"{}").unwrap();
    assert_eq!(jws::verify_compact(&token, &set, &Algorithm::ALL).unwrap_err(), InvalidJws::Signature);
}

#[test]
fn a_detached_signature_covers_every_byte_encoded_or_raw() {
    let [key, ..] = keys();
    let set = Jwks::of([&key]);
    let body = br#"{"amount":"1.00"}"#;
    let plain = jws::sign_detached(&key, &Map::new(), body).unwrap();
    jws::verify_detached(&plain, body, &set, &[Algorithm::Ps256], &[]).unwrap();
    let header = object(json!({"b64": false, "crit": ["b64"]}));
    let raw = jws::sign_detached(&key, &header, body).unwrap();
    jws::verify_detached(&raw, body, &set, &[Algorithm::Ps256], &["b64"]).unwrap();
    for token in [plain, raw] {
        let refused = jws::verify_detached(&token, b"{}", &set, &[Algorithm::Ps256], &["b64"]).unwrap_err();
        assert_eq!(refused, InvalidJws::Signature);
        assert!(jws::verify_compact(&token, &set, &[Algorithm::Ps256]).is_err(), "no payload");
    }
}

#[test]
fn an_http_signature_must_cover_what_is_required() {
    let [key, ec, _] = keys();
    let digest = http_signature::digest(b"{}");
    let headers = [("Digest", digest.as_str()), ("X-Request-ID", " 1 ")];
    let header = http_signature::sign_cavage(&key, "SN=1,CA=CN=x", &headers).unwrap();
    let sent = |name: &str| match name {
        "digest" => Some(digest.clone()),
        "x-request-id" => Some("1".to_owned()),
        _ => None,
    };
    let verify = |required: &[&str]| {
        http_signature::verify_cavage(&header, key.public_key(), sent, required).map(|parsed| parsed.key_id)
    };
    assert_eq!(verify(&["digest", "x-request-id"]), Ok("SN=1,CA=CN=x".to_owned()));
    assert_eq!(verify(&["psu-id"]), Err(InvalidSignature::Coverage));
    http_signature::verify_digest(&digest, b"{}").unwrap();
    assert_eq!(http_signature::verify_digest(&digest, b"[]"), Err(InvalidSignature::Digest));
    assert!(http_signature::sign_cavage(&ec, "SN=1", &headers).is_err(), "rsa-sha256 needs RSA");
    let other = header.replace("rsa-sha256", "hmac-sha256");
    let refused = http_signature::verify_cavage(&other, key.public_key(), sent, &[]);
    assert_eq!(refused, Err(InvalidSignature::Algorithm));
}

#[test]
fn a_webhook_signed_with_ed25519_verifies_for_its_id_time_and_body_only() {
    let [rsa, _, key] = keys();
    let header = webhook::sign_v1a(&key, "evt_1", 1_800_000_000, b"{}").unwrap();
    let verifier = Verifier::Key(key.public_key());
    assert!(webhook::verify(verifier, "evt_1", 1_800_000_000, b"{}", &header));
    assert!(!webhook::verify(verifier, "evt_2", 1_800_000_000, b"{}", &header));
    assert!(!webhook::verify(verifier, "evt_1", 1_800_000_001, b"{}", &header));
    assert!(!webhook::verify(verifier, "evt_1", 1_800_000_000, b"[]", &header));
    assert!(webhook::sign_v1a(&rsa, "evt_1", 1, b"{}").is_err());
}

#[test]
fn a_qwac_states_what_it_was_issued_for() {
    let issued = authority().issue_qwac(&subject()).unwrap();
    let certificate = Certificate::from_pem(&issued.certificate_pem).unwrap();
    assert_eq!(certificate.psd2_problems(QcType::Web), []);
    assert_eq!(
        certificate.subject_dn,
        "CN=Fintech\\, \\\"A\\\",organizationIdentifier=PSDDE-BAFIN-100001,O=Müller & Söhne,C=DE"
    );
    let spelt = |spelling| certificate.subject_dn_spelt(spelling);
    assert_eq!(spelt(OrganizationIdSpelling::AttributeName), certificate.subject_dn);
    assert_eq!(
        spelt(OrganizationIdSpelling::DottedText),
        "CN=Fintech\\, \\\"A\\\",2.5.4.97=PSDDE-BAFIN-100001,O=Müller & Söhne,C=DE"
    );
    // RFC 4514 §2.4: tag (UTF8String), length and the 18 characters.
    assert_eq!(
        spelt(OrganizationIdSpelling::DottedHex),
        "CN=Fintech\\, \\\"A\\\",2.5.4.97=#0c1250534444452d424146494e2d313030303031,O=Müller & Söhne,C=DE"
    );
    assert_eq!(certificate.issuer_dn, "CN=Sandbox Root");
    assert_eq!(certificate.organization_identifier.as_deref(), Some("PSDDE-BAFIN-100001"));
    assert_eq!(certificate.san_dns, ["fintech-a.example"]);
    assert_eq!(certificate.san_uri, ["https://fintech-a.example/app"]);
    assert!(certificate.has_role(Psd2Role::PaymentInitiation));
    assert!(!certificate.has_role(Psd2Role::CardIssuing));
    assert_eq!(certificate.psd2.as_ref().unwrap().nca_id, "DE-BAFIN");
    assert!(certificate.is_valid_at(SystemClock.now()));
    let key = SigningKey::from_pem(&issued.key_pem, "k").unwrap();
    assert_eq!(certificate.public_key(), key.public_key());
    let printed = certificate.thumbprint.to_string();
    assert_eq!(printed.parse::<Thumbprint>().unwrap(), certificate.thumbprint);
    assert_eq!(printed.len(), 43);
}

#[test]
fn certificates_that_break_ts_119_495_are_named() {
    let authority = authority();
    let problems = |change: fn(&mut Psd2Subject), wanted: QcType| {
        let mut subject = subject();
        change(&mut subject);
        let issued = authority.issue_qwac(&subject).unwrap();
        let certificate = Certificate::from_pem(&issued.certificate_pem).unwrap();
        certificate.psd2_problems(wanted).iter().map(|problem| format!("{problem:?}")).collect::<Vec<_>>()
    };
    assert_eq!(problems(|_| {}, QcType::Seal), ["WrongType { found: Some(Web), wanted: Seal }"]);
    assert_eq!(
        problems(|s| s.nca_id = "GB-FCA".into(), QcType::Web),
        ["AuthorityMismatch { stated: \"GB-FCA\", identified: \"DE-BAFIN\" }"]
    );
    assert_eq!(problems(|s| s.roles.clear(), QcType::Web), ["NoRole"]);
    let wrong = |s: &mut Psd2Subject| s.organization_identifier = "VATDE-1".into();
    assert_eq!(problems(wrong, QcType::Web), ["MalformedOrganizationIdentifier(\"VATDE-1\")"]);
    let plain = authority.issue_client_plain("nobody").unwrap();
    let plain = Certificate::from_pem(&plain.certificate_pem).unwrap();
    assert!(plain.psd2_problems(QcType::Web).len() >= 4);
    let old = authority.issue_qwac_for(&subject(), -1).unwrap();
    assert!(!Certificate::from_pem(&old.certificate_pem).unwrap().is_valid_at(SystemClock.now()));
}

#[test]
fn a_reloaded_authority_issues_under_the_same_root() {
    let first = authority();
    let again = Authority::from_pem(first.certificate_pem(), &first.key_pem(), SystemClock.now()).unwrap();
    assert_eq!(again.certificate_pem(), first.certificate_pem());
    openssl_verifies(&first, &again.issue_server(&["localhost"], &["127.0.0.1".parse().unwrap()]).unwrap());
    let other = authority();
    assert!(Authority::from_pem(first.certificate_pem(), &other.key_pem(), SystemClock.now()).is_err());
}

#[test]
fn openssl_accepts_what_we_issue_and_reads_the_psd2_statement() {
    let authority = authority();
    let qwac = authority.issue_qwac(&subject()).unwrap();
    let seal = authority.issue_qseal(&subject(), true).unwrap();
    for issued in [&qwac, &seal, &authority.issue_client_plain("nobody").unwrap()] {
        openssl_verifies(&authority, issued);
    }
    let sealed = Certificate::from_pem(&seal.certificate_pem).unwrap();
    assert_eq!(sealed.psd2_problems(QcType::Seal), []);
    assert_eq!(sealed.public_key().algorithm(), Algorithm::Ps256);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("qwac.pem");
    std::fs::write(&file, &qwac.certificate_pem).unwrap();
    let Ok(parsed) = Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&file).output()
    else {
        eprintln!("SKIPPED: openssl is not here");
        return;
    };
    let text = String::from_utf8_lossy(&parsed.stdout).into_owned();
    assert!(text.contains("0.4.0.19495.3.1") && text.contains("TLS Web Client Authentication"), "{text}");
    let dump = Command::new("openssl").args(["asn1parse", "-in"]).arg(&file).output().unwrap();
    assert!(String::from_utf8_lossy(&dump.stdout).contains("qcStatements"));
}

fn openssl_verifies(authority: &Authority, issued: &Issued) {
    let directory = tempfile::tempdir().unwrap();
    let (root, leaf) = (directory.path().join("root.pem"), directory.path().join("leaf.pem"));
    std::fs::write(&root, authority.certificate_pem()).unwrap();
    std::fs::write(&leaf, &issued.certificate_pem).unwrap();
    match Command::new("openssl").args(["verify", "-x509_strict", "-CAfile"]).arg(&root).arg(&leaf).output() {
        Ok(output) => {
            let said = format!("{output:?}");
            assert!(output.status.success(), "{said}");
        }
        Err(_) => eprintln!("SKIPPED: openssl is not here"),
    }
}

proptest! {
    /// Invariant: no input panics.
    #[test]
    fn no_token_header_or_certificate_panics(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = jws::verify_compact(&text, &Jwks::default(), &Algorithm::ALL);
        let _ = jws::verify_detached(&text, &bytes, &Jwks::default(), &Algorithm::ALL, &[]);
        let _ = jws::peek_claims(&text);
        let _ = http_signature::CavageHeader::parse(&text);
        let _ = http_signature::verify_digest(&text, &bytes);
        let _ = Certificate::parse(&bytes);
        let _ = Jwks::parse(&bytes);
        let _ = text.parse::<Thumbprint>();
    }
}

/// A damaged certificate is refused or read; it never panics.
#[test]
fn a_certificate_with_one_byte_changed_never_panics() {
    let issued = authority().issue_qwac(&subject()).unwrap();
    let der = Certificate::from_pem(&issued.certificate_pem).unwrap().der;
    for at in 0..der.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = der.clone();
            damaged[at] ^= flip;
            let _ = Certificate::parse(&damaged);
        }
        let _ = Certificate::parse(&der[..at]);
    }
}

/// Keys as `openssl` writes them, and those too weak or of another curve.
#[test]
fn keys_of_every_pem_form_load_and_weak_or_foreign_ones_do_not() {
    use consentry_crypto::InvalidKey;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let made = |arguments: &[&str]| {
        let run = Command::new("openssl").args(arguments).arg("-out").arg(&file).output().ok()?;
        run.status.success().then(|| std::fs::read_to_string(&file).unwrap())
    };
    let ec = |curve: &'static str| made(&["ecparam", "-genkey", "-noout", "-name", curve]);
    let rsa = |bits: &'static str| {
        let bits = format!("rsa_keygen_bits:{bits}");
        made(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits])
    };
    let Some(sec1) = ec("prime256v1") else {
        eprintln!("SKIPPED: openssl is not here");
        return;
    };
    let kind = |pem: &str| SigningKey::from_pem(pem, "k").map(|key| key.algorithm());
    assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
    assert_eq!(kind(&sec1), Ok(Algorithm::Es256));
    assert_eq!(kind(&rsa("2048").unwrap()), Ok(Algorithm::Ps256));
    assert_eq!(kind(&made(&["genpkey", "-algorithm", "ed25519"]).unwrap()), Ok(Algorithm::EdDsa));
    assert!(kind(&rsa("1024").unwrap()).is_err());
    assert_eq!(kind(&ec("secp384r1").unwrap()), Err(InvalidKey::Unsupported));
    assert_eq!(kind("-----BEGIN NOTHING-----"), Err(InvalidKey::NoPem));
}

#[test]
fn no_debug_output_shows_a_private_key() {
    let pem = pki::generate_p256().unwrap();
    let key = SigningKey::from_pem(&pem, "k").unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey { kid: \"k\", algorithm: Es256, .. }");
    let issued = authority().issue_client_plain("x").unwrap();
    assert_eq!(format!("{issued:?}"), "Issued { .. }");
    assert!(!format!("{:?}", authority()).contains("KEY"));
}
