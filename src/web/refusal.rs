//! What the edge's refusals look like.

use axum::response::{IntoResponse, Response};
use edge::{Asked, Judgement, ObjectionKind, Refusal};
use http::Method;

use crate::{Problem, ProblemCode};

/// Makes the answer to a request that the edge refuses.
#[must_use]
pub fn refuse(refusal: Refusal, asked: Asked) -> Response {
    // What a handler has begun may have been done.
    let begun = matches!(refusal, Refusal::TimedOut(_) | Refusal::Panic);
    let problem = problem(refusal);
    let problem = match (asked.moves_money, begun) {
        (true, true) => problem.outcome("unknown"),
        (true, false) => problem.outcome("not_executed"),
        (false, _) => problem,
    };
    problem.into_response()
}

/// What orders are posted to, and below.
const ORDERS: [&str; 2] = ["/v1/payments", "/v1/payment-batches"];
/// Below this payments are ordered under a mandate.
const MANDATES: &str = "/v1/mandates/";

/// Whether a request of this method and path would move money.
#[must_use]
pub fn moves_money(method: &Method, path: &str) -> bool {
    let below =
        |place: &&str| path.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    method == Method::POST && (ORDERS.iter().any(below) || path.starts_with(MANDATES))
}

/// What a refusal is to the client.
pub(crate) fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::BodyTooLarge(most) => {
            Problem::new(ProblemCode::BodyTooLarge).detail(format!("At most {most} bytes are taken."))
        }
        Refusal::TooMany(exceeded) => Problem::of_exceeded(&exceeded),
        Refusal::Overloaded(wait) => Problem::new(ProblemCode::Overloaded).retry_after(wait.as_secs()),
        Refusal::TimedOut(_) => Problem::new(ProblemCode::TimedOut).retry_after(1),
        Refusal::BodyTimedOut(longest) => {
            let detail = format!("The body has to arrive within {} seconds.", longest.as_secs());
            Problem::new(ProblemCode::BodyTimedOut).detail(detail)
        }
        Refusal::Path => Problem::new(ProblemCode::Path),
        Refusal::Blocked => Problem::new(ProblemCode::Suspicious),
        Refusal::Encoded => Problem::new(ProblemCode::MediaType).detail("A request body is not compressed."),
        Refusal::Host => {
            Problem::new(ProblemCode::Header).detail("There must be exactly one Host, of a name and a port.")
        }
        Refusal::Forwarded => Problem::new(ProblemCode::Header).detail("What proxies say must be addresses."),
        Refusal::Method => Problem::new(ProblemCode::MethodUnknown),
        Refusal::BodyEndedEarly => Problem::new(ProblemCode::MalformedJson).detail("The body ended early."),
        Refusal::Filtered(judgement) => filtered(&judgement),
        Refusal::Panic => Problem::new(ProblemCode::Internal),
    }
}

/// What a filter has against a request. Of what looks like an attack nothing is told.
fn filtered(judgement: &Judgement) -> Problem {
    let objections = &judgement.objections;
    let (code, told) = match objections.first().map(|objection| objection.kind) {
        Some(ObjectionKind::Path) => (ProblemCode::PathUnknown, false),
        Some(ObjectionKind::Method) => (ProblemCode::MethodUnknown, false),
        Some(ObjectionKind::Resource) => (ProblemCode::NotFound, false),
        Some(ObjectionKind::Query) => (ProblemCode::Query, true),
        Some(ObjectionKind::Header) => (ProblemCode::Header, true),
        Some(ObjectionKind::MediaType) => (ProblemCode::MediaType, false),
        Some(ObjectionKind::Malformed) => (ProblemCode::MalformedJson, true),
        Some(ObjectionKind::Body) => (ProblemCode::Invalid, true),
        Some(ObjectionKind::Effort) => (ProblemCode::Effort, false),
        Some(ObjectionKind::Attack) | None => (ProblemCode::Suspicious, false),
    };
    let of_query = code == ProblemCode::Query;
    let problem = Problem::new(code);
    objections.iter().filter(|_| told).fold(problem, |problem, objection| {
        let (word, detail) = match objection.reason {
            "unknown_name" => ("unknown", "is not known here"),
            "repeated" => ("repeated", "given twice"),
            "missing" => ("missing", "must be given"),
            "address" => ("address", "an https address of a public host"),
            "encoding" => ("encoding", "is not encoded as it should be"),
            "too_deep" => ("too_deep", "is nested too deep"),
            _ => ("invalid", "is not of the form that it has here"),
        };
        let kind = if of_query { "parameter" } else { "field" };
        problem.error(&objection.place, &format!("{kind}.{word}"), detail)
    })
}

/// Answers a path that does not exist.
pub async fn no_such_path() -> Problem {
    Problem::new(ProblemCode::PathUnknown).detail("GET /openapi.json describes every path.")
}

/// Answers a method that a path does not have.
pub async fn no_such_method() -> Problem {
    Problem::new(ProblemCode::MethodUnknown)
}
