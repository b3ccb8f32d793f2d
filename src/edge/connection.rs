//! One connection: PROXY header, TLS, who the peer is, then HTTP, each within
//! its time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use crypto::certificate::Thumbprint;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use limits::{Key, Partition};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use crate::Closed;
use crate::conduct::{Conduct, Taken};
use crate::hygiene::Excess;
use crate::lobby::Room;
use crate::peer::Peer;
use crate::places::subscriber;
use crate::proxy_protocol::{self, Refused};
use crate::serve::Shared;
use crate::socket::Socket;
use crate::wire::Wire;

/// Serves a connection to its end, from a room.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, socket: SocketAddr, here: Room) {
    let _open = shared.config.counters.opened();
    let mut stranger = None;
    if let Err(reason) = serve_or_close(&shared, stream, socket, here, &mut stranger).await {
        shared.config.counters.count(reason, shared.clock.now());
        if let (Some(address), Some(list)) = (stranger, &shared.config.blocked) {
            list.offend(address, reason.as_str());
        }
    }
}

async fn serve_or_close(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    socket: SocketAddr,
    here: Room,
    stranger: &mut Option<IpAddr>,
) -> Result<(), Closed> {
    let config = &shared.config;
    let born = Instant::now();
    let greeted = born.checked_add(config.handshake_timeout).unwrap_or(born);
    // Room that is wanted for a moment only.
    let address = Box::pin(proxy_protocol::address(&mut stream, socket, &config.proxies));
    let address = match timeout_at(greeted, address).await {
        Ok(Ok(address)) => address,
        Ok(Err(Refused::Header)) => return Err(Closed::ProxyHeader),
        Ok(Err(Refused::Gone)) => return Err(Closed::HandshakeFailed),
        Err(_) => return Err(Closed::HandshakeTimeout),
    };
    if config.blocked.as_ref().is_some_and(|list| list.blocks(address.ip())) {
        return Err(Closed::Blocked);
    }
    if config.overload.as_ref().is_some_and(|overload| !overload.admit(address.ip())) {
        return Err(Closed::Overload);
    }
    *stranger = Some(address.ip());
    let subscriber = subscriber(address.ip());
    let _place = shared.addresses.take(subscriber).ok_or(Closed::AddressCap)?;
    let counted = config
        .limiter
        .as_ref()
        .map(|limiter| limiter.count(Partition::Address, &Key::Address(subscriber), None));
    counted.transpose().map_err(|_| Closed::HandshakeRate)?;
    let greeting = config.overload.as_ref().map_or(here, |overload| overload.greets(address.ip()));
    let greets = greet(Arc::clone(shared), Socket::from(stream), address, greeted, here != greeting);
    let greeted = Box::pin(shared.within(here, greeting, greets)).await;
    let (stream, peer, client) = greeted.unwrap_or(Err(Closed::HandshakeFailed))?;
    let conduct = Conduct::of(client.is_some());
    let _client = match client {
        Some(client) => {
            *stranger = None;
            if let Some(overload) = &config.overload {
                if overload.is_excessive(&Key::Certificate(*client.as_bytes())) {
                    conduct.exceed();
                } else {
                    overload.meet(address.ip());
                }
            }
            Some(shared.clients.take(client).ok_or(Closed::ClientCap)?)
        }
        None => None,
    };
    let ends = born.checked_add(config.max_age).unwrap_or(born);
    let room = if client.is_some() { Room::Home } else { Room::Lobby };
    let answering = Arc::new(Answering { shared: Arc::clone(shared), peer, conduct, ends, room });
    answering.serve(stream, here, greeting).await
}

/// What a handshake came to: the connection, its peer, and which client that is, if we know it.
type Greeted = (Box<TlsStream<Socket>>, Peer, Option<Thumbprint>);

/// A handshake and a look at what was shown, after the socket has settled where this runs, if it was not there.
async fn greet(
    shared: Arc<Shared>,
    mut socket: Socket,
    address: SocketAddr,
    until: Instant,
    settles: bool,
) -> Result<Greeted, Closed> {
    if settles && socket.settle().is_err() {
        return Err(Closed::HandshakeFailed);
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.tls.load().config));
    match timeout_at(until, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let peer = Peer::new(address, &shared.tls, shown);
            let identity = peer.identity(shared.clock.now()).await;
            let client = identity.trusted().map(|certificate| certificate.thumbprint);
            Ok((Box::new(stream), peer, client))
        }
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "A TLS handshake failed");
            Err(Closed::HandshakeFailed)
        }
        Err(_) => Err(Closed::HandshakeTimeout),
    }
}

