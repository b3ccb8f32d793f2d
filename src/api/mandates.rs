//! Mandates (variable recurring payments): ordered, listed, shown, given up, and
//! paid under.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use domain::{
    Alignment, Date, InstitutionId, MandateConstraints, MandateId, MandateOrder, MandateScheme, Period,
    PeriodicLimit, Pii, SessionId, Timestamp, Violations, utc_day, utc_midnight,
};
use flows::{FlowError, Gateway, LimitUse, MandatePaymentRequest, MandateRequest};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::idempotency::ClaimKey;
use store::mandates::MandateRow;
use store::payments::{PaymentRow, PaymentsOf};
use utoipa::ToSchema;
use web::{Caller, Cursor, IdempotencyKey, Json, JsonBody, Payments, Problem, ProblemCode, QueryParams};

use crate::consents::stored_answer;
use crate::payment_order::{Creditor, Remittance, check_names};
use crate::payment_view::{Authorization, LifeView, PaymentView};
use crate::payments::{page_of, registered};
use crate::view::{AccountName, Amount, Page, PageParams, Step, limit_of};

/// Most limits of one mandate.
const MAX_LIMITS: usize = 10;

/// The most in one period.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitCreate {
    /// DAY, WEEK, FORTNIGHT, MONTH, HALF_YEAR or YEAR.
    #[schema(example = "MONTH")]
    period: String,
    /// CONSENT: periods begin on the day of the mandate. CALENDAR: they begin with
    /// the calendar, in UTC; the first has the share of the days that are left of
    /// it. A fortnight is aligned with the CONSENT.
    #[schema(example = "CALENDAR")]
    alignment: String,
    /// The most in one.
    max_amount: Amount,
}

/// Within which limits is paid.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConstraintsCreate {
    /// First day, `YYYY-MM-DD`, UTC; at once if absent.
    #[serde(default)]
    #[schema(format = Date)]
    valid_from: Option<String>,
    /// Last day, `YYYY-MM-DD`, UTC; until somebody ends it if absent.
    #[serde(default)]
    #[schema(format = Date)]
    valid_to: Option<String>,
    /// The most in one payment.
    max_per_payment: Amount,
    /// The most per period, 1 to 10.
    #[schema(min_items = 1, max_items = 10)]
    periodic_limits: Vec<LimitCreate>,
    /// The most payments in all, from 1 on; as many as the other limits allow if absent.
    /// Banks do not know it: it is held here.
    #[serde(default)]
    #[schema(minimum = 1)]
    max_count: Option<u32>,
}

/// A mandate to order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MandateCreate {
    /// Where it is paid from. The PSU chooses the account there.
    #[schema(example = "gb-albion-bank")]
    institution_id: String,
    /// SWEEPING: to an account of the same person. COMMERCIAL: to anybody else.
    #[schema(example = "SWEEPING")]
    scheme: String,
    /// The limits.
    constraints: ConstraintsCreate,
    /// Who is paid, at most 70 characters.
    creditor: Creditor,
    /// Account that is paid: `iban` or `sort_code_account_number`.
    creditor_account: AccountName,
    /// What the creditor is told with every payment that says nothing else.
    #[serde(default)]
    remittance: Remittance,
    /// Where the PSU's browser goes in the end; one of the client's `redirect_uris`.
    redirect_uri: String,
    /// Opaque value returned with it, at most 1024 bytes.
    #[serde(default)]
    state: Option<String>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

/// A payment under a mandate, to its payee.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MandatePaymentCreate {
    /// How much.
    amount: Amount,
    /// What the creditor is told; the mandate's if absent.
    #[serde(default)]
    remittance: Remittance,
    /// Travels to the creditor, at most 35 characters; ours if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 35)]
    end_to_end_id: Option<Pii<String>>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

/// A limit, and what was drawn on it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LimitView {
    /// DAY, WEEK, FORTNIGHT, MONTH, HALF_YEAR or YEAR.
    period: &'static str,
    /// CONSENT or CALENDAR.
    alignment: &'static str,
    /// The most in a whole period.
    max_amount: Amount,
    /// Drawn in the period of now.
    used_amount: Amount,
    /// The most in the period of now, once the mandate has begun: less than
    /// `max_amount` in the first of the calendar's.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_max_amount: Option<Amount>,
    /// When the next period begins (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
}

