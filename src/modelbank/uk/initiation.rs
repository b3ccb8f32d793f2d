//! The parts of `Data.Initiation` that payments of all types share.

use domain::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::engine::{Account, Transfer, accounts};
use crate::habit::Habit;

/// Where `Data.Initiation` lies.
const INITIATION: &str = "/Data/Initiation";

/// `Data.Initiation` of a body.
pub(super) fn of(body: &Value) -> Result<&Value, Refusal> {
    body.pointer(INITIATION).ok_or_else(|| missing("Data.Initiation"))
}

pub(super) fn missing(path: &'static str) -> Refusal {
    Refusal::field("U004", "The field is missing", path)
}

/// A text that has to be there.
pub(super) fn text<'a>(within: &'a Value, pointer: &str, path: &'static str) -> Result<&'a str, Refusal> {
    let found = within.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| missing(path))
}

/// The transfer of an initiation in pounds that names its ends.
pub(super) fn transfer(bank: &Bank, initiation: &Value) -> Result<Transfer, Refusal> {
    if !bank.has(Habit::FieldLeftOut) {
        let path = "Data.Initiation.InstructionIdentification";
        text(initiation, "/InstructionIdentification", path)?;
    }
    let (amount, currency) = money(initiation.get("InstructedAmount"), "Data.Initiation.InstructedAmount")?;
    named(initiation, amount, currency)
}

/// The transfer of an initiation whose amount is known.
pub(super) fn named(initiation: &Value, amount: Decimal, currency: &str) -> Result<Transfer, Refusal> {
    let end_to_end =
        text(initiation, "/EndToEndIdentification", "Data.Initiation.EndToEndIdentification")?.to_owned();
    let (creditor_name, creditor_account) = payee(initiation)?;
    Ok(Transfer {
        amount,
        currency: currency.to_owned(),
        creditor_name: creditor_name.to_owned(),
        creditor_account: creditor_account.to_owned(),
        remittance: remittance(initiation),
        end_to_end: Some(end_to_end),
        outcome: None,
    })
}

pub(super) fn remittance(initiation: &Value) -> String {
    initiation.get("RemittanceInformation").map(|told| words(told).join(" ")).unwrap_or_default()
}

/// The account to pay from, if an order names one.
pub(super) fn debtor(bank: &Bank, body: &Value) -> Result<Option<&'static Account>, Refusal> {
    let member = |name: &str| body.pointer(INITIATION)?.get("DebtorAccount")?.get(name)?.as_str();
    let Some((scheme, identification)) = member("SchemeName").zip(member("Identification")) else {
        return Ok(None);
    };
    let found = accounts(bank.kind).iter().find(|account| match scheme {
        "UK.OBIE.IBAN" => account.iban == identification,
        _ => account.sort_code_account() == identification,
    });
    let path = "Data.Initiation.DebtorAccount.Identification";
    found.map(Some).ok_or_else(|| Refusal::field("U021", "The bank has no such account", path))
}

/// An amount in pounds, and its currency.
pub(super) fn money<'a>(found: Option<&'a Value>, path: &'static str) -> Result<(Decimal, &'a str), Refusal> {
    let found = found.ok_or_else(|| missing(path))?;
    let invalid = || Refusal::field("U002", "The amount is not valid", path);
    let number = found.get("Amount").and_then(Value::as_str).and_then(amount).ok_or_else(invalid)?;
    let currency = found.get("Currency").and_then(Value::as_str).ok_or_else(invalid)?;
    if currency != "GBP" {
        return Err(Refusal::field("U023", "Only GBP is supported", path));
    }
    Ok((number, currency))
}

/// Who is paid: name and account.
pub(super) fn payee(initiation: &Value) -> Result<(&str, &str), Refusal> {
    let scheme_path = "Data.Initiation.CreditorAccount.SchemeName";
    let scheme = text(initiation, "/CreditorAccount/SchemeName", scheme_path)?;
    let account_path = "Data.Initiation.CreditorAccount.Identification";
    let account = text(initiation, "/CreditorAccount/Identification", account_path)?;
    let name = text(initiation, "/CreditorAccount/Name", "Data.Initiation.CreditorAccount.Name")?;
    let fits = match scheme {
        "UK.OBIE.SortCodeAccountNumber" => {
            account.len() == 14 && account.bytes().all(|byte| byte.is_ascii_digit())
        }
        "UK.OBIE.IBAN" => account.parse::<domain::Iban>().is_ok(),
        // Who keeps such an account is said beside it.
        "UK.OBIE.BBAN" => initiation.pointer("/CreditorAgent/Identification").is_some(),
        _ => return Err(Refusal::field("U027", "The scheme is not supported", scheme_path)),
    };
    if fits {
        Ok((name, account))
    } else {
        Err(Refusal::field("U021", "The account is not valid in its scheme", account_path))
    }
}

/// `^\d{1,13}(\.\d{1,5})?$`, more than nothing, and at most two places.
pub(super) fn amount(text: &str) -> Option<Decimal> {
    let currency: domain::Currency = "GBP".parse().ok()?;
    let money = domain::Money::parse(text, currency).ok()?;
    (!money.amount().is_zero()).then(|| money.amount())
}

/// The day of a time that an initiation may name and that is not over.
pub(super) fn day(bank: &Bank, found: Option<&Value>, path: &'static str) -> Result<Option<Date>, Refusal> {
    let Some(found) = found else { return Ok(None) };
    let at: Option<Timestamp> = found.as_str().and_then(|text| text.parse().ok());
    let day = at.map(|at| at.to_zoned(TimeZone::UTC).date());
    let day = day.ok_or_else(|| Refusal::field("U003", "The date cannot be read", path))?;
    if day < bank.today() { Err(Refusal::field("U003", "The date is over", path)) } else { Ok(Some(day)) }
}

/// Every text inside a remittance, whatever its structure.
pub(super) fn words(value: &Value) -> Vec<&str> {
    if let Some(text) = value.as_str() {
        return vec![text];
    }
    if let Some(items) = value.as_array() {
        return items.iter().flat_map(words).collect();
    }
    value.as_object().map(|members| members.values().flat_map(words).collect()).unwrap_or_default()
}
