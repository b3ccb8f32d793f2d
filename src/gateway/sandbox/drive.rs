//! `/v1/sandbox`: what a test of an application makes happen at the banks of the
//! sandbox, without a browser. Any token of any client may; there is nobody here
//! to be protected from.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use domain::{ConsentId, ShiftedClock};
use flows::Gateway;
use http::StatusCode;
use modelbank::{Armed, Fault, Faults, Habit, Operation, Target};
use serde::Deserialize;
use serde_json::{Value, json};
use web::{Accounts, AnyScope, Caller, JsonBody, Problem, ProblemCode};

use super::EdgeState;
use super::banks::ModelBanks;
use crate::demo::{Browser, Client};

/// Furthest that the clock is moved, in days: the certificates of the sandbox hold
/// for a year.
const FURTHEST_DAYS: i64 = 300;
/// Furthest that the clock is moved back behind the machine's, in seconds: as if the machine's
/// had been wrong and was set right.
const LATEST_SECONDS: i64 = 3_600;
/// How often a person looks into the bank's app.
const LOOKS_AT_APP: Duration = Duration::from_millis(100);
/// Most calls that one fault strikes.
const MOST_CALLS: u32 = 1_000;

/// What can be driven.
#[derive(Clone)]
pub(super) struct Drive {
    pub(super) gateway: Arc<Gateway>,
    pub(super) banks: Arc<ModelBanks>,
    pub(super) virtual_time: Option<Arc<ShiftedClock>>,
    /// Trusts the sandbox's root.
    pub(super) client: Client,
    /// What the edge counts.
    pub(super) edge: EdgeState,
}

impl FromRef<Drive> for Arc<Gateway> {
    fn from_ref(drive: &Drive) -> Self {
        Arc::clone(&drive.gateway)
    }
}

/// The routes.
pub(super) fn routes(drive: Drive) -> Router {
    Router::new()
        .route("/v1/sandbox", get(show))
        .route("/v1/sandbox/institutions/{id}", get(institution))
        .route("/v1/sandbox/institutions/{id}/faults", post(arm).delete(disarm))
        .route("/v1/sandbox/institutions/{id}/habits", put(become_only))
        .route("/v1/sandbox/edge", get(edge))
        .route("/v1/sandbox/clock", get(time).post(advance))
        .route("/v1/sandbox/authorize", post(authorize))
        .route("/v1/sandbox/consents/{id}/withdraw", post(withdraw))
        .with_state(drive)
}

/// A fault to come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultOrder {
    /// A name of [`Fault::NAMED`].
    kind: String,
    /// A name of [`Operation::names`]; none is any.
    operation: Option<String>,
    /// Requests that it strikes, 1 to 1000.
    #[serde(default = "once")]
    calls: u32,
    /// Milliseconds, of faults that take time.
    ms: Option<u64>,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HabitOrder {
    habits: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockOrder {
    #[serde(default)]
    days: u32,
    #[serde(default)]
    seconds: i32,
}

/// A person who goes through our page and the bank's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    /// Where an application sends the browser.
    url: String,
    #[serde(default = "anna")]
    user: String,
    #[serde(default)]
    decision: Decision,
    /// Where the application waits for the browser.
    redirect_uri: String,
}

fn anna() -> String {
    "anna".to_owned()
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    #[default]
    Approve,
    Decline,
}

/// What the edge has counted: connections, refusals, how late it is.
async fn edge(State(drive): State<Drive>, _: Caller<AnyScope>) -> Json<Value> {
    Json(drive.edge.view())
}

/// Everything there is to say: names of faults, habits, users, amounts, calls.
async fn show(State(drive): State<Drive>, _: Caller<AnyScope>) -> Json<Value> {
    let named = |name: &str, text: &str| json!({ "name": name, "description": text });
    let amounts = modelbank::MAGIC_AMOUNTS.iter().map(|(cents, reason, text)| {
        json!({ "amount": format!("{}.{:02}", cents / 100, cents % 100), "iso_reason": reason, "description": text })
    });
    Json(json!({
        "institutions": drive.banks.list().into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
        "operations": Operation::names(),
        "faults": Fault::NAMED.iter().map(|(name, _, text)| named(name, text)).collect::<Vec<_>>(),
        "habits": Habit::ALL.iter().map(|habit| named(habit.as_str(), habit.description())).collect::<Vec<_>>(),
        "users": modelbank::MAGIC_USERS.iter().map(|(name, text)| named(name, text)).collect::<Vec<_>>(),
        "amounts": amounts.collect::<Vec<_>>(),
        "payees": modelbank::MAGIC_NAMES.iter().map(|(name, text)| named(name, text)).collect::<Vec<_>>(),
    }))
}

async fn institution(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    view(&drive, &id).map(Json)
}

async fn arm(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    Path(id): Path<String>,
    order: JsonBody<FaultOrder>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let faults = faults(&drive, &id)?;
    let FaultOrder { kind, operation, calls, ms } = order.value;
    let wrong = |pointer: &str, known: String| {
        let code = "field.invalid";
        Problem::new(ProblemCode::Invalid).error(pointer, code, format!("one of: {known}"))
    };
    let names = || Fault::NAMED.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    let fault = Fault::from_word(&kind, ms).ok_or_else(|| wrong("/kind", names()))?;
    let operation = operation.map(|word| {
        Operation::from_word(&word).ok_or_else(|| wrong("/operation", Operation::names().join(", ")))
    });
    if !(1..=MOST_CALLS).contains(&calls) {
        return Err(wrong("/calls", format!("1 to {MOST_CALLS}")));
    }
    faults.arm_at(Target { operation: operation.transpose()?, ..Target::default() }, fault, calls);
    Ok((StatusCode::CREATED, Json(view(&drive, &id)?)))
}

