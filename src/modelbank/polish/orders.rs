//! What payments of each kind ask for, by the names of PolishAPI 2.1.

use domain::{Currency, Iban, Money};
use jiff::civil::Date;
use serde_json::Value;

use super::refusal::Refusal;
use crate::bank::Bank;
use crate::engine::{Account, Consent, Every, Instruction, OffDay, Plan, Rhythm, Transfer, accounts};

/// A kind of order, and of transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Domestic,
    /// In the European Economic Area.
    Eea,
    NonEea,
    /// Many transfers of one of the kinds above.
    Bundle,
    /// One of them, again and again.
    Recurring,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Domestic, Self::Eea, Self::NonEea, Self::Bundle, Self::Recurring];

    /// Its name in paths and, with `pis:` before it, among privileges.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Domestic => "domestic",
            Self::Eea => "EEA",
            Self::NonEea => "nonEEA",
            Self::Bundle => "bundle",
            Self::Recurring => "recurring",
        }
    }

    /// The member in which a TPP names an order.
    pub(super) fn tpp_name(self) -> &'static str {
        match self {
            Self::Domestic | Self::Eea | Self::NonEea => "tppTransactionId",
            Self::Bundle => "tppBundleId",
            Self::Recurring => "tppRecurringPaymentId",
        }
    }

    /// What was authorised of this kind.
    pub(super) fn authorised(self, details: &Value) -> Option<&Value> {
        details.pointer("/privilegeList/0")?.get(format!("pis:{}", self.name()))
    }

    /// What a body asks for; transfers that are alone are named by nobody yet.
    pub(super) fn instruction(self, body: &Value) -> Result<Instruction, Refusal> {
        match self {
            Self::Domestic | Self::Eea | Self::NonEea => {
                Ok(Instruction { plan: plan(body)?, ..Instruction::single(self.transfer(body)?) })
            }
            Self::Bundle => bundle(body),
            Self::Recurring => {
                let kind = one_of(body, "typeOfPayment")?;
                let payment = body.get(format!("{}Payment", kind.name()));
                let payment = payment.ok_or(Refusal::format("The payment of the type is missing"))?;
                let plan = Plan::Repeating(rhythm(body.get("recurrence"))?);
                Ok(Instruction { plan, ..Instruction::single(kind.transfer(payment)?) })
            }
        }
    }

    fn transfer(self, body: &Value) -> Result<Transfer, Refusal> {
        let money = self.money(body)?;
        let account = self.account(body)?;
        let lines = body.pointer("/recipient/nameAddress/value").and_then(Value::as_array);
        let fit = |line: &Value| line.as_str().is_some_and(|line| line.chars().count() <= 35);
        let lines = lines.filter(|lines| (1..=4).contains(&lines.len()) && lines.iter().all(fit));
        let name = lines.and_then(|lines| lines.first()?.as_str());
        let name = name.ok_or(Refusal::format("nameAddress is missing or not valid"))?;
        let description = text(body, "/transferData/description").filter(|text| text.chars().count() <= 140);
        let description = description.ok_or(Refusal::format("description is missing or too long"))?;
        self.made_so(body)?;
        Ok(Transfer {
            amount: money.amount(),
            currency: money.currency().code().to_owned(),
            creditor_name: name.to_owned(),
            creditor_account: account,
            remittance: description.to_owned(),
            end_to_end: text(body, "/tppTransactionId").map(str::to_owned),
            outcome: None,
        })
    }

    fn money(self, body: &Value) -> Result<Money, Refusal> {
        let told = text(body, "/transferData/currency");
        let currency = if self == Self::Domestic { Some("PLN") } else { told };
        let amount = || {
            let currency: Currency = currency?.parse().ok()?;
            let places = text(body, "/transferData/amount")?;
            // Two places, always.
            let two = places.split_once('.').is_some_and(|(_, places)| places.len() == 2);
            Money::parse(places, currency).ok().filter(|money| two && !money.amount().is_zero())
        };
        let money = amount().ok_or(Refusal::format("amount or currency is missing or not valid"))?;
        if told.is_some_and(|told| told != money.currency().code()) {
            return Err(Refusal::unprocessable("Domestic transfers are in PLN"));
        }
        Ok(money)
    }

    fn account(self, body: &Value) -> Result<String, Refusal> {
        let number = text(body, "/recipient/accountNumber").unwrap_or_default();
        let national = number.len() == 26 && number.bytes().all(|byte| byte.is_ascii_digit());
        let iban = if national { format!("PL{number}") } else { number.to_owned() };
        let invalid = Refusal::format("accountNumber is not valid");
        if let Ok(iban) = iban.parse::<Iban>() {
            return Ok(iban.as_str().to_owned());
        }
        let abroad = self == Self::NonEea && (1..=34).contains(&number.len());
        if abroad { Ok(number.to_owned()) } else { Err(invalid) }
    }

    /// Judges system, speed and whatever else says how a transfer is made.
    fn made_so(self, body: &Value) -> Result<(), Refusal> {
        let ways: &[(&str, &[&str])] = match self {
            Self::Domestic => &[("Elixir", &["StandardD1"]), ("ExpressElixir", &["ExpressD0"])],
            Self::Eea => &[
                ("SEPA", &["StandardD1", "ExpressD0"]),
                ("InstantSEPA", &["ExpressD0"]),
                ("Target", &["ExpressD0"]),
            ],
            Self::NonEea => &[("Swift", &["ExpressD0", "UrgentD1", "StandardD2"])],
            Self::Bundle | Self::Recurring => &[],
        };
        let (system, speed) = (text(body, "/system"), text(body, "/deliveryMode"));
        let fits = ways.iter().any(|(known, speeds)| {
            system == Some(*known) && speed.is_some_and(|speed| speeds.contains(&speed))
        });
        if !fits {
            return Err(Refusal::unprocessable("The bank makes no such transfers by this system so fast"));
        }
        let sepa = matches!(system, Some("SEPA" | "InstantSEPA"));
        if sepa && text(body, "/transferData/currency") != Some("EUR") {
            return Err(Refusal::unprocessable("SEPA transfers are in EUR"));
        }
        if self == Self::NonEea {
            text(body, "/recipientBank/bicOrSwift").ok_or(Refusal::format("bicOrSwift is missing"))?;
            if body.get("transferCharges").is_some_and(|who| !["SHA", "OUR", "BEN"].iter().any(|w| who == w))
            {
                return Err(Refusal::format("transferCharges are not known"));
            }
        }
        Ok(())
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The kind of transfer that a member names.
fn one_of(body: &Value, member: &str) -> Result<Kind, Refusal> {
    let named = body.get(member).and_then(Value::as_str).unwrap_or_default();
    let kinds = [Kind::Domestic, Kind::Eea, Kind::NonEea];
    let kind = kinds.into_iter().find(|kind| kind.name() == named);
    kind.ok_or(Refusal::unprocessable("The bank makes domestic, EEA and nonEEA transfers only"))
}

fn bundle(body: &Value) -> Result<Instruction, Refusal> {
    let kind = one_of(body, "typeOfTransfers")?;
    let list = body.get(format!("{}Transfers", kind.name())).and_then(Value::as_array);
    let list = list.filter(|list| !list.is_empty());
    let list = list.ok_or(Refusal::format("The transfers of the type are missing"))?;
    let transfers = list.iter().map(|one| {
        let transfer = kind.transfer(one)?;
        let named = transfer.end_to_end.is_some();
        if named { Ok(transfer) } else { Err(Refusal::format("tppTransactionId is missing")) }
    });
    let transfers = transfers.collect::<Result<Vec<_>, _>>()?;
    let plans = list.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    let plan = plans.first().cloned().unwrap_or_default();
    let from = |one: &Value| one.pointer("/sender/accountNumber").cloned();
    let sender = list.first().and_then(from);
    if plans.iter().any(|other| *other != plan) || list.iter().any(|one| from(one) != sender) {
        return Err(Refusal::unprocessable("The transfers of a bundle have one sender and one date here"));
    }
    let instruction = Instruction { transfers, plan };
    let total = text(body, "/transfersTotalAmount").and_then(|total| total.parse().ok());
    if total != Some(instruction.total()) {
        return Err(Refusal::format("transfersTotalAmount is not the sum"));
    }
    Ok(instruction)
}

fn plan(body: &Value) -> Result<Plan, Refusal> {
    let day = body.pointer("/transferData/executionDate");
    match (text(body, "/executionMode"), day) {
        (None | Some("Immediate"), None) => Ok(Plan::AtOnce),
        (Some("FutureDated"), Some(day)) => date(day).map(Plan::On),
        (Some("FutureDated" | "Immediate") | None, _) => {
            Err(Refusal::format("executionDate and the mode FutureDated belong together"))
        }
        (Some(_), _) => Err(Refusal::format("executionMode is not known")),
    }
}

fn date(found: &Value) -> Result<Date, Refusal> {
    let date = found.as_str().and_then(|text| text.parse().ok());
    date.ok_or(Refusal::format("A date cannot be read"))
}

fn rhythm(recurrence: Option<&Value>) -> Result<Rhythm, Refusal> {
    let recurrence = recurrence.ok_or(Refusal::format("recurrence is missing"))?;
    let first = recurrence.get("startDate").ok_or(Refusal::format("startDate is missing"))?;
    let number = recurrence.pointer("/frequency/periodValue").and_then(Value::as_u64);
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    let number = number.ok_or(Refusal::format("periodValue is not valid"))?;
    let every = match text(recurrence, "/frequency/periodType") {
        Some("day") => Every::Days(number),
        Some("week") => Every::Weeks(number, None),
        Some("month") => Every::Months(number, None),
        Some(_) | None => return Err(Refusal::format("periodType is not known")),
    };
    let off_day = match text(recurrence, "/dayOffOffsetType") {
        Some("before") => OffDay::Preceding,
        Some("after") => OffDay::Following,
        Some(_) | None => return Err(Refusal::format("dayOffOffsetType is missing or not known")),
    };
    let last = recurrence.get("endDate").map(date).transpose()?;
    let rhythm = Rhythm { last, off_day, ..Rhythm::from(date(first)?, every) };
    rhythm.day(0).ok_or(Refusal::unprocessable("endDate is before startDate"))?;
    Ok(rhythm)
}

/// What an authorization asks for: an order whose day is not over.
pub(super) fn checked(details: &Value, today: Date) -> Result<(), Refusal> {
    let (_, asked) = found(details)?;
    let first = match &asked.plan {
        Plan::AtOnce => return Ok(()),
        Plan::On(day) => *day,
        Plan::Repeating(rhythm) => rhythm.first,
    };
    if first < today { Err(Refusal::unprocessable("The date is over")) } else { Ok(()) }
}

fn found(details: &Value) -> Result<(Kind, Instruction), Refusal> {
    let asked = Kind::ALL.into_iter().find_map(|kind| Some((kind, kind.authorised(details)?)));
    let (kind, body) = asked.ok_or(Refusal::unprocessable("The bank makes no such orders"))?;
    Ok((kind, kind.instruction(body)?))
}

/// What the authorization to pay asks for; it was checked before.
pub(crate) fn asked(consent: &Consent) -> Option<Instruction> {
    found(&consent.body).ok().map(|(_, asked)| asked)
}

/// The account that a transfer to be approved names to be paid from.
pub(crate) fn asked_debtor(bank: &Bank, consent: &Consent) -> Option<&'static str> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.authorised(&consent.body).is_some())?;
    let body = kind.authorised(&consent.body)?;
    let first = match kind {
        Kind::Domestic | Kind::Eea | Kind::NonEea => body,
        Kind::Bundle => {
            body.get(format!("{}Transfers", one_of(body, "typeOfTransfers").ok()?.name()))?.get(0)?
        }
        Kind::Recurring => body.get(format!("{}Payment", one_of(body, "typeOfPayment").ok()?.name()))?,
    };
    let number = first.pointer("/sender/accountNumber")?.as_str()?;
    let named = |account: &&Account| account.iban == number || account.iban.get(2..) == Some(number);
    accounts(bank.kind).iter().find(named).map(|account| account.id)
}
