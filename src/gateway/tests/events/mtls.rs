//! Mutual TLS towards the receivers of webhooks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::webhooks::until;
use crate::support::{TestGateway, rows};
use crypto::Certificate;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A receiver that lets nobody in without a certificate of the sandbox's root.
struct Demanding {
    url: String,
    /// Subjects of those who were let in, by request.
    seen: Arc<Mutex<Vec<String>>>,
    /// Connections that came.
    connections: Arc<AtomicUsize>,
}

impl Demanding {
    async fn start(gw: &TestGateway) -> Self {
        let pki = gw.sandbox.access().pki;
        let certificates = |pem: &str| {
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap()
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&pki.root));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_slice(pki.server.key_pem.as_bytes()).unwrap();
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(certificates(&pki.server.certificate_pem), key)
            .unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/hooks", socket.local_addr().unwrap().port());
        let (seen, connections) = (Arc::default(), Arc::default());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(listen(socket, acceptor, Arc::clone(&seen), Arc::clone(&connections)));
        Self { url, seen, connections }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn listen(
    socket: TcpListener,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(let_in(stream, acceptor.clone(), Arc::clone(&seen)));
    }
}

async fn let_in(stream: TcpStream, acceptor: TlsAcceptor, seen: Arc<Mutex<Vec<String>>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let shown = Certificate::parse(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap();
    let answer = service_fn(move |_| {
        seen.lock().unwrap().push(shown.subject_dn.clone());
        async { Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::default())) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// An endpoint that demands a certificate is reached where it was said so, with the
/// certificate that banks see, and otherwise not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_shows_its_certificate_where_an_endpoint_wants_it() {
    let gw = TestGateway::start().await;
    let demanding = Demanding::start(&gw).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    let added = json!({ "url": demanding.url });
    let added = tpp.post(&own, "/v1/webhook-endpoints", &added).await.unwrap().expect(201).unwrap().json();
    assert_eq!(added["client_certificate"], json!(false));
    let path = format!("/v1/webhook-endpoints/{}", added["id"].as_str().unwrap());
    let tested = async |status: &str| -> Value {
        let sent = tpp.post(&own, &format!("{path}/test"), &json!({})).await.unwrap();
        let sent = sent.expect(202).unwrap().text("/event_id");
        until(&format!("a test that is {status}"), async || {
            let log = rows(&tpp.get(&own, &format!("{path}/deliveries")).await.unwrap());
            let one = log.into_iter().find(|one| one["event_id"] == json!(sent))?;
            (one["attempts"] == 1 && one["status"] == status).then_some(one)
        })
        .await
    };
    assert_eq!(tested("pending").await.get("last_status"), None, "it does not get past TLS");
    assert!(demanding.seen().is_empty());

    let wanted = json!({ "client_certificate": true }).to_string();
    let bearer = consentry::demo::bearer(&own);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let url = format!("{}{path}", tpp.api);
    let changed = tpp.http.send(http::Method::PATCH, &url, &headers, wanted).await.unwrap();
    assert_eq!(changed.expect(200).unwrap().json()["client_certificate"], json!(true));
    assert_eq!(tested("delivered").await["last_status"], StatusCode::OK.as_u16());
    let qwac = Certificate::from_pem(&gw.sandbox.access().pki.gateway_qwac.certificate_pem).unwrap();
    assert_eq!(demanding.seen(), std::slice::from_ref(&qwac.subject_dn));

    // The next one goes over the same connection.
    let connections = demanding.connections.load(Ordering::Relaxed);
    tested("delivered").await;
    assert_eq!(demanding.seen(), [qwac.subject_dn.clone(), qwac.subject_dn]);
    assert_eq!(demanding.connections.load(Ordering::Relaxed), connections);

    let second = json!({ "url": demanding.url, "client_certificate": true });
    let second = tpp.post(&own, "/v1/webhook-endpoints", &second).await.unwrap().expect(201).unwrap();
    assert_eq!(second.json()["client_certificate"], json!(true));
    gw.sandbox.stop().await;
}