impl From<LimitUse> for LimitView {
    fn from(of: LimitUse) -> Self {
        Self {
            period: of.limit.period().as_str(),
            alignment: of.limit.alignment().as_str(),
            max_amount: of.limit.max_amount().into(),
            used_amount: of.used.into(),
            current_max_amount: of.window.map(|window| window.max_amount.into()),
            resets_at: of.window.map(|window| window.end.to_string()),
        }
    }
}

/// Within which limits is paid.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ConstraintsView {
    /// First day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    valid_from: Option<String>,
    /// Last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    valid_to: Option<String>,
    /// The most in one payment.
    max_per_payment: Amount,
    /// The most per period.
    periodic_limits: Vec<LimitView>,
    /// The most payments in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_count: Option<u32>,
    /// How many count towards `max_count`: what came to nothing does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_count: Option<i64>,
}

/// A mandate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MandateView {
    /// The mandate.
    #[schema(example = "man_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// The institution.
    institution_id: String,
    /// Home region.
    region: String,
    /// SWEEPING or COMMERCIAL.
    scheme: &'static str,
    /// CREATED, AUTHORIZING, AUTHORIZED, REVOKED, EXPIRED or REJECTED. Accept
    /// unknown values.
    #[schema(example = "AUTHORIZED")]
    status: &'static str,
    /// Why it is where it is, where that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    /// The limits.
    constraints: ConstraintsView,
    /// Who is paid.
    creditor: Creditor,
    /// Account that is paid.
    creditor_account: AccountName,
    /// What the creditor is told.
    remittance: Remittance,
    /// Your own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    /// Where the PSU approves, while that is awaited; only in the answer to the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    /// When it was ordered (RFC 3339).
    created_at: String,
    /// When the PSU gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_at: Option<String>,
    /// When it last changed.
    updated_at: String,
    /// Its life so far, oldest first; not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    status_history: Vec<Step>,
}

impl MandateView {
    fn of(mandate: &MandateRow, limits: Vec<LimitUse>, counted: i64, history: Vec<Step>) -> Self {
        let (terms, order) = (&mandate.terms, &mandate.terms.order);
        let day = |at: Timestamp| utc_day(at).to_string();
        Self {
            id: mandate.id.to_string(),
            institution_id: mandate.institution.to_string(),
            region: mandate.id.region().to_string(),
            scheme: order.scheme.as_str(),
            status: mandate.status.as_str(),
            status_reason: terms.status_reason.clone(),
            constraints: ConstraintsView {
                valid_from: order.constraints.valid_from.map(day),
                valid_to: order.constraints.valid_to.map(day),
                max_per_payment: order.constraints.max_per_payment.into(),
                periodic_limits: limits.into_iter().map(LimitView::from).collect(),
                max_count: order.constraints.max_count,
                used_count: order.constraints.max_count.map(|_| counted),
            },
            creditor: Creditor::named(order.creditor_name.clone(), None),
            creditor_account: AccountName::from(&order.creditor_account),
            remittance: Remittance::of(&order.remittance),
            client_reference: terms.client_reference.clone(),
            authorization: None,
            created_at: mandate.created_at.to_string(),
            authorized_at: terms.authorized_at.map(|at| at.to_string()),
            updated_at: mandate.updated_at.to_string(),
            status_history: history,
        }
    }

    async fn shown(gateway: &Gateway, mandate: &MandateRow, history: Vec<Step>) -> Result<Self, Problem> {
        let limits = gateway.limits_of(mandate).await?;
        let counted = gateway.payments_counted(mandate).await?;
        Ok(Self::of(mandate, limits, counted, history))
    }
}

/// Mandates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MandateList {
    /// The newest first.
    data: Vec<MandateView>,
    /// Where the next page starts.
    page: Page,
}

