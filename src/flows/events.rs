//! Events: written with the change they tell of, thin and without personal data.

use std::collections::{BTreeMap, VecDeque};

use domain::{
    ConsentId, ConsentStatus, EventId, EventType, InstitutionId, MandateId, MandateStatus, PaymentId,
    PaymentState, PaymentType, Region, Timestamp, WebhookId, WebhookStatus,
};
use serde_json::json;
use store::events::EventRow;

use crate::{FlowError, Gateway};

/// How far a reader has come in each region: the position of the last event there.
pub type EventPlaces = BTreeMap<String, i64>;

/// Some events of a client.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events, each with the places behind it.
    pub events: Vec<(EventRow, EventPlaces)>,
    /// The places behind the last of them.
    pub places: EventPlaces,
    /// Whether there are more now.
    pub has_more: bool,
}

/// Where batches are, below `/v1`.
const BATCHES: &str = "payment-batches";

/// What an event tells of.
pub(crate) enum Subject {
    /// The consent, where it stands, and what happened.
    Consent(ConsentId, ConsentStatus, EventType),
    /// The payment or batch, where it stands, and which of the two it is.
    Payment(PaymentId, PaymentState, PaymentType),
    /// The payment, where it stands, and the one that it refunds.
    Refund(PaymentId, PaymentState, PaymentId),
    /// A payment that a person must look after, at its bank.
    Attention(PaymentId, PaymentState, PaymentType),
    /// The mandate, where it stands, and what happened.
    Mandate(MandateId, MandateStatus, EventType),
    /// A webhook endpoint that was switched off, and where its deliveries failed.
    Endpoint { id: WebhookId, region: Region },
    /// A test of a webhook endpoint, kept in a region.
    Test { id: WebhookId, region: Region },
    /// What a webhook endpoint is to say back.
    Challenge { id: WebhookId, region: Region, challenge: String },
    /// The institution, the region of the client's consents there, and what is
    /// the matter with it.
    Institution { id: InstitutionId, region: Region, status: String, told: EventType },
}

impl Subject {
    fn region(&self) -> Region {
        match self {
            Self::Consent(id, ..) => id.region(),
            Self::Payment(id, ..) | Self::Refund(id, ..) | Self::Attention(id, ..) => id.region(),
            Self::Mandate(id, ..) => id.region(),
            Self::Institution { region, .. }
            | Self::Endpoint { region, .. }
            | Self::Test { region, .. }
            | Self::Challenge { region, .. } => *region,
        }
    }

    fn event_type(&self) -> EventType {
        match self {
            Self::Consent(_, _, told) | Self::Mandate(_, _, told) | Self::Institution { told, .. } => *told,
            Self::Endpoint { .. } => EventType::WebhookDisabled,
            Self::Test { .. } => EventType::WebhookTest,
            Self::Challenge { .. } => EventType::WebhookChallenge,
            Self::Attention(..) => EventType::PaymentAttentionRequired,
            Self::Payment(_, state, _) | Self::Refund(_, state, _) => match state {
                PaymentState::Created => EventType::PaymentCreated,
                PaymentState::AuthorizationRequired => EventType::PaymentAuthorizationRequired,
                PaymentState::Authorizing => EventType::PaymentAuthorizing,
                PaymentState::Authorized => EventType::PaymentAuthorized,
                PaymentState::Submitted => EventType::PaymentSubmitted,
                PaymentState::Accepted => EventType::PaymentAccepted,
                PaymentState::Settled => EventType::PaymentSettled,
                PaymentState::Rejected => EventType::PaymentRejected,
                PaymentState::Failed => EventType::PaymentFailed,
                PaymentState::Cancelled => EventType::PaymentCancelled,
                PaymentState::Expired => EventType::PaymentExpired,
                PaymentState::Unknown => EventType::PaymentStatusUnknown,
            },
        }
    }

