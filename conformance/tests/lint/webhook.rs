//! Receivers of webhooks that do one thing wrong.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use consentry_conformance::clock::Clock;
use consentry_conformance::lint::webhook::{InvalidKey, Receiver, SigningKey, Trust, check_receiver};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
use ring::{hmac, signature::Ed25519KeyPair};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwqeOtpQo1GJI=";

/// What a receiver does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    RefusesAll,
    TakesForged,
    TakesUnsigned,
    TakesAltered,
    TakesOtherId,
    TakesOld,
    TakesEarly,
    RefusesReplays,
    ReadsOneSignature,
    RefusesUnknownTypes,
    FailsOnForged,
    FailsOnLarge,
    Redirects,
    Sleeps,
    HangsUp,
}

struct Server {
    fault: Fault,
    public: Option<Vec<u8>>,
    seen: Mutex<HashSet<String>>,
}

impl Server {
    fn is_signed(&self, id: &str, timestamp: &str, body: &[u8], signature: &[u8]) -> bool {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        match &self.public {
            Some(public) => UnparsedPublicKey::new(&ED25519, public).verify(&signed, signature).is_ok(),
            None => {
                let bytes = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), &signed, signature).is_ok()
            }
        }
    }

    fn judge(&self, headers: &HeaderMap, body: &[u8]) -> u16 {
        let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let (id, timestamp) = (text("webhook-id"), text("webhook-timestamp"));
        let away = timestamp.parse::<i64>().unwrap() - Clock::default().now();
        if (away < -300 && self.fault != Fault::TakesOld) || (away > 300 && self.fault != Fault::TakesEarly) {
            return 400;
        }
        let version = if self.public.is_some() { "v1a," } else { "v1," };
        let mut signatures: Vec<Vec<u8>> = text("webhook-signature")
            .split(' ')
            .filter_map(|one| STANDARD.decode(one.strip_prefix(version)?).ok())
            .collect();
        if signatures.is_empty() {
            return if self.fault == Fault::TakesUnsigned { 200 } else { 401 };
        }
        if self.fault == Fault::ReadsOneSignature {
            signatures.truncate(1);
        }
        let body_id = serde_json::from_slice::<Value>(body).unwrap()["id"].as_str().unwrap().to_owned();
        let body = if self.fault == Fault::TakesAltered { body.trim_ascii_end() } else { body };
        let signed_id = if self.fault == Fault::TakesOtherId { &body_id } else { id };
        let good = signatures.iter().any(|one| self.is_signed(signed_id, timestamp, body, one));
        if !good {
            let is_plain = body_id == id && !body.ends_with(b" ") && signatures.len() == 1;
            if is_plain && self.fault == Fault::TakesForged {
                return 200;
            }
            return if self.fault == Fault::FailsOnForged { 500 } else { 401 };
        }
        let event: Value = serde_json::from_slice(body).unwrap();
        if event["type"] != "webhook.test" && self.fault == Fault::RefusesUnknownTypes {
            return 422;
        }
        if !self.seen.lock().unwrap().insert(id.to_owned()) && self.fault == Fault::RefusesReplays {
            return 409;
        }
        204
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        if self.fault == Fault::HangsUp {
            return Err(std::io::Error::other("no"));
        }
        let status = if self.fault == Fault::RefusesAll {
            401
        } else if self.fault == Fault::Redirects {
            308
        } else if self.fault == Fault::Sleeps {
            tokio::time::sleep(Duration::from_secs(60)).await;
            204
        } else {
            let (head, body) = request.into_parts();
            // One that fails does so with the whole body in memory.
            let limit = if self.fault == Fault::FailsOnLarge { usize::MAX } else { 1 << 20 };
            match Limited::new(body, limit).collect().await.map(|body| body.to_bytes()) {
                Ok(body) if body.len() > 1 << 20 => 500,
                Ok(body) => self.judge(&head.headers, &body),
                Err(_) => 413,
            }
        };
        Ok(Response::builder().status(StatusCode::from_u16(status).unwrap()).body(Full::default()).unwrap())
    }
}

async fn serve(fault: Fault, public: Option<Vec<u8>>, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server { fault, public, seen: Mutex::default() });
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (server, tls) = (server.clone(), tls.clone());
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = match tls {
                    Some(tls) => match tls.accept(tcp).await {
                        Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
                        Err(_) => Ok(()),
                    },
                    None => http.serve_connection(TokioIo::new(tcp), service).await,
                };
            });
        }
    });
    address
}

