//! Carrying orders out: money moves once for each day of an order.

use domain::Timestamp;
use rust_decimal::Decimal;

use super::book::{Book, Entry, ScaState, Subject};
use super::exchange;
use super::magic::magic_reason;
use super::order::{Order, OrderState, Outcome, Transfer};
use super::people::{Account, accounts};
use crate::BankKind;

impl Book {
    /// Notes a request to carry out every transfer of an order.
    pub(crate) fn note_asked(&mut self, transfers: &[Transfer]) {
        for transfer in transfers {
            let asked = self.asked.entry(transfer.end_to_end.clone().unwrap_or_default()).or_default();
            *asked = asked.saturating_add(1);
        }
    }

    /// Carries out an approved order, as it was approved.
    pub(crate) fn confirm(&mut self, kind: BankKind, order: &str, now: Timestamp) {
        let approved = self.orders.get(order);
        let approved = approved.filter(|order| matches!(order.state, OrderState::Approved(_)));
        if let Some(debtor) = approved.and_then(|order| order.debtor.clone()) {
            self.execute(kind, order, &debtor, now, false);
        }
    }

    /// Carries out an approved order from `debtor`, now or when its day comes: money
    /// moves, or the order is rejected with an ISO 20022 reason.
    pub(crate) fn execute(&mut self, kind: BankKind, id: &str, debtor: &str, now: Timestamp, declined: bool) {
        let undecided =
            |order: &&mut Order| matches!(order.state, OrderState::Received | OrderState::Approved(_));
        let Some(order) = self.orders.get_mut(id).filter(undecided) else { return };
        order.debtor = Some(debtor.to_owned());
        let known = accounts(kind).iter().any(|account| account.id == debtor);
        let refused = if !known { Some("AC01") } else { declined.then_some("AM21") };
        if let Some(reason) = refused {
            order.state = OrderState::Rejected(reason.to_owned(), now);
            return;
        }
        order.state = OrderState::Waiting(now);
        self.waiting.insert(id.to_owned());
        self.catch_up(kind, now);
    }

    /// True if something is to be carried out by now.
    pub(crate) fn lags(&self, now: Timestamp) -> bool {
        self.first_due().is_some_and(|(due, _)| due <= now)
    }

    /// Carries out all that is due by now, in the order of its days.
    pub(crate) fn catch_up(&mut self, kind: BankKind, now: Timestamp) {
        while let Some((due, id)) = self.first_due().filter(|(due, _)| *due <= now) {
            self.carry_out(kind, &id, due);
        }
    }

    fn first_due(&self) -> Option<(Timestamp, String)> {
        let waiting = self.waiting.iter().filter_map(|id| Some((self.orders.get(id)?.due()?, id)));
        waiting.min().map(|(due, id)| (due, id.clone()))
    }

    /// Takes an order back, what was carried out excepted; whether it still could be.
    pub(crate) fn cancel(&mut self, id: &str, now: Timestamp) -> bool {
        let Some(order) = self.orders.get_mut(id).filter(|order| order.is_open()) else { return false };
        order.state = OrderState::Cancelled(now);
        self.waiting.remove(id);
        let subjects = [Subject::Order(id.to_owned()), Subject::Cancellation(id.to_owned())];
        let asked = self.authorisations.values_mut().filter(|asked| subjects.contains(&asked.subject));
        for authorisation in asked.filter(|asked| asked.state.waits()) {
            authorisation.state = ScaState::Failed;
        }
        true
    }

    /// Carries an order out once.
    fn carry_out(&mut self, kind: BankKind, id: &str, at: Timestamp) {
        let Some(mut order) = self.orders.remove(id) else { return };
        let from = accounts(kind).iter().find(|account| Some(account.id) == order.debtor.as_deref());
        let done = order.carried.len();
        for number in 0..order.transfers.len() {
            let Some(mut transfer) = order.transfers.get(number).cloned() else { continue };
            transfer.amount = order.plan.amount(done, transfer.amount);
            let outcome = match self.debit(from, &transfer, at) {
                Ok((from, debit)) => {
                    let name = entry_name(&order, number);
                    self.move_money(kind, &name, &transfer, (from, debit), at);
                    Outcome::Executed(at)
                }
                Err(reason) => Outcome::Rejected(reason.to_owned(), at),
            };
            if let Some(tried) = order.transfers.get_mut(number) {
                tried.outcome = Some(outcome);
            }
        }
        order.concludes(at);
        if order.due().is_none() {
            self.waiting.remove(id);
        }
        self.orders.insert(id.to_owned(), order);
    }

