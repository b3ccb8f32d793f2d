//! A listener with bounds as small as a test's patience, and clients that send
//! what a well-behaved one would not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use consentry_edge::{
    Asked, BlockList, Closed, EdgeConfig, EdgeCounters, Filter, Listener, ListenerConfig, Lobby, Overload,
    PeerIdentity, Reason, Refusal, ServerTls, Witness, protect,
};
use crypto::pki::{Authority, Issued};
use domain::{Clock, SystemClock, SystemEntropy};
use http::StatusCode;
use limits::{Limiter, Policies};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// Longest time that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a dawdling peer is waited for.
pub const SHORT: Duration = Duration::from_millis(300);

pub const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
pub const GET_AND_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A running listener.
pub struct Gate {
    pub ca: Authority,
    pub address: SocketAddr,
    pub counters: Arc<EdgeCounters>,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

/// A listener of a test's own making.
pub struct Plan {
    pub ca: Authority,
    pub tls: ServerTls,
    pub config: ListenerConfig,
    pub clock: Arc<dyn Clock>,
    pub filter: Option<Arc<dyn Filter>>,
    pub witness: Option<Arc<dyn Witness>>,
    pub router: Router,
}

impl Plan {
    pub fn new() -> Self {
        let ca = authority("edge test root");
        let server = ca.issue_server(&["localhost"], &[]).unwrap();
        let anchors = [ca.certificate_pem().to_owned()];
        let tls = ServerTls::for_clients(&server.certificate_pem, &server.key_pem, &anchors).unwrap();
        let config = ListenerConfig {
            handshake_timeout: SHORT,
            head_timeout: SHORT,
            drain_timeout: Duration::from_secs(5),
            lobby: Some(Lobby::open().unwrap()),
            ..ListenerConfig::default()
        };
        Self {
            ca,
            tls,
            config,
            clock: Arc::new(SystemClock),
            filter: None,
            witness: None,
            router: greeting(),
        }
    }

    pub async fn start(self) -> Gate {
        let Self { ca, tls, config, clock, filter, witness, router } = self;
        let counters = Arc::clone(&config.counters);
        let limiter = config.limiter.clone().unwrap_or_else(|| Arc::new(Limiter::new(Policies::unlimited())));
        let blocked = BlockList::new(Arc::clone(&limiter), Arc::clone(&clock));
        let config = ListenerConfig { blocked: Some(Arc::clone(&blocked)), ..config };
        let edge = EdgeConfig {
            refuse,
            moves_money: |_, _| false,
            evidence: Arc::default(),
            blocked,
            max_body: 1_024 * 1_024,
            deadline: Duration::from_secs(5),
            body_timeout: SHORT,
            counters: Arc::clone(&counters),
            overload: config.overload.clone().unwrap_or_else(|| Overload::new(Arc::clone(&limiter))),
            limiter,
            side: consentry_edge::Side::Api,
            region_of: |_| None,
            only_region: None,
            witness,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
            filter,
        };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(listener.serve(protect(router, edge), clock, stop.clone()));
        Gate { ca, address, counters, stop, served }
    }
}

pub fn authority(name: &str) -> Authority {
    Authority::new(name, SystemClock.now()).unwrap()
}

fn refuse(refusal: Refusal, _: Asked) -> Response {
    let status = match refusal {
        Refusal::BodyTimedOut(_) => StatusCode::REQUEST_TIMEOUT,
        Refusal::BodyTooLarge(_)
        | Refusal::TooMany(_)
        | Refusal::Overloaded(_)
        | Refusal::TimedOut(_)
        | Refusal::Path
        | Refusal::Encoded
        | Refusal::Host
        | Refusal::Forwarded
        | Refusal::Method
        | Refusal::BodyEndedEarly
        | Refusal::Filtered(_)
        | Refusal::Blocked
        | Refusal::Panic => StatusCode::BAD_REQUEST,
    };
    (status, format!("{refusal:?}")).into_response()
}

/// `/` tells who asked, `/echo` the length of the body, `/attack` is one.
fn greeting() -> Router {
    let who = async |peer: axum::Extension<PeerIdentity>| {
        let trust = peer.certificate.as_ref().map(|certificate| certificate.trust);
        format!("{} {trust:?}", peer.address)
    };
    let attack = async || axum::Extension(Reason("request.suspicious"));
    Router::new()
        .route("/attack", get(attack))
        .route("/", get(who))
        .route("/echo", post(async |body: Bytes| body.len().to_string()))
}

impl Gate {
    pub async fn start() -> Self {
        Plan::new().start().await
    }

    pub fn client(&self) -> TestClient {
        TestClient::of(self.ca.certificate_pem(), default_provider())
    }

    /// A connection that says HTTP/1.1 of itself.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        self.client().connect(self.address).await.unwrap()
    }

    /// Waits until so many connections ended for this reason.
    pub async fn closed(&self, reason: Closed, times: u64) {
        let seen = async {
            while self.counters.closed(reason) < times {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, seen).await;
        assert!(waited.is_ok(), "{reason:?} was counted {} times", self.counters.closed(reason));
        assert_eq!(self.counters.closed(reason), times);
    }

    /// Whoever connects now is sent away before the handshake, the first one for this reason.
    pub async fn turns_away(&self, reason: Closed) {
        let mut next = TcpStream::connect(self.address).await.unwrap();
        assert_eq!(rest(&mut next).await, "", "closed before the handshake");
        self.closed(reason, 1).await;
    }

    /// One who does nothing wrong is answered.
    pub async fn assert_well(&self) {
        let mut stream = self.connect().await;
        assert!(ask(&mut stream, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }
}

/// How a client speaks TLS.
#[derive(Clone)]
pub struct TestClient(pub ClientConfig);

impl TestClient {
    pub fn of(root_pem: &str, provider: CryptoProvider) -> Self {
        Self::at(root_pem, provider, None)
    }

    /// With a certificate.
    pub fn shows(root_pem: &str, shown: &Issued) -> Self {
        Self::at(root_pem, default_provider(), Some(shown))
    }

    fn at(root_pem: &str, provider: CryptoProvider, shown: Option<&Issued>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Self(match shown {
            Some(shown) => {
                let chain = CertificateDer::pem_slice_iter(shown.certificate_pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(shown.key_pem.as_bytes()).unwrap();
                config.with_client_auth_cert(chain.collect::<Result<_, _>>().unwrap(), key).unwrap()
            }
            None => config.with_no_client_auth(),
        })
    }

    pub fn http2(mut self) -> Self {
        self.0.alpn_protocols = vec![b"h2".to_vec()];
        self
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await?).await
    }

    pub async fn over(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(self.0.clone())).connect(name, stream).await
    }
}

/// Sends a request and reads to the end of the connection.
pub async fn ask(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    rest(stream).await
}

/// Sends a request on a connection that is kept, and reads one answer.
pub async fn ask_on(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// What comes until the peer closes, however it does that.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection does not end");
    String::from_utf8_lossy(&bytes).into_owned()
}
