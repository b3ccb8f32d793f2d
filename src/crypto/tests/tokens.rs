//! Keys on a PKCS#11 token: SoftHSM 2, whose own cryptography is another
//! library's.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod softhsm;

use std::path::Path;
use std::sync::Arc;

use consentry_crypto::pkcs11::{P256, Place, TokenError, TokenKey};
use consentry_crypto::{Algorithm, Jwks, KeyRing, SigningFailed, SigningKey, jws};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use softhsm::{PIN, TOKEN, module, with_token};

fn place(key: &str) -> Place {
    Place { module: module().unwrap(), token: TOKEN.into(), key: key.into() }
}

fn pin() -> SecretString {
    PIN.into()
}

/// A session that may make keys, as an operator's tool would.
fn operator() -> Session {
    let module = Pkcs11::new(module().unwrap()).unwrap();
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = *module.get_slots_with_initialized_token().unwrap().first().unwrap();
    let session = module.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&pin())).unwrap();
    session
}

fn generate(session: &Session, label: &str, mechanism: &Mechanism<'_>, shape: &[Attribute]) {
    generate_as(session, [label; 2], mechanism, shape);
}

fn generate_as(session: &Session, labels: [&str; 2], mechanism: &Mechanism<'_>, shape: &[Attribute]) {
    let [of_public, of_private] = labels.map(|label| Attribute::Label(label.into()));
    let mut public = vec![Attribute::Token(true), Attribute::Verify(true), of_public];
    public.extend_from_slice(shape);
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        of_private,
    ];
    session.generate_key_pair(mechanism, &public, &private).unwrap();
}

fn rsa(bits: u64) -> [Attribute; 2] {
    let bits = usize::try_from(bits).unwrap();
    [Attribute::ModulusBits(bits.try_into().unwrap()), Attribute::PublicExponent(vec![1, 0, 1])]
}

fn read_by_another_library(key: &SigningKey, token: &str, algorithm: jsonwebtoken::Algorithm) {
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(algorithm);
    rules.set_audience(&["you"]);
    let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &decoding, &rules).unwrap();
}

/// RFC 7518 §3.4 and §3.5: ES256 is r || s, PS256 has a salt of 32 bytes.
#[test]
fn what_a_token_signs_verifies_here_and_in_another_library() {
    with_token("signs_on_the_token");
}

