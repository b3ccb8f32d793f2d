//! Card accounts (XS2A 6.5.5 to 6.5.8): lists of their own beside those of payment
//! accounts, their entries in words of their own.

use connect::{BankError, MapTarget, NextPage, Profile};
use domain::{Account, BookingStatus, Pii, Transaction};

use super::reading::{Debits, details, signed};
use crate::mapped::{Mapped, Rules, booking_status};
use crate::node::Node;

/// Where card accounts lie. Their identifiers begin with it here, so that each is asked
/// for where it lies.
const PLACE: &str = "card-accounts";

/// The path of an account below the interface.
pub(super) fn path_of(resource_id: &str) -> [&str; 2] {
    match resource_id.strip_prefix(PLACE).and_then(|rest| rest.strip_prefix('/')) {
        Some(card) => [PLACE, card],
        None => ["accounts", resource_id],
    }
}

/// True if this is a card account.
pub(super) fn is_card(resource_id: &str) -> bool {
    let [place, _] = path_of(resource_id);
    place == PLACE
}

/// The list of card accounts, where the bank has one; it comes after that of accounts.
pub(super) fn list_of(profile: &Profile) -> Result<Option<NextPage>, BankError> {
    if !profile.berlin_group.card_accounts {
        return Ok(None);
    }
    let base = profile.accounts_api()?;
    NextPage::of(profile, &base.url, base.join(&[PLACE]).as_str(), PLACE).map(Some)
}

/// `cardAccountDetails`.
pub(super) fn account(rules: &Rules<'_>, node: &Node<'_>) -> Result<Account, BankError> {
    let account = details(rules, node, Debits::of(node)?)?;
    Ok(Account {
        resource_id: format!("{PLACE}/{}", account.resource_id),
        cash_account_type: account.cash_account_type.or_else(|| Some("CARD".to_owned())),
        ..account
    })
}

/// `cardTransaction`. What the card was used for is its text; the standard has no name
/// of the payee.
pub(super) fn transaction(
    rules: &Rules<'_>,
    node: &Node<'_>,
    status: BookingStatus,
    debits: Debits,
) -> Result<Transaction, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Transactions, node)?;
    let (amount, direction) = signed(&mapped, &node.get("transactionAmount"), debits)?;
    let text_of = |field, name| mapped.text(field, node.get(name));
    let date = |field, name| mapped.read(field, node.get(name), |node| node.date());
    let text = node.get("transactionDetails");
    Ok(Transaction {
        bank_transaction_id: mapped
            .read("bank_transaction_id", node.get("cardTransactionId"), |node| node.identifier())?,
        entry_reference: None,
        end_to_end_id: None,
        mandate_id: None,
        status: mapped.ruled("status", &node.get("status"), booking_status)?.unwrap_or(status),
        amount,
        direction,
        booking_date: date("booking_date", "bookingDate")?,
        // Many banks tell of a card only when it was used.
        value_date: match date("value_date", "valueDate")? {
            None => node.get("transactionDate").date()?,
            told => told,
        },
        booked_at: None,
        creditor_name: text_of("creditor_name", "creditorName")?.map(Pii::from),
        creditor_account: None,
        debtor_name: text_of("debtor_name", "debtorName")?.map(Pii::from),
        debtor_account: None,
        remittance: mapped
            .read("remittance", text, |node| node.texts("reference"))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        references: Vec::new(),
        bank_transaction_code: text_of("bank_transaction_code", "bankTransactionCode")?,
        proprietary_code: text_of("proprietary_code", "proprietaryBankTransactionCode")?,
        merchant_category_code: text_of("merchant_category_code", "merchantCategoryCode")?,
        balance_after: None,
    })
}
