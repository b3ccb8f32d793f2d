//! The catalogue of problems.

use axum::extract::Path;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Json, Problem, ProblemCode};

/// One kind of problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProblemKind {
    /// Stable code.
    #[schema(example = "consent.not_in_force")]
    code: &'static str,
    /// `type` of its documents.
    #[serde(rename = "type")]
    kind: String,
    /// Short text.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Who must act.
    source: &'static str,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// What it means and what helps.
    documentation: &'static str,
}

impl From<ProblemCode> for ProblemKind {
    fn from(code: ProblemCode) -> Self {
        Self {
            code: code.code(),
            kind: format!("/v1/problems/{}", code.code()),
            title: code.title(),
            status: code.status().as_u16(),
            source: code.source(),
            retryable: code.retryable(),
            documentation: code.documentation().trim(),
        }
    }
}

/// Every kind of problem.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProblemKinds {
    /// The kinds.
    data: Vec<ProblemKind>,
}

/// List every problem the API can answer with.
#[utoipa::path(get, operation_id = "listProblems", path = "/v1/problems", tag = "service",
    responses((status = 200, description = "What was asked for", body = ProblemKinds),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list() -> Json<ProblemKinds> {
    Json(ProblemKinds { data: ProblemCode::ALL.iter().copied().map(ProblemKind::from).collect() })
}

/// Explain one problem.
#[utoipa::path(get, operation_id = "showProblem", path = "/v1/problems/{code}", tag = "service", params(("code" = String, Path)),
    responses((status = 200, description = "What was asked for", body = ProblemKind),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(Path(code): Path<String>) -> Result<Json<ProblemKind>, Problem> {
    let known = ProblemCode::ALL.iter().copied().find(|known| known.code() == code);
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such problem.");
    known.map(|known| Json(known.into())).ok_or_else(missing)
}