/// A connection whose peer is known.
struct Answering {
    shared: Arc<Shared>,
    peer: Peer,
    conduct: Arc<Conduct>,
    /// When it is too old.
    ends: Instant,
    /// Where it is served while its peer keeps to what it may ask.
    room: Room,
}

/// A connection that is served, and what it was told.
struct Life<C> {
    connection: Pin<Box<C>>,
    is_http2: bool,
    stopping: bool,
    retiring: bool,
    aged: bool,
}

/// What became of a connection that was served in a room.
enum Kept<C> {
    Ended(Result<(), Closed>),
    /// It goes on in the other one.
    Moves(Life<C>),
}

impl Answering {
    /// Serves a connection to its end. This runs in one room, and its socket is at home in one.
    async fn serve(
        self: Arc<Self>,
        stream: Box<TlsStream<Socket>>,
        here: Room,
        at: Room,
    ) -> Result<(), Closed> {
        // Which of the two it is ALPN has said. Finding out from the first
        // bytes would wait for them without end.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        // A client that went on over what it may ask elsewhere does not begin anew here.
        let room = if self.conduct.is_excessive() { self.room.other() } else { self.room };
        let settles = at != room;
        let (this, answering) = (Arc::clone(&self), Arc::clone(&self));
        // Each on the heap for as long as there is something in it: a connection that waits
        // would otherwise hold room for the largest of what it may ever do.
        let service = service_fn(move |request| {
            // Where this connection is served is said here, and not once the request is under way elsewhere.
            let away = answering.room == Room::Lobby || answering.conduct.is_excessive();
            Box::pin(Arc::clone(&answering).answer(request, away))
        });
        if is_http2 {
            let begin = async move {
                let io = this.wire(stream, settles, true).await?;
                Ok(Box::pin(this.shared.http2.serve_connection(io, service)))
            };
            self.live(here, room, begin, true).await
        } else {
            let begin = async move {
                let io = this.wire(stream, settles, false).await?;
                Ok(Box::pin(this.shared.http1.serve_connection(io, service)))
            };
            self.live(here, room, begin, false).await
        }
    }

    /// What HTTP is read from and written to, once the socket has settled where this runs.
    async fn wire(
        &self,
        mut stream: Box<TlsStream<Socket>>,
        settles: bool,
        is_http2: bool,
    ) -> Result<TokioIo<Wire<Box<TlsStream<Socket>>>>, Option<Closed>> {
        if settles && stream.get_mut().0.settle().is_err() {
            return Err(None);
        }
        let config = &self.shared.config;
        let before = if is_http2 { preface(&mut stream, config.head_timeout).await? } else { Vec::new() };
        Ok(TokioIo::new(Wire::new(stream, before, config.write_timeout, Arc::clone(&self.conduct))))
    }

    /// Lets a connection go on until it ends, has to, is asked to, or has to go on elsewhere.
    async fn keep<C>(self: Arc<Self>, mut life: Life<C>, room: Room) -> Kept<C>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let config = &self.shared.config;
        let last = self.ends.checked_add(config.age_grace).unwrap_or(self.ends);
        let is_http2 = life.is_http2;
        loop {
            tokio::select! {
                ended = life.connection.as_mut() => {
                    // Who was told to go may have hung up before it was over.
                    return Kept::Ended(match ended.or_else(|error| self.why(&error)) {
                        Ok(()) if life.aged => Err(Closed::Aged),
                        other => other,
                    });
                }
                () = self.shared.stop.cancelled(), if !life.stopping => {
                    life.stopping = true;
                    life.connection.as_mut().graceful_shutdown();
                }
                // HTTP/1.1 learns of both by its next answer, as one that is closed
                // while a request is on its way would lose it.
                () = config.retire.cancelled(), if is_http2 && !life.retiring => {
                    life.retiring = true;
                    life.connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(self.ends), if is_http2 && !life.aged => {
                    life.aged = true;
                    life.connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(last) => return Kept::Ended(Err(Closed::Aged)),
                reason = self.conduct.judged() => return Kept::Ended(Err(reason)),
                () = self.conduct.moved(room), if self.room == Room::Home => return Kept::Moves(life),
            }
        }
    }

    /// Why a connection failed.
    fn why(&self, error: &hyper::Error) -> Result<(), Closed> {
        tracing::debug!(error = %error, "A connection ended early");
        if let Some(reason) = self.conduct.verdict() {
            return Err(reason);
        }
        if error.is_timeout() {
            // Between two requests a connection may be closed at any time.
            return if self.conduct.has_unserved() { Err(Closed::HeadTimeout) } else { Ok(()) };
        }
        let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
        match source.filter(|error| error.is_go_away() && error.is_library()) {
            Some(error) if error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) => Err(Closed::Resets),
            Some(_) => Err(Closed::Protocol),
            None if error.is_parse() => Err(Closed::Protocol),
            None => Ok(()),
        }
    }

