//! What rules found, in the log: which rule, where, how much and what digest. Never the value.

use domain::RequestId;
use waf::{Match, Verdict};

use super::Inspected;

/// Matches that are told of one request at most.
const MOST_TOLD: usize = 16;

/// One line, and one for each match: warnings where the request is one to refuse.
macro_rules! told {
    ($level:ident, $id:expr, $verdict:expr, $what:literal) => {{
        let (id, verdict): (&str, &Verdict) = ($id, $verdict);
        let (rules, score) = (verdict.rules(), verdict.score);
        tracing::$level!(request.id = id, waf.rules = ?rules, waf.score = score, "Request {id} {}", $what);
        for found in verdict.matches.iter().take(MOST_TOLD) {
            let Match { rule, message, target, length, digest, .. } = found;
            tracing::$level!(
                request.id = id,
                waf.rule = rule,
                waf.message = message,
                waf.target = target,
                waf.length = length,
                waf.sha256 = digest,
                "Rule {rule} matched {length} bytes of {target} in request {id}: {message}"
            );
        }
    }};
}

/// Writes it into the log.
pub(super) fn tell_of(inspected: &Inspected, request: Option<&RequestId>) {
    let id = || request.map_or_else(|| "without an id".to_owned(), RequestId::to_string);
    match inspected {
        Ok(verdict) if verdict.matches.is_empty() => {}
        Ok(verdict) if verdict.blocked => told!(warn, &id(), verdict, "looks like an attack"),
        Ok(verdict) => told!(debug, &id(), verdict, "is not quite ordinary"),
        Err(why) => {
            let id = id();
            tracing::warn!(request.id = id, "Request {id} is refused unseen: {why}");
        }
    }
}
