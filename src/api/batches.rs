//! Batches of payments: ordered, shown.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use domain::{BatchOrder, InstitutionId, Order, PaymentId, PaymentOrder, Pii, Violations};
use flows::{FlowError, Gateway, PaymentRequest};
use serde::{Deserialize, Serialize};
use store::payments::{PaymentRow, TransferState};
use utoipa::ToSchema;
use web::{Caller, Cursor, IdempotencyKey, Json, Payments, Problem, ProblemCode, QueryParams};

use crate::batch_body::BatchBody;
use crate::payment_order::{Creditor, Remittance, TransferCreate, check_names, execution, wish};
use crate::payment_view::{LifeView, SchemeChoiceView, life_of, outcome_of};
use crate::payments::{Place, admitted, answered};
use crate::view::{AccountName, Amount, Page, PageParams, limit_of};

/// Most payments in a batch: three digits number them.
const MOST: usize = 500;

/// Many payments, which the PSU approves together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchCreate {
    /// Where it is paid from.
    #[schema(example = "de-rheinbank")]
    pub(crate) institution_id: String,
    /// Account to pay from; otherwise the PSU chooses at the bank. Berlin Group banks want it.
    #[serde(default)]
    pub(crate) debtor_account: Option<AccountName>,
    /// Rail of every payment, as in `POST /v1/payments`.
    #[serde(default)]
    pub(crate) scheme: Option<String>,
    /// A later day on which all are carried out; at once, if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) requested_execution_date: Option<String>,
    /// A message has a day in every case: today's is none to wait for.
    #[serde(skip)]
    pub(crate) today_is_at_once: bool,
    /// Whether the account is to show one entry for all of it.
    #[serde(default)]
    pub(crate) batch_booking: Option<bool>,
    /// The payments, 1 to 500, in one currency.
    #[schema(min_items = 1, max_items = 500)]
    pub(crate) payments: Vec<TransferCreate>,
    /// Where the PSU's browser goes in the end; one of the client's `redirect_uris`.
    pub(crate) redirect_uri: String,
    /// Opaque value returned with it, at most 1024 bytes.
    #[serde(default)]
    pub(crate) state: Option<String>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub(crate) client_reference: Option<String>,
}

/// A batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BatchView {
    /// The batch.
    #[schema(example = "pay_eu_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// `BULK`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where it is, and where it stands. `SETTLED` says that payments of it were, and none is
    /// open: which were not, the payments say.
    #[serde(flatten)]
    life: LifeView,
    /// How many payments.
    number_of_payments: usize,
    /// Their sum.
    total: Amount,
    /// Account it is paid from, where the order named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    debtor_account: Option<AccountName>,
    /// Rail.
    scheme: &'static str,
    /// Why this rail, where the order left it to us (`AUTO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_choice: Option<SchemeChoiceView>,
    /// The later day on which it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    requested_execution_date: Option<String>,
    /// Whether the account is to show one entry for all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_booking: Option<bool>,
    /// Between us and the bank.
    instruction_id: String,
}

/// One payment of a batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TransferView {
    /// Its place in the batch, the first is 0.
    index: usize,
    /// Travels to the creditor.
    #[schema(value_type = String)]
    end_to_end_id: Pii<String>,
    /// Between us and the bank.
    instruction_id: String,
    /// How much.
    amount: Amount,
    /// Who is paid.
    creditor: Creditor,
    /// Account that is paid.
    creditor_account: AccountName,
    /// What the creditor is told.
    remittance: Remittance,
    /// Where it stands: the batch's state where the bank says nothing of each.
    state: &'static str,
    /// ISO 20022 status that the bank reported of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iso_status: Option<String>,
    /// ISO 20022 reason, where the bank gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    iso_reason: Option<String>,
    /// Whether the state can still change.
    #[serde(rename = "final")]
    is_final: bool,
    /// `not_executed`, `executed` or `unknown`.
    outcome: &'static str,
}

/// Payments of a batch, in its order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TransferList {
    /// The payments.
    data: Vec<TransferView>,
    /// Where the next page starts.
    page: Page,
}

