//! Refunds of payments: ordered, listed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use domain::{Money, PaymentState, Pii};
use flows::{FlowError, Gateway, PaymentChange, PaymentRequest, Refundable, refundable};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::payments::{PaymentRow, PaymentsOf, StoredAccount};
use utoipa::ToSchema;
use web::{Caller, Cursor, IdempotencyKey, Json, JsonBody, Payments, Problem, ProblemCode, QueryParams};

use crate::payment_order::{Creditor, Remittance};
use crate::payment_view::PaymentView;
use crate::payments::{PaymentList, Place, answered, ordered, page_of, payment_id};
use crate::view::{AccountName, Amount, PageParams};

/// An order to refund. Payer, payee's account and, where it is left out, the amount are those of
/// the payment.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundCreate {
    /// The institution that holds the account that was paid: it is refunded from there, and its
    /// customer approves it. Of the payment's region.
    #[schema(example = "gb-albion-bank")]
    institution_id: String,
    /// How much; all that is left, if absent.
    #[serde(default)]
    amount: Option<Amount>,
    /// Who is refunded: the customer, as you know them.
    creditor: Creditor,
    /// The rail, as of payments.
    #[serde(default)]
    scheme: Option<String>,
    /// What the customer is told.
    #[serde(default)]
    remittance: Remittance,
    /// Travels to the customer, at most 35 characters; ours if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 35)]
    end_to_end_id: Option<Pii<String>>,
    /// Where the browser of whoever approves goes in the end; one of the client's `redirect_uris`.
    redirect_uri: String,
    /// Opaque value returned with it, at most 1024 bytes.
    #[serde(default)]
    state: Option<String>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

impl RefundCreate {
    /// The payment that this is, as it would be ordered by itself.
    fn as_order(&self, refundable: &Refundable) -> serde_json::Value {
        let mut order = json!({
            "institution_id": self.institution_id,
            "amount": self.amount.clone().unwrap_or_else(|| Amount::from(refundable.left)),
            "creditor": self.creditor,
            "creditor_account": AccountName::from(&refundable.to),
            "debtor_account": AccountName::from(&refundable.from),
            "scheme": self.scheme,
            "remittance": self.remittance,
            "end_to_end_id": self.end_to_end_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "client_reference": self.client_reference,
        });
        if let Some(members) = order.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        order
    }
}

/// What is refunded of a payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefundView {
    /// Account that it was paid from, where the bank tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountName>,
    /// How much can be refunded now; zero where nobody knows where it was paid from.
    refundable_amount: Amount,
    /// How much is refunded, or is on its way: refunds that came to nothing do not count.
    refunded_amount: Amount,
    /// `NONE`, `PARTIAL` or `FULL`, by `refunded_amount`.
    #[schema(example = "PARTIAL")]
    status: &'static str,
}

impl RefundView {
    /// Of a payment that is paid, or whose payer is known; none of a refund.
    pub(crate) fn of(payment: &PaymentRow) -> Option<Self> {
        let paid = payment.terms.order.transfer()?.amount;
        let account = payment.bank.refund_account.as_ref().and_then(StoredAccount::identification);
        let shown =
            account.is_some() || matches!(payment.state, PaymentState::Accepted | PaymentState::Settled);
        if !shown || payment.terms.refund_of.is_some() {
            return None;
        }
        let zero = Money::of_smallest_units(0, paid.currency()).ok()?;
        let refunded = Money::of_smallest_units(payment.refunded, paid.currency()).ok()?;
        let status = match refunded {
            none if none == zero => "NONE",
            all if all == paid => "FULL",
            _ => "PARTIAL",
        };
        Some(Self {
            account: account.as_ref().map(AccountName::from),
            refundable_amount: refundable(payment).map_or(zero, |refundable| refundable.left).into(),
            refunded_amount: refunded.into(),
            status,
        })
    }
}

const PLACE: Place =
    Place { operation: "POST /v1/payments/{payment_id}/refunds", collection: "/v1/payments" };

/// Refund a payment.
///
/// Whole or in part, as often as something is left (`refund.refundable_amount` of the payment).
/// A refund is a payment of its own, from the account that was paid to the one that it was paid
/// from, which we fill in: send whoever was paid to `authorization.href`, to approve it at their
/// bank. Sent again with the same Idempotency-Key and body, it answers the same and refunds
/// nothing.
#[utoipa::path(post, operation_id = "refundPayment", path = "/v1/payments/{payment_id}/refunds", tag = "payments",
    security(("mtls_oauth" = ["payments"])),
    params(("payment_id" = String, Path), ("Idempotency-Key" = String, Header, description = "Quoted or bare; kept for 30 days")),
    request_body = RefundCreate,
    responses((status = 201, description = "Made", body = PaymentView),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn order(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    key: IdempotencyKey,
    Path(payment): Path<String>,
    body: JsonBody<RefundCreate>,
) -> Result<Response, Problem> {
    let id = payment_id(&payment)?;
    let (payment, _permit) = gateway.payment_to(PaymentChange::Refund, &caller.client_id, id).await?;
    // The same body for another payment is another request.
    let of = [payment.id.to_string().as_bytes(), &body.bytes].concat();
    let request = refunded(&gateway, &caller, &payment, &body.value).await;
    let view = |row: &PaymentRow, life| serde_json::to_string(&PaymentView::of(row, life));
    answered(&gateway, &caller, (PLACE, key, crypto::digest::sha256_hex(&of)), request, view).await
}

/// A refund that is a payment like any other, and no more than is left.
async fn refunded(
    gateway: &Gateway,
    caller: &Caller<Payments>,
    payment: &PaymentRow,
    asked: &RefundCreate,
) -> Result<PaymentRequest, Problem> {
    let refundable = refundable(payment)?;
    if refundable.left.amount().is_zero() {
        return Err(FlowError::RefundExceeds { left: Some(refundable.left) }.into());
    }
    let order = asked.as_order(&refundable);
    let value = serde_json::from_value(order.clone()).map_err(|_| Problem::new(ProblemCode::Internal))?;
    let body = JsonBody { value, bytes: order.to_string().into() };
    let mut request = ordered(gateway, caller, body).await?;
    let amount = request.order.transfer().map_or(refundable.left, |transfer| transfer.amount);
    request.refund_of = Some(gateway.admit_refund(&refundable, &request.institution, &amount)?);
    Ok(request)
}

/// List the refunds of a payment.
///
/// The newest first, those that came to nothing included. Each is shown in full, with its life,
/// at `/v1/payments/{payment_id}`.
#[utoipa::path(get, operation_id = "listRefunds", path = "/v1/payments/{payment_id}/refunds", tag = "payments",
    security(("mtls_oauth" = ["payments"])), params(("payment_id" = String, Path), PageParams),
    responses((status = 200, description = "What was asked for", body = PaymentList),
        (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller<Payments>,
    Path(payment): Path<String>,
    QueryParams(params): QueryParams<PageParams>,
) -> Result<Json<PaymentList>, Problem> {
    let id = gateway.payment(&caller.client_id, payment_id(&payment)?).await?.id;
    let cursors = Cursor::new(gateway.id_key(), "refunds", &[&id.to_string()]);
    let (data, page) = page_of(&gateway, id.region(), &PaymentsOf::refunds(id), &cursors, &params).await?;
    Ok(Json(PaymentList { data, page }))
}