/// Payments under a mandate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MandatePaymentList {
    /// The newest first, without their history.
    data: Vec<PaymentView>,
    /// Where the next page starts.
    page: Page,
}

impl LimitCreate {
    fn parse(&self, pointer: &str, v: &mut Violations) -> Option<PeriodicLimit> {
        let words = |all: Vec<&str>| all.join(", ");
        let period = Period::from_word(&self.period)
            .ok_or_else(|| words(Period::ALL.iter().map(|known| known.as_str()).collect()));
        let period = v.take(&format!("{pointer}/period"), "period.unknown", period);
        let alignment = Alignment::from_word(&self.alignment)
            .ok_or_else(|| words(Alignment::ALL.iter().map(|known| known.as_str()).collect()));
        let alignment = v.take(&format!("{pointer}/alignment"), "alignment.unknown", alignment);
        let amount = above_zero(&self.max_amount, &format!("{pointer}/max_amount"), v);
        let limit = PeriodicLimit::new(period?, alignment?, amount?);
        v.take(&format!("{pointer}/alignment"), "alignment.fortnight", limit)
    }
}

pub(crate) fn above_zero(amount: &Amount, pointer: &str, v: &mut Violations) -> Option<domain::Money> {
    let money = amount.parse(pointer, v)?;
    if money.amount().is_zero() {
        v.add(format!("{pointer}/amount"), "amount.zero", "an amount above zero");
    }
    Some(money)
}

impl ConstraintsCreate {
    fn parse(&self, now: Timestamp, v: &mut Violations) -> Option<MandateConstraints> {
        let max_per_payment = above_zero(&self.max_per_payment, "/constraints/max_per_payment", v);
        let at = "/constraints/periodic_limits";
        if !(1..=MAX_LIMITS).contains(&self.periodic_limits.len()) {
            v.add(at, "limits.count", "1 to 10 limits");
        }
        let mut periodic_limits = Vec::new();
        for (index, limit) in self.periodic_limits.iter().enumerate() {
            let pointer = format!("{at}/{index}");
            let Some(limit) = limit.parse(&pointer, v) else { continue };
            let currency = limit.max_amount().currency();
            if max_per_payment.is_some_and(|most| most.currency() != currency) {
                v.add(
                    format!("{pointer}/max_amount/currency"),
                    "currency.differs",
                    "one currency in all limits",
                );
            }
            periodic_limits.push(limit);
        }
        let mut day = |text: &Option<String>, pointer: &str| {
            let day =
                text.as_ref().map(|text| text.parse::<Date>().map_err(|_| "a day is written YYYY-MM-DD"));
            day.and_then(|day| v.take(pointer, "date.invalid", day))
        };
        let from = day(&self.valid_from, "/constraints/valid_from");
        let to = day(&self.valid_to, "/constraints/valid_to");
        let valid_from = from.and_then(utc_midnight);
        // The last second of the day.
        let valid_to = to.and_then(|day| utc_midnight(day.tomorrow().ok()?));
        let valid_to =
            valid_to.and_then(|end| Timestamp::from_second(end.as_second().saturating_sub(1)).ok());
        if valid_to.is_some_and(|to| to < valid_from.unwrap_or(now).max(now)) {
            v.add("/constraints/valid_to", "date.past", "a day that is not over, nor before valid_from");
        }
        if self.max_count == Some(0) {
            v.add("/constraints/max_count", "count.zero", "a number from 1 on");
        }
        let (max_per_payment, max_count) = (max_per_payment?, self.max_count);
        Some(MandateConstraints { valid_from, valid_to, max_per_payment, periodic_limits, max_count })
    }
}

