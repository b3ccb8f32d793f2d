//! Accounts and balances of the standard.

use connect::{BankError, MapTarget};
use domain::{
    Account, AccountIdentification, AccountStatus, AccountUsage, Balance, BalanceType, CreditDebit, Decimal,
    Money, Pii,
};

use crate::mapped::{Mapped, Rules, direction};
use crate::node::Node;

/// How the bank writes what the PSU owes: accounts with a minus, card accounts as their
/// `debitAccounting` says.
#[derive(Clone, Copy)]
pub(super) enum Debits {
    /// With a minus.
    Negative,
    /// As positive amounts, and what comes in with a minus.
    Positive,
}

impl Debits {
    /// As a card account, or an answer with its balances or entries, says.
    pub(super) fn of(node: &Node<'_>) -> Result<Self, BankError> {
        let positive = node.get("debitAccounting").boolean()?.unwrap_or(false);
        Ok(if positive { Self::Positive } else { Self::Negative })
    }

    fn direction(self, number: Decimal) -> CreditDebit {
        CreditDebit::of(match self {
            Self::Negative => number,
            Self::Positive => -number,
        })
    }
}

/// `accountDetails`.
pub(crate) fn account(rules: &Rules<'_>, node: &Node<'_>) -> Result<Account, BankError> {
    details(rules, node, Debits::Negative)
}

/// `accountDetails` or `cardAccountDetails`, which have the same members.
pub(super) fn details(rules: &Rules<'_>, node: &Node<'_>, debits: Debits) -> Result<Account, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Accounts, node)?;
    let display = node.get("displayName");
    let display = if display.text()?.is_some() { display } else { node.get("name") };
    let mut balances = Vec::new();
    for entry in node.get("balances").items()? {
        balances.push(balance_by(rules, &entry, debits)?);
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
        resource_id: mapped.read("resource_id", node.get("resourceId"), |node| node.required_id())?,
        identifications: identifications(node)?,
        currency: mapped.read("currency", node.get("currency"), account_currency)?,
        display_name: mapped.text("display_name", display)?.map(Pii::from),
        product: mapped.text("product", node.get("product"))?,
        holders: mapped
            .read_or("holders", &node.get("ownerName"), |node| node.texts("name"), || holders(node))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        cash_account_type: mapped.text("cash_account_type", node.get("cashAccountType"))?,
        usage,
        status,
        bic: mapped.text("bic", node.get("bic"))?,
        balances,
    })
}

fn holders(node: &Node<'_>) -> Result<Vec<String>, BankError> {
    let mut holders = Vec::new();
    holders.extend(node.get("ownerName").text()?);
    for owner in node.get("ownerNames").items()? {
        let name = if owner.is_object() { owner.get("name").text()? } else { owner.text()? };
        holders.extend(name);
    }
    Ok(holders)
}

/// `XXX` stands for a multi-currency account, which has none.
fn account_currency(currency: &Node<'_>) -> Result<Option<domain::Currency>, BankError> {
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

/// An account that an entry names, or a rule by its IBAN.
pub(super) fn counterparty(node: &Node<'_>) -> Result<Option<AccountIdentification>, BankError> {
    if node.is_object() {
        return Ok(identifications(node)?.into_iter().next());
    }
    Ok(node.text()?.map(iban_or_other))
}

/// `balance` of an account.
pub(crate) fn balance(rules: &Rules<'_>, node: &Node<'_>) -> Result<Balance, BankError> {
    balance_by(rules, node, Debits::Negative)
}

/// `balance`.
pub(super) fn balance_by(rules: &Rules<'_>, node: &Node<'_>, debits: Debits) -> Result<Balance, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Balances, node)?;
    let (amount, direction) = signed(&mapped, &node.get("balanceAmount"), debits)?;
    let kind = mapped.read("type", node.get("balanceType"), |node| node.required_text())?;
    let included = node.get("creditLimitIncluded");
    Ok(Balance {
        kind: balance_type(&kind),
        amount,
        direction,
        credit_line_included: mapped.read("credit_line_included", included, |node| node.boolean())?,
        reference_date: mapped.read("reference_date", node.get("referenceDate"), |node| node.date())?,
        last_change_at: mapped
            .read("last_change_at", node.get("lastChangeDateTime"), |node| node.instant())?,
    })
}

/// An amount whose sign is its direction, unless a rule tells the direction.
pub(super) fn signed(
    mapped: &Mapped<'_>,
    place: &Node<'_>,
    debits: Debits,
) -> Result<(Money, CreditDebit), BankError> {
    let unit = mapped.read("currency", place.get("currency"), |node| node.required_currency())?;
    let (money, number) = mapped.read("amount", place.get("amount"), |amount| amount.signed_amount(unit))?;
    let told = mapped.ruled("direction", &place.get("amount"), direction)?;
    Ok((money, told.unwrap_or(debits.direction(number))))
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
