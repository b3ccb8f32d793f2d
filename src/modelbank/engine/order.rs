//! Payment orders: what is to be moved, when, and how far that has come.

use std::collections::BTreeSet;

use domain::Timestamp;
use jiff::ToSpan;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::book::elapsed_ms;
use super::magic::{SLOW_CENTS, SLOW_SETTLEMENT_MS};
use super::plan::Plan;

/// How long a payment takes from acceptance to settlement, in milliseconds.
pub(super) const SETTLEMENT_MS: i64 = 250;
/// How long until a payment is in process, in milliseconds.
const ACCEPTANCE_MS: i64 = 60;

/// Where an order stands, apart from the passing of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OrderState {
    /// The customer has not approved it.
    Received,
    /// The customer approved it at this time; the TPP has not confirmed it.
    Approved(Timestamp),
    /// It may be carried out since this time, and its day has not come or others follow.
    Waiting(Timestamp),
    /// Money moved at this time, for the last time.
    Executed(Timestamp),
    /// ISO 20022 reason, and when.
    Rejected(String, Timestamp),
    /// Taken back at this time.
    Cancelled(Timestamp),
}

/// What became of one transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// Money moved at this time.
    Executed(Timestamp),
    /// ISO 20022 reason, and when.
    Rejected(String, Timestamp),
}

/// One transfer of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) amount: Decimal,
    pub(crate) currency: String,
    pub(crate) creditor_name: String,
    pub(crate) creditor_account: String,
    pub(crate) remittance: String,
    pub(crate) end_to_end: Option<String>,
    /// The last time it was tried; none before.
    #[serde(default)]
    pub(crate) outcome: Option<Outcome>,
}

/// A transfer and when it moved money, if it did.
pub(crate) struct Moved<'a> {
    pub(crate) transfer: &'a Transfer,
    pub(crate) amount: Decimal,
    pub(crate) at: Option<Timestamp>,
}

/// What an order asks for, whatever its shape.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    /// At least one.
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) plan: Plan,
}

impl Instruction {
    /// One transfer, at once.
    pub(crate) fn single(transfer: Transfer) -> Self {
        Self { transfers: vec![transfer], plan: Plan::AtOnce }
    }

    /// The sum of its transfers, whatever their currencies.
    pub(crate) fn total(&self) -> Decimal {
        sum(&self.transfers)
    }

    /// What is to be approved, as a customer reads it: date, frequency, number and total
    /// included.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = match self.transfers.as_slice() {
            [transfer] => transfer.facts(),
            transfers => {
                let mut facts =
                    vec![("Transfers", transfers.len().to_string()), ("Total", totals(transfers).join(", "))];
                let line = |transfer: &Transfer| {
                    format!("{} {} to {}", transfer.amount, transfer.currency, transfer.creditor_name)
                };
                facts.extend(transfers.iter().map(|transfer| ("Transfer", line(transfer))));
                facts
            }
        };
        facts.extend(self.plan.facts());
        facts
    }
}

impl Transfer {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("Amount", format!("{} {}", self.amount, self.currency)),
            ("To", self.creditor_name.clone()),
            ("Account", self.creditor_account.clone()),
        ];
        if !self.remittance.is_empty() {
            facts.push(("Reference", self.remittance.clone()));
        }
        facts
    }

    /// Milliseconds from execution to settlement.
    fn settlement_ms(&self) -> i64 {
        if self.amount == Decimal::new(SLOW_CENTS, 2) { SLOW_SETTLEMENT_MS } else { SETTLEMENT_MS }
    }

    fn was_rejected(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Rejected(..)))
    }
}

/// The sum of transfers, whatever their currencies.
fn sum<'a>(transfers: impl IntoIterator<Item = &'a Transfer>) -> Decimal {
    transfers.into_iter().fold(Decimal::ZERO, |sum, transfer| sum.saturating_add(transfer.amount))
}

/// The sum of transfers, by currency.
fn totals(transfers: &[Transfer]) -> Vec<String> {
    let currencies: BTreeSet<&str> = transfers.iter().map(|transfer| transfer.currency.as_str()).collect();
    let total = |currency: &str| sum(transfers.iter().filter(|transfer| transfer.currency == currency));
    currencies.into_iter().map(|currency| format!("{} {currency}", total(currency))).collect()
}

/// One payment order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) tpp: String,
    pub(crate) consent: Option<String>,
    pub(crate) product: String,
    pub(crate) created: Timestamp,
    pub(crate) user: Option<String>,
    pub(crate) debtor: Option<String>,
    /// Every customer who approved.
    #[serde(default)]
    pub(crate) approvals: BTreeSet<String>,
    pub(crate) transfers: Vec<Transfer>,
    #[serde(default)]
    pub(crate) plan: Plan,
    /// When money moved, once for each of its days.
    #[serde(default)]
    pub(crate) carried: Vec<Timestamp>,
    pub(crate) state: OrderState,
    /// As ordered.
    pub(crate) body: Value,
}

