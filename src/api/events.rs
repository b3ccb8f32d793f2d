//! Events, pulled by the client instead of pushed to it.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::EventId;
use flows::{EventPlaces, Gateway};
use serde::{Deserialize, Serialize};
use store::events::EventRow;
use utoipa::ToSchema;
use web::{AnyScope, Caller, Cursor, Json, Problem, ProblemCode, QueryParams};

use crate::view::{PageParams, limit_of};

/// An event: thin, without personal data. Read the resource to learn more.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Event {
    /// The event, as in `webhook-id`.
    #[schema(example = "evt_eu_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// Its type: `GET /v1/event-types` lists them.
    #[serde(rename = "type")]
    #[schema(example = "payment.settled")]
    event_type: String,
    /// When it happened (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
    /// Grows in the life of the resource.
    sequence: i64,
    /// What it tells of.
    #[schema(inline)]
    resource: EventResource,
    /// Where that stood then.
    #[schema(inline)]
    data: EventData,
    /// Version of this body.
    #[schema(example = "v1")]
    api_version: String,
    /// Where the data of the resource lives.
    #[schema(example = "eu")]
    region: String,
}

impl Event {
    /// The event as it is delivered.
    fn of(row: &EventRow) -> Result<Self, Problem> {
        serde_json::from_str(&row.body).map_err(|_| Problem::new(ProblemCode::Internal))
    }
}

/// What an event tells of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventResource {
    /// `consent`, `payment`, `mandate`, `institution` or `webhook_endpoint`.
    #[serde(rename = "type")]
    kind: String,
    /// Its id.
    id: String,
    /// Where to read it.
    href: String,
}

/// Where a resource stood when an event happened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventData {
    /// Its status or state.
    status: String,
    /// Of a `webhook.challenge`: say it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    /// Of a payment that is a refund: the payment that it refunds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund_of: Option<String>,
}

/// Events of the client, in the order in which they are told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventList {
    /// The events, as webhooks bring them: thin, without personal data. Those of a
    /// resource are in the order of its life.
    data: Vec<Event>,
    /// Send it with the next question; there is one on the last page too. The same
    /// cursor can be sent again.
    next_cursor: String,
    /// Whether there is more now.
    has_more: bool,
    /// Regions whose events could not be had, which come when they can; none, if all could.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<EventSource>,
}

/// A region whose events are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventSource {
    /// The region.
    region: String,
    /// `FAILED`, or `RESIDENCY_DENIED` where nothing may cross. Accept unknown values.
    status: String,
    /// Code of the problem.
    code: String,
}

/// List events.
///
/// The same events as webhooks, for clients that ask. Without a cursor from the first one on;
/// nothing is put behind a cursor that was given.
#[utoipa::path(get, operation_id = "listEvents", path = "/v1/events", tag = "webhooks", security(("mtls_oauth" = [])),
    params(PageParams),
    responses((status = 200, description = "What was asked for", body = EventList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<EventList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let cursors = cursors(&gateway, &caller.client_id);
    let places: Option<EventPlaces> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let page = gateway.events_after(&caller.client_id, &places.unwrap_or_default(), limit).await?;
    let data = page.events.iter().map(|(event, _)| Event::of(event)).collect::<Result<_, _>>()?;
    Ok(Json(EventList {
        data,
        next_cursor: cursors.write(&page.places),
        has_more: page.has_more,
        sources: Vec::new(),
    }))
}

/// Show an event.
#[utoipa::path(get, operation_id = "showEvent", path = "/v1/events/{event_id}", tag = "webhooks", security(("mtls_oauth" = [])),
    params(("event_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = Event),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(event): Path<String>,
) -> Result<Json<Event>, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such event.");
    let id: EventId = event.parse().map_err(|_| missing())?;
    Ok(Json(Event::of(&gateway.event_of(&caller.client_id, id).await?)?))
}

/// The cursors of a client's events.
pub(crate) fn cursors<'a>(gateway: &'a Gateway, client_id: &str) -> Cursor<'a> {
    Cursor::new(gateway.id_key(), "events", &[client_id])
}
