//! Transactions of the standard, and the two older formats it lets banks send:
//! camt.05x and MT940.

use connect::{BankError, BankErrorKind, BankResponse, NextPage, Page, Profile};
use domain::{BookingStatus, CreditDebit, Transaction};

use super::reading::identifications;
use super::sca::link_text;
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
    let report = root.get("transactions");
    if !report.exists() && root.get("_links").get("download").exists() {
        let links = root.get("_links");
        let download = links.get("download");
        return Err(BankError::new(bank, BankErrorKind::Unsupported).at(download.pointer()));
    }
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
            items.push(transaction(entry, status)?);
        }
    }
    if !report.is_object() {
        return Err(report.malformed());
    }
    let links = report.get("_links");
    let next = links.get("next");
    let next = match (link_text(&next)?, &profile.accounts_api) {
        (Some(link), Some(api)) => Some(NextPage::of(profile, &api.url, &link, &next.pointer())?),
        _ => None,
    };
    Ok(Page { items, next })
}

fn transaction(node: &Node<'_>, status: BookingStatus) -> Result<Transaction, BankError> {
    let (amount, number) = node.get("transactionAmount").signed_money("amount", "currency")?;
    let (remittance, references) = remittance(node)?;
    let after = node.get("balanceAfterTransaction");
    let balance_after = if after.exists() {
        let (money, number) = after.get("balanceAmount").signed_money("amount", "currency")?;
        Some((money, CreditDebit::of(number)))
    } else {
        None
    };
    let (creditor, debtor) = (node.get("creditorAccount"), node.get("debtorAccount"));
    Ok(Transaction {
        bank_transaction_id: node.get("transactionId").identifier()?,
        entry_reference: node.get("entryReference").identifier()?,
        end_to_end_id: node.get("endToEndId").identifier()?,
        mandate_id: node.get("mandateId").identifier()?,
        status,
        amount,
        direction: CreditDebit::of(number),
        booking_date: node.get("bookingDate").date()?,
        value_date: node.get("valueDate").date()?,
        booked_at: node.get("bookingDateTime").instant()?,
        creditor_name: node.get("creditorName").text()?,
        creditor_account: identifications(&creditor)?.into_iter().next(),
        debtor_name: node.get("debtorName").text()?,
        debtor_account: identifications(&debtor)?.into_iter().next(),
        remittance,
        references,
        bank_transaction_code: node.get("bankTransactionCode").text()?,
        proprietary_code: node.get("proprietaryBankTransactionCode").text()?,
        merchant_category_code: node.get("merchantCategoryCode").text()?,
        balance_after,
    })
}

/// Free texts and structured references: a text, an object or a list of either,
/// in the member for one as in the member for many.
fn remittance(node: &Node<'_>) -> Result<(Vec<String>, Vec<String>), BankError> {
    let gathered = |names: [&str; 2]| -> Result<Vec<String>, BankError> {
        let mut found: Vec<String> = Vec::new();
        for name in names {
            for text in node.get(name).texts("reference")? {
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        Ok(found)
    };
    let mut texts =
        gathered(["remittanceInformationUnstructured", "remittanceInformationUnstructuredArray"])?;
    let references = gathered(["remittanceInformationStructured", "remittanceInformationStructuredArray"])?;
    if texts.is_empty() {
        texts.extend(node.get("additionalInformation").text()?);
    }
    Ok((texts, references))
}