impl MandateCreate {
    fn parse(self, now: Timestamp) -> Result<MandateRequest, Problem> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let institution = self.institution_id.parse::<InstitutionId>();
        let institution = v.take("/institution_id", "institution.invalid", institution);
        let scheme = MandateScheme::from_word(&self.scheme).ok_or("SWEEPING or COMMERCIAL");
        let scheme = v.take("/scheme", "scheme.unknown", scheme);
        let constraints = self.constraints.parse(now, v);
        let creditor_name = self.creditor.parse_plain(70, v);
        let creditor_account = self.creditor_account.parse("/creditor_account", v);
        let remittance = self.remittance.parse(v);
        check_names(v, None, self.state.as_ref(), self.client_reference.as_ref());
        match (institution, scheme, constraints, creditor_account, violations.is_empty()) {
            (Some(institution), Some(scheme), Some(constraints), Some(creditor_account), true) => {
                Ok(MandateRequest {
                    institution,
                    order: MandateOrder {
                        scheme,
                        constraints,
                        creditor_name: creditor_name.into(),
                        creditor_account,
                        remittance,
                    },
                    redirect_uri: self.redirect_uri,
                    state: self.state,
                    client_reference: self.client_reference,
                })
            }
            _ => Err(FlowError::Invalid(violations).into()),
        }
    }
}

impl MandatePaymentCreate {
    fn parse(self) -> Result<MandatePaymentRequest, Problem> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let amount = above_zero(&self.amount, "/amount", v);
        let remittance = self.remittance.parse(v);
        check_names(v, self.end_to_end_id.as_deref(), None, self.client_reference.as_ref());
        match (amount, violations.is_empty()) {
            (Some(amount), true) => Ok(MandatePaymentRequest {
                amount,
                remittance,
                end_to_end_id: self.end_to_end_id.unwrap_or_default(),
                client_reference: self.client_reference,
            }),
            _ => Err(FlowError::Invalid(violations).into()),
        }
    }
}

