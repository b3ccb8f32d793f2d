//! Payments: ordered, shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::{
    InstitutionId, PaymentId, PaymentOrder, PaymentScheme, PaymentState, RemittanceInformation, SessionId,
    Violations,
};
use flows::{FlowError, Gateway, PaymentRequest};
use serde::{Deserialize, Serialize};
use store::idempotency::ClaimKey;
use store::payments::{PaymentRow, StoredAccount};
use utoipa::ToSchema;
use web::{Caller, IdempotencyKey, JsonBody, Payments, Problem, ProblemCode};

use crate::consents::stored_answer;
use crate::view::{AccountName, Amount, Step};

/// Who is paid.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Creditor {
    /// Name, at most 140 characters.
    #[schema(max_length = 140)]
    name: String,
}

/// A creditor reference.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StructuredReference {
    /// At most 35 characters.
    #[schema(max_length = 35)]
    reference: String,
}

/// What the creditor is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remittance {
    /// Free text, one line of at most 140 characters.
    #[serde(default)]
    #[schema(max_items = 1)]
    unstructured: Vec<String>,
    /// Creditor reference, at most one.
    #[serde(default)]
    #[schema(max_items = 1)]
    structured: Vec<StructuredReference>,
}

/// An order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentCreate {
    /// Where it is paid from.
    #[schema(example = "gb-albion-bank")]
    institution_id: String,
    /// How much.
    amount: Amount,
    /// Who is paid.
    creditor: Creditor,
    /// Account that is paid: `iban` or `sort_code_account_number`.
    creditor_account: AccountName,
    /// Account to pay from; otherwise the PSU chooses at the bank.
    #[serde(default)]
    debtor_account: Option<AccountName>,
    /// What the creditor is told.
    #[serde(default)]
    remittance: Remittance,
    /// SEPA_CT, SEPA_INST, FPS, ELIXIR or EXPRESS_ELIXIR; default is the institution's first.
    #[serde(default)]
    scheme: Option<String>,
    /// Travels to the creditor, at most 35 characters; ours if absent.
    #[serde(default)]
    #[schema(max_length = 35)]
    end_to_end_id: Option<String>,
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

/// A payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PaymentView {
    /// The payment.
    #[schema(example = "pay_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8")]
    id: String,
    /// `SINGLE`, or `VRP` for a payment under a mandate.
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
    /// Account it is paid from, where the order named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    debtor_account: Option<AccountName>,
    /// What the creditor is told.
    remittance: Remittance,
    /// Rail.
    scheme: &'static str,
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

impl Remittance {
    pub(crate) fn of(told: &RemittanceInformation) -> Self {
        let structured = told.reference.iter();
        Self {
            unstructured: told.unstructured.iter().cloned().collect(),
            structured: structured
                .map(|reference| StructuredReference { reference: reference.clone() })
                .collect(),
        }
    }

    /// One line and one reference at most.
    pub(crate) fn parse(&self, v: &mut Violations) -> RemittanceInformation {
        let unstructured = self.unstructured.first().cloned();
        if self.unstructured.len() > 1 || unstructured.as_ref().is_some_and(|text| !is_line(text, 140)) {
            v.add("/remittance/unstructured", "text.invalid", "one line of 1 to 140 printable characters");
        }
        let reference = self.structured.first().map(|one| one.reference.clone());
        if self.structured.len() > 1 || reference.as_ref().is_some_and(|text| !is_reference(text, 35)) {
            v.add("/remittance/structured", "reference.invalid", "one reference of 1 to 35 SEPA characters");
        }
        RemittanceInformation { unstructured, reference }
    }
}

/// Names that a client gives: within what everybody takes.
pub(crate) fn check_names(
    v: &mut Violations,
    end_to_end_id: Option<&String>,
    state: Option<&String>,
    client_reference: Option<&String>,
) {
    if end_to_end_id.is_some_and(|id| !is_reference(id, 35)) {
        v.add("/end_to_end_id", "reference.invalid", "1 to 35 SEPA characters");
    }
    if state.is_some_and(|state| state.len() > 1_024) {
        v.add("/state", "text.too_long", "at most 1024 bytes");
    }
    if client_reference.is_some_and(|text| text.chars().count() > 64) {
        v.add("/client_reference", "text.too_long", "at most 64 characters");
    }
}

impl Creditor {
    pub(crate) fn named(name: String) -> Self {
        Self { name }
    }

    /// The name, of at most so many characters.
    pub(crate) fn parse(&self, most: usize, v: &mut Violations) -> String {
        if !is_line(&self.name, most) {
            v.add("/creditor/name", "text.invalid", format!("1 to {most} printable characters"));
        }
        self.name.clone()
    }
}

