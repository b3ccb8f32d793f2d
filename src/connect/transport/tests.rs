//! Over real loopback TLS: a bank that wants our certificate, and that answers
//! well, late, too much, or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use crypto::pki::{Authority, Psd2Subject};
use crypto::{Certificate, SigningKey};
use domain::{SystemClock, SystemEntropy};
use limits::{Limiter, Policies};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::{ApiBase, Outcome, Signature, Signing};

/// What the bank does once it has read a request.
#[derive(Clone, Copy)]
enum Manner {
    Answer(&'static str),
    AnswerAndClose,
    Late,
    LateOnce,
    Endless,
    Reset,
}

struct Bank {
    address: SocketAddr,
    requests: Arc<std::sync::Mutex<Vec<String>>>,
}

fn authority() -> Authority {
    Authority::new("Test authority", SystemClock.now()).unwrap()
}

fn subject() -> Psd2Subject {
    Psd2Subject {
        common_name: "tpp.example".into(),
        organization: "Example TPP".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-100001".into(),
        roles: vec![crypto::Psd2Role::AccountInformation, crypto::Psd2Role::PaymentInitiation],
        nca_name: "Federal Financial Supervisory Authority".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: Vec::new(),
        san_uri: Vec::new(),
    }
}

async fn bank(authority: &Authority, manner: Manner) -> Bank {
    let server = authority.issue_server(&["localhost"], &[]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(server.certificate_pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
    let journal = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, journal) = (acceptor.clone(), Arc::clone(&journal));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    serve(stream, manner, &journal).await;
                }
            });
        }
    });
    Bank { address, requests }
}