    /// Its id, the path of its kind below `/v1`, and where it stands.
    fn resource(&self) -> (String, &'static str, &str) {
        match self {
            Self::Consent(id, status, _) => (id.to_string(), "consents", status.as_str()),
            Self::Payment(id, state, PaymentType::Bulk) | Self::Attention(id, state, PaymentType::Bulk) => {
                (id.to_string(), BATCHES, state.as_str())
            }
            Self::Payment(id, state, _) | Self::Attention(id, state, _) | Self::Refund(id, state, _) => {
                (id.to_string(), "payments", state.as_str())
            }
            Self::Mandate(id, status, _) => (id.to_string(), "mandates", status.as_str()),
            Self::Endpoint { id, .. } => {
                (id.to_string(), "webhook-endpoints", WebhookStatus::Disabled.as_str())
            }
            Self::Test { id, .. } => (id.to_string(), "webhook-endpoints", WebhookStatus::Enabled.as_str()),
            Self::Challenge { id, .. } => {
                (id.to_string(), "webhook-endpoints", WebhookStatus::Pending.as_str())
            }
            Self::Institution { id, status, .. } => (id.to_string(), "institutions", status.as_str()),
        }
    }
}

impl Gateway {
    /// The event of a change; the caller writes it in the change's transaction.
    pub(crate) fn event(&self, client_id: &str, subject: &Subject, sequence: i64, at: Timestamp) -> EventRow {
        let region = subject.region();
        let id = EventId::new(region, self.clock(), self.entropy());
        let (resource_id, path, status) = subject.resource();
        let event_type = subject.event_type();
        let data = match subject {
            Subject::Challenge { challenge, .. } => json!({ "status": status, "challenge": challenge }),
            Subject::Refund(_, _, of) => json!({ "status": status, "refund_of": of.to_string() }),
            Subject::Consent(..)
            | Subject::Payment(..)
            | Subject::Attention(..)
            | Subject::Mandate(..)
            | Subject::Endpoint { .. }
            | Subject::Test { .. }
            | Subject::Institution { .. } => json!({ "status": status }),
        };
        let body = json!({
            "id": id.to_string(),
            "type": event_type.as_str(),
            "created_at": at.to_string(),
            "sequence": sequence,
            "resource": {
                "type": if path == BATCHES { "payment_batch" } else { event_type.resource_type() },
                "id": resource_id,
                "href": format!("{}/v1/{path}/{resource_id}", self.parts.config.api_origin),
            },
            "data": data,
            "api_version": "v1",
            "region": region.as_str(),
        });
        EventRow {
            id,
            client_id: client_id.to_owned(),
            event_type: event_type.to_string(),
            resource_id,
            sequence,
            body: body.to_string(),
            created_at: at,
        }
    }

    /// Events of a client behind a place in each region, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn events_after(
        &self,
        client_id: &str,
        places: &EventPlaces,
        limit: usize,
    ) -> Result<EventPage, FlowError> {
        let mut waiting = Vec::new();
        for store in self.parts.stores.regions() {
            let region = store.region().to_string();
            let after = places.get(&region).copied().unwrap_or(0);
            // One more than wanted tells whether there is more.
            let events = store.events_of(client_id, after, limit.saturating_add(1)).await?;
            waiting.push((region, VecDeque::from(events)));
        }
        // Those of a region stay in their order; of the first of each, the oldest is next.
        let (mut events, mut places) = (Vec::new(), places.clone());
        while events.len() < limit {
            let first = waiting.iter_mut().filter(|(_, events)| !events.is_empty());
            let oldest = first.min_by_key(|(_, events)| events.front().map(|(_, event)| event.created_at));
            let Some((region, waiting)) = oldest else { break };
            if let Some((position, event)) = waiting.pop_front() {
                places.insert(region.clone(), position);
                events.push((event, places.clone()));
            }
        }
        let has_more = waiting.iter().any(|(_, events)| !events.is_empty());
        Ok(EventPage { events, places, has_more })
    }

    /// An event of a client.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such event.
    pub async fn event_of(&self, client_id: &str, id: EventId) -> Result<EventRow, FlowError> {
        let missing = FlowError::NotFound("event");
        let Ok(store) = self.parts.stores.region(id.region()) else { return Err(missing) };
        let found = store.find_event(id).await?;
        found.filter(|event| event.client_id == client_id).ok_or(missing)
    }
}
