//! How an institution is doing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use connect::ServiceHealth;
use domain::{Capability, InstitutionId};
use flows::Gateway;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Json, Problem, ProblemCode};

/// How one service of an institution has answered the gateway in the last ten minutes.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ServiceView {
    /// `HEALTHY`, `DEGRADED`, `DOWN`, or `UNKNOWN` where nobody has called it.
    status: &'static str,
    /// Calls.
    calls: usize,
    /// Calls that the institution failed: an error of its own, or no answer.
    failed: usize,
    /// Calls without any answer.
    unanswered: usize,
    /// Share of calls that did not fail, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0.985")]
    success_rate: Option<String>,
    /// Half of the answers took no longer, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<u64>,
    /// 95 of 100 answers took no longer, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_ms: Option<u64>,
    /// Seconds until it is called again, where the gateway leaves it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Since when it is presumed unavailable: five calls in a row were not
    /// answered within 30 s (RTS Art. 33(1)).
    #[serde(skip_serializing_if = "Option::is_none")]
    presumed_unavailable_since: Option<String>,
}

impl From<ServiceHealth> for ServiceView {
    fn from(health: ServiceHealth) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let good = health.calls.saturating_sub(health.failed);
        let rate = good.saturating_mul(1000).checked_div(health.calls);
        Self {
            status: health.status.as_str(),
            calls: health.calls,
            failed: health.failed,
            unanswered: health.unanswered,
            success_rate: rate.map(|rate| format!("{}.{:03}", rate / 1000, rate % 1000)),
            p50_ms: health.median.map(millis),
            p95_ms: health.p95.map(millis),
            retry_after: health.retry_after.map(|wait| wait.as_secs().max(1)),
            presumed_unavailable_since: health.presumed_unavailable_since.map(|at| at.to_string()),
        }
    }
}

/// A time at which the institution says that it will not be there.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct MaintenanceView {
    /// From then (RFC 3339).
    from: String,
    /// Until then.
    until: String,
    /// What it says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// How an institution is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// The institution.
    institution_id: String,
    /// Account information, and its authorization server.
    accounts: ServiceView,
    /// Payment initiation.
    payments: ServiceView,
    /// Confirmation of funds, where the institution offers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    funds: Option<ServiceView>,
    /// Verification of payees, where the institution offers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    payees: Option<ServiceView>,
    /// Announced times of absence that are not over.
    maintenance_windows: Vec<MaintenanceView>,
    /// When (RFC 3339).
    as_of: String,
}

/// Show how an institution is doing.
///
/// What the answering gateway has seen itself. Changes are told by the events
/// `institution.down`, `institution.degraded`, `institution.recovered` and
/// `institution.maintenance_scheduled` to clients with a consent there, and by
/// `institution.metadata_changed` what its authorization server publishes anew.
#[utoipa::path(get, operation_id = "showInstitutionHealth", path = "/v1/institutions/{institution_id}/health",
    tag = "institutions", params(("institution_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = HealthView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Json<HealthView>, Problem> {
    let profile = id.parse::<InstitutionId>().ok().and_then(|id| gateway.registry().profile(&id));
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such institution.");
    let profile = profile.ok_or_else(missing)?;
    let health = gateway.health_of(&profile.id);
    let now = gateway.clock().now();
    let offers_funds = profile.capabilities.contains(&Capability::FundsConfirmation);
    let offers_payees = profile.capabilities.contains(&Capability::PayeeVerification);
    let windows = profile.maintenance.iter().filter(|window| window.until > now);
    Ok(Json(HealthView {
        institution_id: profile.id.to_string(),
        accounts: health.accounts.into(),
        payments: health.payments.into(),
        funds: offers_funds.then(|| health.funds.into()),
        payees: offers_payees.then(|| health.payees.into()),
        maintenance_windows: windows
            .map(|window| MaintenanceView {
                from: window.from.to_string(),
                until: window.until.to_string(),
                note: window.note.clone(),
            })
            .collect(),
        as_of: now.to_string(),
    }))
}
