//! What became of a request of the client's own.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::RequestId;
use flows::{CallEvidence, Gateway, RequestEvidence};
use serde::Serialize;
use utoipa::ToSchema;
use web::{AnyScope, Caller, Json, Problem, ProblemCode};

/// What became of a request. Nothing here is a person's.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RequestView {
    /// The request: the header `X-Request-Id` of its answer.
    #[schema(example = "req_0199a8f2b7c07d3e8f1a2b3c4d5e6f70")]
    id: String,
    /// When it came.
    #[schema(format = DateTime)]
    at: String,
    /// Its method.
    #[schema(example = "GET")]
    method: String,
    /// Its route, with the names of what stood in its place.
    #[schema(example = "/v1/accounts/{account_id}/transactions")]
    route: String,
    /// Status of the answer.
    #[schema(example = 200)]
    status: u16,
    /// Why it was refused: a code of `/v1/problems`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Whose data it was about, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu")]
    region: Option<String>,
    /// Microseconds to the answer.
    duration_us: u64,
    /// Microseconds of that in which an institution was waited for.
    bank_duration_us: u64,
    /// Calls to institutions, in the order of their ends; of very many the first.
    bank_calls: Vec<BankCallView>,
    /// The trace (W3C Trace Context) that it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: Option<String>,
}

/// A call to an institution.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BankCallView {
    /// The institution.
    #[schema(example = "de-rheinbank")]
    institution_id: String,
    /// What it was called for: accounts, payments, funds, payees or events.
    #[schema(example = "accounts")]
    operation: String,
    /// Method.
    #[schema(example = "GET")]
    method: String,
    /// By which the institution finds it in its log, where its standard has such an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Status of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// How it went: ok, refused, failed, timeout, unknown, or spared, where it was not made.
    #[schema(example = "ok")]
    outcome: String,
    /// Microseconds after the request came.
    after_us: u64,
    /// Microseconds that it took.
    duration_us: u64,
}

impl From<CallEvidence> for BankCallView {
    fn from(call: CallEvidence) -> Self {
        Self {
            institution_id: call.institution_id,
            operation: call.operation,
            method: call.method,
            request_id: call.request_id,
            status: call.status,
            outcome: call.outcome,
            after_us: call.after_us,
            duration_us: call.took_us,
        }
    }
}

impl From<RequestEvidence> for RequestView {
    fn from(evidence: RequestEvidence) -> Self {
        Self {
            id: evidence.id.to_string(),
            at: evidence.at.to_string(),
            method: evidence.method,
            route: evidence.route,
            status: evidence.status,
            code: evidence.code,
            region: evidence.region.map(|region| region.to_string()),
            duration_us: evidence.took_us,
            bank_duration_us: evidence.at_banks_us,
            bank_calls: evidence.calls.into_iter().map(Into::into).collect(),
            trace_id: evidence.trace_id,
        }
    }
}

/// Show what became of a request of yours.
///
/// For 30 days. A request that was refused before its token was looked at is nobody's, and not here.
#[utoipa::path(get, operation_id = "showRequest", path = "/v1/requests/{request_id}",
    tag = "service", security(("mtls_oauth" = [])), params(("request_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = RequestView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<AnyScope>,
    Path(id): Path<String>,
) -> Result<Json<RequestView>, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("You made no such request lately.");
    let id: RequestId = id.parse().map_err(|_| missing())?;
    match gateway.request_of(&caller.client_id, id).await {
        Ok(evidence) => Ok(Json(evidence.into())),
        Err(flows::FlowError::NotFound(_)) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}
