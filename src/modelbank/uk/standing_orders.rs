//! Domestic standing orders: one payment, again and again.

use domain::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;

use super::initiation::{self, day, missing, money, payee, remittance};
use super::orders::Service;
use super::refusal::Refusal;
use super::scheduled::permission;
use super::version::Version;
use super::wishes;
use crate::bank::Bank;
use crate::engine::{ConsentState, Every, Instruction, Order, OrderState, Plan, Rhythm, Transfer};

pub(super) static DOMESTIC: Service = Service {
    name: "domestic-standing-order",
    id: "DomesticStandingOrderId",
    prefixes: ("dsc-", "dso-"),
    product: "standing-order",
    judge,
    read,
    begins: ConsentState::Awaiting,
    more: |_, _| Vec::new(),
    status,
};

const FREQUENCY: &str = "Data.Initiation.MandateRelatedInformation.Frequency";

fn judge(bank: &Bank, version: Version, body: &Value) -> Result<(), Refusal> {
    permission(body)?;
    let mandate = body.pointer("/Data/Initiation/MandateRelatedInformation").is_some();
    match (version, mandate) {
        (Version::V4, false) => return Err(missing("Data.Initiation.MandateRelatedInformation")),
        (Version::V3, true) => {
            let path = "Data.Initiation.MandateRelatedInformation";
            return Err(Refusal::field("U005", "The field is not known here", path));
        }
        (Version::V4, true) | (Version::V3, false) => {}
    }
    wishes::judge_risk(bank, body)
}

/// Where the setting up of a standing order stands. What its days bring is a matter of the
/// account's transactions.
fn status(order: &Order, _: Timestamp) -> &'static str {
    match order.state {
        OrderState::Received | OrderState::Approved(_) => "RCVD",
        OrderState::Waiting(_) | OrderState::Executed(_) => "INCO",
        OrderState::Rejected(..) => "RJCT",
        OrderState::Cancelled(_) => "CANC",
    }
}

fn read(bank: &Bank, body: &Value) -> Result<Instruction, Refusal> {
    let initiation = initiation::of(body)?;
    // Version 3.1 has the members of the mandate in the initiation itself.
    let mandate = initiation.get("MandateRelatedInformation").unwrap_or(initiation);
    let at = |name: &str, path| day(bank, mandate.get(name), path);
    let first_path = "Data.Initiation.FirstPaymentDateTime";
    let first = at("FirstPaymentDateTime", first_path)?.unwrap_or(bank.today());
    let then = at("RecurringPaymentDateTime", "Data.Initiation.RecurringPaymentDateTime")?;
    let last = at("FinalPaymentDateTime", "Data.Initiation.FinalPaymentDateTime")?;
    if last.is_some_and(|last| last < first) || then.is_some_and(|then| then <= first) {
        return Err(Refusal::field("U003", "The dates are not in order", first_path));
    }
    let every = every(mandate, then.unwrap_or(first))?;
    let amount = |name: &str, path| match initiation.get(name) {
        Some(found) => money(Some(found), path).map(|(amount, _)| Some(amount)),
        None => Ok(None),
    };
    let path = "Data.Initiation.FirstPaymentAmount";
    let first_amount = amount("FirstPaymentAmount", path)?.ok_or_else(|| missing(path))?;
    let usual = amount("RecurringPaymentAmount", "Data.Initiation.RecurringPaymentAmount")?;
    let rhythm = Rhythm {
        last,
        most: number(initiation)?,
        then: Some(then.unwrap_or(first)),
        first_amount: usual.map(|_| first_amount),
        last_amount: amount("FinalPaymentAmount", "Data.Initiation.FinalPaymentAmount")?,
        ..Rhythm::from(first, every)
    };
    let transfer = transfer(initiation, usual.unwrap_or(first_amount))?;
    Ok(Instruction { plan: Plan::Repeating(rhythm), ..Instruction::single(transfer) })
}

/// A standing order has no end-to-end name; its mandate or reference stands for it.
fn transfer(initiation: &Value, amount: Decimal) -> Result<Transfer, Refusal> {
    let (creditor_name, creditor_account) = payee(initiation)?;
    let named = ["/MandateRelatedInformation/MandateIdentification", "/Reference"];
    let structured = "/RemittanceInformation/Structured/0/CreditorReferenceInformation/Reference";
    let name = named.into_iter().chain([structured]).find_map(|name| initiation.pointer(name)?.as_str());
    let reference = initiation.get("Reference").and_then(Value::as_str).map(str::to_owned);
    Ok(Transfer {
        amount,
        currency: "GBP".to_owned(),
        creditor_name: creditor_name.to_owned(),
        creditor_account: creditor_account.to_owned(),
        remittance: reference.unwrap_or_else(|| remittance(initiation)),
        end_to_end: name.map(str::to_owned),
        outcome: None,
    })
}

