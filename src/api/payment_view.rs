//! Payments as clients see them.

use domain::{Execution, PaymentState, Pii};
use flows::Gateway;
use serde::Serialize;
use store::payments::PaymentRow;
use utoipa::ToSchema;
use web::Problem;

use crate::address::Address;
use crate::payees::PayeeResult;
use crate::payment_order::{Agent, Creditor, Periodic, Remittance, Risk};
use crate::refunds::RefundView;
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

/// The cancellation of an order that the bank holds, which the PSU must approve.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CancellationView {
    /// `AWAITING_AUTHORISATION`: the order stands until then. Accept unknown values.
    #[schema(example = "AWAITING_AUTHORISATION")]
    status: &'static str,
    /// Where the PSU approves it.
    authorization: Authorization,
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

/// What the bank calls it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BankRefs {
    /// The bank's id of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<String>,
}

/// Why a rail was chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SchemeChoiceView {
    /// `FASTEST`: of those that take the order. `ONLY`: no other does. `LIMIT`: a faster
    /// one takes less at this institution. `DESTINATION`: no other reaches the creditor
    /// in this currency. Accept unknown values.
    reason: String,
}

/// Where an order is, and where it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LifeView {
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
    /// Your own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    /// Where the PSU approves, while that is awaited; only in the answer to the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    /// Its cancellation, while the PSU must approve that at the bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation: Option<CancellationView>,
    /// Why it did not come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// Set where nobody can find out here what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<AttentionView>,
    /// What the bank calls it.
    bank_refs: BankRefs,
    /// When it was ordered (RFC 3339).
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// Its life so far, oldest first.
    status_history: Vec<Step>,
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
    /// Where it is, and where it stands.
    #[serde(flatten)]
    life: LifeView,
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
    #[schema(value_type = String)]
    end_to_end_id: Pii<String>,
    /// Between us and the bank.
    instruction_id: String,
    /// What the creditor's bank says of the creditor's name, once it was asked (`verify_payee`).
    #[serde(skip_serializing_if = "Option::is_none")]
    payee_verification: Option<PayeeResult>,
    /// What is refunded of it, once it is paid or the bank tells where it was paid from.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<RefundView>,
    /// The payment that it refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_of: Option<String>,
}

impl LifeView {
    pub(crate) fn of(payment: &PaymentRow, can_cancel: bool, history: Vec<Step>) -> Self {
        let failure = payment.terms.failure.as_ref().map(|failure| FailureView {
            stage: failure.stage.clone(),
            code: failure.code.clone(),
            iso_reason: failure.iso_reason.clone(),
            source: failure.source.clone(),
            retryable: failure.retryable,
        });
        Self {
            institution_id: payment.institution.to_string(),
            region: payment.id.region().to_string(),
            state: payment.state.as_str(),
            iso_status: payment.bank.iso_status.clone(),
            is_final: payment.is_final(),
            can_cancel,
            outcome: outcome(payment),
            next_poll_after: payment.next_poll_at.map(|at| at.to_string()),
            client_reference: payment.terms.client_reference.clone(),
            authorization: None,
            cancellation: None,
            failure,
            attention: payment.bank.attention.as_ref().map(|attention| AttentionView {
                code: attention.code.clone(),
                since: attention.since.to_string(),
            }),
            bank_refs: BankRefs { payment_id: payment.bank.payment_id.clone() },
            created_at: payment.created_at.to_string(),
            updated_at: payment.updated_at.to_string(),
            status_history: history,
        }
    }

    /// The same, while the PSU's approval is awaited.
    pub(crate) fn approved_at(mut self, href: String) -> Self {
        self.authorization = Some(Authorization::at(href));
        self
    }
}

/// Where an order is, with its history.
pub(crate) async fn life_of(gateway: &Gateway, payment: &PaymentRow) -> Result<LifeView, Problem> {
    let history = gateway.stores().region(payment.id.region())?.changes(&payment.id.to_string()).await?;
    let history = history.into_iter().map(Step::from).collect();
    let mut life = LifeView::of(payment, gateway.can_cancel(payment), history);
    life.cancellation = gateway.cancellation_path(payment).map(|path| CancellationView {
        status: "AWAITING_AUTHORISATION",
        authorization: Authorization::at(format!("{}{path}", gateway.config().pages_origin)),
    });
    Ok(life)
}

impl PaymentView {
    /// A payment as it is kept; none, if it is a batch.
    pub(crate) fn of(payment: &PaymentRow, life: LifeView) -> Option<Self> {
        let order = payment.terms.order.transfer()?;
        let under = payment.terms.under.as_ref();
        let abroad = order.abroad.as_ref();
        let address = abroad.and_then(|abroad| abroad.creditor_address.as_ref());
        let (day, periodic) = match &order.execution {
            Execution::AtOnce => (None, None),
            Execution::On(day) => (Some(day.to_string()), None),
            Execution::Repeated(series) => (None, Some(Periodic::of(series))),
        };
        Some(Self {
            id: payment.id.to_string(),
            kind: payment.kind().as_str(),
            mandate_id: under.map(|under| under.mandate.to_string()),
            life,
            amount: order.amount.into(),
            creditor: Creditor::named(order.creditor_name.clone(), address.map(Address::from)),
            creditor_account: AccountName::from(&order.creditor_account),
            creditor_agent: abroad.and_then(|abroad| abroad.creditor_agent.as_deref()).map(Agent::of),
            charge_bearer: abroad.map(|abroad| abroad.charge_bearer.as_str()),
            debtor_account: order.debtor_account.as_ref().map(AccountName::from),
            remittance: Remittance::of(&order.remittance),
            scheme: order.scheme.as_str(),
            scheme_choice: SchemeChoiceView::of(payment.terms.scheme_choice.as_deref()),
            requested_execution_date: day,
            periodic,
            risk: Risk::of(&order.risk),
            end_to_end_id: order.end_to_end_id.clone(),
            instruction_id: order.instruction_id.clone(),
            payee_verification: PayeeResult::of(payment.terms.payee.as_ref()),
            refund: RefundView::of(payment),
            refund_of: payment.terms.refund_of.map(|of| of.to_string()),
        })
    }
}

impl SchemeChoiceView {
    pub(crate) fn of(reason: Option<&str>) -> Option<Self> {
        reason.map(|reason| Self { reason: reason.to_owned() })
    }
}

fn outcome(payment: &PaymentRow) -> &'static str {
    outcome_of(payment.state, payment)
}

/// The outcome of what stands there: a payment, or a transfer of a batch.
pub(crate) fn outcome_of(state: PaymentState, payment: &PaymentRow) -> &'static str {
    match state {
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
