//! Events, pulled by the client instead of pushed to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flows::Gateway;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use web::{AnyScope, Caller, Cursor, Problem, QueryParams};

use crate::view::{PageParams, limit_of};

/// Events of the client, in the order in which they are told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventList {
    /// The events, as webhooks bring them: thin, without personal data. Those of a
    /// resource are in the order of its life.
    #[schema(value_type = Vec<Object>)]
    data: Vec<Value>,
    /// Send it with the next question; there is one on the last page too. The same
    /// cursor can be sent again.
    next_cursor: String,
    /// Whether there is more now.
    has_more: bool,
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
    let cursors = Cursor::new(gateway.id_key(), "events", &[&caller.client_id]);
    let places: Option<BTreeMap<String, i64>> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let (events, places) = gateway.events_after(&caller.client_id, places.unwrap_or_default(), limit).await?;
    let has_more = events.len() == limit && gateway.has_events_after(&caller.client_id, &places).await?;
    let data = events.iter().map(|event| serde_json::from_str(&event.body).unwrap_or_default()).collect();
    Ok(Json(EventList { data, next_cursor: cursors.write(&places), has_more }))
}
