//! What an operator lets one client pay.

use std::collections::BTreeSet;

use crate::{AccountIdentification, Currency, Money, Order, PaymentOrder, Violations};

/// What an operator lets one client pay: how much, how often, and whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentPolicy {
    /// The most that one payment may be, one amount per currency. Where there are any, a
    /// payment in another currency is refused.
    pub max_per_payment: Vec<Money>,
    /// The most that is ordered on one day (UTC), likewise.
    pub max_per_day: Vec<Money>,
    /// How many payments may be ordered on one day (UTC).
    pub max_payments_per_day: Option<u32>,
    /// Who is paid.
    pub payees: PayeePolicy,
}

/// Who is paid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayeePolicy {
    /// Keyed digests of the accounts that are trusted: the accounts themselves are personal
    /// data, and kept nowhere.
    pub trusted: BTreeSet<String>,
    /// What may be paid to anybody else.
    pub others: Others,
}

/// What may be paid to an account that is not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// As much as to one that is.
    #[default]
    Alike,
    /// At most this in one payment, one amount per currency.
    UpTo(Vec<Money>),
    /// Nothing.
    Refused,
}

impl PaymentPolicy {
    /// Holds an order against all but the day's limits. `digest` makes the keyed digest of an
    /// account.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, by its place in the body that orders it.
    pub fn admit(
        &self,
        order: &Order,
        digest: impl Fn(&AccountIdentification) -> String,
    ) -> Result<(), Violations> {
        let mut violations = Violations::default();
        match order {
            Order::Transfer(transfer) => self.admit_one(transfer, "", &digest, &mut violations),
            Order::Batch(batch) => {
                for (index, transfer) in batch.transfers.iter().enumerate() {
                    self.admit_one(transfer, &format!("/payments/{index}"), &digest, &mut violations);
                }
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    fn admit_one(
        &self,
        order: &PaymentOrder,
        place: &str,
        digest: &impl Fn(&AccountIdentification) -> String,
        violations: &mut Violations,
    ) {
        within(&self.max_per_payment, order.amount, place, "policy.max_per_payment", violations);
        match &self.payees.others {
            Others::Alike => {}
            _ if self.payees.trusted.contains(&digest(&order.creditor_account)) => {}
            Others::UpTo(most) => {
                within(most, order.amount, place, "policy.max_to_untrusted", violations);
            }
            Others::Refused => violations.add(
                format!("{place}/creditor_account"),
                "policy.payee_untrusted",
                "an account that the operator of the gateway lets you pay",
            ),
        }
    }

    /// The most that may be ordered on a day in a currency: none, if that is not limited.
    #[must_use]
    pub fn day_limit(&self, currency: Currency) -> Option<Money> {
        if self.max_per_day.is_empty() { None } else { Some(most_of(&self.max_per_day, currency)) }
    }

    /// Whether a day has limits.
    #[must_use]
    pub fn limits_days(&self) -> bool {
        !self.max_per_day.is_empty() || self.max_payments_per_day.is_some()
    }
}

/// The amount for a currency; nothing, where it is not among them.
fn most_of(limits: &[Money], currency: Currency) -> Money {
    limits.iter().find(|limit| limit.currency() == currency).copied().unwrap_or(Money::nothing(currency))
}

fn within(limits: &[Money], amount: Money, place: &str, code: &'static str, violations: &mut Violations) {
    if limits.is_empty() {
        return;
    }
    let most = most_of(limits, amount.currency());
    if amount.amount() > most.amount() {
        violations.add(format!("{place}/amount/amount"), code, format_args!("at most {most} for you"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Execution, PaymentRisk, PaymentScheme, RemittanceInformation};

    fn euro(text: &str) -> Money {
        Money::parse(text, "EUR".parse().unwrap()).unwrap()
    }

    fn order(amount: Money, iban: &str) -> Order {
        Order::Transfer(PaymentOrder {
            end_to_end_id: "e".into(),
            instruction_id: "i".into(),
            amount,
            debtor_account: None,
            creditor_name: "Corner Bookshop".into(),
            creditor_account: AccountIdentification::Iban(iban.parse().unwrap()),
            remittance: RemittanceInformation::default(),
            scheme: PaymentScheme::SepaCreditTransfer,
            execution: Execution::AtOnce,
            abroad: None,
            risk: PaymentRisk::default(),
        })
    }

    fn codes(policy: &PaymentPolicy, amount: Money, iban: &str) -> Vec<&'static str> {
        let admitted = policy.admit(&order(amount, iban), AccountIdentification::normalised);
        admitted.err().map_or(Vec::new(), |found| found.iter().map(|found| found.code).collect())
    }

    const TRUSTED: &str = "DE42999100002000000018";
    const OTHER: &str = "FR1420041010050500013M02606";

    #[test]
    fn an_amount_and_its_currency_are_held_against_the_limit() {
        let policy = PaymentPolicy { max_per_payment: vec![euro("100")], ..PaymentPolicy::default() };
        assert!(codes(&policy, euro("100.00"), OTHER).is_empty());
        assert_eq!(codes(&policy, euro("100.01"), OTHER), ["policy.max_per_payment"]);
        let pounds = Money::parse("1", "GBP".parse().unwrap()).unwrap();
        assert_eq!(codes(&policy, pounds, OTHER), ["policy.max_per_payment"]);
        assert!(codes(&PaymentPolicy::default(), pounds, OTHER).is_empty());
    }

    #[test]
    fn others_than_the_trusted_are_paid_less_or_not_at_all() {
        let account = AccountIdentification::Iban(TRUSTED.parse().unwrap());
        let payees = |others| PayeePolicy { trusted: [account.normalised()].into(), others };
        let of = |others| PaymentPolicy { payees: payees(others), ..PaymentPolicy::default() };
        let refused = of(Others::Refused);
        assert!(codes(&refused, euro("5000"), TRUSTED).is_empty());
        assert_eq!(codes(&refused, euro("1"), OTHER), ["policy.payee_untrusted"]);
        let less = of(Others::UpTo(vec![euro("10")]));
        assert!(codes(&less, euro("5000"), TRUSTED).is_empty());
        assert!(codes(&less, euro("10"), OTHER).is_empty());
        assert_eq!(codes(&less, euro("10.01"), OTHER), ["policy.max_to_untrusted"]);
    }
}
