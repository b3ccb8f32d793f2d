//! The account to refund to: that of the payer, for a TPP that asked for it.

use serde_json::{Value, json};

use crate::bank::Bank;
use crate::engine::{Account, Order, accounts};
use crate::habit::Habit;

/// The account of an order to refund to, if its consent asks for it.
pub(super) fn account(bank: &Bank, order: &Order) -> Option<Value> {
    let consent = order.consent.as_deref()?;
    let asked =
        bank.vault.read(|book| book.consents.get(consent)?.body.pointer("/Data/ReadRefundAccount").cloned());
    if asked? != "Yes" {
        return None;
    }
    let debtor = order.debtor.as_deref()?;
    let payer = accounts(bank.kind).iter().find(|account| account.id == debtor)?;
    let mut found = named(payer);
    if bank.has(Habit::RefundUnreliable)
        && let Some(members) = found.as_object_mut()
    {
        members.remove("Identification");
    }
    Some(found)
}

/// An account with scheme, number and holder.
pub(super) fn named(account: &Account) -> Value {
    json!({
        "SchemeName": "UK.OBIE.SortCodeAccountNumber",
        "Identification": account.sort_code_account(),
        "Name": account.owner,
    })
}
