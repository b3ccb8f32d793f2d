//! How a language writes days, times and amounts.

use domain::{Date, Money, Timestamp};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Text;

/// How a language writes days, times and amounts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Format {
    /// As they stand in a date.
    months: [Text; 12],
    /// The first day of a month.
    first: Text,
    date: Text,
    moment: Text,
    time: Text,
    decimal: Text,
    group: Text,
    /// Digits before the decimal mark from which on they are grouped.
    group_from: usize,
}

impl Format {
    /// A day: `3 May 2026`.
    pub(crate) fn date(&self, date: Date) -> String {
        let month = usize::try_from(date.month().saturating_sub(1)).ok().and_then(|at| self.months.get(at));
        let month = month.map(Text::to_string).unwrap_or_default();
        let day = if date.day() == 1 { self.first.to_string() } else { date.day().to_string() };
        self.date.fill(&[("day", &day), ("month", &month), ("year", &date.year())])
    }

    /// The day of an instant, UTC.
    pub(crate) fn day_of(&self, at: Timestamp) -> String {
        self.date(at.to_zoned(TimeZone::UTC).date())
    }

    /// A time of the day: `10:05 UTC`.
    pub(crate) fn time(&self, at: Timestamp) -> String {
        let at = at.to_zoned(TimeZone::UTC);
        let (hour, minute) = (at.hour(), format!("{:02}", at.minute()));
        self.time.fill(&[("hour", &hour), ("minute", &minute)])
    }

    /// An instant: `3 May 2026, 10:05 UTC`.
    pub(crate) fn moment(&self, at: Timestamp) -> String {
        self.moment.fill(&[("date", &self.day_of(at)), ("time", &self.time(at))])
    }

    /// An amount, which no line break divides: `1,234.56 EUR`.
    pub(crate) fn amount(&self, money: &Money) -> String {
        let number = money.amount_text();
        let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
        let mut text = String::new();
        for (index, digit) in whole.chars().enumerate() {
            let left = whole.len().saturating_sub(index);
            if index > 0 && whole.len() >= self.group_from && left.is_multiple_of(3) {
                text.push_str(&self.group.0);
            }
            text.push(digit);
        }
        if !part.is_empty() {
            text.push_str(&self.decimal.0);
            text.push_str(part);
        }
        format!("{text}\u{a0}{}", money.currency())
    }
}

#[cfg(test)]
mod tests {
    use crate::locale::Locale;
    use crate::texts::Texts;
    use domain::Money;

    /// As Unicode's CLDR has them, with the currency's code in place of a sign.
    #[test]
    fn days_times_and_amounts_are_written_as_the_language_does() {
        let amounts = ["1234.50", "1234567.00", "12.34"];
        for (locale, day, moment, written) in [
            (Locale::En, "1 March 2026", "4 May 2026, 9:05 UTC", ["1,234.50", "1,234,567.00", "12.34"]),
            (Locale::De, "1. März 2026", "4. Mai 2026, 9:05 Uhr UTC", ["1.234,50", "1.234.567,00", "12,34"]),
            (
                Locale::Fr,
                "1er mars 2026",
                "4 mai 2026 à 9 h 05 UTC",
                ["1\u{202f}234,50", "1\u{202f}234\u{202f}567,00", "12,34"],
            ),
            (
                Locale::Es,
                "1 de marzo de 2026",
                "4 de mayo de 2026, 9:05 UTC",
                ["1234,50", "1.234.567,00", "12,34"],
            ),
            (
                Locale::It,
                "1º marzo 2026",
                "4 maggio 2026, ore 9:05 UTC",
                ["1.234,50", "1.234.567,00", "12,34"],
            ),
            (
                Locale::Pl,
                "1 marca 2026",
                "4 maja 2026, 9:05 UTC",
                ["1234,50", "1\u{a0}234\u{a0}567,00", "12,34"],
            ),
        ] {
            let format = &Texts::of(locale).format;
            assert_eq!(format.date(jiff::civil::date(2026, 3, 1)), day);
            assert_eq!(format.moment("2026-05-04T09:05:59Z".parse().unwrap()), moment);
            for (amount, text) in amounts.iter().zip(written) {
                let money = Money::parse(amount, "EUR".parse().unwrap()).unwrap();
                assert_eq!(format.amount(&money), format!("{text}\u{a0}EUR"), "{}", locale.tag());
            }
        }
    }
}
