//! The accept loop: bounded in connections, and able to stop without breaking
//! a request.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use crypto::certificate::Thumbprint;
use domain::Clock;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use limits::Limiter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection;
use crate::lobby::{Room, Rooms, Yielding};
use crate::places::Places;
use crate::{BlockList, EdgeCounters, Lobby, Overload, ServerTls};

/// Bounds of a listener.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Connections held at the same time; more wait in the backlog.
    pub max_connections: usize,
    /// Connections of one address (of IPv6, one /64); one more is closed.
    pub max_per_address: usize,
    /// Connections of one client certificate that we trust; one more is closed.
    pub max_per_client: usize,
    /// Longest time a TLS handshake may take, with the PROXY header before it.
    pub handshake_timeout: Duration,
    /// Longest time a request head may take to arrive; the start of an HTTP/2
    /// connection, too.
    pub head_timeout: Duration,
    /// Longest time that a peer may take nothing of what it is sent.
    pub write_timeout: Duration,
    /// Longest life of a connection; afterwards it takes no new request.
    pub max_age: Duration,
    /// Longest time that requests get which are open on a connection that is too old.
    pub age_grace: Duration,
    /// Longest time that open requests get when the listener stops.
    pub drain_timeout: Duration,
    /// Requests at the same time on one HTTP/2 connection.
    pub max_streams: u32,
    /// Largest request head in bytes.
    pub max_head: u32,
    /// Networks of load balancers: who comes from there says for whom by a
    /// PROXY header (version 1 or 2), and nobody else may.
    pub proxies: Vec<IpNet>,
    /// Counts handshakes by address, if anything does.
    pub limiter: Option<Arc<Limiter>>,
    /// Where connections are accepted and strangers served, if not on the threads that answer.
    pub lobby: Option<Arc<Lobby>>,
    /// Lets no more handshakes in than can be made in time, if anything does.
    pub overload: Option<Arc<Overload>>,
    /// Who is not let in, if anybody is kept out.
    pub blocked: Option<Arc<BlockList>>,
    /// Once it is cancelled, connections take no new request and end with their next answer, while new
    /// ones are still accepted: a stop that is announced.
    pub retire: CancellationToken,
    /// What is counted.
    pub counters: Arc<EdgeCounters>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_per_address: 1_000,
            max_per_client: 2_000,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_age: Duration::from_secs(60 * 60),
            age_grace: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            max_streams: 256,
            max_head: MAX_HEAD,
            proxies: Vec::new(),
            limiter: None,
            lobby: None,
            overload: None,
            blocked: None,
            retire: CancellationToken::new(),
            counters: Arc::default(),
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

/// Largest request head in bytes, where nothing else is said.
pub(crate) const MAX_HEAD: u32 = 32 * 1024;
/// Headers that a request has at most: hyper's own bound for HTTP/1.1.
pub(crate) const MAX_HEADERS: usize = 100;

/// What the connections of a listener share.
pub(crate) struct Shared {
    pub(crate) tls: ServerTls,
    pub(crate) config: ListenerConfig,
    pub(crate) router: Router,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) http1: http1::Builder,
    pub(crate) http2: http2::Builder<TokioExecutor>,
    pub(crate) addresses: Arc<Places<IpAddr>>,
    pub(crate) clients: Arc<Places<Thumbprint>>,
    /// Where known clients are served and where strangers are, if that is not the same.
    pub(crate) rooms: Option<Rooms>,
    /// Connections take no new request any more.
    pub(crate) stop: CancellationToken,
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
        let Some(lobby) = self.config.lobby.clone() else {
            return self.accept_all(None, router, clock, stop).await;
        };
        let rooms = lobby.rooms();
        lobby.run_at_door(self.settle(rooms, router, clock, stop)).await;
    }

    /// Serves on the threads that this runs on, which the socket was not bound on.
    async fn settle(
        mut self,
        rooms: Option<Rooms>,
        router: Router,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        match self.socket.into_std().and_then(TcpListener::from_std) {
            Ok(socket) => self.socket = socket,
            Err(error) => return tracing::error!(error = %error, "No connections can be accepted"),
        }
        self.accept_all(rooms, router, clock, stop).await;
    }

    async fn accept_all(
        self,
        rooms: Option<Rooms>,
        router: Router,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let Self { socket, tls, config } = self;
        let places = Arc::new(Semaphore::new(config.max_connections));
        let drain_timeout = config.drain_timeout;
        let shared = Arc::new(Shared {
            tls,
            router,
            clock,
            http1: http1(&config),
            http2: http2(&config),
            addresses: Places::new(config.max_per_address),
            clients: Places::new(config.max_per_client),
            rooms,
            stop: stop.clone(),
            config,
        });
        let (connections, broken_off) = (TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&socket, &places) => accepted,
            };
            let Some((stream, address, place)) = accepted else { continue };
            let here = shared.room_of(address);
            let served = served(Arc::clone(&shared), stream, address, here, broken_off.clone(), place);
            match &shared.rooms {
                Some(rooms) => connections.spawn_on(served, rooms.handle(here)),
                None => connections.spawn(served),
            };
        }
        drop(socket);
        connections.close();
        if tokio::time::timeout(drain_timeout, connections.wait()).await.is_err() {
            tracing::warn!(open = connections.len(), "Open requests did not end in time");
            broken_off.cancel();
        }
    }
}

fn http1(config: &ListenerConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_header_size(usize::try_from(config.max_head).unwrap_or(usize::MAX))
        .max_buf_size(128 * 1024);
    http
}

fn http2(config: &ListenerConfig) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(config.max_head)
        // Streams that were reset before anybody looked at them, by the peer
        // (CVE-2023-44487) and by us for its mistakes (CVE-2025-8671).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(256 * 1024);
    http
}

/// Serves a connection to its end, or until all are broken off. On the heap: each thing that is done with a
/// future holds room for it twice, and as many are held as there are connections.
async fn served(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    here: Room,
    broken_off: CancellationToken,
    place: OwnedSemaphorePermit,
) {
    let moves = shared.rooms.is_some();
    // What it was accepted on hears of it until it settles here.
    let stream = if moves { stream.into_std().and_then(TcpStream::from_std) } else { Ok(stream) };
    let Ok(stream) = stream else { return };
    let serving = Box::pin(connection::serve(shared, stream, address, here));
    if moves && here == Room::Lobby {
        broken_off.run_until_cancelled_owned(Yielding::of(serving)).await;
    } else {
        broken_off.run_until_cancelled_owned(serving).await;
    }
    drop(place);
}

impl Shared {
    /// Where whoever connects from an address is greeted, as far as that can be said before anything was read.
    fn room_of(&self, address: SocketAddr) -> Room {
        let ip = address.ip().to_canonical();
        let speaks_for_others = self.config.proxies.iter().any(|network| network.contains(&ip));
        let expects = self.config.overload.as_ref().is_some_and(|overload| overload.expects(ip));
        if expects && !speaks_for_others { Room::Home } else { Room::Lobby }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand that wait are ten thousand times as much, beside their TLS and buffers.
    #[test]
    fn a_connection_takes_little_room() {
        fn task<F>(
            _: impl Fn(Arc<Shared>, TcpStream, SocketAddr, Room, CancellationToken, OwnedSemaphorePermit) -> F,
        ) -> usize {
            size_of::<F>()
        }
        fn serving<F>(_: impl Fn(Arc<Shared>, TcpStream, SocketAddr, Room) -> F) -> usize {
            size_of::<F>()
        }
        assert!(task(served) <= 512, "{}", task(served));
        assert!(serving(connection::serve) <= 2_560, "{}", serving(connection::serve));
    }
}
