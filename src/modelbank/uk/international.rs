//! International payments, in any currency that the bank trades.

use domain::{Currency, Money, Timestamp};
use jiff::ToSpan;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::initiation::{self, missing, text};
use super::orders::Service;
use super::refusal::Refusal;
use super::wishes;
use crate::bank::Bank;
use crate::engine::{ConsentState, Instruction, Order, exchange};

pub(super) static INTERNATIONAL: Service = Service {
    name: "international-payment",
    id: "InternationalPaymentId",
    prefixes: ("pic-", "pip-"),
    product: "international",
    judge,
    read,
    begins: ConsentState::Awaiting,
    more,
    status: Order::status,
};

/// The currency of every account here.
const OURS: &str = "GBP";
/// Who bears charges.
const BEARERS: [&str; 4] = ["BorneByCreditor", "BorneByDebtor", "FollowingServiceLevel", "Shared"];
/// How long a rate holds, in minutes.
const RATE_MINUTES: i64 = 15;

fn judge(bank: &Bank, _: super::version::Version, body: &Value) -> Result<(), Refusal> {
    let initiation = initiation::of(body)?;
    let bearer = initiation.get("ChargeBearer");
    if bearer.is_some_and(|bearer| !BEARERS.iter().any(|known| bearer == known)) {
        let path = "Data.Initiation.ChargeBearer";
        return Err(Refusal::field("U002", "The charge bearer is not known", path));
    }
    // Nobody has a contract on rates with this bank.
    let wanted = initiation.pointer("/ExchangeRateInformation/RateType").and_then(Value::as_str);
    if wanted == Some("Agreed") {
        let path = "Data.Initiation.ExchangeRateInformation.ContractIdentification";
        return Err(Refusal::field("U002", "The bank knows no such contract", path));
    }
    wishes::judge(bank, body)
}

fn read(_: &Bank, body: &Value) -> Result<Instruction, Refusal> {
    let initiation = initiation::of(body)?;
    let path = "Data.Initiation.InstructionIdentification";
    text(initiation, "/InstructionIdentification", path)?;
    let path = "Data.Initiation.CurrencyOfTransfer";
    let wanted = text(initiation, "/CurrencyOfTransfer", path)?;
    exchange::rate(wanted, OURS).ok_or_else(|| Refusal::field("U023", "The currency is not traded", path))?;
    let (amount, currency) = instructed(initiation)?;
    Ok(Instruction::single(initiation::named(initiation, amount, &currency)?))
}

fn instructed(initiation: &Value) -> Result<(Decimal, String), Refusal> {
    let path = "Data.Initiation.InstructedAmount";
    let found = initiation.get("InstructedAmount").ok_or_else(|| missing(path))?;
    let money = || {
        let currency: Currency = found.get("Currency")?.as_str()?.parse().ok()?;
        Money::parse(found.get("Amount")?.as_str()?, currency).ok().filter(|money| !money.amount().is_zero())
    };
    let money = money().ok_or_else(|| Refusal::field("U002", "The amount is not valid", path))?;
    let code = money.currency().code();
    exchange::rate(code, OURS).ok_or_else(|| Refusal::field("U023", "The currency is not traded", path))?;
    Ok((money.amount(), code.to_owned()))
}

/// The rate, where one is needed.
fn more(made: Timestamp, body: &Value) -> Vec<(&'static str, Value)> {
    let Ok(initiation) = initiation::of(body) else { return Vec::new() };
    let currency = initiation.get("CurrencyOfTransfer").and_then(Value::as_str).unwrap_or(OURS);
    let rate = exchange::rate(currency, OURS).filter(|_| currency != OURS);
    let Some(rate) = rate.and_then(|rate| serde_json::from_str::<Value>(&rate.to_string()).ok()) else {
        return Vec::new();
    };
    let kind = initiation.pointer("/ExchangeRateInformation/RateType").and_then(Value::as_str);
    let mut told = json!({
        "UnitCurrency": currency,
        "ExchangeRate": rate,
        "RateType": kind.unwrap_or("Indicative"),
    });
    let until = made.checked_add(RATE_MINUTES.minutes());
    if let (Some("Actual"), Ok(until), Some(told)) = (kind, until, told.as_object_mut())
        && body.pointer("/Data/ConsentId").is_none()
    {
        told.insert("ExpirationDateTime".into(), until.to_string().into());
    }
    vec![("ExchangeRateInformation", told)]
}