async fn disarm(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    faults(&drive, &id)?.clear();
    view(&drive, &id).map(Json)
}

async fn become_only(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    Path(id): Path<String>,
    order: JsonBody<HabitOrder>,
) -> Result<Json<Value>, Problem> {
    let habits = drive.banks.habits(&id).ok_or_else(unknown)?;
    let mut wanted = Vec::new();
    for (index, word) in order.value.habits.iter().enumerate() {
        let habit = Habit::from_word(word).ok_or_else(|| {
            let reason = "no habit of this name; GET /v1/sandbox lists them";
            Problem::new(ProblemCode::Invalid).error(&format!("/habits/{index}"), "field.invalid", reason)
        })?;
        wanted.push(habit);
    }
    habits.become_only(wanted);
    view(&drive, &id).map(Json)
}

async fn time(State(drive): State<Drive>, _: Caller<AnyScope>) -> Json<Value> {
    Json(clock_view(&drive))
}

async fn advance(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    order: JsonBody<ClockOrder>,
) -> Result<Json<Value>, Problem> {
    let fixed = "This sandbox runs on another clock than its own.";
    let clock = drive.virtual_time.as_ref();
    let clock = clock.ok_or_else(|| Problem::new(ProblemCode::NotFound).detail(fixed))?;
    let ClockOrder { days, seconds } = order.value;
    let by = i64::from(days).saturating_mul(86_400).saturating_add(i64::from(seconds));
    if clock.ahead().saturating_add(by) < -LATEST_SECONDS {
        let reason = "the clock is moved back behind the machine's by at most an hour";
        return Err(Problem::new(ProblemCode::Invalid).error("/seconds", "field.invalid", reason));
    }
    if clock.ahead().saturating_add(by) > FURTHEST_DAYS.saturating_mul(86_400) {
        let reason = "the clock is moved by at most 300 days in all: certificates end after a year";
        return Err(Problem::new(ProblemCode::Invalid).error("/days", "field.invalid", reason));
    }
    clock.advance(by);
    Ok(Json(clock_view(&drive)))
}

async fn authorize(
    State(drive): State<Drive>,
    _: Caller<AnyScope>,
    order: JsonBody<Person>,
) -> Result<Json<Value>, Problem> {
    let Person { url, user, decision, redirect_uri } = order.value;
    let ours = url::Url::parse(&url)
        .is_ok_and(|url| url.origin().ascii_serialization() == drive.gateway.config().issuer);
    if !ours {
        let reason = "an address of the gateway's pages";
        return Err(Problem::new(ProblemCode::Invalid).error("/url", "field.invalid", reason));
    }
    let mut browser = Browser::new(drive.client.clone(), &user, modelbank::PASSWORD);
    browser.decision = match decision {
        Decision::Approve => "approve",
        Decision::Decline => "decline",
    };
    // Addresses hold codes, and what went wrong is for the caller to see on its page.
    let lost = |_| {
        Problem::new(ProblemCode::Invalid).error(
            "/url",
            "field.invalid",
            "the browser gets nowhere from there",
        )
    };
    let approve = matches!(decision, Decision::Approve);
    // A bank that asks in its app asks while the browser waits.
    let app = async {
        let mut beat = tokio::time::interval(LOOKS_AT_APP);
        loop {
            beat.tick().await;
            drive.banks.answer_in_apps(&user, approve);
        }
    };
    let visit = tokio::select! {
        visit = browser.walk(&url, &redirect_uri) => visit.map_err(lost)?,
        () = app => return Err(Problem::new(ProblemCode::Internal)),
    };
    let returned = visit.page.is_none();
    Ok(Json(json!({
        "returned": returned,
        "url": returned.then(|| visit.url.to_string()),
        "status": visit.page.map(|page| page.status.as_u16()),
    })))
}

async fn withdraw(
    State(drive): State<Drive>,
    caller: Caller<Accounts>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such consent.");
    let id: ConsentId = id.parse().map_err(|_| missing())?;
    let consent = drive.gateway.consent(&caller.client_id, id).await?;
    let bank = consent.institution.as_ref().zip(consent.bank.consent_id.as_deref());
    let (institution, bank_id) = bank.ok_or_else(missing)?;
    let withdrawn = drive.banks.withdraw(institution.as_str(), bank_id);
    withdrawn.then_some(StatusCode::NO_CONTENT).ok_or_else(|| {
        Problem::new(ProblemCode::ConsentState).detail("The consent does not stand at a bank of the sandbox.")
    })
}

fn unknown() -> Problem {
    Problem::new(ProblemCode::NotFound).detail("There is no such bank in the sandbox.")
}

fn faults(drive: &Drive, id: &str) -> Result<Faults, Problem> {
    drive.banks.handles(id).map(|(faults, _)| faults).ok_or_else(unknown)
}

fn view(drive: &Drive, id: &str) -> Result<Value, Problem> {
    let habits = drive.banks.habits(id).ok_or_else(unknown)?;
    let armed = faults(drive, id)?.armed();
    let shown = armed.iter().map(|Armed { target, fault, calls }| {
        let operation = target.operation.map(Operation::word);
        json!({ "kind": fault.word(), "operation": operation, "calls": calls })
    });
    Ok(json!({
        "institution_id": id,
        "faults": shown.collect::<Vec<_>>(),
        "habits": habits.all().into_iter().map(Habit::as_str).collect::<Vec<_>>(),
    }))
}

fn clock_view(drive: &Drive) -> Value {
    let ahead = drive.virtual_time.as_ref().map(|clock| clock.ahead());
    json!({ "now": drive.gateway.clock().now().to_string(), "seconds_ahead": ahead.unwrap_or(0) })
}
