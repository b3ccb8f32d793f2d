//! The way to another cell: HTTP/2 over mutual TLS, to who has the certificate that is known.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use crypto::certificate::Thumbprint;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use url::Url;

/// Longest time to a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A connection on which nothing comes is asked whether it still lives.
const PING: Duration = Duration::from_secs(10);

/// Why there is no answer from another cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing of the request has left.
    #[error("no connection")]
    NoConnection,
    /// It is not who it should be.
    #[error("it does not show the certificate that is known")]
    Stranger,
    /// The request may have arrived.
    #[error("no answer")]
    NoAnswer,
}

/// The way to one other cell.
pub struct Forwarder {
    address: Url,
    tls: Arc<ClientConfig>,
    known: Vec<Thumbprint>,
    open: Mutex<Option<SendRequest<Body>>>,
}

impl Forwarder {
    /// The way to the cell at `address`, which shows one of the certificates that are known.
    #[must_use]
    pub fn to(address: Url, tls: Arc<ClientConfig>, known: Vec<Thumbprint>) -> Self {
        Self { address, tls, known, open: Mutex::default() }
    }

    /// Sends a request. Its body and that of the answer pass as they come.
    ///
    /// # Errors
    ///
    /// [`Unreachable`], which says whether it may have arrived.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Unreachable> {
        let mut request = request;
        // A connection that has just ended takes nothing; a fresh one does.
        for _ in 0..2 {
            let mut sender = self.connection().await?;
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => {
                        self.open.lock().await.take();
                        request = unsent;
                    }
                    None => return Err(Unreachable::NoAnswer),
                },
            }
        }
        Err(Unreachable::NoConnection)
    }

    async fn connection(&self) -> Result<SendRequest<Body>, Unreachable> {
        let mut open = self.open.lock().await;
        if let Some(sender) = open.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let connecting = tokio::time::timeout(CONNECT, self.connect());
        let sender = connecting.await.map_err(|_| Unreachable::NoConnection)??;
        *open = Some(sender.clone());
        Ok(sender)
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Unreachable> {
        let host = self.address.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.address.port_or_known_default().unwrap_or(443);
        let stream =
            TcpStream::connect((host.as_str(), port)).await.map_err(|_| Unreachable::NoConnection)?;
        stream.set_nodelay(true).map_err(|_| Unreachable::NoConnection)?;
        let name = ServerName::try_from(host).map_err(|_| Unreachable::NoConnection)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let stream = stream.map_err(|error| {
            tracing::warn!(error = %error, "TLS to a cell failed");
            Unreachable::NoConnection
        })?;
        let shown =
            stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| Thumbprint::of(der));
        if !shown.is_some_and(|shown| self.known.contains(&shown)) {
            return Err(Unreachable::Stranger);
        }
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_while_idle(false);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|_| Unreachable::NoConnection)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "A connection to a cell has ended");
            }
        });
        Ok(sender)
    }
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forwarder({})", self.address)
    }
}
