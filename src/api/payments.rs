//! Payments: ordered, shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{Execution, PaymentId, PaymentState, SessionId};
use flows::{Gateway, PaymentRequest};
use serde::Serialize;
use store::idempotency::ClaimKey;
use store::payments::{PaymentRow, StoredAccount};
use utoipa::ToSchema;
use web::{Caller, IdempotencyKey, JsonBody, Payments, Problem, ProblemCode};

use crate::address::Address;
use crate::consents::stored_answer;
use crate::payment_order::{Agent, Creditor, PaymentCreate, Periodic, Remittance, Risk};
use crate::view::{AccountName, Amount, Step};

/// Where the PSU approves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Authorization {
    /// `REDIRECT`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Send the PSU's browser there.
    href: String,
}

impl Authorization {
    pub(crate) fn at(href: String) -> Self {
        Self { kind: "REDIRECT", href }
    }
}

/// Why a payment did not come about.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FailureView {
    /// VALIDATION, CONSENT, SCA, SUBMISSION, EXECUTION or SETTLEMENT.
    stage: String,
    /// Stable code.
    code: String,
    /// ISO 20022 reason, where the bank gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    iso_reason: Option<String>,
    /// GATEWAY, INSTITUTION or PSU.
    source: String,
    /// Whether the same order may be tried again.
    retryable: bool,
}

/// Why a person must look after a payment: what became of it can be found out at the
/// bank alone.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AttentionView {
    /// Stable code. Accept unknown values.
    #[schema(example = "payment.unnamed_at_bank")]
    code: String,
    /// Since when (RFC 3339).
    since: String,
}

/// Where a refund goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Refund {
    /// Account that it was paid from.
    account: AccountName,
}

/// What the bank calls it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BankRefs {
    /// The bank's id of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
}

/// Why a rail was chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SchemeChoiceView {
    /// `FASTEST`: of those that take the order. `ONLY`: no other does. `LIMIT`: a faster
    /// one takes less at this institution. `DESTINATION`: no other reaches the creditor
    /// in this currency. Accept unknown values.
    reason: String,
}

/// A payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PaymentView {
    /// The payment.
    #[schema(example = "pay_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// `SINGLE`, `SCHEDULED`, `PERIODIC`, or `VRP` for a payment under a mandate.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The mandate that it is under.
    #[serde(skip_serializing_if = "Option::is_none")]
    mandate_id: Option<String>,
    /// The institution.
    institution_id: String,
    /// Home region.
    region: String,
    /// Where it stands. Accept unknown values.
    #[schema(example = "AUTHORIZATION_REQUIRED")]
    state: &'static str,
    /// ISO 20022 status last reported by the bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    iso_status: Option<String>,
    /// Whether the state can still change.
    #[serde(rename = "final")]
    is_final: bool,
    /// Whether it can be cancelled.
    can_cancel: bool,
    /// `not_executed`, `executed` or `unknown`: what a caller needs to know before trying again.
    outcome: &'static str,
    /// When asking again is worth it (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    next_poll_after: Option<String>,
    /// How much.
    amount: Amount,
    /// Who is paid.
    creditor: Creditor,
    /// Account that is paid.
    creditor_account: AccountName,
    /// The bank that holds it, where the order named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    creditor_agent: Option<Agent>,
    /// Who bears the charges of a payment abroad.
    #[serde(skip_serializing_if = "Option::is_none")]
    charge_bearer: Option<&'static str>,
    /// Account it is paid from, where the order named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    debtor_account: Option<AccountName>,
    /// What the creditor is told.
    remittance: Remittance,
    /// Rail.
    scheme: &'static str,
    /// Why this rail, where the order left it to us (`AUTO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_choice: Option<SchemeChoiceView>,
    /// The later day on which it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    requested_execution_date: Option<String>,
    /// The days on which it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    periodic: Option<Periodic>,
    /// What the order said about its risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    /// Travels to the creditor.
    end_to_end_id: String,
    /// Between us and the bank.
    instruction_id: String,
    /// Your own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    /// Where the PSU approves, while that is awaited; only in the answer to the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    /// Why it did not come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// Set where nobody can find out here what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<AttentionView>,
    /// Where a refund goes, where the bank tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<Refund>,
    /// What the bank calls it.
    bank_refs: BankRefs,
    /// When it was ordered (RFC 3339).
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// Its life so far, oldest first.
    status_history: Vec<Step>,
}

