//! Delivery of events to webhook endpoints: signed, and retried for three
//! days.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use domain::{EventId, Timestamp, WebhookId, WebhookStatus};
use http::StatusCode;
use store::events::{Delivery, DeliveryRecord, EventRow};
use store::webhooks::WebhookRow;
use store::{RegionalStore, StoreError};
use telemetry::FIGURES;
use tokio::time::timeout;

use crate::events::Subject;
use crate::lanes::Place;
use crate::webhook_sender::{Post, Received};
use crate::webhooks::later;
use crate::{FlowError, Gateway, WebhookRefused};

/// Longest time that an endpoint may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// Seconds after each failed attempt until the next one: 75 hours in all.
const RETRIES: &[i64] = &[5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Longest time, in seconds, for which an endpoint is left alone because it asks for that.
const LONGEST_PAUSE: i64 = 86_400;

/// How long one waits for room to endpoints that have none, before looking for what is new.
const CROWDED: Duration = Duration::from_millis(100);

/// Seconds that an attempt may take; longer than its own deadline.
const LEASE: i64 = 60;

impl Gateway {
    /// Fans new events out to endpoints and starts the deliveries that are due; whether
    /// there may be more to do at once. They run side by side: an endpoint that is slow
    /// holds up its own events only.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn deliver_events(self: &Arc<Self>) -> Result<bool, FlowError> {
        let (mut started, mut crowded) = (false, false);
        for store in self.parts.stores.regions() {
            self.fan_out_events(store).await?;
            let full = self.lanes.full();
            crowded |= !full.is_empty();
            started |= self.start_deliveries(store, &full).await?;
        }
        Ok(started || (crowded && self.lanes.room(CROWDED).await))
    }

    /// Makes deliveries of what is new.
    async fn fan_out_events(&self, store: &RegionalStore) -> Result<(), FlowError> {
        let events = store.new_events().await?;
        if events.is_empty() {
            return Ok(());
        }
        let mut of_clients: HashMap<&str, Vec<WebhookRow>> = HashMap::new();
        let mut wanted = Vec::with_capacity(events.len());
        for event in &events {
            let webhooks = match of_clients.entry(event.client_id.as_str()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(self.parts.stores.global().webhooks(&event.client_id).await?)
                }
            };
            let wanting = webhooks
                .iter()
                .filter(|webhook| webhook.status == WebhookStatus::Enabled)
                .filter(|webhook| webhook.events.is_empty() || webhook.events.contains(&event.event_type));
            wanted.push((event.id, wanting.map(|webhook| webhook.id).collect()));
        }
        let fanned_out = store::transaction!(store, tx => {
            tx.fan_out(&wanted, self.now()).await
        });
        match fanned_out {
            Ok(()) => self.event_news.notify_waiters(),
            // Another process fanned some of them out; the next round sees which.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Starts what is due to endpoints that have room; whether there was anything.
    async fn start_deliveries(
        self: &Arc<Self>,
        store: &RegionalStore,
        full: &[WebhookId],
    ) -> Result<bool, FlowError> {
        let due = store.deliveries_due(self.now(), full).await?;
        let placed =
            due.into_iter().filter_map(|one| self.lanes.enter(one.webhook).map(|place| (one, place)));
        let (due, places): (Vec<_>, Vec<_>) = placed.unzip();
        if due.is_empty() {
            return Ok(false);
        }
        let now = self.now();
        let leased = store.lease_deliveries(&due, now, later(now, LEASE)).await?;
        let mut endpoints: HashMap<WebhookId, Option<Arc<WebhookRow>>> = HashMap::new();
        for (delivery, place) in due.into_iter().zip(places) {
            // Another process, or an attempt that is still under way, has the others.
            if !leased.contains(&(delivery.event.id, delivery.webhook)) {
                continue;
            }
            let endpoint = match endpoints.entry(delivery.webhook) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    let found = self.parts.stores.global().webhook(delivery.webhook).await?;
                    let enabled = found.filter(|webhook| webhook.status == WebhookStatus::Enabled);
                    new.insert(enabled.map(Arc::new)).clone()
                }
            };
            let (gateway, store) = (Arc::clone(self), store.clone());
            tokio::spawn(async move {
                let attempted = gateway.attempt(&store, &delivery, endpoint.as_deref(), &place).await;
                if let Err(error) = attempted {
                    tracing::warn!(error = %error, "A webhook attempt could not be noted");
                }
            });
        }
        Ok(!leased.is_empty())
    }

    /// Sends a `webhook.test` to an endpoint of a client, and to no other. Tests are in no
    /// order: one that failed does not hold up the next.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint,
    /// [`WebhookRefused::Status`] if it is not told of events.
    pub async fn test_webhook(&self, client_id: &str, id: WebhookId) -> Result<EventId, FlowError> {
        let webhook = self.webhook_of(client_id, id).await?;
        if webhook.status != WebhookStatus::Enabled {
            return Err(WebhookRefused::Status(webhook.status).into());
        }
        let store = self.parts.stores.regions().next().ok_or(FlowError::Busy)?;
        let event = self.event(client_id, &Subject::Test { id, region: store.region() }, 0, self.now());
        store::transaction!(keyed store, tx => { tx.emit_to(&event, id).await })?;
        Ok(event.id)
    }

    /// What was delivered to an endpoint of a client, or is to be, behind an event: the newest
    /// first.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such endpoint.
    pub async fn deliveries_to(
        &self,
        client_id: &str,
        webhook: WebhookId,
        after: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, FlowError> {
        self.webhook_of(client_id, webhook).await?;
        let mut found = Vec::new();
        for store in self.parts.stores.regions() {
            found.extend(store.deliveries_to(webhook, after, limit).await?);
        }
        found.sort_by_key(|one| std::cmp::Reverse((one.event.created_at, one.event.id.to_string())));
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

    /// Makes one attempt to reach an endpoint, if it is there and enabled; the caller holds its lease.
    async fn attempt(
        &self,
        store: &RegionalStore,
        delivery: &Delivery,
        webhook: Option<&WebhookRow>,
        place: &Place,
    ) -> Result<(), FlowError> {
        let Some(webhook) = webhook else {
            store.note_attempt(delivery, None, None, None).await?;
            return Ok(());
        };
        let outcome = self.send(webhook, &delivery.event, 0).await;
        let arrived = outcome.as_ref().is_ok_and(|received| received.status.is_success());
        place.went(arrived);
        FIGURES.delivered(store.region().as_str(), arrived);
        let (event, endpoint) = (delivery.event.id, webhook.id);
        let now = self.now();
        match outcome {
            Ok(Received { status, .. }) if status.is_success() => {
                store.note_attempt(delivery, Some(status.as_u16()), Some(now), None).await?;
                tracing::info!(event.id = %event, webhook.id = %endpoint, "Event {event} reached {endpoint}");
            }
            Ok(Received { status: StatusCode::GONE, .. }) => {
                store.note_attempt(delivery, Some(410), None, None).await?;
                self.disable_webhook(store, webhook).await?;
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
                    self.disable_webhook(store, webhook).await?;
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
        if !self.parts.stores.global().disable_webhook(webhook.id).await? {
            return Ok(());
        }
        let now = self.now();
        let subject = Subject::Endpoint { id: webhook.id, region: store.region() };
        let event = self.event(&webhook.client_id, &subject, now.as_microsecond(), now);
        store::transaction!(keyed store, tx => { tx.emit(&event).await })?;
        Ok(())
    }

    /// So many seconds and up to a tenth more, so that what failed together is not tried
    /// together.
    fn spread(&self, seconds: i64) -> i64 {
        let mut chance = [0; 2];
        self.parts.entropy.fill(&mut chance);
        let share = i64::from(u16::from_le_bytes(chance)).checked_rem(101).unwrap_or(0);
        seconds.saturating_add(seconds.saturating_mul(share).checked_div(1_000).unwrap_or(0))
    }

    /// Posts an event to an endpoint, signed; of the answer's body at most so many bytes are
    /// read.
    pub(crate) async fn send(
        &self,
        webhook: &WebhookRow,
        event: &EventRow,
        answer_limit: usize,
    ) -> Result<Received, String> {
        let url = self.parts.webhooks.check(&webhook.url).map_err(|refused| refused.to_string())?;
        let (id, timestamp) = (event.id.to_string(), self.now().as_second());
        let signatures = self.webhook_signatures(webhook, &id, timestamp, event.body.as_bytes());
        let signature = signatures.map_err(|error| error.to_string())?;
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature),
        ];
        let certificate = webhook.client_certificate;
        let post = Post { headers: &headers, body: &event.body, answer_limit, certificate };
        let sent = self.parts.webhooks.post(&url, post);
        timeout(TIMEOUT, sent).await.map_err(|_| "no answer in time".to_owned())?
    }
}
