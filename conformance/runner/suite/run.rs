//! Running: every case by itself, bounded in time, several at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use url::Url;

use super::{Baseline, Profile};
use crate::case::{Action, Case, Severity};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::http::Request;
use crate::jose::Jwk;
use crate::play::{Evidence, Failure, Known, Play};
use crate::report::{Outcome, Verdict};
use crate::target::Target;

/// How cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only cases with one of these in their id.
    pub only: Vec<String>,
    /// So many at once.
    pub jobs: usize,
    /// The longest for one case.
    pub longest: Duration,
    /// Cases that would really wait for longer are skipped.
    pub longest_wait: Duration,
    /// Known failures.
    pub baseline: Baseline,
    /// What day it is, for waivers.
    pub today: jiff::civil::Date,
}

/// Who hears of each outcome as it comes.
pub trait Progress: Sync {
    /// So many are to come.
    fn begins(&self, cases: usize);
    /// One has come.
    fn played(&self, outcome: &Outcome);
}

/// Runs the cases of a profile against a target.
///
/// # Errors
///
/// If the metadata cannot be read, without which nothing can be played.
pub async fn run(
    profile: &Profile,
    target: &Target,
    clock: &Clock,
    options: &Options,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Outcome>> {
    let known = Arc::new(if profile.metadata { known(target).await? } else { Known::nothing() });
    if profile.metadata
        && let Err(failure) = crate::play::time::learn(target, clock, &known).await
    {
        anyhow::bail!("the target's time cannot be learnt: {failure:?}");
    }
    let mut cases = profile.cases.clone();
    let known = if profile.openapi {
        let contract = Contract::prepare(target, clock, &known).await?;
        cases.extend(contract.cases());
        let (metadata, keys) = (known.metadata.clone(), known.keys.clone());
        Arc::new(Known { metadata, keys, contract: Some(contract), ..Known::nothing() })
    } else {
        known
    };
    let wanted =
        |case: &&Case| options.only.is_empty() || options.only.iter().any(|part| case.id.contains(part));
    let mut plan: Vec<(&Case, String)> = Vec::new();
    for case in cases.iter().filter(wanted) {
        let there = case.clients.iter().filter(|role| target.client(role).is_some());
        let roles: Vec<_> = there.cloned().collect();
        if roles.is_empty() {
            plan.push((case, case.clients.first().cloned().unwrap_or_default()));
        }
        plan.extend(roles.into_iter().map(|role| (case, role)));
    }
    progress.begins(plan.len());
    let judge = |case, role| judge(profile, case, role, target, clock, &known, options);
    let (alone, together): (Vec<_>, Vec<_>) =
        plan.into_iter().partition(|(case, _)| case.alone || (target.is.time.is_some() && waits(case) > 0));
    let mut outcomes = Vec::new();
    let mut running = futures_util::stream::iter(together.into_iter().map(|(case, role)| judge(case, role)))
        .buffer_unordered(options.jobs.max(1));
    while let Some(outcome) = running.next().await {
        progress.played(&outcome);
        outcomes.push(outcome);
    }
    drop(running);
    for (case, role) in alone {
        let outcome = judge(case, role).await;
        progress.played(&outcome);
        outcomes.push(outcome);
    }
    outcomes.sort_by(|one, other| (&one.case, &one.client).cmp(&(&other.case, &other.client)));
    Ok(outcomes)
}

/// Seconds that a case waits.
fn waits(case: &Case) -> u64 {
    case.steps.iter().filter(|step| step.action == Action::Wait).map(|step| step.seconds).sum()
}

async fn judge(
    profile: &Profile,
    case: &Case,
    role: String,
    target: &Target,
    clock: &Clock,
    known: &Arc<Known>,
    options: &Options,
) -> Outcome {
    let started = Clock::machine();
    let waits = Duration::from_secs(waits(case));
    let really = target.is.time.is_none();
    let missing = case.needs.iter().find(|need| !known.has(need) && !target.has(need));
    let (verdict, says, evidence) = if let Some(why) = &case.left_out {
        (Verdict::LeftOut, why.clone(), Evidence::default())
    } else if let Some(need) = missing {
        (
            Verdict::NotApplicable,
            format!("the target or its configuration has no {need}"),
            Evidence::default(),
        )
    } else if target.client(&role).is_none() && !case.clients.is_empty() {
        (Verdict::NotApplicable, format!("no client {role} is configured"), Evidence::default())
    } else if really && waits > options.longest_wait {
        (Verdict::Skipped, format!("it would wait for {} s", waits.as_secs()), Evidence::default())
    } else {
        match Play::new(target, clock, Arc::clone(known), &role) {
            Err(failure) => told(failure, case.severity, Evidence::default()),
            Ok(mut play) => {
                let longest = options.longest + if really { waits } else { Duration::ZERO };
                let played = tokio::time::timeout(longest, play.steps(case)).await;
                let evidence = play.evidence();
                match played {
                    Ok(Ok(())) => (Verdict::Passed, String::new(), evidence),
                    Ok(Err(failure)) => told(failure, case.severity, evidence),
                    Err(_) => {
                        let why = format!("it was not over after {} s", longest.as_secs());
                        (Verdict::Blocked, why, evidence)
                    }
                }
            }
        }
    };
    let ms = Clock::machine().duration_since(started).as_millis();
    let mut outcome = Outcome {
        profile: profile.name.clone(),
        case: case.id.clone(),
        client: role,
        title: case.title.clone(),
        clause: case.clause.clone(),
        severity: case.severity,
        verdict,
        says,
        waiver: None,
        ms: ms.unsigned_abs(),
        notes: evidence.notes,
        exchanges: evidence.exchanges,
    };
    outcome.waive(&options.baseline, options.today);
    outcome
}

fn told(failure: Failure, severity: Severity, evidence: Evidence) -> (Verdict, String, Evidence) {
    let (verdict, says) = match failure {
        Failure::Broken(says) if severity == Severity::Should => (Verdict::Warned, says),
        Failure::Broken(says) => (Verdict::Failed, says),
        Failure::Blocked(says) => (Verdict::Blocked, says),
        Failure::NotApplicable(says) => (Verdict::NotApplicable, says),
    };
    (verdict, crate::http::redacted(&says), evidence)
}

/// Reads what the authorization server says about itself (RFC 8414 §3, OIDC Discovery §4).
async fn known(target: &Target) -> anyhow::Result<Known> {
    let issuer = target.issuer.as_str().trim_end_matches('/');
    let mut tried = Vec::new();
    for place in [
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{issuer}/.well-known/oauth-authorization-server"),
    ] {
        match target.http.send(&Request::new("GET", Url::parse(&place)?)).await {
            Ok(answer) if answer.status == 200 && answer.json().is_object() => {
                let metadata = answer.json();
                let keys = match metadata.get("jwks_uri").and_then(Value::as_str).map(Url::parse) {
                    Some(Ok(url)) => target.http.send(&Request::new("GET", url)).await.ok(),
                    Some(Err(_)) | None => None,
                };
                let keys = keys.map(|answer| Jwk::set(&answer.json())).unwrap_or_default();
                return Ok(Known { metadata, keys, ..Known::nothing() });
            }
            Ok(answer) => tried.push(format!("{place} answers {}", answer.status)),
            Err(error) => tried.push(format!("{place}: {error}")),
        }
    }
    anyhow::bail!("there is no authorization server to judge: {}", tried.join("; "))
}

impl Known {
    /// Nothing is known, and nothing needs to be.
    #[must_use]
    pub fn nothing() -> Self {
        let shared = crate::play::Shared::default();
        Self { metadata: Value::Null, keys: Vec::new(), contract: None, shared }
    }

    /// Whether the metadata says that the server can do something.
    fn has(&self, need: &str) -> bool {
        let (name, value) = match need.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (need, None),
        };
        match (self.metadata.get(name), value) {
            (Some(Value::Bool(yes)), None) => *yes,
            (Some(Value::Array(of)), Some(value)) => of.iter().any(|one| one == value),
            (Some(Value::String(text)), Some(value)) => text == value,
            (Some(_), None) => true,
            (Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None, _) => false,
        }
    }
}