impl BatchCreate {
    fn parse(self, gateway: &Gateway) -> Result<PaymentRequest, Problem> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let today = domain::utc_day(gateway.now());
        let institution = self.institution_id.parse::<InstitutionId>();
        let institution = v.take("/institution_id", "institution.invalid", institution);
        let wish = wish(self.scheme.as_deref(), v);
        let debtor_account = self.debtor_account.as_ref().map(|account| account.parse("/debtor_account", v));
        check_names(v, None, self.state.as_ref(), self.client_reference.as_ref());
        let now = today.to_string();
        let day = self.requested_execution_date.filter(|day| !self.today_is_at_once || *day != now);
        let execution = execution(day.as_deref(), None, v, today);
        if self.payments.is_empty() || self.payments.len() > MOST {
            v.add("/payments", "batch.size", format!("1 to {MOST} payments"));
        }
        let mut transfers = Vec::new();
        for (number, payment) in self.payments.into_iter().enumerate() {
            let mut wrong = Violations::default();
            transfers.extend(payment.parse(wish, &mut wrong));
            v.within(&format!("/payments/{number}"), wrong);
        }
        let (Some(institution), true) = (institution, violations.is_empty()) else {
            return Err(FlowError::Invalid(violations).into());
        };
        let draft = BatchOrder {
            instruction_id: String::new(),
            debtor_account: debtor_account.flatten(),
            scheme: domain::PaymentScheme::CrossBorder,
            execution,
            batch_booking: self.batch_booking,
            transfers,
        };
        let (batch, scheme_choice) = gateway.batch_on_a_rail(&institution, draft, wish)?;
        Ok(PaymentRequest {
            policy: None,
            institution,
            order: Order::Batch(batch),
            scheme_choice,
            verify_payee: false,
            refund_of: None,
            redirect_uri: self.redirect_uri,
            state: self.state,
            client_reference: self.client_reference,
        })
    }
}

impl BatchView {
    /// A batch as it is kept; none, if it is a payment.
    fn of(row: &PaymentRow, life: LifeView) -> Option<Self> {
        let batch = row.terms.order.batch()?;
        Some(Self {
            id: row.id.to_string(),
            kind: row.kind().as_str(),
            life,
            number_of_payments: batch.transfers.len(),
            total: batch.total()?.into(),
            debtor_account: batch.debtor_account.as_ref().map(AccountName::from),
            scheme: batch.scheme.as_str(),
            scheme_choice: SchemeChoiceView::of(row.terms.scheme_choice.as_deref()),
            requested_execution_date: batch.execution.first_day().map(|day| day.to_string()),
            batch_booking: batch.batch_booking,
            instruction_id: batch.instruction_id.clone(),
        })
    }
}

impl TransferView {
    fn of(row: &PaymentRow, index: usize, order: &PaymentOrder) -> Self {
        let known: Option<&TransferState> = row.bank.transfers.get(index);
        // What ended for the whole has ended for each, whatever was said of it before.
        let state = known.map_or(row.state, |known| known.state);
        let ended = row.state.is_final() && !state.is_final();
        let state = if ended { row.state } else { state };
        Self {
            index,
            end_to_end_id: order.end_to_end_id.clone(),
            instruction_id: order.instruction_id.clone(),
            amount: order.amount.into(),
            creditor: Creditor::named(order.creditor_name.clone(), None),
            creditor_account: AccountName::from(&order.creditor_account),
            remittance: Remittance::of(&order.remittance),
            state: state.as_str(),
            iso_status: known.and_then(|known| known.iso_status.clone()),
            iso_reason: known.and_then(|known| known.iso_reason.clone()),
            is_final: state.is_final() || row.is_final(),
            outcome: outcome_of(state, row),
        }
    }
}

const PLACE: Place = Place { operation: "POST /v1/payment-batches", collection: "/v1/payment-batches" };