#[test]
#[ignore = "runs in a process of its own, with a token"]
fn signs_on_the_token() {
    let session = operator();
    generate(&session, "rsa", &Mechanism::RsaPkcsKeyPairGen, &rsa(2048));
    generate(&session, "ec", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    drop(session);
    for (label, ours, theirs) in [
        ("rsa", Algorithm::Ps256, jsonwebtoken::Algorithm::PS256),
        ("ec", Algorithm::Es256, jsonwebtoken::Algorithm::ES256),
    ] {
        let key = TokenKey::open(place(label), pin()).unwrap();
        let key = Arc::new(SigningKey::on_token(key, label));
        assert_eq!((key.kid(), key.algorithm()), (label, ours));
        let claims = json!({"aud": "you", "exp": 4_000_000_000_i64}).to_string();
        // More at once than there are sessions in the beginning.
        let signed: Vec<String> = std::thread::scope(|scope| {
            let sign = || jws::sign_compact(&key, &Map::new(), claims.as_bytes()).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(sign)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ring = KeyRing::new(Arc::clone(&key), &[]).unwrap();
        let published = Jwks::parse(ring.jwks().to_string().as_bytes()).unwrap();
        for token in signed {
            let verified = jws::verify_compact(&token, &published, &[ours]).unwrap();
            assert_eq!(verified.payload, claims.as_bytes());
            read_by_another_library(&key, &token, theirs);
        }
        let bank = key.sign_rsa_sha256(b"x");
        match ours {
            Algorithm::Ps256 => assert!(key.public_key().verify_rsa_sha256(b"x", &bank.unwrap())),
            Algorithm::Es256 | Algorithm::EdDsa => {
                assert_eq!(bank, Err(SigningFailed::WrongKind("an RSA key")))
            }
        }
        assert!(!format!("{key:?}").contains(PIN));
    }
}

#[test]
fn what_is_missing_on_a_token_is_named_and_the_pin_never_is() {
    with_token("refuses_what_is_missing");
}

#[test]
#[ignore = "runs in a process of its own, with a token"]
fn refuses_what_is_missing() {
    let session = operator();
    generate(&session, "weak", &Mechanism::RsaPkcsKeyPairGen, &rsa(1024));
    generate(&session, "key", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    for _ in 0..2 {
        generate(&session, "twice", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    }
    for labels in [["mixed", "other"], ["another", "mixed"]] {
        generate_as(&session, labels, &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    }
    // Another curve: P-384.
    let p384 = vec![0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
    generate(&session, "p384", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(p384)]);
    // The login of one session is that of the process: end it, so that a PIN is asked for.
    session.logout().unwrap();
    drop(session);

    let wrong = TokenKey::open(place("key"), "pin-that-is-wrong".into()).unwrap_err();
    assert!(matches!(wrong, TokenError::Pin(_)), "{wrong:?}");
    assert!(!format!("{wrong} {wrong:?}").contains("pin-that-is-wrong"));
    assert!(matches!(TokenKey::open(place("nobody"), pin()), Err(TokenError::NoKey)));
    assert!(matches!(TokenKey::open(place("twice"), pin()), Err(TokenError::NoKey)));
    assert!(matches!(TokenKey::open(place("mixed"), pin()), Err(TokenError::NoPair)));
    assert!(matches!(TokenKey::open(place("weak"), pin()), Err(TokenError::Key(_))));
    assert!(matches!(TokenKey::open(place("p384"), pin()), Err(TokenError::Key(_))));
    let elsewhere = Place { token: "other".into(), ..place("key") };
    assert!(matches!(TokenKey::open(elsewhere, pin()), Err(TokenError::NoToken)));
    let elsewhere = Place { module: "/nothing/here.so".into(), ..place("key") };
    assert!(matches!(TokenKey::open(elsewhere, pin()), Err(TokenError::Module(_))));
    let no_module = Place { module: Path::new("/etc/hostname").into(), ..place("key") };
    assert!(matches!(TokenKey::open(no_module, pin()), Err(TokenError::Module(_))));
}

/// A session that ended does not end the signatures.
#[test]
fn a_token_that_was_logged_out_or_closed_its_sessions_signs_again() {
    with_token("signs_again");
}

#[test]
#[ignore = "runs in a process of its own, with a token"]
fn signs_again() {
    let session = operator();
    generate(&session, "ec", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    let key = SigningKey::on_token(TokenKey::open(place("ec"), pin()).unwrap(), "ec");
    assert!(key.public_key().verify(b"x", &key.sign(b"x").unwrap()));
    session.logout().unwrap();
    assert!(key.public_key().verify(b"x", &key.sign(b"x").unwrap()), "after a logout");

    let found = session.find_objects(&[Attribute::Label(b"ec".to_vec())]).unwrap();
    for object in found {
        session.destroy_object(object).unwrap();
    }
    let gone = key.sign(b"x").unwrap_err();
    assert!(matches!(gone, SigningFailed::Token(_)), "{gone}");
    assert_eq!(gone.to_string(), "the token could not sign (KeyHandleInvalid)");
}

/// Tokens count wrong PINs, and lock.
#[test]
fn a_pin_that_was_refused_is_not_tried_again() {
    with_token("tries_a_refused_pin_once");
}

#[test]
#[ignore = "runs in a process of its own, with a token"]
fn tries_a_refused_pin_once() {
    let session = operator();
    generate(&session, "ec", &Mechanism::EccKeyPairGen, &[Attribute::EcParams(P256.to_vec())]);
    let key = SigningKey::on_token(TokenKey::open(place("ec"), pin()).unwrap(), "ec");
    let other: SecretString = "another-pin-0815".into();
    session.set_pin(&pin(), &other).unwrap();
    session.logout().unwrap();
    assert_eq!(key.sign(b"x").unwrap_err().to_string(), "the token could not sign (PinIncorrect)");

    session.login(UserType::User, Some(&other)).unwrap();
    session.set_pin(&other, &pin()).unwrap();
    session.logout().unwrap();
    assert!(key.sign(b"x").is_err(), "the PIN would be right again, and is not tried");
    let again = SigningKey::on_token(TokenKey::open(place("ec"), pin()).unwrap(), "ec");
    assert!(again.sign(b"x").is_ok(), "a key that is opened anew tries");
}
