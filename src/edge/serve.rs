//! The accept loop: bounded in connections and in the time a handshake or a
//! request head may take, and able to stop without breaking a request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::UnixTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
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
    /// Longest time a request head may take to arrive.
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
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&socket, &places) => accepted,
            };
            let Some((stream, address, place)) = accepted else { continue };
            let (acceptor, tls, clock) = (acceptor.clone(), tls.clone(), Arc::clone(&clock));
            let (router, http, watcher) = (router.clone(), http.clone(), graceful.watcher());
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
                let connection = http
                    .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
                if let Err(error) = watcher.watch(connection).await {
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
