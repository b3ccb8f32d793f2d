//! Whether the service lives and is ready.

use std::sync::Arc;

use axum::extract::State;
use flows::Gateway;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Json, Problem};

/// The service's state.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// The process lives.
#[utoipa::path(get, operation_id = "health", path = "/healthz", tag = "service", responses((status = 200, description = "What was asked for", body = Health),
    (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Every store answers.
#[utoipa::path(get, operation_id = "ready", path = "/readyz", tag = "service", responses((status = 200, description = "What was asked for", body = Health),
    (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ready(State(gateway): State<Arc<Gateway>>) -> Result<Json<Health>, Problem> {
    gateway.stores().ping().await?;
    Ok(Json(Health { status: "ok" }))
}
