//! Refunds: payments of their own, back to where a payment came from. The PSU is whoever was
//! paid, and approves it at the bank that was paid; the bank of the payer hears of it as of any
//! other payment. What is refunded of a payment in all is counted on that payment, in the
//! transaction that records the refund, and given back where a refund comes to nothing.

use domain::{AccountIdentification, InstitutionId, Money, PaymentId, PaymentState, PaymentType, Violations};
use store::Tx;
use store::payments::{PaymentRow, StoredAccount};

use crate::{FlowError, Gateway};

/// What can be refunded of a payment.
#[derive(Clone)]
pub struct Refundable {
    /// The payment.
    pub of: PaymentId,
    /// Where it goes: the account that the payment was made from.
    pub to: AccountIdentification,
    /// Where it comes from: the account that was paid.
    pub from: AccountIdentification,
    /// How much was paid.
    paid: Money,
    /// How much is left to refund.
    pub left: Money,
}

/// What a refund is of, and the most that is refunded of it in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefundOf {
    pub(crate) payment: PaymentId,
    pub(crate) most: Money,
}

/// What can be refunded of a payment.
///
/// # Errors
///
/// [`FlowError::PaymentState`] if it is not paid, and [`FlowError::RefundUnavailable`] if it is
/// of a kind that is not refunded, or nobody knows where the money came from.
pub fn refundable(payment: &PaymentRow) -> Result<Refundable, FlowError> {
    let order = payment.terms.order.transfer();
    let order = order.ok_or(FlowError::RefundUnavailable("a batch is many payments"))?;
    if payment.terms.refund_of.is_some() {
        return Err(FlowError::RefundUnavailable("it is a refund itself"));
    }
    if payment.kind() == PaymentType::Periodic {
        return Err(FlowError::RefundUnavailable("a series is more than one payment"));
    }
    if !matches!(payment.state, PaymentState::Accepted | PaymentState::Settled) {
        return Err(FlowError::PaymentState(payment.state));
    }
    let told = payment.bank.refund_account.as_ref().and_then(StoredAccount::identification);
    let to = told.or_else(|| order.debtor_account.clone()).filter(is_payable);
    let to = to.ok_or(FlowError::RefundUnavailable("the bank told no account that it was paid from"))?;
    let from = Some(order.creditor_account.clone()).filter(is_payable);
    let from =
        from.ok_or(FlowError::RefundUnavailable("no bank here pays from the account that was paid"))?;
    let left = order.amount.smallest_units().and_then(|paid| paid.checked_sub(payment.refunded));
    let left = left.and_then(|left| Money::of_smallest_units(left, order.amount.currency()).ok());
    let left = left.ok_or(FlowError::RefundUnavailable("its amount cannot be parted"))?;
    Ok(Refundable { of: payment.id, to, from, paid: order.amount, left })
}

/// Accounts that an order can name as payer and payee at every bank here.
fn is_payable(account: &AccountIdentification) -> bool {
    match account {
        AccountIdentification::Iban(_) | AccountIdentification::SortCode(_) => true,
        AccountIdentification::Bban(_)
        | AccountIdentification::MaskedPan(_)
        | AccountIdentification::Other { .. } => false,
    }
}

impl Gateway {
    /// Holds a refund against what it is of.
    ///
    /// # Errors
    ///
    /// [`FlowError::RefundExceeds`] if it is more than is left, and [`FlowError::Invalid`] if it
    /// is in another currency, or from an institution of another region: what is refunded in all
    /// is counted where the payment is.
    pub fn admit_refund(
        &self,
        refundable: &Refundable,
        institution: &InstitutionId,
        amount: &Money,
    ) -> Result<RefundOf, FlowError> {
        let mut violations = Violations::default();
        if amount.currency() != refundable.paid.currency() {
            violations.add("/amount/currency", "refund.currency", "the currency that was paid");
        }
        if self.bank(institution)?.region != refundable.of.region() {
            let detail = format!("an institution of the payment's region, {}", refundable.of.region());
            violations.add("/institution_id", "refund.region", detail);
        }
        if !violations.is_empty() {
            return Err(violations.into());
        }
        if amount.amount() > refundable.left.amount() {
            return Err(FlowError::RefundExceeds { left: Some(refundable.left) });
        }
        Ok(RefundOf { payment: refundable.of, most: refundable.paid })
    }
}

/// Counts a refund on the payment that it is of.
pub(crate) async fn count_refund(
    tx: &mut Tx,
    of: Option<RefundOf>,
    refund: &PaymentRow,
) -> Result<(), FlowError> {
    let Some(RefundOf { payment, most }) = of else { return Ok(()) };
    let most = most.smallest_units().ok_or(FlowError::Busy)?;
    let units = units_of(refund).ok_or(FlowError::Busy)?;
    let counted = tx.count_refund(payment, &refund.client_id, units, most).await?;
    if counted { Ok(()) } else { Err(FlowError::RefundExceeds { left: None }) }
}

/// Gives back what a refund that came to nothing counted.
pub(crate) async fn uncount_refund(tx: &mut Tx, refund: &PaymentRow) -> Result<(), FlowError> {
    if let (Some(of), Some(units)) = (refund.terms.refund_of, units_of(refund)) {
        tx.uncount_refund(of, units).await?;
    }
    Ok(())
}

fn units_of(payment: &PaymentRow) -> Option<i64> {
    payment.terms.order.transfer()?.amount.smallest_units()
}
