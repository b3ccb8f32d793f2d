//! Events: written with the change they tell of, thin and without personal data.

use std::collections::{BTreeMap, VecDeque};

use domain::{
    ConsentId, ConsentStatus, EventId, InstitutionId, MandateId, MandateStatus, PaymentId, PaymentState,
    Region, Timestamp, WebhookId,
};
use serde_json::json;
use store::events::EventRow;

use crate::{FlowError, Gateway};

/// What an event tells of.
pub(crate) enum Subject {
    /// The consent, where it stands, and what happened.
    Consent(ConsentId, ConsentStatus, &'static str),
    Payment(PaymentId, PaymentState),
    /// A payment that a person must look after, at its bank.
    Attention(PaymentId, PaymentState),
    /// The mandate, where it stands, and what happened.
    Mandate(MandateId, MandateStatus, &'static str),
    /// A webhook endpoint that was switched off, and where its deliveries failed.
    Endpoint {
        id: WebhookId,
        region: Region,
    },
    /// A test of a webhook endpoint, kept in a region.
    Test {
        id: WebhookId,
        region: Region,
    },
    /// The institution, the region of the client's consents there, and what is
    /// the matter with it.
    Institution {
        id: InstitutionId,
        region: Region,
        status: String,
        word: &'static str,
    },
}

impl Subject {
    fn region(&self) -> Region {
        match self {
            Self::Consent(id, ..) => id.region(),
            Self::Payment(id, _) | Self::Attention(id, _) => id.region(),
            Self::Mandate(id, ..) => id.region(),
            Self::Institution { region, .. } | Self::Endpoint { region, .. } | Self::Test { region, .. } => {
                *region
            }
        }
    }

    fn event_type(&self) -> String {
        match self {
            Self::Consent(_, _, word) => format!("consent.{word}"),
            Self::Mandate(_, _, word) => format!("mandate.{word}"),
            Self::Institution { word, .. } => format!("institution.{word}"),
            Self::Endpoint { .. } => "webhook.disabled".to_owned(),
            Self::Test { .. } => "webhook.test".to_owned(),
            Self::Attention(..) => "payment.attention_required".to_owned(),
            Self::Payment(_, state) => {
                let word = match state {
                    PaymentState::Unknown => "status_unknown".to_owned(),
                    other @ (PaymentState::Created
                    | PaymentState::AuthorizationRequired
                    | PaymentState::Authorizing
                    | PaymentState::Authorized
                    | PaymentState::Submitted
                    | PaymentState::Accepted
                    | PaymentState::Settled
                    | PaymentState::Rejected
                    | PaymentState::Failed
                    | PaymentState::Cancelled
                    | PaymentState::Expired) => other.as_str().to_lowercase(),
                };
                format!("payment.{word}")
            }
        }
    }
}

impl Gateway {
    /// The event of a change; the caller writes it in the change's transaction.
    pub(crate) fn event(&self, client_id: &str, subject: &Subject, sequence: i64, at: Timestamp) -> EventRow {
        let region = subject.region();
        let id = EventId::new(region, self.clock(), self.entropy());
        let (kind, resource_id, path, status) = match subject {
            Subject::Consent(id, status, _) => ("consent", id.to_string(), "consents", status.as_str()),
            Subject::Payment(id, state) | Subject::Attention(id, state) => {
                ("payment", id.to_string(), "payments", state.as_str())
            }
            Subject::Endpoint { id, .. } => {
                ("webhook_endpoint", id.to_string(), "webhook-endpoints", "disabled")
            }
            Subject::Test { id, .. } => ("webhook_endpoint", id.to_string(), "webhook-endpoints", "enabled"),
            Subject::Mandate(id, status, _) => ("mandate", id.to_string(), "mandates", status.as_str()),
            Subject::Institution { id, status, .. } => {
                ("institution", id.to_string(), "institutions", status.as_str())
            }
        };
        let event_type = subject.event_type();
        let body = json!({
            "id": id.to_string(),
            "type": event_type,
            "created_at": at.to_string(),
            "sequence": sequence,
            "resource": {
                "type": kind,
                "id": resource_id,
                "href": format!("{}/v1/{path}/{resource_id}", self.parts.config.api_origin),
            },
            "data": { "status": status },
            "api_version": "v1",
            "region": region.as_str(),
        });
        EventRow {
            id,
            client_id: client_id.to_owned(),
            event_type,
            resource_id,
            sequence,
            body: body.to_string(),
            created_at: at,
        }
    }

    /// Events of a client behind a place in each region, at most `limit`; and the places
    /// behind them.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn events_after(
        &self,
        client_id: &str,
        mut places: BTreeMap<String, i64>,
        limit: usize,
    ) -> Result<(Vec<EventRow>, BTreeMap<String, i64>), FlowError> {
        let mut waiting = Vec::new();
        for store in self.parts.stores.regions() {
            let region = store.region().to_string();
            let after = places.get(&region).copied().unwrap_or(0);
            waiting.push((region, VecDeque::from(store.events_of(client_id, after, limit).await?)));
        }
        // Those of a region stay in their order; of the first of each, the oldest is next.
        let mut taken = Vec::new();
        while taken.len() < limit {
            let first = waiting.iter_mut().filter(|(_, events)| !events.is_empty());
            let oldest = first.min_by_key(|(_, events)| events.front().map(|(_, event)| event.created_at));
            let Some((region, events)) = oldest else { break };
            if let Some((position, event)) = events.pop_front() {
                places.insert(region.clone(), position);
                taken.push(event);
            }
        }
        Ok((taken, places))
    }

    /// Whether a client has events behind these places.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn has_events_after(
        &self,
        client_id: &str,
        places: &BTreeMap<String, i64>,
    ) -> Result<bool, FlowError> {
        Ok(!self.events_after(client_id, places.clone(), 1).await?.0.is_empty())
    }
}