impl Order {
    /// One that arrives now, and that nobody has approved.
    pub(crate) fn received(
        id: String,
        tpp: String,
        product: impl Into<String>,
        asked: Instruction,
        now: Timestamp,
        body: Value,
    ) -> Self {
        Self {
            id,
            tpp,
            consent: None,
            product: product.into(),
            created: now,
            user: None,
            debtor: None,
            approvals: BTreeSet::new(),
            transfers: asked.transfers,
            plan: asked.plan,
            carried: Vec::new(),
            state: OrderState::Received,
            body,
        }
    }

    /// What it asks for.
    pub(crate) fn instruction(&self) -> Instruction {
        Instruction { transfers: self.transfers.clone(), plan: self.plan.clone() }
    }

    /// The sum of its transfers, whatever their currencies.
    pub(crate) fn total(&self) -> Decimal {
        sum(&self.transfers)
    }

    /// Each transfer and each time it moved money, or once where it has not.
    pub(crate) fn moved(&self) -> Vec<Moved<'_>> {
        match (self.plan.rhythm(), self.transfers.first()) {
            (Some(_), Some(transfer)) if !self.carried.is_empty() => {
                let amount = |done| self.plan.amount(done, transfer.amount);
                let times = self.carried.iter().enumerate();
                times.map(|(done, at)| Moved { transfer, amount: amount(done), at: Some(*at) }).collect()
            }
            (Some(_) | None, _) => {
                let once = self.transfers.iter();
                let at = |transfer| self.executed_at(transfer);
                once.map(|each| Moved { transfer: each, amount: each.amount, at: at(each) }).collect()
            }
        }
    }

    fn executed_at(&self, transfer: &Transfer) -> Option<Timestamp> {
        match (&transfer.outcome, &self.state) {
            (Some(Outcome::Executed(at)), _) | (None, OrderState::Executed(at)) => Some(*at),
            (Some(Outcome::Rejected(..)) | None, _) => None,
        }
    }

    /// True if it may still be taken back.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, OrderState::Received | OrderState::Approved(_) | OrderState::Waiting(_))
    }

    /// When it is to be carried out next, if it may be.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let OrderState::Waiting(since) = self.state else { return None };
        self.plan.due(self.carried.len(), since)
    }

    /// ISO 20022 reason of its rejection.
    pub(crate) fn reason(&self) -> Option<&str> {
        match &self.state {
            OrderState::Rejected(reason, _) => Some(reason),
            OrderState::Received
            | OrderState::Approved(_)
            | OrderState::Waiting(_)
            | OrderState::Executed(_)
            | OrderState::Cancelled(_) => None,
        }
    }

    /// The ISO 20022 status at `now`.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        match self.state {
            OrderState::Received if !self.approvals.is_empty() => "PATC",
            OrderState::Received => "RCVD",
            OrderState::Approved(_) => "ACCP",
            OrderState::Waiting(_) if self.carried.is_empty() => "ACCP",
            OrderState::Waiting(_) => "ACSP",
            OrderState::Rejected(..) => "RJCT",
            OrderState::Cancelled(_) => "CANC",
            OrderState::Executed(at) => {
                let settled = elapsed_ms(at, now) >= self.settlement_ms();
                let partly = self.transfers.iter().any(Transfer::was_rejected);
                if settled && partly { "PART" } else { self.settled_after(at, self.settlement_ms(), now) }
            }
        }
    }

    /// The ISO 20022 status of one of its transfers at `now`.
    pub(crate) fn status_of(&self, transfer: &Transfer, now: Timestamp) -> &'static str {
        match &transfer.outcome {
            Some(Outcome::Rejected(..)) => "RJCT",
            Some(Outcome::Executed(at)) if self.plan.rhythm().is_none() => self.settling(*at, transfer, now),
            Some(Outcome::Executed(_)) | None => self.status(now),
        }
    }

    /// The ISO 20022 status of a transfer that moved money at this time.
    pub(crate) fn settling(&self, at: Timestamp, transfer: &Transfer, now: Timestamp) -> &'static str {
        self.settled_after(at, transfer.settlement_ms(), now)
    }

    fn settled_after(&self, at: Timestamp, settlement_ms: i64, now: Timestamp) -> &'static str {
        match elapsed_ms(at, now) {
            ..ACCEPTANCE_MS if self.plan == Plan::AtOnce => "RCVD",
            passed if passed < settlement_ms => "ACSP",
            _ => "ACSC",
        }
    }

    /// Milliseconds from execution until all of it is settled.
    fn settlement_ms(&self) -> i64 {
        let moved = self.transfers.iter().filter(|transfer| !transfer.was_rejected());
        moved.map(Transfer::settlement_ms).max().unwrap_or(SETTLEMENT_MS)
    }

    /// When the status of `now` began.
    pub(crate) fn status_since(&self, now: Timestamp) -> Timestamp {
        match self.state {
            OrderState::Received => self.created,
            OrderState::Waiting(at) => self.carried.first().copied().unwrap_or(at),
            OrderState::Approved(at) | OrderState::Rejected(_, at) | OrderState::Cancelled(at) => at,
            OrderState::Executed(at) => {
                let step = match elapsed_ms(at, now) {
                    ..ACCEPTANCE_MS => 0,
                    passed if passed < self.settlement_ms() => ACCEPTANCE_MS,
                    _ => self.settlement_ms(),
                };
                at.checked_add(step.milliseconds()).unwrap_or(at)
            }
        }
    }
}
