//! The list of event types: for clients who ask, and as the webhooks of the OpenAPI
//! document. Both are made from [`EventType`].

use domain::EventType;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::Paths;
use utoipa::{PartialSchema, ToSchema};
use web::Json;

use crate::events::Event;

/// One type of event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeView {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "payment.settled")]
    event_type: &'static str,
    /// What it means.
    description: &'static str,
    /// What it is about: `consent`, `payment`, `mandate`, `institution` or `webhook_endpoint`.
    resource_type: &'static str,
    /// Whether a webhook endpoint may ask for it by name.
    subscribable: bool,
    /// JSON Schema (2020-12) of what is delivered.
    #[schema(value_type = Object)]
    schema: Value,
}

impl From<EventType> for EventTypeView {
    fn from(event_type: EventType) -> Self {
        Self {
            event_type: event_type.as_str(),
            description: event_type.description(),
            resource_type: event_type.resource_type(),
            subscribable: event_type.subscribable(),
            schema: schema(event_type),
        }
    }
}

/// Every type of event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeList {
    /// The types.
    data: Vec<EventTypeView>,
}

/// List the types of events.
///
/// The names that an endpoint may ask for, what each means and the JSON Schema of what is
/// delivered. There will be more of them.
#[utoipa::path(get, operation_id = "listEventTypes", path = "/v1/event-types", tag = "webhooks",
    responses((status = 200, description = "What was asked for", body = EventTypeList),
        (status = "default", description = "What went wrong", body = web::Problem, content_type = "application/problem+json")))]
pub(crate) async fn list() -> Json<EventTypeList> {
    Json(EventTypeList { data: EventType::ALL.iter().copied().map(EventTypeView::from).collect() })
}

/// What every event of this type has, beside what every event has.
fn narrowed(event_type: EventType) -> Value {
    let data: &[&str] = if event_type == EventType::WebhookChallenge { &["challenge"] } else { &[] };
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": [event_type.as_str()] },
            "resource": {
                "type": "object",
                "properties": { "type": { "type": "string", "enum": [event_type.resource_type()] } },
            },
            "data": { "type": "object", "required": data },
        },
    })
}

/// JSON Schema of the events of a type; refers to nothing.
fn schema(event_type: EventType) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": event_type.as_str(),
        "description": event_type.description(),
        "allOf": [Event::schema(), narrowed(event_type)],
    })
}

/// The webhooks of the OpenAPI document: one for each type.
pub(crate) fn webhooks() -> Option<Paths> {
    let hooks: Map<String, Value> =
        EventType::ALL.iter().map(|one| (one.as_str().to_owned(), webhook(*one))).collect();
    serde_json::from_value(Value::Object(hooks)).ok()
}

fn webhook(event_type: EventType) -> Value {
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": true,
            "description": description,
            "schema": { "type": "string" },
        })
    };
    json!({
        "post": {
            "operationId": operation_id(event_type),
            "tags": ["webhooks"],
            "summary": event_type.description(),
            "parameters": [
                header("webhook-id", "The event; the same at every attempt"),
                header("webhook-timestamp", "Seconds since 1970 at this attempt"),
                header("webhook-signature", "Signatures over id.timestamp.body, parted by spaces (Standard Webhooks 1.0)"),
            ],
            "requestBody": {
                "required": true,
                "content": { "application/json": {
                    "schema": { "allOf": [{ "$ref": "#/components/schemas/Event" }, narrowed(event_type)] },
                } },
            },
            "responses": responses(event_type),
        },
    })
}

fn responses(event_type: EventType) -> Value {
    if event_type == EventType::WebhookChallenge {
        let answer = json!({
            "type": "object",
            "required": ["challenge"],
            "properties": { "challenge": { "type": "string", "description": "That of `data`" } },
        });
        let content = json!({ "application/json": { "schema": answer } });
        return json!({ "2XX": { "description": "The address is the client's", "content": content } });
    }
    json!({
        "2XX": { "description": "Taken. Anything else is tried again" },
        "410": { "description": "Never again: the endpoint is switched off" },
    })
}

/// `onPaymentSettled`.
fn operation_id(event_type: EventType) -> String {
    let words = event_type.as_str().split(['.', '_']).map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    std::iter::once("on".to_owned()).chain(words).collect()
}
