//! What a plugin says of an account beside balances and transactions.

use domain::{
    AccountResource, Beneficiary, DirectDebit, Frequency, Occurrence, OrderStatus, Party, Payee, Pii,
    PostalAddress, ResourceEntry, ScheduledPayment, StandingOrder, Statement,
};

use super::*;
use crate::wit::resources as told;

impl Reading<'_> {
    /// Entries of the kind that was asked for.
    pub(crate) fn resource(
        &self,
        asked: AccountResource,
        entries: told::Entries,
    ) -> Read<Vec<ResourceEntry>> {
        use AccountResource as R;
        use told::Entries as E;
        match (asked, entries) {
            (R::Parties, E::Parties(all)) => {
                self.each(all, asked, |it, _| Ok(ResourceEntry::Party(party(it))))
            }
            (R::Beneficiaries, E::Beneficiaries(all)) => {
                self.each(all, asked, |it, at| self.beneficiary(it, at).map(ResourceEntry::Beneficiary))
            }
            (R::StandingOrders, E::StandingOrders(all)) => {
                self.each(all, asked, |it, at| self.standing_order(it, at).map(ResourceEntry::StandingOrder))
            }
            (R::DirectDebits, E::DirectDebits(all)) => {
                self.each(all, asked, |it, at| self.direct_debit(it, at).map(ResourceEntry::DirectDebit))
            }
            (R::ScheduledPayments, E::ScheduledPayments(all)) => {
                self.each(all, asked, |it, at| self.scheduled(it, at).map(ResourceEntry::ScheduledPayment))
            }
            (R::Statements, E::Statements(all)) => {
                self.each(all, asked, |it, at| self.statement(it, at).map(ResourceEntry::Statement))
            }
            (
                R::Parties
                | R::Beneficiaries
                | R::StandingOrders
                | R::DirectDebits
                | R::ScheduledPayments
                | R::Statements,
                E::Parties(_)
                | E::Beneficiaries(_)
                | E::StandingOrders(_)
                | E::DirectDebits(_)
                | E::ScheduledPayments(_)
                | E::Statements(_),
            ) => Err(self.refused("entries")),
        }
    }

    fn each<T>(
        &self,
        given: Vec<T>,
        kind: AccountResource,
        read: impl Fn(T, &str) -> Read<ResourceEntry>,
    ) -> Read<Vec<ResourceEntry>> {
        let one = |(index, entry)| read(entry, &format!("{kind}[{index}]"));
        given.into_iter().enumerate().map(one).collect()
    }

    fn beneficiary(&self, given: told::Beneficiary, place: &str) -> Read<Beneficiary> {
        Ok(Beneficiary {
            bank_id: text(given.bank_id),
            payee: self.payee(given.payee, place)?,
            reference: text(given.reference).map(Pii::from),
            trusted: given.trusted,
        })
    }

    fn standing_order(&self, given: told::StandingOrder, place: &str) -> Read<StandingOrder> {
        let part =
            |it: Option<told::Occurrence>, field: &str| self.occurrence(it, &format!("{place}.{field}"));
        if given.day.is_some_and(|day| !(1..=31).contains(&day)) {
            return Err(self.refused(&format!("{place}.day")));
        }
        Ok(StandingOrder {
            bank_id: text(given.bank_id),
            status: order_status(given.status),
            frequency: frequency(given.frequency),
            day: given.day,
            first: part(given.first, "first")?,
            next: part(given.next, "next")?,
            previous: part(given.previous, "previous")?,
            last: part(given.last, "last")?,
            remaining: given.remaining,
            payee: self.payee(given.payee, place)?,
            reference: text(given.reference).map(Pii::from),
        })
    }

    fn direct_debit(&self, given: told::DirectDebit, place: &str) -> Read<DirectDebit> {
        Ok(DirectDebit {
            bank_id: text(given.bank_id),
            mandate_id: text(given.mandate_id),
            status: order_status(given.status),
            creditor_name: text(given.creditor_name).map(Pii::from),
            frequency: frequency(given.frequency),
            previous: self.occurrence(given.previous, &format!("{place}.previous"))?,
        })
    }

    fn scheduled(&self, given: told::ScheduledPayment, place: &str) -> Read<ScheduledPayment> {
        let at = format!("{place}.day");
        Ok(ScheduledPayment {
            bank_id: text(given.bank_id),
            date: self.day(Some(given.day), &at)?.ok_or_else(|| self.refused(&at))?,
            arrives: given.arrives,
            amount: self.money(&given.amount, &format!("{place}.amount"))?,
            payee: self.payee(given.payee, place)?,
            reference: text(given.reference).map(Pii::from),
        })
    }

    fn statement(&self, given: told::Statement, place: &str) -> Read<Statement> {
        Ok(Statement {
            bank_id: text(given.bank_id),
            reference: text(given.reference),
            kind: text(given.kind),
            from: self.day(given.from, &format!("{place}.from"))?,
            to: self.day(given.to, &format!("{place}.to"))?,
            created_at: self.instant(given.created_at, &format!("{place}.created-at"))?,
        })
    }

    fn payee(&self, given: told::Payee, place: &str) -> Read<Payee> {
        let account = |number| self.number(number, &format!("{place}.payee.account"));
        Ok(Payee {
            name: text(given.name).map(Pii::from),
            account: given.account.map(account).transpose()?,
            bic: text(given.bic),
        })
    }

    fn occurrence(&self, given: Option<told::Occurrence>, place: &str) -> Read<Option<Occurrence>> {
        let Some(given) = given else { return Ok(None) };
        let money = |money: told::Money| self.money(&money, &format!("{place}.amount"));
        let amount = given.amount.map(money).transpose()?;
        Ok(Some(Occurrence { date: self.day(given.day, &format!("{place}.day"))?, amount }))
    }

    /// An amount without direction.
    fn money(&self, given: &told::Money, place: &str) -> Read<Money> {
        let currency = self.currency(&given.currency, place)?;
        let number = plain_decimal(&given.amount).ok_or_else(|| self.refused(place))?;
        Money::reported(number, currency).map_err(|_| self.refused(place))
    }
}

