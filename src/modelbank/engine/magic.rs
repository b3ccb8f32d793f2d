//! Amounts and names with which something particular happens at any bank.

use rust_decimal::Decimal;

/// Hundredths of a payment that takes a day to settle.
pub(super) const SLOW_CENTS: i64 = 707;
/// How long that is.
pub(super) const SLOW_SETTLEMENT_MS: i64 = 86_400_000;

/// ISO 20022: there is not enough money.
pub(super) const SHORT: &str = "AM04";

/// Amounts, in hundredths of any currency, with which a payment at any bank comes to
/// something particular: an ISO 20022 reason, or none for the slow one.
pub const MAGIC_AMOUNTS: [(i64, Option<&str>, &str); 4] = [
    (404, Some("AC04"), "rejected: the creditor's account is closed"),
    (511, Some(SHORT), "rejected: insufficient funds; a question about funds is answered no"),
    (606, Some("MS03"), "rejected: no reason stated"),
    (SLOW_CENTS, None, "in process (`ACSP`) for a day, then settled"),
];

/// A name that no bank says anything about.
pub(super) const UNVERIFIABLE: &str = "Verify Nobody";

/// Names of payees about which any bank answers something particular.
pub const MAGIC_NAMES: [(&str, &str); 1] = [(UNVERIFIABLE, "cannot be verified at any bank")];

pub(super) fn magic_reason(amount: Decimal) -> Option<&'static str> {
    let (_, reason, _) = MAGIC_AMOUNTS.iter().find(|(cents, ..)| amount == Decimal::new(*cents, 2))?;
    *reason
}
