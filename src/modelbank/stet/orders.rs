//! What payment requests ask for: transfers in SEPA and abroad, at once, on a day, again
//! and again, or many together.

use domain::{Currency, Iban, Money, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::refusal::Refusal;
use crate::engine::{Every, Instruction, OffDay, Plan, Rhythm, Transfer};

/// Who may bear the charges of a payment that is not SEPA.
const BEARERS: [&str; 3] = ["SHAR", "DEBT", "CRED"];

/// The product and what is asked.
pub(super) fn instruction(body: &Value, today: Date) -> Result<(&'static str, Instruction), Refusal> {
    for required in ["/paymentInformationId", "/creationDateTime", "/initiatingParty/name"] {
        text(body, required).ok_or(Refusal::format("A required field is missing"))?;
    }
    let list = body.get("creditTransferTransaction").and_then(Value::as_array);
    let list = list.filter(|list| !list.is_empty());
    let list = list.ok_or(Refusal::format("creditTransferTransaction is missing"))?;
    if body.get("numberOfTransactions") != Some(&list.len().into()) {
        return Err(Refusal::format("numberOfTransactions is not the number of transactions"));
    }
    if body.get("debtorAccount").is_some() && iban(text(body, "/debtorAccount/iban")).is_none() {
        return Err(Refusal::format("debtorAccount has no valid IBAN"));
    }
    let product = product(body)?;
    let each = list.iter().map(|one| Of { body, one });
    let transfers = each.map(|of| of.transfer(product == "NURG")).collect::<Result<Vec<_>, _>>()?;
    let mut plans = list.iter().map(|one| Of { body, one }.plan(today));
    let plan = plans.next().unwrap_or(Ok(Plan::AtOnce))?;
    if plans.any(|other| other.as_ref().ok() != Some(&plan)) {
        return Err(Refusal::format("All transactions of a request have the same dates here"));
    }
    if plan.rhythm().is_some() && transfers.len() > 1 {
        return Err(Refusal::format("A standing order has one transaction"));
    }
    Ok((product, Instruction { transfers, plan }))
}

fn product(body: &Value) -> Result<&'static str, Refusal> {
    let instant = text(body, "/paymentTypeInformation/localInstrument") == Some("INST");
    match text(body, "/paymentTypeInformation/serviceLevel") {
        Some("SEPA") => Ok(if instant { "SCTInst" } else { "SCT" }),
        Some("NURG") if text(body, "/chargeBearer").is_some_and(|bearer| BEARERS.contains(&bearer)) => {
            Ok("NURG")
        }
        Some("NURG") => Err(Refusal::format("chargeBearer is missing or not known")),
        Some(_) | None => Err(Refusal::format("serviceLevel is neither SEPA nor NURG")),
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn iban(text: Option<&str>) -> Option<Iban> {
    text.and_then(|iban| iban.parse().ok())
}

/// A day, alone or with a time.
fn day(text: &str) -> Result<Date, Refusal> {
    let at = || text.parse::<Timestamp>().ok().map(|at| at.to_zoned(TimeZone::UTC).date());
    let day = if text.len() == 10 { text.parse().ok() } else { at() };
    day.ok_or(Refusal::format("A date cannot be read"))
}

/// One transaction; what it does not state is stated for all.
struct Of<'a> {
    body: &'a Value,
    one: &'a Value,
}

impl<'a> Of<'a> {
    fn either(&self, pointer: &str) -> Option<&'a str> {
        text(self.one, pointer).or_else(|| text(self.body, pointer))
    }

    fn transfer(&self, abroad: bool) -> Result<Transfer, Refusal> {
        let amount = || {
            let currency: Currency = text(self.one, "/instructedAmount/currency")?.parse().ok()?;
            let money = Money::parse(text(self.one, "/instructedAmount/amount")?, currency).ok()?;
            (!money.amount().is_zero() && (abroad || currency.code() == "EUR")).then_some(money)
        };
        let money = amount().ok_or(Refusal::format("instructedAmount is missing or not valid"))?;
        let number = iban(self.either("/beneficiary/creditorAccount/iban"));
        let number = number.map(|iban| iban.as_str().to_owned());
        let other = || self.either("/beneficiary/creditorAccount/other/identification").map(str::to_owned);
        let account = if abroad { number.or_else(other) } else { number };
        let account = account.ok_or(Refusal::format("creditorAccount has no valid IBAN"))?;
        if abroad && self.either("/beneficiary/creditorAgent/bicFi").is_none() {
            return Err(Refusal::format("creditorAgent has no bicFi"));
        }
        let name = self.either("/beneficiary/creditor/name");
        let name = name.ok_or(Refusal::format("The creditor has no name"))?;
        let end_to_end = text(self.one, "/paymentId/endToEndId");
        let end_to_end = end_to_end.ok_or(Refusal::format("endToEndId is missing"))?;
        let remittance = text(self.one, "/remittanceInformation/unstructured/0").unwrap_or_default();
        Ok(Transfer {
            amount: money.amount(),
            currency: money.currency().code().to_owned(),
            creditor_name: name.to_owned(),
            creditor_account: account,
            remittance: remittance.to_owned(),
            end_to_end: Some(end_to_end.to_owned()),
            outcome: None,
        })
    }

    fn plan(&self, today: Date) -> Result<Plan, Refusal> {
        let first = self.either("/requestedExecutionDate").map(day).transpose()?;
        if first.is_some_and(|first| first < today) {
            return Err(Refusal::format("requestedExecutionDate is over"));
        }
        let Some(frequency) = self.either("/frequency") else {
            if ["/endDate", "/executionRule"].iter().any(|name| self.either(name).is_some()) {
                return Err(Refusal::format("A standing order has a frequency"));
            }
            return Ok(Plan::on(first, today));
        };
        let first = first.ok_or(Refusal::format("A standing order has a requestedExecutionDate"))?;
        let off_day = match self.either("/executionRule") {
            None => OffDay::Stays,
            Some("FWNG") => OffDay::Following,
            Some("PREC") => OffDay::Preceding,
            Some(_) => return Err(Refusal::format("executionRule is not known")),
        };
        let last = self.either("/endDate").map(day).transpose()?;
        let rhythm = Rhythm { last, off_day, ..Rhythm::from(first, every(frequency)?) };
        rhythm.day(0).ok_or(Refusal::format("endDate is before requestedExecutionDate"))?;
        Ok(Plan::Repeating(rhythm))
    }
}

fn every(frequency: &str) -> Result<Every, Refusal> {
    Ok(match frequency {
        "DAIL" => Every::Days(1),
        "WEEK" => Every::Weeks(1, None),
        "TOWK" => Every::Weeks(2, None),
        "MNTH" => Every::Months(1, None),
        "TOMN" => Every::Months(2, None),
        "QUTR" => Every::Months(3, None),
        "SEMI" => Every::Months(6, None),
        "YEAR" => Every::Months(12, None),
        _ => return Err(Refusal::format("frequency is not known")),
    })
}
