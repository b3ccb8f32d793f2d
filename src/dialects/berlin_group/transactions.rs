//! Transactions of the standard, and the two older formats it lets banks send:
//! camt.05x and MT940.

use connect::{BankError, BankErrorKind, BankResponse, MapTarget, Page, Profile};
use domain::{BookingStatus, CreditDebit, Pii, Transaction};

use super::cards;
use super::reading::{Debits, counterparty, signed};
use super::sca::next_of;
use crate::mapped::{Mapped, Rules, booking_status};
use crate::node::Node;

/// Reads a successful answer in whichever format it came.
pub(crate) fn transactions_of(
    profile: &Profile,
    response: &BankResponse,
) -> Result<Page<Transaction>, BankError> {
    let bank = &profile.id;
    let media = response.header_text("content-type").unwrap_or_default().to_ascii_lowercase();
    let start = response.body.trim_ascii_start();
    if media.contains("xml") || start.starts_with(b"<?xml") {
        return Ok(Page { items: crate::camt::transactions(bank, &response.body)?, next: None });
    }
    if media.starts_with("text/") || start.starts_with(b":20:") {
        return Ok(Page { items: crate::mt940::transactions(bank, &response.body)?, next: None });
    }
    let body = crate::node::parse(bank, &response.body)?;
    let root = Node::root(bank, &body);
    let of_card = root.get("cardTransactions").exists();
    let report = root.get(if of_card { "cardTransactions" } else { "transactions" });
    if !report.exists() && root.get("_links").of_any("download").exists() {
        let links = root.get("_links");
        let download = links.of_any("download");
        return Err(BankError::new(bank, BankErrorKind::Unsupported).at(download.pointer()));
    }
    let rules = Rules::of(profile);
    let debits = Debits::of(&root)?;
    let read = |entry: &Node<'_>, status| {
        if of_card {
            cards::transaction(&rules, entry, status, debits)
        } else {
            transaction(&rules, entry, status)
        }
    };
    let mut items = Vec::new();
    for (name, status) in [
        ("booked", BookingStatus::Booked),
        ("pending", BookingStatus::Pending),
        ("information", BookingStatus::Information),
    ] {
        let list = report.get(name);
        let entries = list.items()?;
        items.reserve(entries.len());
        for entry in &entries {
            items.push(read(entry, status)?);
        }
    }
    if !report.is_object() {
        return Err(report.malformed());
    }
    // A profile's own tests are read without an address too.
    let next = if profile.accounts_api.is_some() { next_of(profile, &report)? } else { None };
    Ok(Page { items, next })
}

pub(super) fn transaction(
    rules: &Rules<'_>,
    node: &Node<'_>,
    status: BookingStatus,
) -> Result<Transaction, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Transactions, node)?;
    let (amount, direction) = signed(&mapped, &node.get("transactionAmount"), Debits::Negative)?;
    let text = node.get("remittanceInformationUnstructured");
    let reference = node.get("remittanceInformationStructured");
    let after = node.get("balanceAfterTransaction");
    let balance_after = if after.exists() {
        let (money, number) = after.get("balanceAmount").signed_money("amount", "currency")?;
        Some((money, CreditDebit::of(number)))
    } else {
        None
    };
    let id = |field, name| mapped.read(field, node.get(name), |node| node.identifier());
    let text_of = |field, name| mapped.text(field, node.get(name));
    let date = |field, name| mapped.read(field, node.get(name), |node| node.date());
    let account = |field, name| mapped.read(field, node.get(name), counterparty);
    Ok(Transaction {
        bank_transaction_id: id("bank_transaction_id", "transactionId")?,
        entry_reference: id("entry_reference", "entryReference")?,
        end_to_end_id: id("end_to_end_id", "endToEndId")?.map(Pii::from),
        mandate_id: id("mandate_id", "mandateId")?,
        status: mapped.ruled("status", &node.get("status"), booking_status)?.unwrap_or(status),
        amount,
        direction,
        booking_date: date("booking_date", "bookingDate")?,
        value_date: date("value_date", "valueDate")?,
        booked_at: mapped.read("booked_at", node.get("bookingDateTime"), |node| node.instant())?,
        creditor_name: text_of("creditor_name", "creditorName")?.map(Pii::from),
        creditor_account: account("creditor_account", "creditorAccount")?,
        debtor_name: text_of("debtor_name", "debtorName")?.map(Pii::from),
        debtor_account: account("debtor_account", "debtorAccount")?,
        remittance: mapped
            .read_or("remittance", &text, |node| node.texts("reference"), || remittance(node))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        references: mapped
            .read_or("references", &reference, |node| node.texts("reference"), || references(node))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        bank_transaction_code: text_of("bank_transaction_code", "bankTransactionCode")?,
        proprietary_code: text_of("proprietary_code", "proprietaryBankTransactionCode")?,
        merchant_category_code: text_of("merchant_category_code", "merchantCategoryCode")?,
        balance_after,
    })
}

/// Free texts: a text, an object or a list of either, in the member for one as in
/// the member for many.
fn remittance(node: &Node<'_>) -> Result<Vec<String>, BankError> {
    let mut texts =
        gathered(node, ["remittanceInformationUnstructured", "remittanceInformationUnstructuredArray"])?;
    if texts.is_empty() {
        texts.extend(node.get("additionalInformation").text()?);
    }
    Ok(texts)
}

/// Structured references, the same.
fn references(node: &Node<'_>) -> Result<Vec<String>, BankError> {
    gathered(node, ["remittanceInformationStructured", "remittanceInformationStructuredArray"])
}

fn gathered(node: &Node<'_>, names: [&str; 2]) -> Result<Vec<String>, BankError> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        for text in node.get(name).texts("reference")? {
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    Ok(found)
}