/// Order a mandate.
///
/// Recorded at once; the bank is called when the PSU approves. Send the PSU to
/// `authorization.href`: they see payee, amounts and limits there, and choose the
/// account at the bank. A token that was granted for a `vrp` orders that one only.
#[utoipa::path(post, operation_id = "orderMandate", path = "/v1/mandates", tag = "mandates", security(("mtls_oauth" = ["payments"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days")),
    request_body = MandateCreate,
    responses((status = 201, description = "Made", body = MandateView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn order(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    body: JsonBody<MandateCreate>,
) -> Result<Response, Problem> {
    let fingerprint = crypto::digest::sha256_hex(&body.bytes);
    let request = body.value.parse(gateway.clock().now())?;
    gateway.check_mandate(&caller.token, &request.order).await?;
    let client_id = caller.client_id;
    registered(&gateway, &client_id, &request.redirect_uri).await?;
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: "POST /v1/mandates",
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let pages = gateway.config().pages_origin.clone();
    let answer = move |mandate: &MandateRow, session: SessionId| {
        let first = Step::first(mandate.created_at, mandate.status.as_str());
        let mut view = MandateView::of(mandate, LimitUse::unused(mandate), 0, vec![first]);
        view.authorization = Some(Authorization::at(format!("{pages}/mandate/{session}")));
        serde_json::to_string(&view).unwrap_or_default()
    };
    let reply = gateway.order_mandate(&client_id, request, claim, answer).await?;
    Ok(stored_answer(reply.status, reply.body, reply.replayed, "/v1/mandates"))
}

/// List mandates.
///
/// Those of the client, in every region held here, the newest first.
#[utoipa::path(get, operation_id = "listMandates", path = "/v1/mandates", tag = "mandates",
    security(("mtls_oauth" = ["payments"])), params(PageParams),
    responses((status = 200, description = "What was asked for", body = MandateList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<MandateList>, Problem> {
    let limit = limit_of(params.limit, 100, 500)?;
    let cursors = Cursor::new(gateway.id_key(), "mandates", &[&caller.client_id]);
    let after: Option<(Timestamp, MandateId)> =
        params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let more = limit.saturating_add(1);
    let mut found = gateway.mandates_of_client(&caller.client_id, after, more).await?;
    let page = Page::of(&mut found, limit, |row| cursors.write(&(row.created_at, row.id)));
    let mut data = Vec::new();
    for mandate in &found {
        data.push(MandateView::shown(&gateway, mandate, Vec::new()).await?);
    }
    Ok(Json(MandateList { data, page }))
}

/// Show a mandate.
#[utoipa::path(get, operation_id = "showMandate", path = "/v1/mandates/{mandate_id}", tag = "mandates",
    security(("mtls_oauth" = ["payments"])), params(("mandate_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = MandateView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(mandate): Path<String>,
) -> Result<Json<MandateView>, Problem> {
    let mandate = gateway.mandate(&caller.client_id, mandate_id(&mandate)?).await?;
    let store = gateway.stores().region(mandate.id.region())?;
    let history = store.changes(&mandate.id.to_string()).await?;
    let history = history.into_iter().map(Step::from).collect();
    Ok(Json(MandateView::shown(&gateway, &mandate, history).await?))
}

/// Give a mandate up.
///
/// At once: nothing is paid under it any more, whatever the bank answers. What was
/// ordered before goes on.
#[utoipa::path(delete, operation_id = "revokeMandate", path = "/v1/mandates/{mandate_id}", tag = "mandates",
    security(("mtls_oauth" = ["payments"])), params(("mandate_id" = String, Path)),
    responses((status = 204, description = "Done"),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(mandate): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.revoke_mandate(&caller.client_id, mandate_id(&mandate)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pay under a mandate.
///
/// Within its limits, which are drawn on here before the bank is called; what comes
/// to nothing is given back. Sent again with the same Idempotency-Key and body, it
/// answers the same and pays nothing.
#[utoipa::path(post, operation_id = "payUnderMandate", path = "/v1/mandates/{mandate_id}/payments", tag = "mandates",
    security(("mtls_oauth" = ["payments"])),
    params(("mandate_id" = String, Path), ("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days")),
    request_body = MandatePaymentCreate,
    responses((status = 201, description = "Made", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn pay(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    Path(mandate): Path<String>,
    body: JsonBody<MandatePaymentCreate>,
) -> Result<Response, Problem> {
    let mandate = gateway.mandate(&caller.client_id, mandate_id(&mandate)?).await?;
    // The same body to another mandate is another request.
    let of = [mandate.id.to_string().as_bytes(), &body.bytes].concat();
    let claim = ClaimKey {
        client_id: caller.client_id.clone(),
        operation: "POST /v1/mandates/{mandate_id}/payments",
        key: key.0,
        fingerprint: crypto::digest::sha256_hex(&of),
        region: mandate.id.region(),
    };
    let request = body.value.parse()?;
    let answer = |payment: &PaymentRow| {
        let first = Step::first(payment.created_at, payment.state.as_str());
        let life = LifeView::of(payment, payment.can_cancel(), vec![first]);
        serde_json::to_string(&PaymentView::of(payment, life)).unwrap_or_default()
    };
    let reply = gateway.pay_under_mandate(&caller.token, mandate.id, request, &claim, answer).await;
    let reply = reply.map_err(|error| {
        let unknown = matches!(error, FlowError::Store(store::StoreError::OutcomeUnknown(_)));
        let problem = Problem::from(error);
        if unknown { problem.outcome("unknown") } else { problem }
    })?;
    Ok(stored_answer(reply.status, reply.body, reply.replayed, "/v1/payments"))
}

/// List the payments under a mandate.
///
/// The newest first. Each is shown in full, with its life, at `/v1/payments/{id}`.
#[utoipa::path(get, operation_id = "listMandatePayments", path = "/v1/mandates/{mandate_id}/payments", tag = "mandates",
    security(("mtls_oauth" = ["payments"])), params(("mandate_id" = String, Path), PageParams),
    responses((status = 200, description = "What was asked for", body = MandatePaymentList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn payments(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(mandate): Path<String>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<MandatePaymentList>, Problem> {
    let id = gateway.mandate(&caller.client_id, mandate_id(&mandate)?).await?.id;
    let cursors = Cursor::new(gateway.id_key(), "mandate-payments", &[&id.to_string()]);
    let (data, page) = page_of(&gateway, id.region(), &PaymentsOf::mandate(id), &cursors, &params).await?;
    Ok(Json(MandatePaymentList { data, page }))
}

pub(crate) fn mandate_id(text: &str) -> Result<MandateId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such mandate."))
}
