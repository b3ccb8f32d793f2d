//! What foreign money costs at any bank: fixed rates, so that amounts can be foreseen.

use rust_decimal::Decimal;

/// Value of one unit of a currency, in ten-thousandths of a euro.
const RATES: [(&str, i64); 11] = [
    ("EUR", 10_000),
    ("GBP", 11_600),
    ("USD", 9_200),
    ("CHF", 10_500),
    ("PLN", 2_300),
    ("CZK", 400),
    ("SEK", 880),
    ("NOK", 860),
    ("DKK", 1_340),
    ("CAD", 6_700),
    ("AUD", 6_000),
];

/// What one unit of `currency` costs in `account`, to four places; `None` where the bank
/// trades one of them not.
pub(crate) fn rate(currency: &str, account: &str) -> Option<Decimal> {
    let value = |wanted: &str| RATES.iter().find(|(code, _)| *code == wanted).map(|(_, value)| *value);
    let (of, to) = (Decimal::from(value(currency)?), Decimal::from(value(account)?));
    of.checked_div(to).map(|rate| rate.round_dp(4))
}

/// An amount in the currency of an account, to two places.
pub(crate) fn cost(amount: Decimal, currency: &str, account: &str) -> Option<Decimal> {
    if currency == account {
        return Some(amount);
    }
    amount.checked_mul(rate(currency, account)?).map(|cost| cost.round_dp(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_costs_its_rate_and_what_is_not_traded_has_none() {
        let ten = Decimal::TEN;
        assert_eq!(cost(ten, "USD", "EUR"), Some(Decimal::new(920, 2)));
        assert_eq!(cost(ten, "EUR", "GBP"), Some(Decimal::new(862, 2)));
        assert_eq!(cost(ten, "XAU", "XAU"), Some(ten));
        assert_eq!(cost(ten, "XAU", "EUR"), None);
    }
}
