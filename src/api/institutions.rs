//! The institutions that the gateway knows.

use std::sync::Arc;

use axum::extract::{Path, State};
use connect::directory::{Directory, DirectoryHit, DirectorySearch};
use connect::{BankFilter, Profile, Scorecard, ScorecardMark};
use domain::{Capability, Country, InstitutionId};
use flows::Gateway;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use web::{Cursor, Json, Problem, ProblemCode, QueryParams, from_text};

use crate::view::{Page, limit_of};

/// Test user of a sandbox bank.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SandboxUserView {
    /// User name at the bank.
    username: String,
    /// What happens with it.
    purpose: String,
}

/// An institution: one brand of a bank.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InstitutionView {
    /// The institution.
    #[schema(example = "gb-albion-bank")]
    id: String,
    /// Name as its customers know it.
    name: String,
    /// Group it belongs to.
    brand_group: String,
    /// ISO 3166-1.
    countries: Vec<String>,
    /// ISO 9362.
    bic: Vec<String>,
    /// Home region of its customers' data; absent where no profile names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// `live` or `sandbox`.
    environment: &'static str,
    /// Standard it speaks, with version.
    standards: Vec<String>,
    /// accounts, balances, transactions, payments, …
    capabilities: Vec<&'static str>,
    /// What is told of an account beside balances and transactions: parties,
    /// beneficiaries, standing-orders, direct-debits, scheduled-payments, statements.
    account_resources: Vec<&'static str>,
    /// REDIRECT, DECOUPLED or EMBEDDED.
    auth_approaches: Vec<&'static str>,
    /// SEPA_CT, SEPA_INST, FPS, ELIXIR, EXPRESS_ELIXIR.
    payment_schemes: Vec<&'static str>,
    /// Whether it is set up here; otherwise it is only listed.
    connectable: bool,
    /// What its operator must still supply, where it is not.
    missing: Vec<String>,
    /// Longest consent in days, where the bank limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_consent_days: Option<u16>,
    /// Days of history it gives, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_history_days: Option<u16>,
    /// Test users, for a sandbox bank.
    sandbox_users: Vec<SandboxUserView>,
    /// What its interface was found to be worth, where the operator has judged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    scorecard: Option<ScorecardView>,
}

/// What an institution's interface was found to be worth, by one authorisation and a few reads.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ScorecardView {
    /// When (RFC 3339).
    judged_at: String,
    /// What was looked at.
    marks: Vec<ScorecardMarkView>,
    /// Calls that were made.
    calls: u64,
    /// Half of the answers took no longer, milliseconds.
    median_ms: u64,
    /// The slowest answer, milliseconds.
    slowest_ms: u64,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ScorecardMarkView {
    /// What it is called.
    #[schema(example = "stable-ids")]
    mark: String,
    /// `yes`, `no`, or `unseen` where nothing was there to tell.
    #[schema(example = "yes")]
    verdict: String,
    /// Why.
    detail: String,
}

impl From<&Scorecard> for ScorecardView {
    fn from(card: &Scorecard) -> Self {
        let mark = |mark: &ScorecardMark| ScorecardMarkView {
            mark: mark.mark.clone(),
            verdict: mark.verdict.clone(),
            detail: mark.detail.clone(),
        };
        Self {
            judged_at: card.judged_at.to_string(),
            marks: card.marks.iter().map(mark).collect(),
            calls: card.calls,
            median_ms: card.median_ms,
            slowest_ms: card.slowest_ms,
        }
    }
}

