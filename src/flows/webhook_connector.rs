//! Connections to webhook endpoints: to judged addresses only, through a proxy where there is one.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use connect::PooledTls;
use domain::is_public;
use http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Which addresses webhooks may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPolicy {
    /// Public addresses only.
    PublicOnly,
    /// Loopback too: for the sandbox, where everything is on one machine.
    LoopbackToo,
}

impl WebhookPolicy {
    /// Whether webhooks may go to this address.
    pub(crate) fn admits(self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || (self == Self::LoopbackToo && ip.is_loopback())
    }
}

/// Most bytes of what a proxy answers.
const PROXY_ANSWER: usize = 4 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotConnected(&'static str);

/// Opens connections for the pool. The name is resolved, every address judged, and the connection made to a
/// judged address: a name that changes between check and use (DNS rebinding) gains nothing.
#[derive(Clone)]
pub(crate) struct WebhookConnector {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) policy: WebhookPolicy,
    /// Host and port of the proxy that connections are made through, if there is one.
    pub(crate) proxy: Option<Arc<str>>,
}

impl WebhookConnector {
    async fn connect(self, to: Uri) -> Result<PooledTls, NotConnected> {
        let host = to.host().ok_or(NotConnected("no host"))?.trim_matches(['[', ']']);
        let port = to.port_u16().unwrap_or(443);
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|_| NotConnected("the name does not resolve"))?.collect();
        let first = addresses.first().filter(|_| addresses.iter().all(|it| self.policy.admits(it.ip())));
        let first = first.ok_or(NotConnected("the name resolves to an address that is not public"))?;
        let stream = match &self.proxy {
            None => {
                TcpStream::connect(addresses.as_slice()).await.map_err(|_| NotConnected("no connection"))?
            }
            Some(proxy) => through(proxy, first).await?,
        };
        // What cannot be set slows down and does not hinder.
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NotConnected("no server name"))?;
        let stream = TlsConnector::from(self.tls).connect(name, stream).await;
        Ok(stream.map_err(|_| NotConnected("TLS failed"))?.into())
    }
}

impl tower::Service<Uri> for WebhookConnector {
    type Response = PooledTls;
    type Error = NotConnected;
    type Future = Pin<Box<dyn Future<Output = Result<PooledTls, NotConnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotConnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// A connection to an address through a proxy.
async fn through(proxy: &str, address: &SocketAddr) -> Result<TcpStream, NotConnected> {
    let mut stream =
        TcpStream::connect(proxy).await.map_err(|_| NotConnected("no connection to the proxy"))?;
    let asked = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.map_err(|_| NotConnected("the proxy is gone"))?;
    let mut answer = Vec::new();
    // Byte by byte: what comes behind its end is the endpoint's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err(NotConnected("the proxy answers without end"));
        }
        answer.push(stream.read_u8().await.map_err(|_| NotConnected("the proxy is gone"))?);
    }
    let status = answer.split(|byte| *byte == b' ').nth(1);
    if status == Some(b"200") { Ok(stream) } else { Err(NotConnected("the proxy refused")) }
}