    /// What a transfer takes from an account, or the ISO 20022 reason against it.
    fn debit(
        &self,
        from: Option<&'static Account>,
        transfer: &Transfer,
        at: Timestamp,
    ) -> Result<(&'static Account, Decimal), &'static str> {
        let from = from.ok_or("AC01")?;
        if let Some(reason) = magic_reason(transfer.amount) {
            return Err(reason);
        }
        let cost = exchange::cost(transfer.amount, &transfer.currency, from.currency).ok_or("AM03")?;
        if self.available(from, at) < cost { Err("AM04") } else { Ok((from, cost)) }
    }

    fn move_money(
        &mut self,
        kind: BankKind,
        name: &str,
        transfer: &Transfer,
        (from, debit): (&Account, Decimal),
        at: Timestamp,
    ) {
        let entry = |account: &str, suffix: &str, amount: Decimal, counterparty: &str, other: &str| Entry {
            id: format!("{name}-{suffix}"),
            account: account.to_owned(),
            at,
            amount,
            counterparty: counterparty.to_owned(),
            counterparty_account: other.to_owned(),
            remittance: transfer.remittance.clone(),
            end_to_end: transfer.end_to_end.clone(),
        };
        let (creditor, number) = (&transfer.creditor_name, &transfer.creditor_account);
        let out = debit.checked_mul(Decimal::NEGATIVE_ONE).unwrap_or_default();
        self.entries.push(entry(from.id, "d", out, creditor, number));
        let ours = accounts(kind)
            .iter()
            .find(|account| account.iban == *number || account.sort_code_account() == *number);
        if let Some(to) = ours {
            let credit = exchange::cost(debit, from.currency, to.currency).unwrap_or(debit);
            self.entries.push(entry(to.id, "c", credit, from.owner, from.iban));
        }
    }
}

impl Order {
    /// Takes note that each transfer was tried on one of its days.
    fn concludes(&mut self, at: Timestamp) {
        let reasons = self.transfers.iter().filter_map(|transfer| match &transfer.outcome {
            Some(Outcome::Rejected(reason, _)) => Some(reason.clone()),
            Some(Outcome::Executed(_)) | None => None,
        });
        let reasons: Vec<String> = reasons.collect();
        if let (true, Some(reason)) = (reasons.len() == self.transfers.len(), reasons.first()) {
            self.state = OrderState::Rejected(reason.clone(), at);
            return;
        }
        self.carried.push(at);
        if self.due().is_none() {
            self.state = OrderState::Executed(at);
        }
    }
}

/// What the entries of a transfer are called: as the order, where it is its only one.
fn entry_name(order: &Order, number: usize) -> String {
    let done = order.carried.len();
    match (order.plan.rhythm(), order.transfers.len()) {
        (None, 1) => order.id.clone(),
        (None, _) => format!("{}-{number}", order.id),
        (Some(_), _) => format!("{}-{done}", order.id),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::order::Instruction;
    use super::super::plan::{Every, Plan, Rhythm};
    use super::*;

    const KIND: BankKind = BankKind::BerlinGroupRedirect;
    const DEBTOR: &str = "rhb-10017";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn transfer(name: &str, cents: i64) -> Transfer {
        Transfer {
            amount: Decimal::new(cents, 2),
            currency: "EUR".into(),
            creditor_name: "Ben Yilmaz".into(),
            creditor_account: "DE42999100002000000018".into(),
            remittance: String::new(),
            end_to_end: Some(name.into()),
            outcome: None,
        }
    }

    /// A book with one order, approved on New Year's Day of 2026 at noon.
    fn book(transfers: Vec<Transfer>, plan: Plan) -> Book {
        let now = at("2026-01-01T12:00:00Z");
        let asked = Instruction { transfers, plan };
        let order = Order::received("o".into(), "tpp".into(), "sepa", asked, now, Default::default());
        let mut book = Book { orders: BTreeMap::from([("o".to_owned(), order)]), ..Book::default() };
        book.execute(KIND, "o", DEBTOR, now, false);
        book
    }

    fn monthly(last: &str) -> Plan {
        let rhythm = Rhythm::from("2026-01-15".parse().unwrap(), Every::Months(1, None));
        Plan::Repeating(Rhythm { last: last.parse().ok(), ..rhythm })
    }

    /// The status after catching up, and how often money moved.
    fn after(book: &mut Book, now: &str) -> (&'static str, usize) {
        book.catch_up(KIND, at(now));
        let moved = book.entries.iter().filter(|entry| entry.account == DEBTOR).count();
        (book.orders["o"].status(at(now)), moved)
    }

    #[test]
    fn a_dated_order_moves_money_once_when_its_day_begins() {
        let mut book = book(vec![transfer("e", 100)], Plan::On("2026-01-15".parse().unwrap()));
        assert_eq!(after(&mut book, "2026-01-14T23:59:59Z"), ("ACCP", 0));
        assert_eq!(after(&mut book, "2026-01-15T00:00:00.1Z"), ("ACSP", 1));
        assert_eq!(after(&mut book, "2026-03-01T00:00:00Z"), ("ACSC", 1));
        assert_eq!(book.entries[0].at, at("2026-01-15T00:00:00Z"));
        assert!(!book.cancel("o", at("2026-03-01T00:00:00Z")) && book.waiting.is_empty());
    }

    #[test]
    fn an_order_that_repeats_moves_money_once_a_time_and_ends() {
        let mut book = book(vec![transfer("e", 100)], monthly("2026-03-15"));
        assert_eq!(after(&mut book, "2026-01-14T00:00:00Z"), ("ACCP", 0));
        assert_eq!(after(&mut book, "2026-01-20T00:00:00Z"), ("ACSP", 1));
        assert_eq!(after(&mut book, "2026-01-21T00:00:00Z"), ("ACSP", 1));
        assert_eq!(after(&mut book, "2026-12-01T00:00:00Z"), ("ACSC", 3));
        let moved: Vec<_> = book.orders["o"].moved().into_iter().filter_map(|moved| moved.at).collect();
        assert_eq!(
            moved,
            ["2026-01-15", "2026-02-15", "2026-03-15"].map(|day| at(&format!("{day}T00:00:00Z")))
        );
        let names: Vec<_> = book.entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(names, ["o-0-d", "o-0-c", "o-1-d", "o-1-c", "o-2-d", "o-2-c"]);
    }

    #[test]
    fn an_order_that_finds_no_funds_on_its_day_is_rejected_that_day() {
        let mut book = book(vec![transfer("e", 150_000)], monthly("2026-03-15"));
        assert_eq!(after(&mut book, "2026-02-14T00:00:00Z"), ("ACSP", 1));
        assert_eq!(after(&mut book, "2026-02-20T00:00:00Z"), ("RJCT", 1));
        let expected = OrderState::Rejected("AM04".into(), at("2026-02-15T00:00:00Z"));
        assert_eq!(book.orders["o"].state, expected);
        assert_eq!(after(&mut book, "2026-12-01T00:00:00Z"), ("RJCT", 1));
    }

    #[test]
    fn an_order_is_cancelled_until_its_last_day() {
        let mut book = book(vec![transfer("e", 100)], monthly("2026-03-15"));
        assert_eq!(after(&mut book, "2026-01-20T00:00:00Z").1, 1);
        assert!(book.cancel("o", at("2026-01-20T00:00:00Z")));
        assert!(!book.cancel("o", at("2026-01-20T00:00:00Z")));
        assert_eq!(after(&mut book, "2026-12-01T00:00:00Z"), ("CANC", 1));
    }

    #[test]
    fn each_transfer_of_a_batch_has_a_state_of_its_own() {
        let transfers = vec![transfer("a", 100), transfer("b", 404), transfer("c", 9_999_900)];
        let mut book = book(transfers, Plan::AtOnce);
        let (status, moved) = after(&mut book, "2026-01-02T00:00:00Z");
        assert_eq!((status, moved), ("PART", 1));
        let order = &book.orders["o"];
        let each: Vec<_> =
            order.transfers.iter().map(|each| order.status_of(each, at("2026-01-02T00:00:00Z"))).collect();
        assert_eq!(each, ["ACSC", "RJCT", "RJCT"]);
        let executed: Vec<_> = order.moved().into_iter().map(|moved| moved.at.is_some()).collect();
        assert_eq!(executed, [true, false, false]);
    }

    #[test]
    fn foreign_money_costs_its_rate() {
        let dollars = Transfer { currency: "USD".into(), ..transfer("e", 10_000) };
        let book = book(vec![dollars], Plan::AtOnce);
        assert_eq!(book.entries[0].amount, Decimal::new(-9_200, 2));
    }
}