/// Order a batch of payments.
///
/// As `POST /v1/payments`, for 1 to 500 payments from one account, on one rail and day, which
/// the PSU approves together. Each has an end of its own. The body is JSON, or a pain.001
/// message (001.03 to 001.09, one `PmtInf`) with the other members as query parameters.
#[utoipa::path(post, operation_id = "orderBatch", path = "/v1/payment-batches", tag = "payments", security(("mtls_oauth" = ["payments"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days"), crate::batch_body::MessageParams),
    request_body(content((BatchCreate = "application/json"), (String = "application/xml"))),
    responses((status = 201, description = "Made", body = BatchView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn order(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    body: BatchBody,
) -> Result<Response, Problem> {
    let fingerprint = body.fingerprint.clone();
    let request = ordered(&gateway, &caller, body).await;
    let view = |row: &PaymentRow, life| serde_json::to_string(&BatchView::of(row, life));
    answered(&gateway, &caller, (PLACE, key, fingerprint), request, view).await
}

async fn ordered(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    body: BatchBody,
) -> Result<PaymentRequest, Problem> {
    let batch = body.batch?;
    let sent = serde_json::to_value(&batch).unwrap_or_default();
    let mut request = batch.parse(gateway)?;
    gateway.check_batch_constraints(&request.institution, &sent)?;
    gateway.check_order(&caller.token, &request.order).await?;
    request.policy = admitted(gateway, caller, &request).await?;
    Ok(request)
}

/// Show a batch of payments.
#[utoipa::path(get, operation_id = "showBatch", path = "/v1/payment-batches/{batch_id}", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("batch_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = BatchView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(batch): Path<String>,
) -> Result<Json<BatchView>, Problem> {
    let row = gateway.payment(&caller.client_id, batch_id(&batch)?).await?;
    shown(&gateway, &row).await
}

/// List the payments of a batch.
///
/// In the batch's order, with where each stands.
#[utoipa::path(get, operation_id = "listBatchPayments", path = "/v1/payment-batches/{batch_id}/payments", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("batch_id" = String, Path), PageParams),
    responses((status = 200, description = "What was asked for", body = TransferList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn payments(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(batch): Path<String>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<TransferList>, Problem> {
    let row = gateway.payment(&caller.client_id, batch_id(&batch)?).await?;
    let batch = row.terms.order.batch().ok_or_else(missing)?;
    let limit = limit_of(params.limit, 100, 500)?;
    let cursors = Cursor::new(gateway.id_key(), "batch-payments", &[&row.id.to_string()]);
    let from: usize = params.cursor.as_deref().map(|cursor| cursors.read(cursor)).transpose()?.unwrap_or(0);
    let end = from.saturating_add(limit);
    let has_more = end < batch.transfers.len();
    let places = batch.transfers.iter().enumerate().skip(from).take(limit);
    let data = places.map(|(index, order)| TransferView::of(&row, index, order)).collect();
    let next_cursor = has_more.then(|| cursors.write(&end));
    Ok(Json(TransferList { data, page: Page { next_cursor, has_more } }))
}

/// Cancel a batch of payments.
///
/// As a whole, and as `POST /v1/payments/{payment_id}/cancel`: here while no bank can execute
/// it, at the bank where `can_cancel` says so.
#[utoipa::path(post, operation_id = "cancelBatch", path = "/v1/payment-batches/{batch_id}/cancel", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("batch_id" = String, Path)),
    responses((status = 200, description = "Done", body = BatchView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(batch): Path<String>,
) -> Result<Json<BatchView>, Problem> {
    let id = batch_id(&batch)?;
    gateway.payment(&caller.client_id, id).await?.terms.order.batch().ok_or_else(missing)?;
    let row = gateway.cancel_payment(&caller.client_id, id).await?;
    shown(&gateway, &row).await
}

fn batch_id(text: &str) -> Result<PaymentId, Problem> {
    text.parse().map_err(|_| missing())
}

fn missing() -> Problem {
    Problem::new(ProblemCode::NotFound).detail("There is no such batch.")
}

/// With its history.
async fn shown(gateway: &Gateway, row: &PaymentRow) -> Result<Json<BatchView>, Problem> {
    let life = life_of(gateway, row).await?;
    BatchView::of(row, life).map(Json).ok_or_else(missing)
}
