//! Sockets and TLS of a bank. The interface requires a client certificate at
//! the TLS level; the pages do not ask for one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use crypto::Certificate;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::bank::Bank;
use crate::observe::HangUp;
use crate::wire::{Gate, Wire};
use crate::{BankConfig, StartFailed};

/// Most connections of one listener at a time.
const MAX_CONNECTIONS: usize = 1_000;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The certificate the peer proved to hold.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Arc<Certificate>);

pub(crate) async fn bind(addr: SocketAddr) -> Result<(TcpListener, SocketAddr), StartFailed> {
    let failed = |error| StartFailed::Listen(addr, error);
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The TLS material of a bank.
pub(crate) struct Tls {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    trust: Arc<dyn ClientCertVerifier>,
}

impl Tls {
    pub(crate) fn new(config: &BankConfig) -> Result<Self, StartFailed> {
        let chain = certificates(&config.server_certificate_pem, "the server certificate")?;
        let key = PrivateKeyDer::from_pem_slice(config.server_key_pem.as_bytes())
            .map_err(|_| StartFailed::Pem("the server key"))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&config.client_ca_pem, "the client authorities")? {
            roots.add(root).map_err(StartFailed::Tls)?;
        }
        let trust = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| StartFailed::Pem("the client authorities"))?;
        Ok(Self { chain, key, trust })
    }

    pub(crate) fn trust(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.trust)
    }

    pub(crate) fn requiring_clients(&self) -> Result<TlsAcceptor, StartFailed> {
        self.acceptor(Some(self.trust()))
    }

    pub(crate) fn open(&self) -> Result<TlsAcceptor, StartFailed> {
        self.acceptor(None)
    }

    fn acceptor(&self, trust: Option<Arc<dyn ClientCertVerifier>>) -> Result<TlsAcceptor, StartFailed> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(StartFailed::Tls)?;
        let builder = match trust {
            Some(trust) => builder.with_client_cert_verifier(trust),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(self.chain.clone(), self.key.clone_key()).map_err(StartFailed::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(crate) fn certificates(pem: &str, of: &'static str) -> Result<Vec<CertificateDer<'static>>, StartFailed> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(StartFailed::Pem(of))
}

/// Accepts until the bank is told to end, then lets each connection finish
/// the request at hand.
pub(crate) fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    router: Router,
    bank: &Arc<Bank>,
    shutdown: &CancellationToken,
    tracker: &TaskTracker,
) {
    let (bank, shutdown, connections) = (Arc::clone(bank), shutdown.clone(), tracker.clone());
    tracker.spawn(async move {
        let room = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, _)) = accepted else {
                // Out of descriptors: a moment later one may be free.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
            if bank.faults.refuses_connections() {
                continue;
            }
            let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
            let wire = bank.faults.wire();
            connections.spawn(async move {
                tokio::select! {
                    done = tokio::time::timeout(HANDSHAKE, handshake(socket, wire, tls)) => {
                        if let Ok(Ok((stream, peer))) = done {
                            connection(stream, peer, router, &shutdown).await;
                        }
                    }
                    () = shutdown.cancelled() => {}
                }
                drop(permit);
            });
        }
    });
}

type TlsStream = tokio_rustls::server::TlsStream<Wire<TcpStream>>;

async fn handshake(
    socket: TcpStream,
    wire: Arc<Gate>,
    tls: TlsAcceptor,
) -> io::Result<(TlsStream, Option<Peer>)> {
    socket.set_nodelay(true)?;
    let stream = tls.accept(Wire::new(socket, wire)).await?;
    let peer = match stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) {
        None => None,
        Some(der) => Some(Peer(Arc::new(Certificate::parse(der).map_err(io::Error::other)?))),
    };
    Ok((stream, peer))
}

async fn connection(stream: TlsStream, peer: Option<Peer>, router: Router, shutdown: &CancellationToken) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        let router = router.clone();
        async move {
            let request: Request = request.map(Body::new);
            let response: Response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if response.extensions().get::<HangUp>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // An error here is the client's going away, which is no news.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), connection).await;
}
