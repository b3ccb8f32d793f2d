//! Webhook delivery: signed (Standard Webhooks 1.0, `v1a`), retried for three
//! days, and never sent to an address inside somebody's network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{EventId, Timestamp, WebhookId};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use store::events::{Delivery, DeliveryRecord};
use store::webhooks::WebhookRow;
use store::{RegionalStore, StoreError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::events::Subject;
use crate::{FlowError, Gateway};

/// Which addresses webhooks may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPolicy {
    /// Public addresses only.
    PublicOnly,
    /// Loopback too: for the sandbox, where everything is on one machine.
    LoopbackToo,
}

/// Why a webhook address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    /// Not an absolute `https` URL without user name, password and fragment.
    #[error("a webhook address is an absolute https URL without user name, password and fragment")]
    Url,
    /// The host is an address that is not public.
    #[error("a webhook address is public")]
    Address,
    /// An event type that does not exist.
    #[error("an event type looks like \"payment.settled\"")]
    EventType,
    /// The client has as many endpoints as it may have.
    #[error("a client has at most {MAX_ENDPOINTS} webhook endpoints")]
    TooMany,
}

const MAX_ENDPOINTS: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(15);

/// Seconds after each failed attempt until the next one: 75 hours in all.
const RETRIES: &[i64] = &[5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Longest time, in seconds, for which an endpoint is left alone because it asks for that.
const LONGEST_PAUSE: i64 = 86_400;

/// What an endpoint answered.
#[derive(Clone, Copy, Debug)]
struct Received {
    status: StatusCode,
    /// `Retry-After`, in seconds.
    retry_after: Option<i64>,
}

/// Sends webhooks over TLS.
#[derive(Clone)]
pub struct WebhookSender {
    tls: Arc<ClientConfig>,
    policy: WebhookPolicy,
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
        Self { tls, policy }
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
    async fn post(&self, url: &Url, headers: &[(&str, String)], body: &str) -> Result<Received, String> {
        let host = url.host_str().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or("no port")?;
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|_| "the name does not resolve")?
            .collect();
        if addresses.is_empty() || !addresses.iter().all(|address| self.admits(address.ip())) {
            return Err("the name resolves to an address that is not public".into());
        }
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|_| "no connection")?;
        let name = ServerName::try_from(host).map_err(|_| "no server name")?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.map_err(|_| "TLS failed")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| "no HTTP")?;
        let connection = tokio::spawn(connection);
        let mut request = Request::post(url[url::Position::BeforePath..].to_owned())
            .header(http::header::HOST, url[url::Position::BeforeHost..url::Position::AfterPort].to_owned())
            .header(http::header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|_| "bad header")?;
        let answer = sender.send_request(request).await.map(|response| {
            let seconds = response.headers().get(http::header::RETRY_AFTER);
            let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Received { status: response.status(), retry_after: seconds }
        });
        connection.abort();
        answer.map_err(|_| "no answer".into())
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocol = (a, b, c) == (192, 0, 0);
            let benchmark = a == 198 && (b == 18 || b == 19);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_unspecified()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || shared
                || protocol
                || benchmark)
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Global unicast only, without documentation and the tunnels that carry IPv4.
            (0x2000..0x4000).contains(&first)
                && !(first == 0x2001 && (second == 0x0db8 || second == 0))
                && first != 0x2002
        }
    }
}

impl Gateway {
    /// Adds a webhook endpoint of a client.
    ///
    /// # Errors
    ///
    /// [`FlowError::Webhook`] if the address or an event type is refused.
    pub async fn add_webhook(
        &self,
        client_id: &str,
        address: &str,
        events: Vec<String>,
    ) -> Result<WebhookRow, FlowError> {
        let url = self.parts.webhooks.check(address)?;
        if events.iter().any(|event| !is_event_type(event)) {
            return Err(WebhookRefused::EventType.into());
        }
        let global = self.parts.stores.global();
        if global.webhooks(client_id).await?.len() >= MAX_ENDPOINTS {
            return Err(WebhookRefused::TooMany.into());
        }
        let webhook = WebhookRow {
            id: WebhookId::new(self.clock(), self.entropy()),
            client_id: client_id.to_owned(),
            url: url.to_string(),
            events,
            status: "enabled".to_owned(),
            created_at: self.now(),
        };
        let mut tx = global.begin().await?;
        tx.add_webhook(&webhook).await?;
        tx.commit().await?;
        Ok(webhook)
    }

    /// What was delivered to an endpoint of a client, or is to be, the newest first.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint.
    pub async fn deliveries_to(
        &self,
        client_id: &str,
        webhook: WebhookId,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, FlowError> {
        self.webhook_of(client_id, webhook).await?;
        let mut found = Vec::new();
        for store in self.parts.stores.regions() {
            found.extend(store.deliveries_to(webhook, limit).await?);
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.event.created_at));
        found.truncate(limit);
        Ok(found)
    }

    /// Has an event delivered to an endpoint of a client again, as soon as may be.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint, or the event was never
    /// for it.
    pub async fn deliver_again(
        &self,
        client_id: &str,
        webhook: WebhookId,
        event: EventId,
    ) -> Result<(), FlowError> {
        self.webhook_of(client_id, webhook).await?;
        let store = self.parts.stores.region(event.region())?;
        let done = store.deliver_again(event, webhook, self.now()).await;
        done.map_err(|error| {
            let never = matches!(error, StoreError::NotFound);
            if never { FlowError::NotFound("delivery") } else { error.into() }
        })
    }

