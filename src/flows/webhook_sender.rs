//! Sends webhooks over TLS, and never to an address inside somebody's network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use domain::is_public;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::WebhookRefused;

/// Which addresses webhooks may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPolicy {
    /// Public addresses only.
    PublicOnly,
    /// Loopback too: for the sandbox, where everything is on one machine.
    LoopbackToo,
}

/// What an endpoint answered.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<i64>,
    /// The body, if it was asked for.
    pub(crate) body: Bytes,
}

/// Sends webhooks over TLS.
#[derive(Clone)]
pub struct WebhookSender {
    tls: Arc<ClientConfig>,
    /// TLS that shows the gateway's client certificate, if it has one for webhooks.
    presenting: Option<Arc<ClientConfig>>,
    policy: WebhookPolicy,
    /// Host and port of the proxy that connections are made through, if there is one.
    proxy: Option<Arc<str>>,
}

/// Most bytes of what a proxy answers.
const PROXY_ANSWER: usize = 4 * 1024;

/// What is posted.
#[derive(Clone, Copy)]
pub(crate) struct Post<'a> {
    pub(crate) headers: &'a [(&'a str, String)],
    pub(crate) body: &'a str,
    /// Most bytes of the answer's body that are read.
    pub(crate) answer_limit: usize,
    /// Whether the gateway's client certificate is shown.
    pub(crate) certificate: bool,
}

impl fmt::Debug for WebhookSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSender").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl WebhookSender {
    /// A sender that trusts what `tls` trusts.
    #[must_use]
    pub fn new(tls: Arc<ClientConfig>, policy: WebhookPolicy) -> Self {
        Self { tls, presenting: None, policy, proxy: None }
    }

    /// The same, which shows a client certificate to endpoints that want one: `tls` has it.
    #[must_use]
    pub fn presenting(self, tls: Arc<ClientConfig>) -> Self {
        Self { presenting: Some(tls), ..self }
    }

    /// The same, through a proxy (`host:port`) that takes CONNECT (RFC 9110 §9.3.6). It is told addresses
    /// that were judged here, and no names; what passes through it is TLS.
    #[must_use]
    pub fn through(self, proxy: Option<&str>) -> Self {
        Self { proxy: proxy.map(Into::into), ..self }
    }

    /// Whether there is a client certificate to show.
    pub(crate) fn has_certificate(&self) -> bool {
        self.presenting.is_some()
    }

    /// Checks an address before it is registered.
    ///
    /// # Errors
    ///
    /// [`WebhookRefused`] with the reason.
    pub fn check(&self, address: &str) -> Result<Url, WebhookRefused> {
        let url = Url::parse(address).map_err(|_| WebhookRefused::Url)?;
        let plain = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && address.len() <= 2_048;
        if !plain {
            return Err(WebhookRefused::Url);
        }
        match url.host().ok_or(WebhookRefused::Url)? {
            Host::Ipv4(ip) if !self.admits(ip.into()) => Err(WebhookRefused::Address),
            Host::Ipv6(ip) if !self.admits(ip.into()) => Err(WebhookRefused::Address),
            Host::Domain("localhost") if self.policy == WebhookPolicy::PublicOnly => {
                Err(WebhookRefused::Address)
            }
            Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_) => Ok(url),
        }
    }

    fn admits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        is_public(ip) || (self.policy == WebhookPolicy::LoopbackToo && ip.is_loopback())
    }

    /// Posts one delivery. The name is resolved, every address judged, and the
    /// connection made to a judged address: a name that changes between check
    /// and use (DNS rebinding) gains nothing.
    pub(crate) async fn post(&self, url: &Url, post: Post<'_>) -> Result<Received, String> {
        let tls = if post.certificate { self.presenting.as_ref() } else { Some(&self.tls) };
        let tls = tls.ok_or("the gateway has no client certificate for webhooks")?;
        let host = url.host_str().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or("no port")?;
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|_| "the name does not resolve")?
            .collect();
        if addresses.is_empty() || !addresses.iter().all(|address| self.admits(address.ip())) {
            return Err("the name resolves to an address that is not public".into());
        }
        let stream = match &self.proxy {
            None => TcpStream::connect(addresses.as_slice()).await.map_err(|_| "no connection")?,
            Some(proxy) => through(proxy, addresses.first().ok_or("no address")?).await?,
        };
        let name = ServerName::try_from(host).map_err(|_| "no server name")?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, stream).await.map_err(|_| "TLS failed")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| "no HTTP")?;
        let connection = tokio::spawn(connection);
        let mut request = Request::post(url[url::Position::BeforePath..].to_owned())
            .header(http::header::HOST, url[url::Position::BeforeHost..url::Position::AfterPort].to_owned())
            .header(http::header::CONTENT_TYPE, "application/json");
        for (name, value) in post.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(post.body.to_owned()))).map_err(|_| "bad header")?;
        let answer = match sender.send_request(request).await {
            Ok(response) => received(response, post.answer_limit).await,
            Err(_) => Err("no answer".into()),
        };
        connection.abort();
        answer
    }
}

