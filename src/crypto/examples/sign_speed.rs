//! What a detached signature over a bank's request costs (JWS, RFC 7515 appendix F), with seals of P-256 and of
//! RSA-2048, beside a compact one of `jsonwebtoken` over the same. Prints one JSON object, in microseconds.

#![allow(clippy::print_stdout, reason = "it reports on the terminal")]
#![allow(clippy::float_arithmetic, reason = "it works with times and ratios, and no money")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it stops at the first surprise")]

use std::hint::black_box;
use std::time::Instant;

use consentry_crypto::jws::sign_detached;
use consentry_crypto::pki::{Authority, Psd2Subject};
use consentry_crypto::{Psd2Role, SigningKey};
use domain::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, json};

const ROUNDS: usize = 5;
const TIMES: u32 = 500;
/// As long as an order.
const BODY: usize = 600;

fn main() {
    let authority = Authority::new("Speed", SystemClock.now()).unwrap();
    let subject = Psd2Subject {
        common_name: "Speed".to_owned(),
        organization: "Speed".to_owned(),
        country: "DE".to_owned(),
        organization_identifier: "PSDDE-BAFIN-100001".to_owned(),
        roles: vec![Psd2Role::PaymentInitiation],
        nca_name: "Federal Financial Supervisory Authority".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        san_dns: Vec::new(),
        san_uri: Vec::new(),
    };
    let body = "a".repeat(BODY);
    let mut told = Map::new();
    for (name, rsa, algorithm) in [("es256", false, Algorithm::ES256), ("ps256", true, Algorithm::PS256)] {
        let seal = authority.issue_qseal(&subject, rsa).unwrap();
        let key = SigningKey::from_pem(&seal.key_pem, "seal").unwrap();
        let peer = match rsa {
            true => EncodingKey::from_rsa_pem(seal.key_pem.as_bytes()).unwrap(),
            false => EncodingKey::from_ec_pem(seal.key_pem.as_bytes()).unwrap(),
        };
        let claims = json!({ "body": body });
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(each(|| drop(black_box(sign_detached(&key, &Map::new(), body.as_bytes()).unwrap()))));
            theirs.push(each(|| drop(black_box(encode(&Header::new(algorithm), &claims, &peer).unwrap()))));
        }
        told.insert(name.to_owned(), json!({ "ours_us": median(ours), "jsonwebtoken_us": median(theirs) }));
    }
    println!("{:#}", serde_json::Value::Object(told));
}

/// Microseconds of each of so many.
fn each(sign: impl Fn()) -> f64 {
    let begun = Instant::now();
    (0..TIMES).for_each(|_| sign());
    begun.elapsed().as_secs_f64() * 1_000_000.0 / f64::from(TIMES)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2] * 10.0).round() / 10.0
}