async fn serve(mut stream: TlsStream<TcpStream>, manner: Manner, journal: &std::sync::Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        let before = {
            let mut journal = journal.lock().unwrap();
            journal.push(text);
            journal.len() - 1
        };
        request.clear();
        match manner {
            Manner::Answer(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            Manner::AnswerAndClose => {
                stream.write_all(OK.as_bytes()).await.unwrap();
                let _ = stream.shutdown().await;
                return;
            }
            Manner::LateOnce if before > 0 => stream.write_all(OK.as_bytes()).await.unwrap(),
            Manner::Late | Manner::LateOnce => tokio::time::sleep(Duration::from_secs(60)).await,
            Manner::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                while stream.write_all(b"400\r\n").await.is_ok() {
                    if stream.write_all(&[b' '; 1024]).await.is_err()
                        || stream.write_all(b"\r\n").await.is_err()
                    {
                        return;
                    }
                }
                return;
            }
            Manner::Reset => {
                stream.get_ref().0.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

fn transport(authority: &Authority, identity: bool) -> Transport {
    let qwac = authority.issue_qwac(&subject()).unwrap();
    let seal = authority.issue_qseal(&subject(), true).unwrap();
    Transport::new(TransportConfig {
        roots_pem: authority.certificate_pem().to_owned(),
        identity: identity.then(|| TlsIdentity {
            certificate_chain_pem: qwac.certificate_pem,
            private_key_pem: qwac.key_pem.into(),
        }),
        seal: Some(Seal {
            key: Arc::new(SigningKey::from_pem(&seal.key_pem, "seal-1").unwrap()),
            certificate: Arc::new(Certificate::from_pem(&seal.certificate_pem).unwrap()),
            jws_issuer: "org/software".into(),
        }),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        limiter: Arc::new(Limiter::new(Policies::unlimited())),
    })
    .unwrap()
}

fn profile(address: SocketAddr) -> Profile {
    let url = format!("https://localhost:{}/v1", address.port()).parse().unwrap();
    let mut profile =
        Profile::blank("de-examplebank".parse().unwrap(), "Example", "eu".parse().unwrap(), "berlin-group");
    profile.accounts_api = Some(ApiBase { url, version: "1.3".into() });
    profile.limits.deadline = Duration::from_secs(2);
    profile.limits.max_body = 64 * 1024;
    profile
}

fn request(profile: &Profile, effect: Effect) -> BankRequest {
    let url = profile.accounts_api.as_ref().unwrap().join(&["payments"]);
    BankRequest::of(http::Method::POST, url, effect)
        .header("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
        .unwrap()
        .body("application/json", r#"{"a":1}"#)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn an_answer_comes_back_over_mutual_tls_and_a_redirect_is_not_followed() {
    let authority = authority();
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    for (answer, status) in [(OK, 200), (moved, 307)] {
        let bank = bank(&authority, Manner::Answer(answer)).await;
        let profile = profile(bank.address);
        let response =
            transport(&authority, true).call(&profile, request(&profile, Effect::Write)).await.unwrap();
        assert_eq!(response.status.as_u16(), status);
        assert_eq!(bank.requests.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_the_bank_closes_never_makes_a_request_arrive_twice() {
    let authority = authority();
    let bank = bank(&authority, Manner::AnswerAndClose).await;
    let profile = profile(bank.address);
    let transport = transport(&authority, true);
    for number in 0..50 {
        let id = format!("request-{number}");
        let request = request(&profile, Effect::Write).header("x-request-id", &id).unwrap();
        let outcome = transport.call(&profile, request).await;
        let seen = bank.requests.lock().unwrap();
        let times = seen.iter().filter(|seen| sent(seen, "x-request-id") == Some(id.as_str())).count();
        match outcome.map_err(|error| error.outcome) {
            Ok(_) => assert_eq!(times, 1),
            Err(Outcome::NotDone) => assert_eq!(times, 0),
            Err(Outcome::Unknown) => assert!(times <= 1),
        }
    }
}

#[tokio::test]
async fn a_bank_that_wants_a_certificate_we_lack_has_done_nothing() {
    let authority = authority();
    let bank = bank(&authority, Manner::Answer(OK)).await;
    let profile = profile(bank.address);
    let error =
        transport(&authority, false).call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
    assert_eq!(error.kind, BankErrorKind::CertificateRejected);
    assert_eq!(error.outcome, Outcome::NotDone);
    assert!(bank.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bank_of_a_stranger_authority_is_refused() {
    let bank = bank(&authority(), Manner::Answer(OK)).await;
    let profile = profile(bank.address);
    let stranger = authority();
    let error =
        transport(&stranger, true).call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::TlsFailed, Outcome::NotDone));
}

#[tokio::test]
async fn nobody_listening_means_not_done() {
    let authority = authority();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let profile = profile(free);
    let error =
        transport(&authority, true).call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::BankUnavailable, Outcome::NotDone));
}

#[tokio::test]
async fn a_write_that_was_sent_and_not_answered_is_unknown() {
    let authority = authority();
    for (manner, kind) in [
        (Manner::Late, BankErrorKind::BankTimeout),
        (Manner::Reset, BankErrorKind::BankUnavailable),
        (Manner::Endless, BankErrorKind::MalformedResponse),
        (Manner::Answer("no HTTP at all\r\n\r\n"), BankErrorKind::MalformedResponse),
    ] {
        let transport = transport(&authority, true);
        let bank = bank(&authority, manner).await;
        let profile = profile(bank.address);
        let error = transport.call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, Outcome::Unknown), "{error}");
        let error = transport.call(&profile, request(&profile, Effect::Read)).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (kind, Outcome::NotDone), "{error}");
    }
}

#[tokio::test]
async fn a_slow_bank_fills_its_own_bulkhead_and_nobody_elses() {
    let authority = authority();
    let transport = Arc::new(transport(&authority, true));
    let slow = bank(&authority, Manner::Late).await;
    let mut slow_profile = profile(slow.address);
    (slow_profile.limits.max_in_flight, slow_profile.limits.max_waiting) = (1, 1);
    let quick = bank(&authority, Manner::Answer(OK)).await;
    let mut quick_profile = profile(quick.address);
    quick_profile.id = "de-otherbank".parse().unwrap();

    let calls: Vec<_> = (0..3)
        .map(|_| {
            let (transport, profile) = (Arc::clone(&transport), slow_profile.clone());
            tokio::spawn(async move {
                transport.call(&profile, request(&profile, Effect::Write)).await.unwrap_err()
            })
        })
        .collect();
    while slow.requests.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    transport.call(&quick_profile, request(&quick_profile, Effect::Read)).await.unwrap();
    let mut kinds = Vec::new();
    for call in calls {
        let error = call.await.unwrap();
        assert_eq!(error.outcome == Outcome::Unknown, error.kind == BankErrorKind::BankTimeout);
        kinds.push(error.kind);
    }
    assert_eq!(kinds.iter().filter(|kind| **kind == BankErrorKind::Overloaded).count(), 2, "{kinds:?}");
    assert_eq!(slow.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn no_request_leaves_for_a_host_that_is_not_the_banks() {
    let authority = authority();
    let bank = bank(&authority, Manner::Answer(OK)).await;
    let profile = profile(bank.address);
    let transport = transport(&authority, true);
    for foreign in ["https://127.0.0.1:1/", "https://localhost:1/v1", "http://localhost/v1"] {
        let mut request = request(&profile, Effect::Write);
        request.url = foreign.parse().unwrap();
        let error = transport.call(&profile, request).await.unwrap_err();
        assert_eq!((error.kind, error.outcome), (BankErrorKind::ProfileError, Outcome::NotDone));
    }
    assert!(bank.requests.lock().unwrap().is_empty());
}

/// The value of a header in a request as the bank read it.
fn sent<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[tokio::test]
async fn the_bytes_that_go_out_are_the_bytes_that_are_signed() {
    let authority = authority();
    let bank = bank(&authority, Manner::Answer(OK)).await;
    let transport = transport(&authority, true);
    let mut profile = profile(bank.address);
    let digest = request(&profile, Effect::Write).signed(Signature::DigestAndSignature);
    transport.call(&profile, digest).await.unwrap();
    profile.signing =
        Signing::DetachedJws { iss: None, tan: "openbanking.org.uk".into(), verify_answers: false };
    let detached = request(&profile, Effect::Write).signed(Signature::DetachedJws);
    transport.call(&profile, detached).await.unwrap();

    let requests = bank.requests.lock().unwrap().clone();
    let seal = transport.seal.as_ref().unwrap();
    let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.as_bytes().to_vec();

    let first = &requests[0];
    crypto::http_signature::verify_digest(sent(first, "digest").unwrap(), &body(first)).unwrap();
    let header = crypto::http_signature::verify_cavage(
        sent(first, "signature").unwrap(),
        seal.certificate.public_key(),
        |name| sent(first, name).map(str::to_owned),
        &["digest", "x-request-id"],
    )
    .unwrap();
    assert!(header.key_id.starts_with("SN="));
    assert!(sent(first, "tpp-signature-certificate").is_some());

    let second = &requests[1];
    let keys = crypto::Jwks::from_value(&serde_json::json!({ "keys": [seal.key.public_jwk()] })).unwrap();
    let claims =
        ["http://openbanking.org.uk/iat", "http://openbanking.org.uk/iss", "http://openbanking.org.uk/tan"];
    let verified = crypto::jws::verify_detached(
        sent(second, "x-jws-signature").unwrap(),
        &body(second),
        &keys,
        &[crypto::Algorithm::Ps256],
        &claims,
    )
    .unwrap();
    assert_eq!(verified.header["http://openbanking.org.uk/iss"], "org/software");
    assert_eq!(verified.header["crit"], serde_json::json!(claims));
}

fn seen(bank: &Bank) -> usize {
    bank.requests.lock().unwrap().len()
}

#[tokio::test]
async fn a_read_that_found_nobody_is_repeated_and_a_write_is_not() {
    let authority = authority();
    let down = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    for manner in [Manner::Reset, Manner::Answer(down)] {
        let transport = transport(&authority, true);
        let bank = bank(&authority, manner).await;
        let mut profile = profile(bank.address);
        let _ = transport.call(&profile, request(&profile, Effect::Write)).await;
        assert_eq!(seen(&bank), 1);
        let _ = transport.call(&profile, request(&profile, Effect::Read)).await;
        assert_eq!(seen(&bank), 4);
        profile.limits.retries = 0;
        let _ = transport.call(&profile, request(&profile, Effect::Read)).await;
        assert_eq!(seen(&bank), 5);
    }
}

#[tokio::test]
async fn a_bank_that_never_answers_is_left_alone_until_its_rest_is_over() {
    let authority = authority();
    let transport = transport(&authority, true);
    let bank = bank(&authority, Manner::Reset).await;
    let profile = profile(bank.address);
    for _ in 0..5 {
        transport.call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
    }
    let error = transport.call(&profile, request(&profile, Effect::Write)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::BankUnavailable, Outcome::NotDone));
    assert_eq!(error.field.as_deref(), Some("breaker"));
    assert!(error.retry_after.unwrap() <= Duration::from_secs(30));
    assert_eq!(seen(&bank), 5);
    // Payments are another service of the same bank.
    let mut payment = request(&profile, Effect::Write);
    payment.service = crate::Service::Payments;
    transport.call(&profile, payment).await.unwrap_err();
    assert_eq!(seen(&bank), 6);
    let changes: Vec<_> =
        transport.health().changes().into_iter().map(|change| (change.service, change.to)).collect();
    assert!(changes.contains(&(crate::Service::Accounts, crate::HealthStatus::Down)), "{changes:?}");
    assert!(transport.health().changes().is_empty());
}

#[tokio::test]
async fn a_bank_that_says_when_to_come_back_is_not_called_before() {
    let authority = authority();
    let transport = transport(&authority, true);
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n";
    let bank = bank(&authority, Manner::Answer(busy)).await;
    let profile = profile(bank.address);
    let first = transport.call(&profile, request(&profile, Effect::Read)).await.unwrap();
    assert_eq!(first.status.as_u16(), 429);
    let error = transport.call(&profile, request(&profile, Effect::Read)).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::Throttled, Outcome::NotDone));
    assert!(error.retry_after.unwrap() > Duration::from_secs(50));
    assert_eq!(seen(&bank), 1);
}

#[tokio::test]
async fn a_second_question_is_asked_only_where_the_profile_wants_it() {
    let authority = authority();
    let transport = transport(&authority, true);
    let bank = bank(&authority, Manner::LateOnce).await;
    let mut profile = profile(bank.address);
    profile.limits.hedge_after = Some(Duration::from_millis(20));
    let answer = transport.call(&profile, request(&profile, Effect::Read)).await.unwrap();
    assert_eq!((answer.status.as_u16(), seen(&bank)), (200, 2));
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_hide_a_bank_that_hangs() {
    let authority = authority();
    let transport = Arc::new(transport(&authority, true));
    let bank = bank(&authority, Manner::Late).await;
    let mut profile = profile(bank.address);
    profile.limits.deadline = Duration::from_millis(300);
    let call = {
        let (transport, profile) = (Arc::clone(&transport), profile.clone());
        tokio::spawn(async move { transport.call(&profile, request(&profile, Effect::Read)).await })
    };
    while seen(&bank) == 0 {
        tokio::task::yield_now().await;
    }
    call.abort();
    while transport.health().of(&profile.id, crate::Service::Accounts).unanswered == 0 {
        tokio::task::yield_now().await;
    }
}
