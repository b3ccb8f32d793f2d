//! Accounts and balances of the standard.

use connect::BankError;
use domain::{
    Account, AccountIdentification, AccountStatus, AccountUsage, Balance, BalanceType, CreditDebit,
};

use crate::node::Node;

/// `accountDetails`.
pub(crate) fn account(node: &Node<'_>) -> Result<Account, BankError> {
    let mut holders = Vec::new();
    holders.extend(node.get("ownerName").text()?);
    for owner in node.get("ownerNames").items()? {
        let name = if owner.is_object() { owner.get("name").text()? } else { owner.text()? };
        holders.extend(name);
    }
    let display = node.get("displayName").text()?;
    let display_name = if display.is_some() { display } else { node.get("name").text()? };
    let mut balances = Vec::new();
    for entry in node.get("balances").items()? {
        balances.push(balance(&entry)?);
    }
    let usage = match node.get("usage").text()?.as_deref() {
        Some("PRIV") => AccountUsage::Private,
        Some("ORGA") => AccountUsage::Organisation,
        Some(_) | None => AccountUsage::Unknown,
    };
    let status = match node.get("status").text()?.as_deref() {
        Some("enabled") => AccountStatus::Enabled,
        Some("blocked") => AccountStatus::Blocked,
        Some("deleted") => AccountStatus::Closed,
        Some(_) | None => AccountStatus::Unknown,
    };
    Ok(Account {
        resource_id: node.get("resourceId").required_id()?,
        identifications: identifications(node)?,
        currency: account_currency(node)?,
        display_name,
        product: node.get("product").text()?,
        holders,
        cash_account_type: node.get("cashAccountType").text()?,
        usage,
        status,
        bic: node.get("bic").text()?,
        balances,
    })
}

/// `XXX` stands for a multi-currency account, which has none.
fn account_currency(node: &Node<'_>) -> Result<Option<domain::Currency>, BankError> {
    let currency = node.get("currency");
    if currency.text()?.as_deref() == Some("XXX") { Ok(None) } else { currency.currency() }
}

/// All identifications of an `accountReference`, the IBAN first. A card number
/// in clear is never kept.
pub(crate) fn identifications(node: &Node<'_>) -> Result<Vec<AccountIdentification>, BankError> {
    let mut found = Vec::new();
    if let Some(text) = node.get("iban").text()? {
        found.push(iban_or_other(text));
    }
    if let Some(text) = node.get("bban").text()? {
        found.push(AccountIdentification::Bban(text));
    }
    if let Some(text) = node.get("maskedPan").text()? {
        found.push(AccountIdentification::MaskedPan(text));
    }
    if let Some(identification) = node.get("msisdn").text()? {
        found.push(AccountIdentification::Other { identification, scheme_name: "MSISDN".into() });
    }
    Ok(found)
}

/// A text in the place of an IBAN that is none (test data, masked accounts)
/// still names an account.
pub(crate) fn iban_or_other(text: String) -> AccountIdentification {
    match text.parse() {
        Ok(iban) => AccountIdentification::Iban(iban),
        Err(_) => AccountIdentification::Other { identification: text, scheme_name: "IBAN".into() },
    }
}

/// `balance`.
pub(crate) fn balance(node: &Node<'_>) -> Result<Balance, BankError> {
    let (amount, number) = node.get("balanceAmount").signed_money("amount", "currency")?;
    Ok(Balance {
        kind: balance_type(&node.get("balanceType").required_word()?),
        amount,
        direction: CreditDebit::of(number),
        credit_line_included: node.get("creditLimitIncluded").boolean()?,
        reference_date: node.get("referenceDate").date()?,
        last_change_at: node.get("lastChangeDateTime").instant()?,
    })
}

/// The names of the standard and the ISO codes some banks send instead.
fn balance_type(name: &str) -> BalanceType {
    match name {
        "closingBooked" | "CLBD" => BalanceType::ClosingBooked,
        "closingAvailable" | "CLAV" => BalanceType::ClosingAvailable,
        "expected" | "XPCD" => BalanceType::Expected,
        "openingBooked" | "OPBD" => BalanceType::OpeningBooked,
        "openingAvailable" | "OPAV" => BalanceType::OpeningAvailable,
        "interimAvailable" | "ITAV" => BalanceType::InterimAvailable,
        "interimBooked" | "ITBD" => BalanceType::InterimBooked,
        "forwardAvailable" | "FWAV" => BalanceType::ForwardAvailable,
        "previouslyClosedBooked" | "PRCD" => BalanceType::PreviouslyClosedBooked,
        _ => BalanceType::Other,
    }
}