impl PaymentView {
    pub(crate) fn of(payment: &PaymentRow, can_cancel: bool, history: Vec<Step>) -> Self {
        let order = &payment.terms.order;
        let failure = payment.terms.failure.as_ref().map(|failure| FailureView {
            stage: failure.stage.clone(),
            code: failure.code.clone(),
            iso_reason: failure.iso_reason.clone(),
            source: failure.source.clone(),
            retryable: failure.retryable,
        });
        let under = payment.terms.under.as_ref();
        let abroad = order.abroad.as_ref();
        let address = abroad.and_then(|abroad| abroad.creditor_address.as_ref());
        let (day, periodic) = match &order.execution {
            Execution::AtOnce => (None, None),
            Execution::On(day) => (Some(day.to_string()), None),
            Execution::Repeated(series) => (None, Some(Periodic::of(series))),
        };
        let choice = payment.terms.scheme_choice.clone();
        let refund = payment.bank.refund_account.as_ref().and_then(StoredAccount::identification);
        Self {
            id: payment.id.to_string(),
            kind: payment.kind().as_str(),
            mandate_id: under.map(|under| under.mandate.to_string()),
            institution_id: payment.institution.to_string(),
            region: payment.id.region().to_string(),
            state: payment.state.as_str(),
            iso_status: payment.bank.iso_status.clone(),
            is_final: payment.is_final(),
            can_cancel,
            outcome: outcome(payment),
            next_poll_after: payment.next_poll_at.map(|at| at.to_string()),
            amount: order.amount.into(),
            creditor: Creditor::named(order.creditor_name.clone(), address.map(Address::from)),
            creditor_account: AccountName::from(&order.creditor_account),
            creditor_agent: abroad.and_then(|abroad| abroad.creditor_agent.as_deref()).map(Agent::of),
            charge_bearer: abroad.map(|abroad| abroad.charge_bearer.as_str()),
            debtor_account: order.debtor_account.as_ref().map(AccountName::from),
            remittance: Remittance::of(&order.remittance),
            scheme: order.scheme.as_str(),
            scheme_choice: choice.map(|reason| SchemeChoiceView { reason }),
            requested_execution_date: day,
            periodic,
            risk: Risk::of(&order.risk),
            end_to_end_id: order.end_to_end_id.clone(),
            instruction_id: order.instruction_id.clone(),
            client_reference: payment.terms.client_reference.clone(),
            authorization: None,
            failure,
            attention: payment.bank.attention.as_ref().map(|attention| AttentionView {
                code: attention.code.clone(),
                since: attention.since.to_string(),
            }),
            refund: refund.map(|account| Refund { account: AccountName::from(&account) }),
            bank_refs: BankRefs { payment_id: payment.bank.payment_id.clone() },
            created_at: payment.created_at.to_string(),
            updated_at: payment.updated_at.to_string(),
            status_history: history,
        }
    }
}

fn outcome(payment: &PaymentRow) -> &'static str {
    match payment.state {
        PaymentState::Settled => "executed",
        // In the bank's books, which say no more of it: ordered again, it would be paid twice.
        PaymentState::Accepted if payment.bank.last_word => "executed",
        PaymentState::Created
        | PaymentState::AuthorizationRequired
        | PaymentState::Authorized
        | PaymentState::Rejected
        | PaymentState::Failed
        | PaymentState::Cancelled
        | PaymentState::Expired => "not_executed",
        // At the bank and not submitted by us: nothing was executed, unless the
        // bank executes on its own approval.
        PaymentState::Authorizing if payment.bank.submits_after_sca => "not_executed",
        PaymentState::Authorizing
        | PaymentState::Submitted
        | PaymentState::Accepted
        | PaymentState::Unknown => "unknown",
    }
}

