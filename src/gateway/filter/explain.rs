//! What each layer of the filter says of one request, for whoever tunes it. Never a value.

use std::collections::BTreeSet;

use bytes::Bytes;

use edge::{Asked, Refusal};
use http::Response;
use http::request::Parts;
use serde::Serialize;
use waf::model::{Deviation, Part};
use waf::{Match, RuleExclusion};

use super::files::InForce;
use super::{FilterMode, GatewayFilter, Inspected, Seen};

/// What is said of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// What the edge refuses it for before the filter.
    pub(crate) hygiene: Option<String>,
    /// The operation that it is, by its name in the description.
    pub(crate) operation: Option<String>,
    /// What becomes of such requests.
    pub(crate) mode: FilterMode,
    pub(crate) model: OfModel,
    pub(crate) signatures: OfSignatures,
    /// What is left out of such requests.
    pub(crate) exclusions: Vec<OfExclusion>,
    pub(crate) answer: Answer,
}

/// What the model says.
#[derive(Debug, Serialize)]
pub(crate) struct OfModel {
    pub(crate) deviations: Vec<OfPlace>,
    pub(crate) values: Vec<OfPlace>,
}

/// What is said of one place of a request.
#[derive(Debug, Serialize)]
pub(crate) struct OfPlace {
    pub(crate) part: &'static str,
    pub(crate) place: String,
    /// How it deviates, or what it is.
    pub(crate) word: &'static str,
}

/// What signatures say.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OfSignatures {
    pub(crate) matches: Vec<OfMatch>,
    pub(crate) score: i64,
    /// The rule that refuses.
    pub(crate) refused_by: Option<u64>,
    /// Why it is refused unseen.
    pub(crate) over_budget: Option<String>,
}

/// One value that a rule matched.
#[derive(Debug, Serialize)]
pub(crate) struct OfMatch {
    pub(crate) rule: u64,
    pub(crate) message: String,
    pub(crate) target: String,
    pub(crate) level: u8,
    pub(crate) score: i64,
    /// Bytes of the match.
    pub(crate) length: usize,
    /// First eight bytes of the SHA-256 of the value.
    pub(crate) sha256: String,
    /// The match with letters and digits made unreadable.
    pub(crate) snippet: String,
}

/// An exclusion that holds for such requests.
#[derive(Debug, Serialize)]
pub(crate) struct OfExclusion {
    pub(crate) rules: String,
    pub(crate) target: Option<String>,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) expires: String,
    /// The rules that would match if nothing were left out.
    pub(crate) silences: Vec<u64>,
}

/// What the client gets.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    /// Status and problem code of the refusal; none where the request goes on to its handler.
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    /// What the answer tells of it where it goes on.
    pub(crate) report: Option<String>,
}

impl GatewayFilter {
    /// Says what each layer has to say of a request.
    ///
    /// # Errors
    ///
    /// The rules cannot be loaded without exclusions.
    pub(crate) async fn explain(&self, parts: &Parts, body: &Bytes) -> anyhow::Result<Explanation> {
        let in_force = self.in_force.load_full();
        let seen = Seen::of(parts, body);
        let mut judged = self.model.explain(&seen.asked());
        let route = in_force.route(|| judged.operation);
        let mode = route.mode.unwrap_or(self.mode);
        let values = judged.values.take().unwrap_or_default();
        let model = OfModel {
            deviations: judged.deviations.iter().map(deviation).collect(),
            values: values
                .into_iter()
                .map(|value| OfPlace { part: word(value.part), place: value.place, word: value.class.word() })
                .collect(),
        };
        let inspected = seen.inspected(&judged.typed, &in_force, route);
        let mut exclusions = Vec::new();
        if !route.exclusions.is_empty() {
            let all = InForce::without_exclusions(&self.files, &self.model, self.today())?;
            let unhindered = seen.inspected(&judged.typed, &all, all.route(|| None));
            let silent = silent(&inspected, &unhindered);
            exclusions = route.exclusions.iter().map(|it| OfExclusion::of(it, &all, &silent)).collect();
        }
        let hygiene = edge::fault(parts, web::MAX_BODY);
        let hygiene =
            hygiene.or((body.len() > web::MAX_BODY).then_some(Refusal::BodyTooLarge(web::MAX_BODY)));
        Ok(Explanation {
            operation: judged.operation.map(str::to_owned),
            mode,
            model,
            signatures: OfSignatures::of(inspected),
            exclusions,
            answer: self.answer(hygiene.clone(), parts, body).await?,
            hygiene: hygiene.map(|refusal| format!("{refusal:?}")),
        })
    }

    async fn answer(&self, hygiene: Option<Refusal>, parts: &Parts, body: &Bytes) -> anyhow::Result<Answer> {
        let refusal = match hygiene {
            Some(refusal) => refusal,
            None => {
                let (judgement, _) = self.judgement(parts, body);
                if !judgement.refused {
                    let told = (!judgement.objections.is_empty()).then(|| judgement.told());
                    return Ok(Answer { report: told, ..Answer::default() });
                }
                Refusal::Filtered(judgement)
            }
        };
        let moves_money = web::moves_money(&parts.method, parts.uri.path());
        let asked = Asked { moves_money, ..Asked::default() };
        let (head, body) = Response::into_parts(web::refuse(refusal, asked));
        let problem: serde_json::Value =
            serde_json::from_slice(&axum::body::to_bytes(body, web::MAX_BODY).await?)?;
        let code = problem.get("code").and_then(|code| code.as_str()).map(str::to_owned);
        Ok(Answer { status: Some(head.status.as_u16()), code, report: None })
    }
}

impl OfSignatures {
    fn of(inspected: Inspected) -> Self {
        match inspected {
            Ok(verdict) => Self {
                score: verdict.score,
                refused_by: verdict.refused_by,
                matches: verdict.matches.into_iter().map(OfMatch::of).collect(),
                over_budget: None,
            },
            Err(why) => Self { over_budget: Some(why.to_string()), ..Self::default() },
        }
    }
}

impl OfMatch {
    fn of(found: Match) -> Self {
        let Match { rule, message, target, level, score, length, digest, masked, .. } = found;
        Self { rule, message, target, level, score, length, sha256: digest, snippet: masked }
    }
}

impl OfExclusion {
    fn of(exclusion: &RuleExclusion, all: &InForce, silent: &BTreeSet<u64>) -> Self {
        let RuleExclusion { rules, target, owner, reason, expires } = exclusion.clone();
        let silences = silent.iter().filter(|rule| all.rules.names(exclusion, Some(**rule)));
        let silences = silences.copied().collect();
        Self { rules, target, owner, reason, expires: expires.to_string(), silences }
    }
}

/// The rules that match nothing any more, or less.
fn silent(inspected: &Inspected, unhindered: &Inspected) -> BTreeSet<u64> {
    let (Ok(inspected), Ok(unhindered)) = (inspected, unhindered) else { return BTreeSet::new() };
    let told = |found: &&Match| {
        let same = |it: &Match| (it.rule, &it.target) == (found.rule, &found.target);
        inspected.matches.iter().any(same)
    };
    unhindered.matches.iter().filter(|found| !told(found)).map(|found| found.rule).collect()
}

fn deviation(deviation: &Deviation) -> OfPlace {
    let Deviation { reason, part, place } = deviation;
    OfPlace { part: word(*part), place: place.clone(), word: reason.code() }
}

fn word(part: Part) -> &'static str {
    match part {
        Part::Path => "path",
        Part::Method => "method",
        Part::Query => "query",
        Part::Header => "header",
        Part::Body => "body",
    }
}
