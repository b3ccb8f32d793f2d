//! The demo fintech's own server: receives webhooks over TLS.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use domain::SystemClock;
use edge::{Listener, ListenerConfig, ServerTls};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A webhook as it arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`, seconds since 1970.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// `authorization`.
    pub authorization: String,
    /// The exact body.
    pub body: Bytes,
}

/// What has arrived, and what is answered.
#[derive(Debug, Default)]
struct Inbox {
    arrived: RwLock<Vec<Delivery>>,
    news: Notify,
    answer: RwLock<Option<(StatusCode, String)>>,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    /// Where webhooks are to be sent.
    pub url: String,
    inbox: Arc<Inbox>,
    stop: CancellationToken,
}

impl Receiver {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    ///
    /// If certificate and key do not fit.
    pub async fn start(certificate_pem: &str, key_pem: &str) -> anyhow::Result<Self> {
        let tls = ServerTls::for_pages(certificate_pem, key_pem)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(address, tls, ListenerConfig::default()).await?;
        let url = format!("https://localhost:{}/hooks", listener.local_addr()?.port());
        let (inbox, stop) = (Arc::new(Inbox::default()), CancellationToken::new());
        let router = Router::new().route("/hooks", post(take)).with_state(Arc::clone(&inbox));
        tokio::spawn(listener.serve(router, Arc::new(SystemClock), stop.clone()));
        Ok(Self { url, inbox, stop })
    }

    /// Answers every further webhook with a status of its own.
    pub fn answer_with(&self, status: StatusCode) {
        self.answer_with_body(status, "");
    }

    /// Answers every further webhook with a status and a body of its own.
    pub fn answer_with_body(&self, status: StatusCode, body: &str) {
        let answer = Some((status, body.to_owned()));
        *self.inbox.answer.write().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Answers every further webhook as it should be: challenges are said back.
    pub fn answer_well(&self) {
        *self.inbox.answer.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Everything that has arrived.
    #[must_use]
    pub fn arrived(&self) -> Vec<Delivery> {
        self.inbox.arrived.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything that has arrived, each event once: a webhook may come again when its
    /// sender does not know that it came.
    #[must_use]
    pub fn told(&self) -> Vec<Delivery> {
        let mut known = HashSet::new();
        self.arrived().into_iter().filter(|delivery| known.insert(delivery.id.clone())).collect()
    }

    /// Waits for a webhook that `wanted` accepts.
    ///
    /// # Errors
    ///
    /// If none comes in time.
    pub async fn wait_for(
        &self,
        wanted: impl Fn(&Delivery) -> bool,
        patience: Duration,
    ) -> anyhow::Result<Delivery> {
        let wait = async {
            loop {
                // Registered before looking: what arrives in between wakes us.
                let news = self.inbox.news.notified();
                if let Some(found) = self.arrived().into_iter().find(&wanted) {
                    return found;
                }
                news.await;
            }
        };
        tokio::time::timeout(patience, wait).await.context("the webhook did not arrive in time")
    }

    /// Waits until as many as `count` have arrived in all.
    ///
    /// # Errors
    ///
    /// If they do not in time.
    pub async fn wait_for_many(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let wait = async {
            loop {
                let news = self.inbox.news.notified();
                if self.inbox.arrived.read().unwrap_or_else(PoisonError::into_inner).len() >= count {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(patience, wait).await.context("the webhooks did not arrive in time")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let delivery = Delivery {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp").parse().unwrap_or(0),
        signature: text("webhook-signature"),
        authorization: text("authorization"),
        body,
    };
    // Decided before anybody hears of the arrival and may decide otherwise.
    let answer = inbox.answer.read().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = answer.unwrap_or_else(|| well(&delivery.body));
    inbox.arrived.write().unwrap_or_else(PoisonError::into_inner).push(delivery);
    inbox.news.notify_waiters();
    answer
}

/// What is answered to a webhook: to a challenge, the challenge.
fn well(body: &Bytes) -> (StatusCode, String) {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    match event.pointer("/data/challenge") {
        Some(challenge) => (StatusCode::OK, json!({ "challenge": challenge }).to_string()),
        None => (StatusCode::NO_CONTENT, String::new()),
    }
}
