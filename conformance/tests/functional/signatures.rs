//! Signatures, by what the RFCs print.

use consentry_conformance::bank::{
    Cavage, digest, key_id, sign_cavage, sign_detached, verify_cavage, verify_detached,
};
use consentry_conformance::jose::{Jwk, SigningKey};
use serde_json::{Map, Value, json};

/// RFC 7515 A.3: the key, the payload and the signature.
const HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";
const PAYLOAD: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
const SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rfc_key() -> Vec<Jwk> {
    Jwk::set(&json!({"keys": [{
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }]}))
}

/// RFC 7515 appendix F: the JWS of A.3 without its payload.
#[test]
fn a_detached_jws_of_the_rfc_is_verified() {
    let detached = format!("{HEADER}..{SIGNATURE}");
    let keys = rfc_key();
    let verified = |text: &str, body: &str, algorithms: &[&str]| {
        verify_detached(text, body.as_bytes(), &keys, algorithms, &[])
    };
    assert_eq!(verified(&detached, PAYLOAD, &["ES256"]).unwrap()["alg"], "ES256");
    assert!(verified(&detached, &PAYLOAD.replace("joe", "jim"), &["ES256"]).is_err());
    assert!(verified(&detached, PAYLOAD, &["PS256"]).unwrap_err().contains("none of"));
    assert!(verified(&format!("{HEADER}.e30.{SIGNATURE}"), PAYLOAD, &["ES256"]).is_err(), "not detached");
}

fn header(of: Value) -> Map<String, Value> {
    of.as_object().unwrap().clone()
}

/// RFC 7515 §4.1.11, RFC 7797: what is critical is understood, and `b64` is honoured.
#[test]
fn critical_claims_are_those_that_are_expected() {
    let key = SigningKey::fresh_p256().unwrap();
    let keys = Jwk::set(&json!({"keys": [key.public()]}));
    let made = |of: Value| sign_detached(&header(of), b"body", |signed| key.sign("ES256", signed));
    let check = |text: &str, critical: &[&str]| verify_detached(text, b"body", &keys, &["ES256"], critical);
    let plain = made(json!({"alg": "ES256"}));
    assert!(check(&plain, &[]).is_ok());
    assert!(check(&plain, &["iat"]).unwrap_err().contains("does not name iat"));
    let critical = made(json!({"alg": "ES256", "iat": 1, "crit": ["iat"]}));
    assert!(check(&critical, &["iat"]).is_ok());
    assert!(check(&critical, &[]).is_err(), "nobody expects it");
    assert!(check(&made(json!({"alg": "ES256", "crit": ["iat"]})), &["iat"]).is_err(), "it is not there");
    assert!(check(&made(json!({"alg": "ES256", "crit": []})), &[]).is_err());
    assert!(check(&made(json!({"alg": "ES256", "b64": false, "crit": ["b64"]})), &["b64"]).is_ok());
}

/// draft-cavage-http-signatures-12, appendix C: the digest of `{"hello": "world"}`.
#[test]
fn a_digest_is_that_of_the_draft() {
    assert_eq!(digest(b"{\"hello\": \"world\"}"), "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=");
}

#[test]
fn an_http_signature_covers_what_it_names() {
    let key = SigningKey::fresh_p256().unwrap();
    let public = Jwk::set(&json!({"keys": [key.public()]})).remove(0);
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let covered = [own("(request-target)", "post /foo?a=b"), own("Date", "Sun, 05 Jan 2014 21:31:40 GMT")];
    let text = sign_cavage(&key, "key-1", &covered);
    let read = Cavage::read(&text).unwrap();
    assert_eq!((read.key_id.as_str(), read.algorithm.as_str()), ("key-1", "ecdsa-sha256"));
    assert_eq!(read.headers, ["(request-target)", "date"]);
    let sent = |date: &'static str| {
        move |name: &str| match name {
            "(request-target)" => Some("post /foo?a=b".to_owned()),
            "date" => Some(date.to_owned()),
            _ => None,
        }
    };
    assert!(verify_cavage(&public, &read, &sent("Sun, 05 Jan 2014 21:31:40 GMT")));
    assert!(!verify_cavage(&public, &read, &sent("Mon, 06 Jan 2014 21:31:40 GMT")));
    assert!(!verify_cavage(&public, &read, &|_| None), "what is covered was not sent");
    assert_eq!(Cavage::read("keyId=\"a\""), None);
    assert_eq!(Cavage::read("nonsense"), None);
}

/// Implementation Guidelines §12.2: serial number in hexadecimal, and issuer.
#[test]
fn a_key_id_names_the_certificate() {
    let mut params = rcgen::CertificateParams::default();
    params.serial_number = Some(rcgen::SerialNumber::from(vec![0x0a, 0xbc]));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Root");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    assert_eq!(key_id(certificate.der()).unwrap(), "SN=abc,CA=CN=Root");
    assert_eq!(key_id(b"no certificate"), None);
}