/// A connection to an address through a proxy.
async fn through(proxy: &str, address: &SocketAddr) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect(proxy).await.map_err(|_| "no connection to the proxy")?;
    let asked = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.map_err(|_| "the proxy is gone")?;
    let mut answer = Vec::new();
    // Byte by byte: what comes behind its end is the endpoint's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err("the proxy answers without end".into());
        }
        answer.push(stream.read_u8().await.map_err(|_| "the proxy is gone")?);
    }
    let status = answer.split(|byte| *byte == b' ').nth(1);
    if status == Some(b"200") { Ok(stream) } else { Err("the proxy refused".into()) }
}

async fn received(response: Response<Incoming>, limit: usize) -> Result<Received, String> {
    let (head, body) = response.into_parts();
    let seconds = head.headers.get(http::header::RETRY_AFTER);
    let retry_after = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = match limit {
        0 => Bytes::new(),
        limit => {
            let whole = Limited::new(body, limit).collect().await;
            whole.map_err(|_| "the answer is too long, or breaks off")?.to_bytes()
        }
    };
    Ok(Received { status: head.status, retry_after, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(policy: WebhookPolicy) -> WebhookSender {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        WebhookSender::new(Arc::new(tls), policy)
    }

    #[test]
    fn a_webhook_never_points_into_a_network() {
        let sender = sender(WebhookPolicy::PublicOnly);
        for address in [
            "https://127.0.0.1/h",
            "https://localhost/h",
            "https://10.1.2.3/h",
            "https://192.168.0.1/h",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/h",
            "https://[::1]/h",
            "https://[::ffff:10.0.0.1]/h",
            "https://[fd00::1]/h",
            "https://[fe80::1]/h",
            "https://0.0.0.0/h",
            "https://2130706433/h",
            "http://example.com/h",
            "https://user:pw@example.com/h",
            "https://example.com/h#f",
            "ftp://example.com/",
            "/relative",
        ] {
            assert!(sender.check(address).is_err(), "{address}");
        }
        assert!(sender.check("https://example.com/hook?a=1").is_ok());
    }

    #[test]
    fn the_sandbox_may_reach_loopback_and_nothing_else_private() {
        let sender = sender(WebhookPolicy::LoopbackToo);
        assert!(sender.check("https://localhost:9000/h").is_ok());
        assert!(sender.check("https://127.0.0.1:9000/h").is_ok());
        assert_eq!(sender.check("https://10.0.0.1/h"), Err(WebhookRefused::Address));
    }

    #[tokio::test]
    async fn without_a_certificate_none_is_promised_and_nothing_sent() {
        let sender = sender(WebhookPolicy::LoopbackToo);
        assert!(!sender.has_certificate());
        let url = sender.check("https://localhost:9/h").unwrap();
        let post = Post { headers: &[], body: "{}", answer_limit: 0, certificate: true };
        let why = sender.post(&url, post).await.unwrap_err();
        assert_eq!(why, "the gateway has no client certificate for webhooks");
    }
}