    /// Answers a request of a connection that is served at home, or away from it.
    async fn answer(self: Arc<Self>, request: Request<Incoming>, away: bool) -> Result<Response, Infallible> {
        let begun = self.conduct.begin();
        let is_http1 = request.version() < Version::HTTP_2;
        let conduct = Arc::clone(&self.conduct);
        let mut request = request.map(|inner| axum::body::Body::new(Taken { inner, conduct }));
        request.extensions_mut().insert(self.peer.identity(self.shared.clock.now()).await);
        if let Some(rooms) = self.shared.rooms.as_ref().filter(|_| away) {
            request.extensions_mut().insert(rooms.clone());
        }
        let mut response = self.shared.router.clone().oneshot(request).await?;
        if response.extensions_mut().remove::<Excess>().is_some() && self.conduct.exceed() {
            // What else has arrived on this connection is looked at where it goes on.
            tokio::task::yield_now().await;
        }
        let aged = Instant::now() >= self.ends;
        let leaving = self.shared.config.retire.is_cancelled() || self.shared.stop.is_cancelled();
        if is_http1 && (aged || leaving) {
            if aged {
                self.shared.config.counters.count(Closed::Aged, self.shared.clock.now());
            }
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        begun.ended();
        Ok(response)
    }
}

impl Shared {
    /// Runs a future in a room, if it is not the one that this runs in; nothing, if it panics there.
    async fn within<T: Send + 'static>(
        &self,
        here: Room,
        room: Room,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        match &self.rooms {
            Some(rooms) if here != room => rooms.run(room, future).await,
            Some(_) | None => Some(future.await),
        }
    }
}

impl Answering {
    /// Begins a connection where it is to be served, and lets it go on there and elsewhere until it ends.
    async fn live<C>(
        self: Arc<Self>,
        here: Room,
        mut room: Room,
        begin: impl Future<Output = Result<Pin<Box<C>>, Option<Closed>>> + Send + 'static,
        is_http2: bool,
    ) -> Result<(), Closed>
    where
        C: GracefulConnection<Error = hyper::Error> + Send + 'static,
    {
        let this = Arc::clone(&self);
        // On the heap, as it is handed on more than once, and what is handed on holds room for it each time.
        let begun = Box::pin(async move {
            match Box::pin(begin).await {
                Ok(connection) => {
                    let life = Life { connection, is_http2, stopping: false, retiring: false, aged: false };
                    this.keep(life, room).await
                }
                Err(reason) => Kept::Ended(reason.map_or(Ok(()), Err)),
            }
        });
        let mut kept = self.shared.within(here, room, begun).await;
        loop {
            let life = match kept {
                Some(Kept::Ended(ended)) => return ended,
                Some(Kept::Moves(life)) => life,
                None => return Ok(()),
            };
            room = room.other();
            let keeping = Box::pin(Arc::clone(&self).keep(life, room));
            kept = self.shared.within(here, room, keeping).await;
        }
    }
}

/// Waits for the preface of an HTTP/2 connection (RFC 9113 §3.4), which hyper
/// would do without end.
async fn preface(stream: &mut TlsStream<Socket>, longest: Duration) -> Result<Vec<u8>, Closed> {
    let mut preface = vec![0; 24];
    match timeout(longest, stream.read_exact(&mut preface)).await {
        Ok(Ok(_)) => Ok(preface),
        Ok(Err(_)) => Err(Closed::Protocol),
        Err(_) => Err(Closed::HeadTimeout),
    }
}