fn party(given: told::Party) -> Party {
    Party {
        bank_id: text(given.bank_id),
        name: text(given.name).map(Pii::from),
        legal_name: text(given.legal_name).map(Pii::from),
        role: text(given.role),
        emails: texts(given.emails).into_iter().map(Pii::from).collect(),
        phones: texts(given.phones).into_iter().map(Pii::from).collect(),
        addresses: given.addresses.into_iter().map(address).collect(),
    }
}

fn address(given: told::Address) -> PostalAddress {
    PostalAddress {
        lines: texts(given.lines).into_iter().map(Pii::from).collect(),
        street_name: text(given.street_name).map(Pii::from),
        building_number: text(given.building_number).map(Pii::from),
        post_code: text(given.post_code).map(Pii::from),
        town_name: text(given.town_name).map(Pii::from),
        country_sub_division: text(given.country_sub_division).map(Pii::from),
        country: text(given.country).map(Pii::from),
    }
}

fn order_status(status: told::OrderStatus) -> OrderStatus {
    match status {
        told::OrderStatus::Active => OrderStatus::Active,
        told::OrderStatus::Inactive => OrderStatus::Inactive,
        told::OrderStatus::Unknown => OrderStatus::Unknown,
    }
}

fn frequency(frequency: told::Frequency) -> Frequency {
    match frequency {
        told::Frequency::Daily => Frequency::Daily,
        told::Frequency::Weekly => Frequency::Weekly,
        told::Frequency::Fortnightly => Frequency::Fortnightly,
        told::Frequency::Monthly => Frequency::Monthly,
        told::Frequency::EveryTwoMonths => Frequency::EveryTwoMonths,
        told::Frequency::Quarterly => Frequency::Quarterly,
        told::Frequency::SemiAnnual => Frequency::SemiAnnual,
        told::Frequency::Annual => Frequency::Annual,
        told::Frequency::Other => Frequency::Other,
    }
}

#[cfg(test)]
mod tests;
