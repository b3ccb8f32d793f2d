//! What a bank repeats of an order must be what was ordered.

use connect::{BankError, BankErrorKind, Echo};
use domain::{AccountIdentification, Money, PaymentOrder};

use crate::node::Node;

/// Compares amount and currency, if they are repeated.
pub(crate) fn amount(
    node: &Node<'_>,
    amount: &str,
    currency: &str,
    asked: &Money,
) -> Result<Echo, BankError> {
    if !node.exists() {
        return Ok(Echo::Absent);
    }
    let (_, number) = node.signed_money(amount, currency)?;
    let unit = node.get(currency).currency()?;
    if number != asked.amount() {
        return Err(mismatch(&node.get(amount)));
    }
    if unit != Some(asked.currency()) {
        return Err(mismatch(&node.get(currency)));
    }
    Ok(Echo::Same)
}

/// Compares the creditor's account, if it is repeated.
pub(crate) fn account(
    node: &Node<'_>,
    found: Option<&AccountIdentification>,
    ordered: &AccountIdentification,
) -> Result<Echo, BankError> {
    match found {
        None if node.exists() => Err(mismatch(node)),
        None => Ok(Echo::Absent),
        Some(account) if account.normalised() == ordered.normalised() => Ok(Echo::Same),
        Some(_) => Err(mismatch(node)),
    }
}

/// Compares the debtor's account, if one was named and it is repeated.
pub(crate) fn debtor(
    node: &Node<'_>,
    found: Option<&AccountIdentification>,
    order: &PaymentOrder,
) -> Result<(), BankError> {
    match (found, &order.debtor_account) {
        (Some(found), Some(named)) if found.normalised() != named.normalised() => Err(mismatch(node)),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

pub(crate) fn mismatch(node: &Node<'_>) -> BankError {
    let mut error = node.malformed();
    error.kind = BankErrorKind::EchoMismatch;
    error
}
