//! One connection: PROXY header, TLS, who the peer is, then HTTP, each within
//! its time.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
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
use crate::lobby::Home;
use crate::peer::Peer;
use crate::places::subscriber;
use crate::proxy_protocol::{self, Refused};
use crate::serve::Shared;
use crate::socket::Socket;
use crate::wire::Wire;

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, socket: SocketAddr) {
    let _open = shared.config.counters.opened();
    let mut stranger = None;
    if let Err(reason) = serve_or_close(&shared, stream, socket, &mut stranger).await {
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
    let stream = Box::pin(handshake(shared, stream, greeted)).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = Peer::new(address, &shared.tls, shown);
    let client = peer.identity(shared.clock.now()).await.trusted().map(|certificate| certificate.thumbprint);
    let _client = match client {
        Some(client) => {
            *stranger = None;
            config.overload.as_ref().inspect(|overload| overload.meet(address.ip()));
            Some(shared.clients.take(client).ok_or(Closed::ClientCap)?)
        }
        None => None,
    };
    let conduct = Conduct::of(client.is_some());
    let ends = born.checked_add(config.max_age).unwrap_or(born);
    let mut answering = Answering { shared: Arc::clone(shared), peer, conduct, ends, home: None };
    match &shared.home {
        Some(home) if client.is_some() => home.run(answering.settle(stream)).await.unwrap_or(Ok(())),
        home => {
            answering.home.clone_from(home);
            answering.serve(stream).await
        }
    }
}

async fn handshake(
    shared: &Shared,
    stream: TcpStream,
    until: Instant,
) -> Result<Box<TlsStream<Socket>>, Closed> {
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.tls.load().config));
    match timeout_at(until, acceptor.accept(Socket::from(stream))).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
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
    /// Where its requests are answered, if it is served elsewhere.
    home: Option<Home>,
}

impl Answering {
    /// Serves a connection on the threads that this runs on, which it was not made on.
    async fn settle(self, mut stream: Box<TlsStream<Socket>>) -> Result<(), Closed> {
        if stream.get_mut().0.settle().is_err() {
            return Ok(());
        }
        self.serve(stream).await
    }

    async fn serve(self, mut stream: Box<TlsStream<Socket>>) -> Result<(), Closed> {
        let this = Arc::new(self);
        // Which of the two it is ALPN has said. Finding out from the first
        // bytes would wait for them without end.
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        let before =
            if is_http2 { preface(&mut stream, this.shared.config.head_timeout).await? } else { Vec::new() };
        let wire = Wire::new(stream, before, this.shared.config.write_timeout, Arc::clone(&this.conduct));
        let io = TokioIo::new(wire);
        let answering = Arc::clone(&this);
        // Each on the heap for as long as there is something in it: a connection that waits
        // would otherwise hold room for the largest of what it may ever do.
        let service = service_fn(move |request| Box::pin(Arc::clone(&answering).answer(request)));
        if is_http2 {
            this.keep(Box::pin(this.shared.http2.serve_connection(io, service)), true).await
        } else {
            this.keep(Box::pin(this.shared.http1.serve_connection(io, service)), false).await
        }
    }

    /// Lets a connection go on until it ends, has to, or is asked to.
    async fn keep<C>(&self, mut connection: Pin<Box<C>>, is_http2: bool) -> Result<(), Closed>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let config = &self.shared.config;
        let last = self.ends.checked_add(config.age_grace).unwrap_or(self.ends);
        let (mut stopping, mut retiring, mut aged) = (false, false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    // Who was told to go may have hung up before it was over.
                    return match ended.or_else(|error| self.why(&error)) {
                        Ok(()) if aged => Err(Closed::Aged),
                        other => other,
                    };
                }
                () = self.shared.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                // HTTP/1.1 learns of both by its next answer, as one that is closed
                // while a request is on its way would lose it.
                () = config.retire.cancelled(), if is_http2 && !retiring => {
                    retiring = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(self.ends), if is_http2 && !aged => {
                    aged = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(last) => return Err(Closed::Aged),
                reason = self.conduct.judged() => return Err(reason),
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

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response, Infallible> {
        let begun = self.conduct.begin();
        let is_http1 = request.version() < Version::HTTP_2;
        let conduct = Arc::clone(&self.conduct);
        let mut request = request.map(|inner| axum::body::Body::new(Taken { inner, conduct }));
        request.extensions_mut().insert(self.peer.identity(self.shared.clock.now()).await);
        if let Some(home) = &self.home {
            request.extensions_mut().insert(home.clone());
        }
        let mut response = self.shared.router.clone().oneshot(request).await?;
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