impl InstitutionView {
    fn of(gateway: &Gateway, profile: &Profile) -> Self {
        let dialect = gateway.registry().dialect(profile);
        Self {
            id: profile.id.to_string(),
            name: profile.name.clone(),
            brand_group: profile.brand_group.clone(),
            countries: profile.countries.iter().map(ToString::to_string).collect(),
            bic: profile.bics.clone(),
            region: Some(profile.region.to_string()),
            environment: profile.environment.as_str(),
            standards: dialect.as_ref().map(|dialect| dialect.standard(profile)).into_iter().collect(),
            capabilities: profile.capabilities.iter().map(|capability| capability.as_str()).collect(),
            account_resources: dialect
                .as_ref()
                .and_then(|dialect| dialect.resources())
                .map(|resources| resources.offered(profile))
                .unwrap_or_default()
                .iter()
                .map(|resource| resource.as_str())
                .collect(),
            auth_approaches: profile.approaches().iter().map(|approach| approach.as_str()).collect(),
            payment_schemes: profile.payment_schemes.iter().map(|scheme| scheme.as_str()).collect(),
            connectable: profile.connectable() && dialect.is_some(),
            missing: profile.missing.clone(),
            max_consent_days: profile.max_consent_days,
            max_history_days: Some(profile.max_history_days),
            sandbox_users: profile
                .sandbox_users
                .iter()
                .map(|user| SandboxUserView {
                    username: user.username.clone(),
                    purpose: user.purpose.clone(),
                })
                .collect(),
            scorecard: profile.scorecard.as_ref().map(ScorecardView::from),
        }
    }
}

impl From<DirectoryHit<'_>> for InstitutionView {
    /// An entry of the imported directory: known by name, not set up.
    fn from(hit: DirectoryHit<'_>) -> Self {
        Self {
            id: hit.id.to_owned(),
            name: hit.name.to_owned(),
            brand_group: String::new(),
            countries: hit.countries.iter().map(ToString::to_string).collect(),
            bic: hit.bic.map(str::to_owned).into_iter().collect(),
            region: None,
            environment: "live",
            standards: Vec::new(),
            capabilities: Vec::new(),
            account_resources: Vec::new(),
            auth_approaches: Vec::new(),
            payment_schemes: Vec::new(),
            connectable: false,
            missing: vec!["profile".to_owned()],
            max_consent_days: None,
            max_history_days: None,
            sandbox_users: Vec::new(),
            scorecard: None,
        }
    }
}

/// Institutions, by id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InstitutionList {
    /// The institutions.
    data: Vec<InstitutionView>,
    /// Where the next page starts.
    page: Page,
}

/// Which institutions.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InstitutionParams {
    /// ISO 3166-1 code.
    #[serde(default, deserialize_with = "from_text")]
    #[param(value_type = Option<String>, example = "GB")]
    country: Option<Country>,
    /// Text in the name.
    #[serde(default)]
    q: Option<String>,
    /// ISO 9362; eight characters find every branch.
    #[serde(default)]
    bic: Option<String>,
    /// accounts, balances, transactions, payments, scheduled_payments,
    /// periodic_payments, bulk_payments, payment_cancellation, vrp, funds_confirmation or payee_verification.
    #[serde(default)]
    capability: Option<String>,
    /// Only those that are set up here (`true`), or only the others (`false`).
    #[serde(default, deserialize_with = "from_text")]
    connectable: Option<bool>,
    /// Institutions on a page, 1 to 500.
    #[serde(default, deserialize_with = "from_text")]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u16>,
    /// Where the page starts, from the page before.
    #[serde(default)]
    cursor: Option<String>,
}