async fn rules(fault: Fault) -> Vec<&'static str> {
    let address = serve(fault, None, None).await;
    let url = format!("http://{address}/hooks?a=1").parse().unwrap();
    let patience = Duration::from_secs(if fault == Fault::Sleeps { 1 } else { 15 });
    let receiver = Receiver { patience, ..Receiver::new(url, SigningKey::secret(SECRET).unwrap()) };
    let findings = check_receiver(&receiver, &Clock::default()).await;
    findings.iter().map(|finding| finding.rule).collect()
}

#[tokio::test]
async fn a_good_receiver_gives_no_finding() {
    assert_eq!(rules(Fault::None).await, Vec::<&str>::new());
}

#[tokio::test]
async fn each_fault_is_found_and_nothing_else() {
    for (fault, rule) in [
        (Fault::RefusesAll, "good-delivery-refused"),
        (Fault::TakesForged, "forgery-taken"),
        (Fault::TakesUnsigned, "unsigned-taken"),
        (Fault::TakesAltered, "altered-taken"),
        (Fault::TakesOtherId, "other-id-taken"),
        (Fault::TakesOld, "old-taken"),
        (Fault::TakesEarly, "early-taken"),
        (Fault::RefusesReplays, "replay-refused"),
        (Fault::ReadsOneSignature, "rotation-refused"),
        (Fault::RefusesUnknownTypes, "unknown-type-refused"),
        (Fault::FailsOnForged, "refusal-status"),
        (Fault::FailsOnLarge, "large-delivery-fails"),
        (Fault::Redirects, "receiver-redirects"),
        (Fault::Sleeps, "receiver-slow"),
        (Fault::HangsUp, "receiver-cuts"),
    ] {
        assert_eq!(rules(fault).await, [rule], "{fault:?}");
    }
}

#[tokio::test]
async fn ed25519_signs_too() {
    let seed = [7_u8; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let public = pair.public_key().as_ref().to_vec();
    let address = serve(Fault::None, Some(public.clone()), None).await;
    for bytes in [seed.to_vec(), [seed.to_vec(), public].concat()] {
        let key = SigningKey::private(&format!("whsk_{}", STANDARD.encode(bytes))).unwrap();
        let receiver = Receiver::new(format!("http://{address}/").parse().unwrap(), key);
        assert_eq!(check_receiver(&receiver, &Clock::default()).await, []);
    }
}

#[test]
fn secrets_and_keys_are_read_or_refused_and_never_shown() {
    let short = format!("whsec_{}", STANDARD.encode([1; 16]));
    for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!", &short] {
        assert_eq!(SigningKey::secret(wrong).unwrap_err(), InvalidKey::Secret, "{wrong}");
    }
    for wrong in ["", "whsk_AAAA", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        assert_eq!(SigningKey::private(wrong).unwrap_err(), InvalidKey::Private, "{wrong}");
    }
    let pkcs8 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    assert!(SigningKey::private(&pkcs8).is_ok());
    assert_eq!(format!("{:?}", SigningKey::secret(SECRET).unwrap()), "SigningKey(…)");
}

async fn only_rule(url: &str, trust: Trust) -> &'static str {
    let key = SigningKey::secret(SECRET).unwrap();
    let receiver = Receiver { trust, ..Receiver::new(url.parse().unwrap(), key) };
    let findings = check_receiver(&receiver, &Clock::default()).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].rule
}

#[tokio::test]
async fn a_receiver_elsewhere_is_reached_over_tls() {
    for url in ["http://hooks.example/", "http://192.0.2.1/", "ftp://127.0.0.1/"] {
        assert_eq!(only_rule(url, Trust::System).await, "receiver-not-https", "{url}");
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(only_rule(&format!("http://{free}/"), Trust::System).await, "receiver-unreachable");
}

#[tokio::test]
async fn the_certificate_of_a_receiver_is_checked() {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let address = serve(Fault::None, None, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        Trust::File(file)
    };
    let (by_name, by_address) =
        (format!("https://localhost:{}/", address.port()), format!("https://{address}/"));
    let trusted = write("own.pem", &own.pem());

    let secret = SigningKey::secret(SECRET).unwrap();
    let receiver = Receiver { trust: trusted.clone(), ..Receiver::new(by_name.parse().unwrap(), secret) };
    assert_eq!(check_receiver(&receiver, &Clock::default()).await, []);

    assert_eq!(only_rule(&by_address, trusted).await, "receiver-tls", "another name");
    let other =
        CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(only_rule(&by_name, write("other.pem", &other.pem())).await, "receiver-tls");
    assert_eq!(only_rule(&by_name, write("empty.pem", "")).await, "authorities-unreadable");
    assert_eq!(
        only_rule(&by_name, Trust::File(folder.path().join("none.pem"))).await,
        "authorities-unreadable"
    );
}
