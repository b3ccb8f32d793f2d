//! Sends webhooks over TLS, and never to an address inside somebody's network.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use url::{Host, Url};

use crate::WebhookRefused;
use crate::webhook_connector::{NotConnected, WebhookConnector, WebhookPolicy};

/// What an endpoint answered.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<i64>,
    /// The body, if it was asked for.
    pub(crate) body: Bytes,
}

/// How long a connection is kept that nothing is sent over: less than the five seconds after which many servers
/// close it, so that few webhooks meet a connection that is being closed.
const IDLE: Duration = Duration::from_secs(4);

type Wire = Client<WebhookConnector, Full<Bytes>>;

/// Sends webhooks over TLS, over connections that are kept for a while.
#[derive(Clone)]
pub struct WebhookSender {
    policy: WebhookPolicy,
    /// Host and port of the proxy that connections are made through, if there is one.
    proxy: Option<Arc<str>>,
    plain: Wire,
    /// What shows the gateway's client certificate, if it has one for webhooks.
    presenting: Arc<ArcSwapOption<Wire>>,
}

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
    /// A sender that trusts what `tls` trusts; `presenting` shows a client certificate too, to endpoints that
    /// want one. Connections go through `proxy` (`host:port`), if there is one, that takes CONNECT (RFC 9110
    /// §9.3.6). It is told addresses that were judged here, and no names; what passes through it is TLS.
    #[must_use]
    pub fn new(
        policy: WebhookPolicy,
        tls: Arc<ClientConfig>,
        presenting: Option<Arc<ClientConfig>>,
        proxy: Option<&str>,
    ) -> Self {
        let proxy = proxy.map(Arc::from);
        let plain = wire(policy, &proxy, tls);
        let presenting = presenting.map(|tls| wire(policy, &proxy, tls));
        Self { policy, proxy, plain, presenting: Arc::new(ArcSwapOption::from_pointee(presenting)) }
    }

    /// Shows another client certificate from the next connection on: `tls` has it.
    pub fn present(&self, tls: Arc<ClientConfig>) {
        self.presenting.store(Some(Arc::new(wire(self.policy, &self.proxy, tls))));
    }

    /// Whether there is a client certificate to show.
    pub(crate) fn has_certificate(&self) -> bool {
        self.presenting.load().is_some()
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
            Host::Ipv4(ip) if !self.policy.admits(ip.into()) => Err(WebhookRefused::Address),
            Host::Ipv6(ip) if !self.policy.admits(ip.into()) => Err(WebhookRefused::Address),
            Host::Domain("localhost") if self.policy == WebhookPolicy::PublicOnly => {
                Err(WebhookRefused::Address)
            }
            Host::Ipv4(_) | Host::Ipv6(_) | Host::Domain(_) => Ok(url),
        }
    }

    /// Posts one delivery, to an address that was judged when the connection was made.
    pub(crate) async fn post(&self, url: &Url, post: Post<'_>) -> Result<Received, String> {
        let presenting = self.presenting.load_full();
        let wire = if post.certificate { presenting.as_deref() } else { Some(&self.plain) };
        let wire = wire.ok_or("the gateway has no client certificate for webhooks")?;
        let mut request = Request::post(url.as_str()).header(http::header::CONTENT_TYPE, "application/json");
        for (name, value) in post.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(post.body.to_owned()))).map_err(|_| "bad header")?;
        match wire.request(request).await {
            Ok(response) => received(response, post.answer_limit).await,
            Err(failure) => Err(why(&failure)),
        }
    }
}

fn wire(policy: WebhookPolicy, proxy: &Option<Arc<str>>, tls: Arc<ClientConfig>) -> Wire {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .retry_canceled_requests(true)
        .build(WebhookConnector { tls, policy, proxy: proxy.clone() })
}

/// Why nothing was answered, without address and content.
fn why(failure: &hyper_util::client::legacy::Error) -> String {
    let not_connected = failure.source().and_then(|source| source.downcast_ref::<NotConnected>());
    not_connected.map_or_else(|| "no answer".to_owned(), ToString::to_string)
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
        WebhookSender::new(policy, Arc::new(tls), None, None)
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
