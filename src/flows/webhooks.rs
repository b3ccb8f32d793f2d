//! Webhook endpoints of clients.

use std::sync::Arc;

use domain::{EventType, Timestamp, WebhookId, WebhookStatus};
use store::webhooks::{SecretTurn, WebhookRow};
use url::Url;

use crate::deliveries::TIMEOUT;
use crate::webhook_sender::Post;
use crate::{FlowError, Gateway};

/// A webhook endpoint as a client wants it.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Where events are to be sent.
    pub url: String,
    /// Event types wanted; empty means all.
    pub events: Vec<String>,
    /// Whether a secret of its own signs (`v1`), and not the gateway's key (`v1a`).
    pub own_secret: bool,
    /// Whether the gateway is to show its client certificate.
    pub client_certificate: bool,
}

/// What a client wants to be otherwise at an endpoint.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// Where events are to be sent.
    pub url: Option<String>,
    /// Event types wanted; empty means all.
    pub events: Option<Vec<String>>,
    /// Whether the gateway is to show its client certificate.
    pub client_certificate: Option<bool>,
}

/// Why a webhook endpoint is refused, or refuses to do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    /// Not an absolute `https` URL without user name, password and fragment.
    #[error("a webhook address is an absolute https URL without user name, password and fragment")]
    Url,
    /// The host is an address that is not public.
    #[error("a webhook address is public")]
    Address,
    /// An event type that does not exist, or cannot be asked for.
    #[error("an event type is one of those that /v1/event-types lists as subscribable")]
    EventType,
    /// The client has as many endpoints as it may have.
    #[error("a client has at most {MAX_ENDPOINTS} webhook endpoints")]
    TooMany,
    /// The gateway's key signs for the endpoint, so there is no secret.
    #[error("a webhook endpoint with the signature v1a has no secret")]
    NoSecret,
    /// There is no client certificate to show to endpoints.
    #[error("the gateway has no client certificate for webhooks")]
    NoCertificate,
    /// The endpoint did not say the challenge back.
    #[error("the webhook endpoint did not answer its challenge: {0}")]
    Challenge(String),
    /// The endpoint is not told of events.
    #[error("the webhook endpoint is {}", .0.as_str())]
    Status(WebhookStatus),
}

const MAX_ENDPOINTS: usize = 10;

impl Gateway {
    /// Adds a webhook endpoint of a client. Where endpoints are challenged, that is under
    /// way when this answers, since the client may answer one request at a time.
    ///
    /// # Errors
    ///
    /// [`FlowError::Webhook`] if the address or an event type is refused.
    pub async fn add_webhook(
        self: &Arc<Self>,
        client_id: &str,
        wanted: NewWebhook,
    ) -> Result<WebhookRow, FlowError> {
        let url = self.parts.webhooks.check(&wanted.url)?;
        check_types(&wanted.events)?;
        self.check_certificate(wanted.client_certificate)?;
        let global = self.parts.stores.global();
        if global.webhooks(client_id).await?.len() >= MAX_ENDPOINTS {
            return Err(WebhookRefused::TooMany.into());
        }
        let challenged = self.parts.config.webhook_challenge;
        let webhook = WebhookRow {
            id: WebhookId::new(self.clock(), self.entropy()),
            client_id: client_id.to_owned(),
            url: url.to_string(),
            events: wanted.events,
            status: if challenged { WebhookStatus::Pending } else { WebhookStatus::Enabled },
            secret: wanted.own_secret.then_some(SecretTurn { number: 1, former_until: None }),
            client_certificate: wanted.client_certificate,
            created_at: self.now(),
        };
        store::transaction!(keyed global, tx => { tx.add_webhook(&webhook).await })?;
        if challenged {
            let (gateway, webhook) = (Arc::clone(self), webhook.clone());
            tokio::spawn(async move { gateway.verify_new(&webhook).await });
        }
        Ok(webhook)
    }

    /// Changes an endpoint of a client. Where endpoints are challenged, a new address is
    /// taken when it has answered, and the old one is told until then.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint, [`FlowError::Webhook`] if
    /// the address or an event type is refused, or the challenge is not answered.
    pub async fn change_webhook(
        &self,
        client_id: &str,
        id: WebhookId,
        change: WebhookChange,
    ) -> Result<WebhookRow, FlowError> {
        let was = self.webhook_of(client_id, id).await?;
        let mut webhook = was.clone();
        if let Some(events) = change.events {
            check_types(&events)?;
            webhook.events = events;
        }
        if let Some(address) = change.url {
            webhook.url = self.parts.webhooks.check(&address)?.to_string();
        }
        if let Some(certificate) = change.client_certificate {
            self.check_certificate(certificate)?;
            webhook.client_certificate = certificate;
        }
        if webhook.url != was.url && self.parts.config.webhook_challenge {
            self.challenge(&webhook).await?;
            if was.status == WebhookStatus::Pending {
                webhook.status = WebhookStatus::Enabled;
            }
        }
        self.parts.stores.global().update_webhook(&was, &webhook).await?;
        Ok(webhook)
    }

    fn check_certificate(&self, wanted: bool) -> Result<(), WebhookRefused> {
        let possible = !wanted || self.parts.webhooks.has_certificate();
        if possible { Ok(()) } else { Err(WebhookRefused::NoCertificate) }
    }

    /// Switches an endpoint of a client on again.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint,
    /// [`WebhookRefused::Status`] if it has not answered its challenge.
    pub async fn enable_webhook(&self, client_id: &str, id: WebhookId) -> Result<WebhookRow, FlowError> {
        let was = self.webhook_of(client_id, id).await?;
        match was.status {
            WebhookStatus::Pending => Err(WebhookRefused::Status(was.status).into()),
            WebhookStatus::Enabled => Ok(was),
            WebhookStatus::Disabled => self.turn_on(was).await,
        }
    }

    pub(crate) async fn turn_on(&self, was: WebhookRow) -> Result<WebhookRow, FlowError> {
        let webhook = WebhookRow { status: WebhookStatus::Enabled, ..was.clone() };
        self.parts.stores.global().update_webhook(&was, &webhook).await?;
        Ok(webhook)
    }

    /// A webhook endpoint of a client.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint.
    pub async fn webhook_of(&self, client_id: &str, id: WebhookId) -> Result<WebhookRow, FlowError> {
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
        let post = Post { headers: &headers, body, answer_limit: 0, certificate: false };
        let sent = tokio::time::timeout(TIMEOUT, self.parts.webhooks.post(&url, post));
        let status = sent.await.map_err(|_| "no answer in time".to_owned())??.status;
        if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
    }
}

/// `at` plus some seconds.
pub(crate) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// Only types that there are, and that may be asked for.
fn check_types(events: &[String]) -> Result<(), WebhookRefused> {
    let known = |event: &String| EventType::from_word(event).is_some_and(EventType::subscribable);
    if events.iter().all(known) { Ok(()) } else { Err(WebhookRefused::EventType) }
}
