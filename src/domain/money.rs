//! Money: a decimal amount that knows its currency.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

/// The text is no ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is an ISO 4217 code such as \"EUR\"")]
pub struct InvalidCurrency;

impl Currency {
    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// Places after the decimal point of the smallest unit (2 for EUR, 0 for JPY).
    #[must_use]
    pub fn places(&self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        iso_currency::Currency::from_code(text).map(Self).ok_or(InvalidCurrency)
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(text: String) -> Result<Self, InvalidCurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount without a sign; direction is a [`crate::CreditDebit`] beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// The amount does not fit its currency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not a decimal number such as `12.30`.
    #[error("an amount is a decimal number such as \"12.30\"")]
    NotDecimal,
    /// Below zero.
    #[error("an amount is not negative")]
    Negative,
    /// More places than the currency has.
    #[error("an amount in {currency} has at most {places} decimal places")]
    TooPrecise {
        /// The currency.
        currency: Currency,
        /// Places it allows.
        places: u32,
    },
    /// More than the 18 digits ISO 20022 allows.
    #[error("an amount has at most 13 digits before the decimal point")]
    TooLarge,
}

impl Money {
    /// An amount that can be ordered: no more places than the currency has.
    ///
    /// # Errors
    ///
    /// [`InvalidAmount`] if it is negative, too precise or too large.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, InvalidAmount> {
        Self::bounded(amount, currency, currency.places())
    }

    /// An amount as a bank reports it: up to five places (ISO 20022 amounts).
    ///
    /// # Errors
    ///
    /// [`InvalidAmount`] if it is negative, too precise or too large.
    pub fn reported(amount: Decimal, currency: Currency) -> Result<Self, InvalidAmount> {
        Self::bounded(amount, currency, 5)
    }

    /// Parses an amount that can be ordered, written `^\d{1,13}(\.\d{1,5})?$`.
    ///
    /// # Errors
    ///
    /// [`InvalidAmount`] as [`Money::new`], or if the text is no such number.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, InvalidAmount> {
        if amount.starts_with('-') {
            return Err(InvalidAmount::Negative);
        }
        let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(InvalidAmount::NotDecimal);
        }
        if whole.len() > 13 {
            return Err(InvalidAmount::TooLarge);
        }
        if fraction.len() > 5 {
            return Err(InvalidAmount::TooPrecise { currency, places: currency.places() });
        }
        Self::new(amount.parse().map_err(|_| InvalidAmount::NotDecimal)?, currency)
    }

    fn bounded(amount: Decimal, currency: Currency, places: u32) -> Result<Self, InvalidAmount> {
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(InvalidAmount::Negative);
        }
        if amount.normalize().scale() > places {
            return Err(InvalidAmount::TooPrecise { currency, places });
        }
        if amount >= Decimal::from(10_000_000_000_000_u64) {
            return Err(InvalidAmount::TooLarge);
        }
        Ok(Self { amount: amount.abs(), currency })
    }

    /// No money, in a currency.
    #[must_use]
    pub fn nothing(currency: Currency) -> Self {
        Self { amount: Decimal::ZERO, currency }
    }

    /// The sum of two amounts; `None` in different currencies, or if it is too large.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let same = self.currency == other.currency;
        let sum = self.amount.checked_add(other.amount).filter(|_| same)?;
        Self::new(sum, self.currency).ok()
    }

    /// The sum of amounts; `None` of none, of different currencies, or if it is too large.
    #[must_use]
    pub fn sum(mut amounts: impl Iterator<Item = Self>) -> Option<Self> {
        let first = amounts.next()?;
        amounts.try_fold(first, |sum, amount| sum.checked_add(&amount))
    }

    /// The number.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The number as every API here writes it: at least the currency's places.
    #[must_use]
    pub fn amount_text(&self) -> String {
        let mut amount = self.amount.normalize();
        if amount.scale() < self.currency.places() {
            amount.rescale(self.currency.places());
        }
        amount.to_string()
    }

    /// The number in the currency's smallest units; `None` for one that a bank
    /// reports more precisely than that.
    #[must_use]
    pub fn smallest_units(&self) -> Option<i64> {
        let units = self.amount.checked_mul(Decimal::from(10_i64.checked_pow(self.currency.places())?))?;
        units.normalize().to_string().parse().ok()
    }

    /// An amount in the currency's smallest units.
    ///
    /// # Errors
    ///
    /// [`InvalidAmount`] as [`Money::new`].
    pub fn of_smallest_units(units: i64, currency: Currency) -> Result<Self, InvalidAmount> {
        let scaled = Decimal::try_new(units, currency.places()).map_err(|_| InvalidAmount::NotDecimal)?;
        Self::new(scaled, currency)
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }
}

/// A plain decimal number with an optional sign, at most 18 digits before and 10 after the point.
#[must_use]
pub fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=18).contains(&whole.len()) && fraction.len() <= 10;
    if !fits || !number(whole) || !number(fraction) || digits.ends_with('.') {
        return None;
    }
    text.parse().ok()
}

impl FromStr for Money {
    type Err = InvalidAmount;

    /// Reads an amount as it is displayed: `12.30 EUR`.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (amount, currency) = text.split_once(' ').ok_or(InvalidAmount::NotDecimal)?;
        Self::parse(amount, currency.parse().map_err(|_| InvalidAmount::NotDecimal)?)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount_text(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur() -> Currency {
        "EUR".parse().unwrap()
    }

    #[test]
    fn an_amount_keeps_its_value_and_prints_its_places() {
        assert_eq!(Money::parse("12.3", eur()).unwrap().to_string(), "12.30 EUR");
        assert_eq!(Money::parse("7", "JPY".parse().unwrap()).unwrap().to_string(), "7 JPY");
        assert_eq!(Money::parse("1.000", eur()).unwrap().amount_text(), "1.00");
    }

    #[test]
    fn an_amount_is_counted_in_smallest_units_and_back() {
        for (text, code, units) in
            [("12.3", "EUR", 1_230), ("7", "JPY", 7), ("9999999999999.99", "GBP", 999_999_999_999_999)]
        {
            let money = Money::parse(text, code.parse().unwrap()).unwrap();
            assert_eq!(money.smallest_units(), Some(units));
            assert_eq!(Money::of_smallest_units(units, money.currency()).unwrap(), money);
        }
        let precise = Money::reported("1.2345".parse().unwrap(), eur()).unwrap();
        assert_eq!(precise.smallest_units(), None);
        assert!(Money::of_smallest_units(-1, eur()).is_err());
    }

    #[test]
    fn an_amount_that_no_bank_could_book_is_refused() {
        for text in ["-1", "1.234", "1e3", "", ".5", "5.", "1,00", "12345678901234", "0x1", "+1", "NaN"] {
            assert!(Money::parse(text, eur()).is_err(), "{text}");
        }
    }
}
