//! Webhook endpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::WebhookId;
use flows::Gateway;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::webhooks::WebhookRow;
use utoipa::ToSchema;
use web::{AnyScope, Caller, JsonBody, Problem, ProblemCode};

/// A new endpoint.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookCreate {
    /// Where events are posted: https, public.
    #[schema(example = "https://fintech.example/hooks")]
    url: String,
    /// Event types wanted; empty means all.
    #[serde(default)]
    #[schema(example = json!(["payment.settled"]))]
    events: Vec<String>,
}

/// An endpoint. Deliveries are signed by Standard Webhooks 1.0, `v1a`: verify
/// `webhook-signature` over `webhook-id.webhook-timestamp.body` with a key of
/// `/.well-known/webhook-keys.json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// The endpoint.
    id: String,
    /// Where events are posted.
    url: String,
    /// Event types wanted; empty means all.
    events: Vec<String>,
    /// `enabled` or `disabled`.
    status: String,
    /// When it was added (RFC 3339).
    created_at: String,
}

impl From<WebhookRow> for WebhookView {
    fn from(row: WebhookRow) -> Self {
        Self {
            id: row.id.to_string(),
            url: row.url,
            events: row.events,
            status: row.status,
            created_at: row.created_at.to_string(),
        }
    }
}

/// The client's endpoints.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// The endpoints, oldest first.
    data: Vec<WebhookView>,
}

/// Add a webhook endpoint.
#[utoipa::path(post, operation_id = "addWebhookEndpoint", path = "/v1/webhook-endpoints", tag = "webhooks", security(("mtls_oauth" = [])),
    request_body = WebhookCreate,
    responses((status = 201, description = "Made", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    body: JsonBody<WebhookCreate>,
) -> Result<(StatusCode, Json<WebhookView>), Problem> {
    let webhook = gateway.add_webhook(&caller.client_id, &body.value.url, body.value.events).await?;
    Ok((StatusCode::CREATED, Json(webhook.into())))
}

/// List the client's webhook endpoints.
#[utoipa::path(get, operation_id = "listWebhookEndpoints", path = "/v1/webhook-endpoints", tag = "webhooks", security(("mtls_oauth" = [])),
    responses((status = 200, description = "What was asked for", body = WebhookList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
) -> Result<Json<WebhookList>, Problem> {
    let webhooks = gateway.stores().global().webhooks(&caller.client_id).await?;
    Ok(Json(WebhookList { data: webhooks.into_iter().map(WebhookView::from).collect() }))
}

/// Remove a webhook endpoint.
#[utoipa::path(delete, operation_id = "removeWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such webhook endpoint.");
    let id: WebhookId = webhook.parse().map_err(|_| missing())?;
    let mut tx = gateway.stores().global().begin().await?;
    match tx.remove_webhook(id, &caller.client_id).await {
        Ok(()) => tx.commit().await?,
        Err(store::StoreError::NotFound) => return Err(missing()),
        Err(error) => return Err(error.into()),
    }
    Ok(StatusCode::NO_CONTENT)
}