fn number(initiation: &Value) -> Result<Option<usize>, Refusal> {
    let Some(number) = initiation.get("NumberOfPayments") else { return Ok(None) };
    let number = number.as_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    let path = "Data.Initiation.NumberOfPayments";
    number.map(Some).ok_or_else(|| Refusal::field("U002", "The number is not valid", path))
}

/// How often a mandate repeats: as on the day `from`, where it does not say.
fn every(mandate: &Value, from: Date) -> Result<Every, Refusal> {
    let unsupported = || Refusal::field("U025", "The frequency is not supported", FREQUENCY);
    let frequency = mandate.get("Frequency").ok_or_else(|| missing(FREQUENCY))?;
    let kind = frequency.as_str().or_else(|| frequency.get("Type")?.as_str());
    let kind = kind.ok_or_else(|| missing(FREQUENCY))?;
    if frequency.get("CountPerPeriod").is_some_and(|count| count != 1) {
        return Err(unsupported());
    }
    let point = match frequency.get("PointInTime") {
        None => None,
        Some(point) => {
            Some(point.as_str().and_then(|point| point.parse::<i8>().ok()).ok_or_else(unsupported)?)
        }
    };
    by_code(kind, point, from).or_else(|| by_schedule(kind)).ok_or_else(unsupported)
}

/// A code of version 4.0 and its point in time.
fn by_code(code: &str, point: Option<i8>, from: Date) -> Option<Every> {
    let weeks = |every| Every::Weeks(every, point.or(Some(from.weekday().to_monday_one_offset())));
    let months = |every| Every::Months(every, point.or(Some(from.day())));
    let every = match code {
        "DAIL" => Every::Days(1),
        "WODL" => Every::Workday,
        "WEEK" => weeks(1),
        "FRTN" => weeks(2),
        "FOWK" => weeks(4),
        "MNTH" => months(1),
        "TWMH" | "ALMH" => months(2),
        "QURT" => months(3),
        "FOMH" => months(4),
        "FIMH" => months(5),
        "MIAN" => months(6),
        "YEAR" => months(12),
        _ => return None,
    };
    let most = if matches!(every, Every::Weeks(..)) { 7 } else { 31 };
    point.is_none_or(|point| (1..=most).contains(&point)).then_some(every)
}

/// A schedule, as both versions write it: `IntrvlMnthDay:01:15`.
fn by_schedule(text: &str) -> Option<Every> {
    let mut parts = text.split(':');
    let (name, first, second) = (parts.next()?, parts.next(), parts.next());
    let number = |part: Option<&str>, range: std::ops::RangeInclusive<i8>| {
        let part = part.filter(|part| part.len() == 2 || (part.len() == 3 && part.starts_with('-')))?;
        part.parse::<i8>().ok().filter(|number| range.contains(number))
    };
    let weekday = || number(second, 1..=7);
    let every = match (name, first) {
        ("EvryDay", None) => Every::Days(1),
        ("EvryWorkgDay", None) => Every::Workday,
        ("IntrvlDay", days) => Every::Days(u16::try_from(number(days, 2..=31)?).ok()?),
        ("IntrvlWkDay", weeks) => Every::Weeks(u16::try_from(number(weeks, 1..=9)?).ok()?, Some(weekday()?)),
        ("WkInMnthDay", week) => Every::WeekdayOfMonth(u8::try_from(number(week, 1..=5)?).ok()?, weekday()?),
        ("IntrvlMnthDay", months) => {
            let months = number(months, 1..=24).filter(|months| matches!(months, 1..=6 | 12 | 24))?;
            let day = number(second, -5..=31).filter(|day| *day != 0)?;
            Every::Months(u16::try_from(months).ok()?, Some(day))
        }
        ("QtrDay", Some("ENGLISH")) => Every::YearDays(vec![(3, 25), (6, 24), (9, 29), (12, 25)]),
        ("QtrDay", Some("SCOTTISH")) => Every::YearDays(vec![(2, 2), (5, 15), (8, 1), (11, 11)]),
        ("QtrDay", Some("RECEIVED")) => Every::YearDays(vec![(3, 20), (6, 19), (9, 24), (12, 20)]),
        _ => return None,
    };
    let wanted = if matches!(name, "EvryDay" | "EvryWorkgDay") { 1 } else { 2 };
    let wanted = if matches!(name, "IntrvlWkDay" | "WkInMnthDay" | "IntrvlMnthDay") { 3 } else { wanted };
    (text.split(':').count() == wanted).then_some(every)
}