/// Order a payment.
///
/// Recorded at once; the bank is called when the PSU approves. Send the PSU to
/// `authorization.href`. Sent again with the same Idempotency-Key and body, it
/// answers the same and orders nothing.
#[utoipa::path(post, operation_id = "orderPayment", path = "/v1/payments", tag = "payments", security(("mtls_oauth" = ["payments"])),
    params(("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days")),
    request_body = PaymentCreate,
    responses((status = 201, description = "Made", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn order(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    body: JsonBody<PaymentCreate>,
) -> Result<Response, Problem> {
    let fingerprint = crypto::digest::sha256_hex(&body.bytes);
    let request = match ordered(&gateway, &caller, body).await {
        Ok(request) => request,
        Err(problem) => {
            let before =
                gateway.answered_elsewhen(&caller.client_id, OPERATION, &key.0, &fingerprint).await?;
            let reply = before.ok_or_else(|| problem.outcome("not_executed"))?;
            return Ok(stored_answer(reply.status, reply.body, reply.replayed, "/v1/payments"));
        }
    };
    let client_id = caller.client_id;
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: OPERATION,
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let issuer = gateway.config().issuer.clone();
    let answer = move |payment: &PaymentRow, session: SessionId| {
        let first = Step::first(payment.created_at, payment.state.as_str());
        let mut view = PaymentView::of(payment, payment.can_cancel(), vec![first]);
        view.authorization = Some(Authorization::at(format!("{issuer}/pay/{session}")));
        serde_json::to_string(&view).unwrap_or_default()
    };
    // Whatever goes wrong here, no bank has been called.
    let reply = gateway
        .order_payment(&client_id, request, claim, answer)
        .await
        .map_err(|error| Problem::from(error).outcome("not_executed"))?;
    Ok(stored_answer(reply.status, reply.body, reply.replayed, "/v1/payments"))
}

/// What an idempotency key of an order belongs to.
const OPERATION: &str = "POST /v1/payments";

/// An order that its token, its institution and its client's registration admit.
async fn ordered(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    body: JsonBody<PaymentCreate>,
) -> Result<PaymentRequest, Problem> {
    let request = body.value.parse(gateway)?;
    gateway.check_constraints(&request.institution, request.order.kind(), &body.bytes)?;
    gateway.check_order(&caller.token, &request.order).await?;
    registered(gateway, &caller.client_id, &request.redirect_uri).await?;
    Ok(request)
}

/// An order that could be made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Validated {
    /// `true`: what cannot be ordered is answered with what is wrong with it.
    valid: bool,
    /// What kind of order it would be.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The rail it would run on.
    scheme: &'static str,
    /// Why this rail, where the order leaves it to us (`AUTO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme_choice: Option<SchemeChoiceView>,
}

/// Try an order.
///
/// Holds it against all that ordering it would be held against, the institution's own
/// constraints included, and orders nothing. No bank is called and nothing is kept.
#[utoipa::path(post, operation_id = "validatePayment", path = "/v1/payments:validate", tag = "payments", security(("mtls_oauth" = ["payments"])),
    request_body = PaymentCreate,
    responses((status = 200, description = "It could be ordered", body = Validated),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn validate(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    body: JsonBody<PaymentCreate>,
) -> Result<Json<Validated>, Problem> {
    let request =
        ordered(&gateway, &caller, body).await.map_err(|problem| problem.outcome("not_executed"))?;
    Ok(Json(Validated {
        valid: true,
        kind: request.order.kind().as_str(),
        scheme: request.order.scheme.as_str(),
        scheme_choice: request.scheme_choice.map(|reason| SchemeChoiceView { reason }),
    }))
}

/// Show a payment.
#[utoipa::path(get, operation_id = "showPayment", path = "/v1/payments/{payment_id}", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("payment_id" = String, Path)),
    responses((status = 200, description = "What was asked for", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(payment): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let payment = gateway.payment(&caller.client_id, payment_id(&payment)?).await?;
    shown(&gateway, &payment).await
}

/// Cancel a payment.
///
/// On our word while no bank can execute it: until the PSU has approved, and at banks that
/// execute on the PSU's word alone until the PSU is sent there. Later at the bank, where it
/// takes orders back whose day is still to come (`can_cancel`). Refused, nothing changes.
/// Cancelled again, it answers the same.
#[utoipa::path(post, operation_id = "cancelPayment", path = "/v1/payments/{payment_id}/cancel", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("payment_id" = String, Path)),
    responses((status = 200, description = "Done", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(payment): Path<String>,
) -> Result<Json<PaymentView>, Problem> {
    let payment = gateway.cancel_payment(&caller.client_id, payment_id(&payment)?).await?;
    shown(&gateway, &payment).await
}

fn payment_id(text: &str) -> Result<PaymentId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::NotFound).detail("There is no such payment."))
}

/// With its history.
async fn shown(gateway: &Gateway, payment: &PaymentRow) -> Result<Json<PaymentView>, Problem> {
    let history = gateway.stores().region(payment.id.region())?.changes(&payment.id.to_string()).await?;
    let history = history.into_iter().map(Step::from).collect();
    Ok(Json(PaymentView::of(payment, gateway.can_cancel(payment), history)))
}

/// The PSU is sent to no address that the client did not register.
pub(crate) async fn registered(
    gateway: &Gateway,
    client_id: &str,
    redirect_uri: &str,
) -> Result<(), Problem> {
    let client = gateway.stores().global().client(client_id).await?;
    let known = client.as_ref().and_then(|client| client.metadata.get("redirect_uris")?.as_array());
    if known.is_some_and(|known| known.iter().any(|uri| uri.as_str() == Some(redirect_uri))) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Invalid).error(
        "/redirect_uri",
        "redirect_uri.unregistered",
        "one of the redirect_uris of your registration",
    ))
}
