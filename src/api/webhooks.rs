//! Webhook endpoints.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{EventId, Timestamp, WebhookId};
use flows::{Gateway, NewWebhook, WebhookChange};
use http::StatusCode;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use store::events::DeliveryRecord;
use store::webhooks::WebhookRow;
use utoipa::ToSchema;
use web::{AnyScope, Caller, Cursor, Json, JsonBody, Problem, ProblemCode, QueryParams};

use crate::view::{Page, PageParams, limit_of};

/// A new endpoint.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookCreate {
    /// Where events are posted: https, public.
    #[schema(example = "https://fintech.example/hooks")]
    url: String,
    /// Event types wanted, of those that `GET /v1/event-types` lists; empty means all.
    #[serde(default)]
    #[schema(example = json!(["payment.settled"]))]
    events: Vec<String>,
    /// How deliveries are signed.
    #[serde(default)]
    signature: Signature,
    /// Whether the gateway shows its client certificate, for endpoints that ask for one
    /// (mutual TLS).
    #[serde(default)]
    client_certificate: bool,
}

/// Kinds of signatures of Standard Webhooks 1.0, over `webhook-id.webhook-timestamp.body`:
/// `v1a` is by a key of `/.well-known/webhook-keys.json` (Ed25519), `v1` by a secret that
/// the endpoint alone has (HMAC-SHA-256).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Signature {
    /// Ed25519.
    #[default]
    V1a,
    /// HMAC-SHA-256.
    V1,
}

/// An endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// The endpoint.
    id: String,
    /// Where events are posted.
    url: String,
    /// Event types wanted; empty means all.
    events: Vec<String>,
    /// `pending` until its challenge is answered, then `enabled`; or `disabled`.
    status: &'static str,
    /// Whether the gateway shows its client certificate.
    client_certificate: bool,
    /// How deliveries are signed.
    signature: Signature,
    /// The secret of `v1`: shown when it is new, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_…")]
    secret: Option<String>,
    /// Until when the secret before signs, too (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    former_secret_until: Option<String>,
    /// When it was added (RFC 3339).
    created_at: String,
}

impl WebhookView {
    /// The endpoint with its secret, which is new.
    fn with_secret(gateway: &Gateway, row: WebhookRow) -> Self {
        let secret = gateway.webhook_secret(&row).map(|secret| secret.expose_secret().to_owned());
        Self { secret, ..row.into() }
    }
}

impl From<WebhookRow> for WebhookView {
    fn from(row: WebhookRow) -> Self {
        Self {
            id: row.id.to_string(),
            url: row.url,
            events: row.events,
            status: row.status.as_str(),
            client_certificate: row.client_certificate,
            signature: if row.secret.is_some() { Signature::V1 } else { Signature::V1a },
            secret: None,
            former_secret_until: row.secret.and_then(|turn| turn.former_until).map(|until| until.to_string()),
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

/// What is to be otherwise at an endpoint; what is left out stays as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookUpdate {
    /// Where events are posted: https, public.
    #[serde(default)]
    url: Option<String>,
    /// Event types wanted, of those that `GET /v1/event-types` lists; empty means all.
    #[serde(default)]
    events: Option<Vec<String>>,
    /// Whether the gateway shows its client certificate.
    #[serde(default)]
    client_certificate: Option<bool>,
}

/// Add a webhook endpoint.
///
/// Where the gateway wants to know that the address is yours, the endpoint is `pending` and
/// is sent a `webhook.challenge`: answer it with `{"challenge": …}`, the value of its
/// `data.challenge`.
#[utoipa::path(post, operation_id = "addWebhookEndpoint", path = "/v1/webhook-endpoints", tag = "webhooks", security(("mtls_oauth" = [])),
    request_body = WebhookCreate,
    responses((status = 201, description = "Made", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    body: JsonBody<WebhookCreate>,
) -> Result<(StatusCode, Json<WebhookView>), Problem> {
    let WebhookCreate { url, events, signature, client_certificate } = body.value;
    let own_secret = signature == Signature::V1;
    let wanted = NewWebhook { url, events, own_secret, client_certificate };
    let webhook = gateway.add_webhook(&caller.client_id, wanted).await?;
    Ok((StatusCode::CREATED, Json(WebhookView::with_secret(&gateway, webhook))))
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

/// Show a webhook endpoint.
#[utoipa::path(get, operation_id = "showWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json(gateway.webhook_of(&caller.client_id, named(&webhook)?).await?.into()))
}

/// Change a webhook endpoint.
///
/// Where addresses are challenged, a new one is challenged before this answers, and taken
/// when it said the challenge back. Until then events go to the old one.
#[utoipa::path(patch, operation_id = "changeWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)), request_body = WebhookUpdate,
    responses((status = 200, description = "Done", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
    body: JsonBody<WebhookUpdate>,
) -> Result<Json<WebhookView>, Problem> {
    let WebhookUpdate { url, events, client_certificate } = body.value;
    let change = WebhookChange { url, events, client_certificate };
    Ok(Json(gateway.change_webhook(&caller.client_id, named(&webhook)?, change).await?.into()))
}

/// Challenge a webhook endpoint that is pending.
///
/// Answers when it said the challenge back, or did not. One that is not pending stays as it is.
#[utoipa::path(post, operation_id = "verifyWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}/verify", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 200, description = "Done", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json(gateway.verify_webhook(&caller.client_id, named(&webhook)?).await?.into()))
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
    let id = named(&webhook)?;
    let removed = store::transaction!(gateway.stores().global(), tx => {
        tx.remove_webhook(id, &caller.client_id).await
    });
    match removed {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(store::StoreError::NotFound) => Err(no_such_endpoint()),
        Err(error) => Err(error.into()),
    }
}

/// Switch a webhook endpoint on again.
///
/// One that answered 410, or did not take an event for three days, is switched off: the event
/// `webhook.disabled` says so. What it missed is in the list of events.
#[utoipa::path(post, operation_id = "enableWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}/enable", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 200, description = "Done", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn enable(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<Json<WebhookView>, Problem> {
    Ok(Json(gateway.enable_webhook(&caller.client_id, named(&webhook)?).await?.into()))
}

/// Give a webhook endpoint a new secret.
///
/// For endpoints with the signature `v1`. Deliveries carry a signature by each of the two
/// secrets for a day, then by the new one alone; the one before those ends at once.
#[utoipa::path(post, operation_id = "rotateWebhookSecret", path = "/v1/webhook-endpoints/{webhook_id}/rotate-secret", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 200, description = "Done", body = WebhookView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rotate_secret(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<Json<WebhookView>, Problem> {
    let webhook = gateway.rotate_webhook_secret(&caller.client_id, named(&webhook)?).await?;
    Ok(Json(WebhookView::with_secret(&gateway, webhook)))
}

/// A test on its way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TestView {
    /// The event, as in `webhook-id` and in the list of deliveries.
    event_id: String,
}

