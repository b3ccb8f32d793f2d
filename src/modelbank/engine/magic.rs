//! Amounts and names with which something particular happens at any bank.

use rust_decimal::Decimal;

/// Hundredths of a payment that takes a day to settle.
pub(super) const SLOW_CENTS: i64 = 707;
/// How long that is.
pub(super) const SLOW_SETTLEMENT_MS: i64 = 86_400_000;

/// ISO 20022: there is not enough money.
pub(super) const SHORT: &str = "AM04";

/// Amounts, in hundredths of any currency, with which a payment at any bank comes to
/// something particular: an ISO 20022 reason, or none where it is not rejected.
pub const MAGIC_AMOUNTS: [(i64, Option<&str>, &str); 5] = [
    (404, Some("AC04"), "rejected: the creditor's account is closed"),
    (511, Some(SHORT), "rejected: insufficient funds; a question about funds is answered no"),
    (606, Some("MS03"), "rejected: no reason stated"),
    (SLOW_CENTS, None, "in process (`ACSP`) for a day, then settled"),
    (KEPT_CENTS, None, "cancelled at a Berlin Group bank once the customer has approved that"),
];

/// Hundredths of a payment that a Berlin Group bank takes back with its customer's approval.
const KEPT_CENTS: i64 = 808;

/// A name that no bank says anything about.
pub(super) const UNVERIFIABLE: &str = "Verify Nobody";

/// Names of payees about which any bank answers something particular.
pub const MAGIC_NAMES: [(&str, &str); 1] = [(UNVERIFIABLE, "cannot be verified at any bank")];

/// Whether a Berlin Group bank takes a payment of this amount back with its customer's approval.
pub(crate) fn is_kept(amount: Decimal) -> bool {
    amount == Decimal::new(KEPT_CENTS, 2)
}

pub(super) fn magic_reason(amount: Decimal) -> Option<&'static str> {
    let (_, reason, _) = MAGIC_AMOUNTS.iter().find(|(cents, ..)| amount == Decimal::new(*cents, 2))?;
    *reason
}