    async fn webhook_of(&self, client_id: &str, id: WebhookId) -> Result<WebhookRow, FlowError> {
        let found = self.parts.stores.global().webhook(id).await?;
        let own = found.filter(|webhook| webhook.client_id == client_id);
        own.ok_or(FlowError::NotFound("webhook endpoint"))
    }

    /// Posts JSON to a client's notification endpoint (CIBA Core §10.2), to the
    /// addresses that webhooks may go to.
    ///
    /// # Errors
    ///
    /// Why it did not arrive, without address and content.
    pub async fn notify(&self, endpoint: &Url, token: &str, body: &str) -> Result<(), String> {
        let url = self.parts.webhooks.check(endpoint.as_str()).map_err(|refused| refused.to_string())?;
        let headers = [("authorization", format!("Bearer {token}"))];
        let sent = tokio::time::timeout(TIMEOUT, self.parts.webhooks.post(&url, &headers, body));
        let status = sent.await.map_err(|_| "no answer in time".to_owned())??.status;
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }

    /// Makes one attempt; the caller holds its lease.
    pub(crate) async fn attempt(&self, store: &RegionalStore, delivery: &Delivery) -> Result<(), FlowError> {
        let webhook = self.parts.stores.global().webhook(delivery.webhook).await?;
        let Some(webhook) = webhook.filter(|webhook| webhook.status == "enabled") else {
            store.note_attempt(delivery, None, None, None).await?;
            return Ok(());
        };
        let outcome = tokio::time::timeout(TIMEOUT, self.send(&webhook, delivery)).await;
        let outcome = outcome.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let (event, endpoint) = (delivery.event.id, webhook.id);
        let now = self.now();
        match outcome {
            Ok(Received { status, .. }) if status.is_success() => {
                store.note_attempt(delivery, Some(status.as_u16()), Some(now), None).await?;
                tracing::info!(event.id = %event, webhook.id = %endpoint, "Event {event} reached {endpoint}");
            }
            Ok(Received { status: StatusCode::GONE, .. }) => {
                store.note_attempt(delivery, Some(410), None, None).await?;
                self.disable_webhook(store, &webhook).await?;
                tracing::warn!(webhook.id = %endpoint, "Webhook {endpoint} is gone and now disabled");
            }
            failed => {
                let next = usize::try_from(delivery.attempts).ok().and_then(|attempt| RETRIES.get(attempt));
                let received = failed.as_ref().ok();
                let status = received.map(|received| received.status.as_u16());
                let asked = received.and_then(|received| received.retry_after).unwrap_or(0);
                let next =
                    next.map(|seconds| later(now, self.spread(*seconds).max(asked.min(LONGEST_PAUSE))));
                store.note_attempt(delivery, status, None, next).await?;
                if next.is_none() {
                    self.disable_webhook(store, &webhook).await?;
                    tracing::warn!(webhook.id = %endpoint, "Webhook {endpoint} did not answer for three days and is now disabled");
                }
                let error = failed.err().unwrap_or_default();
                tracing::warn!(
                    event.id = %event, webhook.id = %endpoint, status, error,
                    "Event {event} did not reach {endpoint}"
                );
            }
        }
        Ok(())
    }

    /// Switches an endpoint off, and tells its client's other endpoints, and those who pull.
    async fn disable_webhook(&self, store: &RegionalStore, webhook: &WebhookRow) -> Result<(), FlowError> {
        if !self.parts.stores.global().set_webhook_status(webhook.id, "disabled").await? {
            return Ok(());
        }
        let now = self.now();
        let subject = Subject::Endpoint { id: webhook.id, region: store.region() };
        let mut tx = store.begin().await?;
        tx.emit(&self.event(&webhook.client_id, &subject, now.as_microsecond(), now)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Switches an endpoint of a client on again.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint.
    pub async fn enable_webhook(&self, client_id: &str, id: WebhookId) -> Result<WebhookRow, FlowError> {
        let webhook = self.webhook_of(client_id, id).await?;
        self.parts.stores.global().set_webhook_status(id, "enabled").await?;
        Ok(WebhookRow { status: "enabled".to_owned(), ..webhook })
    }

    /// So many seconds and up to a tenth more, so that what failed together is not tried
    /// together.
    fn spread(&self, seconds: i64) -> i64 {
        let mut chance = [0; 2];
        self.parts.entropy.fill(&mut chance);
        let share = i64::from(u16::from_le_bytes(chance)).checked_rem(101).unwrap_or(0);
        seconds.saturating_add(seconds.saturating_mul(share).checked_div(1_000).unwrap_or(0))
    }

    async fn send(&self, webhook: &WebhookRow, delivery: &Delivery) -> Result<Received, String> {
        let url = self.parts.webhooks.check(&webhook.url).map_err(|refused| refused.to_string())?;
        let event = &delivery.event;
        let (id, timestamp) = (event.id.to_string(), self.now().as_second());
        let key = &self.parts.webhook_key;
        let signature = crypto::webhook::sign_v1a(key, &id, timestamp, event.body.as_bytes())
            .map_err(|error| error.to_string())?;
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        self.parts.webhooks.post(&url, &headers, &event.body).await
    }
}

/// `at` plus some seconds.
pub(crate) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(at)
}

fn is_event_type(text: &str) -> bool {
    text.split_once('.').is_some_and(|(subject, event)| {
        ["consent", "payment", "mandate", "institution", "webhook"].contains(&subject)
            && !event.is_empty()
            && event.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    })
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
}
