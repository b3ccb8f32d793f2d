//! What payment bodies ask for: single, periodic and bulk payments of each product
//! (XS2A 5.3).

use domain::{Currency, Iban, Money};
use jiff::civil::Date;
use serde_json::Value;

use axum::http::StatusCode;

use super::refusal::Refusal;
use crate::engine::{Every, Instruction, OffDay, Plan, Rhythm, Transfer};

/// The product that is in any currency.
const CROSS_BORDER: &str = "cross-border-credit-transfers";
/// Products in JSON.
const JSON: [&str; 3] = ["sepa-credit-transfers", "instant-sepa-credit-transfers", CROSS_BORDER];
/// Products in XML.
const XML: [&str; 2] = ["pain.001-sepa-credit-transfers", "pain.001-instant-sepa-credit-transfers"];

/// A payment service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// One transfer.
    Single,
    /// One transfer, again and again.
    Periodic,
    /// Many transfers from one account.
    Bulk,
}

impl Service {
    pub(super) const ALL: [Self; 3] = [Self::Single, Self::Periodic, Self::Bulk];

    /// Its name in paths.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Single => "payments",
            Self::Periodic => "periodic-payments",
            Self::Bulk => "bulk-payments",
        }
    }

    /// The name under which the bank keeps orders of this service and product.
    pub(super) fn kept(self, product: &str) -> String {
        match self {
            Self::Single => product.to_owned(),
            Self::Periodic | Self::Bulk => format!("{}/{product}", self.name()),
        }
    }

    /// Where an order is found.
    pub(super) fn place(self, product: &str, id: &str) -> String {
        format!("/v1/{}/{product}/{id}", self.name())
    }

    /// Refuses products that the bank does not make with this service.
    pub(super) fn knows(self, product: &str) -> Result<(), Refusal> {
        let xml = self != Self::Periodic && XML.contains(&product);
        if xml || JSON.contains(&product) {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::NOT_FOUND, "PRODUCT_UNKNOWN", "The bank has no such product"))
    }

    /// What a body asks for.
    pub(super) fn instruction(
        self,
        product: &str,
        body: &Value,
        today: Date,
    ) -> Result<Instruction, Refusal> {
        if body.get("debtorAccount").is_some() && iban(body, "/debtorAccount/iban").is_none() {
            return Err(Refusal::format("debtorAccount has no valid IBAN"));
        }
        match self {
            Self::Single => {
                let plan = dated(body, today)?;
                Ok(Instruction { plan, ..Instruction::single(transfer(product, body)?) })
            }
            Self::Periodic => {
                let plan = Plan::Repeating(rhythm(body, today)?);
                Ok(Instruction { plan, ..Instruction::single(transfer(product, body)?) })
            }
            Self::Bulk => {
                let payments = body.get("payments").and_then(Value::as_array).filter(|all| !all.is_empty());
                let payments = payments.ok_or(Refusal::format("payments are missing"))?;
                let odd = ["debtorAccount", "requestedExecutionDate", "requestedExecutionTime"];
                if payments.iter().any(|payment| odd.iter().any(|name| payment.get(name).is_some())) {
                    return Err(Refusal::format("A payment states what the bulk states for all"));
                }
                let transfers = payments.iter().map(|payment| transfer(product, payment));
                Ok(Instruction { transfers: transfers.collect::<Result<_, _>>()?, plan: dated(body, today)? })
            }
        }
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn iban(body: &Value, pointer: &str) -> Option<Iban> {
    text(body, pointer).and_then(|iban| iban.parse().ok())
}

fn date(body: &Value, name: &str) -> Result<Option<Date>, Refusal> {
    let Some(found) = body.get(name) else { return Ok(None) };
    let date = found.as_str().and_then(|text| text.parse().ok());
    date.map(Some).ok_or(Refusal::format("A date cannot be read"))
}

/// The day of `requestedExecutionDate`, which is not over.
fn dated(body: &Value, today: Date) -> Result<Plan, Refusal> {
    match date(body, "requestedExecutionDate")? {
        Some(day) if day < today => {
            let text = "requestedExecutionDate is over";
            Err(Refusal::new(StatusCode::BAD_REQUEST, "EXECUTION_DATE_INVALID", text))
        }
        day => Ok(Plan::on(day, today)),
    }
}

fn rhythm(body: &Value, today: Date) -> Result<Rhythm, Refusal> {
    let first = date(body, "startDate")?.ok_or(Refusal::format("startDate is missing"))?;
    let off_day = match body.get("executionRule").map(Value::as_str) {
        None => OffDay::Stays,
        Some(Some("following")) => OffDay::Following,
        Some(Some("preceding")) => OffDay::Preceding,
        Some(_) => return Err(Refusal::format("executionRule is not known")),
    };
    let last = date(body, "endDate")?;
    let rhythm = Rhythm { last, off_day, ..Rhythm::from(first, every(body)?) };
    if first < today || rhythm.day(0).is_none() {
        let text = "startDate is over, or nothing falls between it and endDate";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "PERIOD_INVALID", text));
    }
    Ok(rhythm)
}