type Cacheable<T> = ([(http::HeaderName, &'static str); 1], Json<T>);

fn cacheable<T>(value: T) -> Cacheable<T> {
    ([(CACHE_CONTROL, "public, max-age=60")], Json(value))
}

/// List institutions.
#[utoipa::path(get, operation_id = "listInstitutions", path = "/v1/institutions", tag = "institutions", params(InstitutionParams),
    responses((status = 200, description = "What was asked for", body = InstitutionList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    State(directory): State<Arc<Directory>>,
    QueryParams(params): QueryParams<InstitutionParams>,
) -> Result<Cacheable<InstitutionList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let capability = match params.capability.as_deref() {
        None => None,
        Some(word) => Some(Capability::from_word(word).ok_or_else(|| {
            let known: Vec<_> = Capability::ALL.iter().map(|known| known.as_str()).collect();
            Problem::new(ProblemCode::Query).error("capability", "parameter.invalid", known.join(", "))
        })?),
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let country = params.country.map(|country| country.to_string()).unwrap_or_default();
    let connectable = params.connectable.map(|wanted| wanted.to_string()).unwrap_or_default();
    let bound = [&country, &text(&params.q), &text(&params.bic), &text(&params.capability), &connectable];
    let cursors = Cursor::new(gateway.id_key(), "institutions", &bound.map(String::as_str));
    let after: Option<String> = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let wanted_text = params.q.filter(|text| !text.trim().is_empty());
    let more = limit.saturating_add(1);

    let filter = BankFilter {
        country: params.country,
        text: wanted_text.clone(),
        bic: params.bic.clone(),
        capability,
    };
    let after_id: Option<InstitutionId> = after.as_deref().and_then(|after| after.parse().ok());
    let mut found: Vec<InstitutionView> = gateway
        .registry()
        .list(&filter, after_id.as_ref(), usize::MAX)
        .iter()
        .filter(|profile| after.as_deref().is_none_or(|after| profile.id.as_str() > after))
        .map(|profile| InstitutionView::of(&gateway, profile))
        .filter(|view| params.connectable.is_none_or(|wanted| view.connectable == wanted))
        .take(more)
        .collect();
    // The directory knows names, no capabilities; nothing of it is set up.
    if capability.is_none() && params.connectable != Some(true) {
        let search = DirectorySearch { text: wanted_text, country: params.country, bic: params.bic };
        let hits = directory.search(&search, after.as_deref(), more);
        found.extend(hits.into_iter().map(InstitutionView::from));
    }
    // A bank with a profile stands before the directory's entry of the same id.
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|later, kept| later.id == kept.id);
    let page = Page::of(&mut found, limit, |last| cursors.write(&last.id));
    Ok(cacheable(InstitutionList { data: found, page }))
}

/// Show one institution.
#[utoipa::path(get, operation_id = "showInstitution", path = "/v1/institutions/{institution_id}", tag = "institutions",
    params(("institution_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = InstitutionView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    State(directory): State<Arc<Directory>>,
    Path(id): Path<String>,
) -> Result<Cacheable<InstitutionView>, Problem> {
    let profile = id.parse::<InstitutionId>().ok().and_then(|id| gateway.registry().profile(&id));
    let view = match profile {
        Some(profile) => Some(InstitutionView::of(&gateway, &profile)),
        None => directory.find(&id).map(InstitutionView::from),
    };
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such institution.");
    view.map(cacheable).ok_or_else(missing)
}

/// What an institution wants of one kind of payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PaymentSchemaView {
    /// SINGLE, SCHEDULED or PERIODIC.
    #[serde(rename = "type")]
    kind: &'static str,
    /// JSON Schema (draft 2020-12) of the body that orders one. `maxDecimal` is the most
    /// that an amount may be, `maxDaysAhead` how far off a day may be.
    schema: serde_json::Value,
}

/// What an institution wants of payments.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConstraintsList {
    /// The institution.
    institution_id: String,
    /// By kind of payment; kinds that it does not take are absent.
    data: Vec<PaymentSchemaView>,
}

/// Show what an institution wants of payments.
///
/// What `POST /v1/payments` and `POST /v1/payments:validate` hold orders against, for forms
/// that ask their users for the right things.
#[utoipa::path(get, operation_id = "showConstraints", path = "/v1/institutions/{institution_id}/constraints", tag = "institutions",
    params(("institution_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = ConstraintsList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn constraints(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
) -> Result<Cacheable<ConstraintsList>, Problem> {
    let missing = || Problem::new(ProblemCode::NotFound).detail("There is no such institution.");
    let id: InstitutionId = id.parse().map_err(|_| missing())?;
    gateway.registry().profile(&id).ok_or_else(missing)?;
    let schemas = gateway.payment_schemas(&id)?;
    let data = schemas.into_iter().map(|(kind, schema)| PaymentSchemaView { kind: kind.as_str(), schema });
    Ok(cacheable(ConstraintsList { institution_id: id.to_string(), data: data.collect() }))
}