/// Send a test event to a webhook endpoint.
///
/// A `webhook.test`, delivered and repeated like any event, whatever types the endpoint
/// asked for. What became of it is in the list of deliveries; it is not in the list of events.
#[utoipa::path(post, operation_id = "testWebhookEndpoint", path = "/v1/webhook-endpoints/{webhook_id}/test", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path)),
    responses((status = 202, description = "It will be sent", body = TestView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
) -> Result<(StatusCode, Json<TestView>), Problem> {
    let event = gateway.test_webhook(&caller.client_id, named(&webhook)?).await?;
    Ok((StatusCode::ACCEPTED, Json(TestView { event_id: event.to_string() })))
}

/// How far an event has come on its way to an endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// The event, as in `webhook-id`.
    event_id: String,
    /// Its type.
    event_type: String,
    /// What it tells of.
    resource_id: String,
    /// `delivered`, `pending` or `given_up`.
    status: &'static str,
    /// Attempts made.
    attempts: u32,
    /// HTTP status of the last answer, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<u16>,
    /// When it arrived (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<String>,
    /// When it is tried next (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
}

/// What was delivered to an endpoint, or is to be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryList {
    /// The newest events first.
    data: Vec<DeliveryView>,
    /// Where the next page starts.
    page: Page,
}

impl From<DeliveryRecord> for DeliveryView {
    fn from(record: DeliveryRecord) -> Self {
        let status = match (record.delivered_at, record.next_at) {
            (_, Some(_)) => "pending",
            (Some(_), None) => "delivered",
            (None, None) => "given_up",
        };
        Self {
            event_id: record.event.id.to_string(),
            event_type: record.event.event_type,
            resource_id: record.event.resource_id,
            status,
            attempts: record.attempts,
            last_status: record.last_status,
            delivered_at: record.delivered_at.map(|at| at.to_string()),
            next_attempt_at: record.next_at.map(|at| at.to_string()),
        }
    }
}

/// List what was delivered to an endpoint, or is to be.
#[utoipa::path(get, operation_id = "listWebhookDeliveries", path = "/v1/webhook-endpoints/{webhook_id}/deliveries", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path), PageParams),
    responses((status = 200, description = "What was asked for", body = DeliveryList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn deliveries(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(webhook): Path<String>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<DeliveryList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let cursors = Cursor::new(gateway.id_key(), "deliveries", &[&caller.client_id, &webhook]);
    let after: Option<(Timestamp, EventId)> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let more = limit.saturating_add(1);
    let mut found = gateway.deliveries_to(&caller.client_id, named(&webhook)?, after, more).await?;
    let page = Page::of(&mut found, limit, |last| cursors.write(&(last.event.created_at, last.event.id)));
    Ok(Json(DeliveryList { data: found.into_iter().map(DeliveryView::from).collect(), page }))
}

/// Deliver an event to an endpoint again.
///
/// Also one that arrived, or was given up. It has the id that it had.
#[utoipa::path(post, operation_id = "redeliverEvent", path = "/v1/webhook-endpoints/{webhook_id}/deliveries/{event_id}/redeliver", tag = "webhooks",
    security(("mtls_oauth" = [])), params(("webhook_id" = String, Path), ("event_id" = String, Path)),
    responses((status = 202, description = "It will be"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn redeliver(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path((webhook, event)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such delivery.");
    let event: EventId = event.parse().map_err(|_| missing())?;
    gateway.deliver_again(&caller.client_id, named(&webhook)?, event).await?;
    Ok(StatusCode::ACCEPTED)
}

fn named(webhook: &str) -> Result<WebhookId, Problem> {
    webhook.parse().map_err(|_| no_such_endpoint())
}

fn no_such_endpoint() -> Problem {
    Problem::new(ProblemCode::NotFound).detail("There is no such webhook endpoint.")
}