fn every(body: &Value) -> Result<Every, Refusal> {
    let day = match body.get("dayOfExecution") {
        None => None,
        Some(day) => {
            let day = day.as_str().and_then(|day| day.parse::<i8>().ok());
            let day = day.filter(|day| (1..=31).contains(day));
            Some(day.ok_or(Refusal::format("dayOfExecution is not valid"))?)
        }
    };
    let frequency = text(body, "/frequency").ok_or(Refusal::format("frequency is missing"))?;
    let months = body.get("monthsOfExecution");
    if months.is_some() != (frequency == "MonthlyVariable") {
        return Err(Refusal::format("monthsOfExecution and MonthlyVariable belong together"));
    }
    Ok(match frequency {
        "Daily" => Every::Days(1),
        "Weekly" => Every::Weeks(1, None),
        "EveryTwoWeeks" => Every::Weeks(2, None),
        "Monthly" => Every::Months(1, day),
        "EveryTwoMonths" => Every::Months(2, day),
        "Quarterly" => Every::Months(3, day),
        "SemiAnnual" => Every::Months(6, day),
        "Annual" => Every::Months(12, day),
        "MonthlyVariable" => {
            let months = months.and_then(Value::as_array).into_iter().flatten();
            let month = |month: &Value| month.as_str()?.parse().ok().filter(|month| (1..=12).contains(month));
            let months: Option<Vec<i8>> = months.map(month).collect();
            let months = months.filter(|months| (1..=11).contains(&months.len()));
            let months = months.ok_or(Refusal::format("monthsOfExecution is not valid"))?;
            Every::YearDays(months.into_iter().map(|month| (month, day.unwrap_or(1))).collect())
        }
        _ => return Err(Refusal::format("frequency is not known")),
    })
}

fn transfer(product: &str, body: &Value) -> Result<Transfer, Refusal> {
    let abroad = product == CROSS_BORDER;
    let amount = || {
        let currency: Currency = text(body, "/instructedAmount/currency")?.parse().ok()?;
        let money = Money::parse(text(body, "/instructedAmount/amount")?, currency).ok()?;
        (!money.amount().is_zero()).then_some(money)
    };
    let money = amount().ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
    if money.currency().code() != "EUR" && !abroad {
        return Err(Refusal::format("SEPA payments are in EUR"));
    }
    let number = iban(body, "/creditorAccount/iban").map(|iban| iban.as_str().to_owned());
    let elsewhere = || text(body, "/creditorAccount/bban").filter(|_| abroad).map(str::to_owned);
    let account = number.or_else(elsewhere);
    let account = account.ok_or(Refusal::format("creditorAccount has no valid IBAN"))?;
    if abroad {
        at_a_bank_abroad(body)?;
    }
    let name = text(body, "/creditorName").filter(|name| name.chars().count() <= 70);
    let name = name.ok_or(Refusal::format("creditorName is missing or too long"))?;
    Ok(Transfer {
        amount: money.amount(),
        currency: money.currency().code().to_owned(),
        creditor_name: name.to_owned(),
        creditor_account: account,
        remittance: text(body, "/remittanceInformationUnstructured").unwrap_or_default().to_owned(),
        end_to_end: text(body, "/endToEndIdentification").map(str::to_owned),
        outcome: None,
    })
}

/// Where no IBAN says who keeps the account, it takes a BIC and the payee's country.
fn at_a_bank_abroad(body: &Value) -> Result<(), Refusal> {
    let bic = body.get("creditorAgent").map(|agent| agent.as_str().is_some_and(is_bic));
    let land = text(body, "/creditorAddress/country").is_some_and(|land| land.len() == 2);
    let known = body.pointer("/creditorAccount/iban").is_some();
    if bic == Some(false) || (!known && bic.is_none()) {
        return Err(Refusal::format("creditorAgent is missing or no BIC"));
    }
    if !land && (!known || body.get("creditorAddress").is_some()) {
        return Err(Refusal::format("creditorAddress has no country"));
    }
    Ok(())
}

/// ISO 9362: bank, country, place and perhaps branch.
fn is_bic(text: &str) -> bool {
    let bank = text.get(..6).is_some_and(|bank| bank.bytes().all(|byte| byte.is_ascii_uppercase()));
    let all = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    bank && all && matches!(text.len(), 8 | 11)
}
