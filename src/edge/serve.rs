//! The accept loop: bounded in connections and in the time a handshake or a
//! request head may take, and able to stop without breaking a request.

use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use domain::Clock;

use crate::{PeerIdentity, ServerTls};

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerConfig {
    /// Connections held at the same time; more wait in the backlog.
    pub max_connections: usize,
    /// Longest time a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Longest time a request head may take to arrive; the start of an HTTP/2
    /// connection, too.
    pub head_timeout: Duration,
    /// Longest time that open requests get when the listener stops.
    pub drain_timeout: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A bound socket with its TLS.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: ServerTls,
    config: ListenerConfig,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// The operating system's error, such as an address in use.
    pub async fn bind(address: SocketAddr, tls: ServerTls, config: ListenerConfig) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls, config })
    }

    /// The bound address.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves `router` until `stop` is cancelled, then lets open requests end.
    pub async fn serve(self, router: Router, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let Self { socket, tls, config } = self;
        let acceptor = TlsAcceptor::from(tls.config());
        let places = Arc::new(Semaphore::new(config.max_connections));
        let graceful = GracefulShutdown::new();
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(config.head_timeout);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .max_concurrent_streams(256);
        // Which of the two it is ALPN has said. Finding out from the first
        // bytes would wait for them without end.
        let (http1, http2) = (http.clone().http1_only(), http.http2_only());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&socket, &places) => accepted,
            };
            let Some((stream, address, place)) = accepted else { continue };
            let (acceptor, tls, clock) = (acceptor.clone(), tls.clone(), Arc::clone(&clock));
            let (router, watcher) = (router.clone(), graceful.watcher());
            let (http1, http2) = (http1.clone(), http2.clone());
            tokio::spawn(async move {
                let handshake = tokio::time::timeout(config.handshake_timeout, acceptor.accept(stream));
                let stream = match handshake.await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => {
                        tracing::debug!(error = %error, "A TLS handshake failed");
                        return;
                    }
                    Err(_) => {
                        tracing::debug!("A TLS handshake took too long");
                        return;
                    }
                };
                let now = UnixTime::since_unix_epoch(Duration::from_secs(
                    u64::try_from(clock.now().as_second()).unwrap_or(0),
                ));
                let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let peer = PeerIdentity { address, certificate: tls.judge(shown, now) };
                let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(peer.clone());
                    request.map(axum::body::Body::new)
                });
                let service = TowerToHyperService::new(service);
                let served = if stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice()) {
                    let Some(stream) = begun(stream, config.head_timeout).await else { return };
                    watcher.watch(http2.serve_connection(TokioIo::new(stream), service)).await
                } else {
                    watcher.watch(http1.serve_connection(TokioIo::new(stream), service)).await
                };
                if let Err(error) = served {
                    tracing::debug!(error = %error, "A connection ended early");
                }
                drop(place);
            });
        }
        drop(socket);
        if tokio::time::timeout(config.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("Open requests did not end in time");
        }
    }
}

/// Waits for the preface of an HTTP/2 connection (RFC 9113 §3.4), which hyper
/// would do without end, and puts it back in front.
async fn begun(
    stream: TlsStream<TcpStream>,
    longest: Duration,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let (mut reader, writer) = tokio::io::split(stream);
    let mut preface = vec![0; 24];
    let arrived = tokio::time::timeout(longest, reader.read_exact(&mut preface)).await;
    arrived.ok()?.ok()?;
    Some(tokio::io::join(Cursor::new(preface).chain(reader), writer))
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(socket: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, address)) => {
            // Answers are small and whole: waiting for more would only add latency.
            let _ = stream.set_nodelay(true);
            Some((stream, address, place))
        }
        Err(error) => {
            tracing::warn!(error = %error, "A connection could not be accepted");
            // Out of file descriptors: the loop must not spin until one is free.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
