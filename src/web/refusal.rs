//! What the edge's refusals look like.

use axum::response::{IntoResponse, Response};
use domain::RequestId;
use edge::Refusal;

use crate::{Problem, ProblemCode};

/// Makes the answer to a request that the edge refuses.
#[must_use]
pub fn refuse(refusal: Refusal, request: RequestId) -> Response {
    let problem = match refusal {
        Refusal::BodyTooLarge(most) => {
            Problem::new(ProblemCode::BodyTooLarge).detail(format!("At most {most} bytes are taken."))
        }
        Refusal::TooMany(wait) => {
            Problem::new(ProblemCode::TooMany).retry_after(wait.as_secs().saturating_add(1))
        }
        Refusal::TimedOut(_) => Problem::new(ProblemCode::TimedOut).retry_after(1),
        Refusal::BodyTimedOut(longest) => {
            let detail = format!("The body has to arrive within {} seconds.", longest.as_secs());
            Problem::new(ProblemCode::BodyTimedOut).detail(detail)
        }
        Refusal::Path => Problem::new(ProblemCode::Path),
        Refusal::Encoded => Problem::new(ProblemCode::MediaType).detail("A request body is not compressed."),
        Refusal::Host => Problem::new(ProblemCode::Header).detail("There must be exactly one Host."),
        Refusal::Method => Problem::new(ProblemCode::MethodUnknown),
        Refusal::Panic => Problem::new(ProblemCode::Internal),
    };
    tracing::info!(request.id = %request, code = problem.code, "Request {request} refused");
    problem.into_response()
}

/// Answers a path that does not exist.
pub async fn no_such_path() -> Problem {
    Problem::new(ProblemCode::PathUnknown).detail("GET /openapi.json describes every path.")
}

/// Answers a method that a path does not have.
pub async fn no_such_method() -> Problem {
    Problem::new(ProblemCode::MethodUnknown)
}