impl PaymentView {
    pub(crate) fn of(payment: &PaymentRow, history: Vec<Step>) -> Self {
        let order = &payment.terms.order;
        let failure = payment.terms.failure.as_ref().map(|failure| FailureView {
            stage: failure.stage.clone(),
            code: failure.code.clone(),
            iso_reason: failure.iso_reason.clone(),
            source: failure.source.clone(),
            retryable: failure.retryable,
        });
        let under = payment.terms.under.as_ref();
        let refund = payment.bank.refund_account.as_ref().and_then(StoredAccount::identification);
        Self {
            id: payment.id.to_string(),
            kind: if under.is_some() { "VRP" } else { "SINGLE" },
            mandate_id: under.map(|under| under.mandate.to_string()),
            institution_id: payment.institution.to_string(),
            region: payment.id.region().to_string(),
            state: payment.state.as_str(),
            iso_status: payment.bank.iso_status.clone(),
            is_final: payment.state.is_final(),
            can_cancel: payment.can_cancel(),
            outcome: outcome(payment),
            next_poll_after: payment.next_poll_at.map(|at| at.to_string()),
            amount: order.amount.into(),
            creditor: Creditor { name: order.creditor_name.clone() },
            creditor_account: AccountName::from(&order.creditor_account),
            debtor_account: order.debtor_account.as_ref().map(AccountName::from),
            remittance: Remittance::of(&order.remittance),
            scheme: order.scheme.as_str(),
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

/// Characters of the SEPA Latin set (EPC217-08): what every scheme takes in an id.
fn is_reference(text: &str, most: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&b);
    (1..=most).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('/')
}

fn is_line(text: &str, most: usize) -> bool {
    let length = text.chars().count();
    (1..=most).contains(&length) && !text.chars().any(char::is_control) && !text.trim().is_empty()
}

impl PaymentCreate {
    fn parse(self, gateway: &Gateway) -> Result<PaymentRequest, Problem> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let institution = self.institution_id.parse::<InstitutionId>();
        let institution = v.take("/institution_id", "institution.invalid", institution);
        let amount = self.amount.parse("/amount", v);
        if amount.is_some_and(|amount| amount.amount().is_zero()) {
            v.add("/amount/amount", "amount.zero", "an amount above zero");
        }
        let creditor_name = self.creditor.parse(140, v);
        let creditor_account = self.creditor_account.parse("/creditor_account", v);
        let debtor_account = self.debtor_account.as_ref().map(|account| account.parse("/debtor_account", v));
        let remittance = self.remittance.parse(v);
        let names = (self.end_to_end_id.as_ref(), self.state.as_ref(), self.client_reference.as_ref());
        check_names(v, names.0, names.1, names.2);
        let known = institution.as_ref().and_then(|id| gateway.registry().profile(id));
        let scheme = match &self.scheme {
            Some(word) => {
                let words: Vec<_> = PaymentScheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
                v.take("/scheme", "scheme.unknown", PaymentScheme::from_word(word).ok_or(words.join(", ")))
            }
            None => known.and_then(|profile| profile.payment_schemes.first().copied()),
        };
        match (institution, amount, creditor_account, violations.is_empty()) {
            (Some(institution), Some(amount), Some(creditor_account), true) => {
                let Some(scheme) = scheme else {
                    // No scheme: the institution is unknown, or takes no payments.
                    return Err(match gateway.registry().profile(&institution) {
                        Some(_) => FlowError::Unsupported(institution).into(),
                        None => FlowError::UnknownInstitution(institution).into(),
                    });
                };
                Ok(PaymentRequest {
                    institution,
                    order: PaymentOrder {
                        end_to_end_id: self.end_to_end_id.unwrap_or_default(),
                        instruction_id: String::new(),
                        amount,
                        debtor_account: debtor_account.flatten(),
                        creditor_name,
                        creditor_account,
                        remittance,
                        scheme,
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
    let request = body.value.parse(&gateway).map_err(|problem| problem.outcome("not_executed"))?;
    gateway.check_order(&caller.token, &request.order).await?;
    let client_id = caller.client_id;
    registered(&gateway, &client_id, &request.redirect_uri).await?;
    let claim = |region| ClaimKey {
        client_id: client_id.clone(),
        operation: "POST /v1/payments",
        key: key.0.clone(),
        fingerprint,
        region,
    };
    let issuer = gateway.config().issuer.clone();
    let answer = move |payment: &PaymentRow, session: SessionId| {
        let first = Step::first(payment.created_at, payment.state.as_str());
        let mut view = PaymentView::of(payment, vec![first]);
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
/// While no bank can execute it: until the PSU has approved, and at banks that execute
/// on the PSU's word alone until the PSU is sent there. Later it is refused, and nothing
/// changes. Cancelled again, it answers the same.
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
    Ok(Json(PaymentView::of(payment, history.into_iter().map(Step::from).collect())))
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
