//! Limits per period: which window an instant falls in, and how much may move in it.
//!
//! Days are those of UTC, since the standard names no zone. Windows are computed
//! from the day a mandate began, never from the window before, so that the 31st
//! comes back after a short month.

use std::fmt;

use jiff::ToSpan;
use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::institution::words;
use crate::{Date, Money, Timestamp};

words!(
    /// For how long a limit counts.
    Period {
        /// A day.
        Day = "DAY",
        /// Seven days.
        Week = "WEEK",
        /// Fourteen days.
        Fortnight = "FORTNIGHT",
        /// A month.
        Month = "MONTH",
        /// Six months.
        HalfYear = "HALF_YEAR",
        /// A year.
        Year = "YEAR",
    }
);

words!(
    /// When periods begin.
    Alignment {
        /// On the day of the mandate, and at the same distance after it.
        Consent = "CONSENT",
        /// With the calendar: weeks on Monday, half-years in January and July.
        Calendar = "CALENDAR",
    }
);

/// The most that may be paid in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodicLimit {
    period: Period,
    alignment: Alignment,
    max_amount: Money,
}

/// No calendar says when a fortnight begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fortnight is aligned with the consent: no calendar says when it begins")]
pub struct FortnightOfCalendar;

/// One period of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
    /// The most that may be paid in it.
    pub max_amount: Money,
}

impl PeriodicLimit {
    /// A limit.
    ///
    /// # Errors
    ///
    /// [`FortnightOfCalendar`] (UK VRP, `PeriodAlignment`).
    pub fn new(period: Period, alignment: Alignment, max_amount: Money) -> Result<Self, FortnightOfCalendar> {
        if period == Period::Fortnight && alignment == Alignment::Calendar {
            return Err(FortnightOfCalendar);
        }
        Ok(Self { period, alignment, max_amount })
    }

    /// For how long it counts.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }

    /// When its periods begin.
    #[must_use]
    pub fn alignment(&self) -> Alignment {
        self.alignment
    }

    /// The most in a whole period.
    #[must_use]
    pub fn max_amount(&self) -> Money {
        self.max_amount
    }

    /// The window of `at`, for a mandate that began at `began`; what lies before
    /// that counts as its first day. `None` beyond the end of the calendar.
    ///
    /// UK VRP, `PeriodicLimits`: the first window of a calendar-aligned limit has
    /// the share of the days that are left of it, in whole smallest units.
    #[must_use]
    pub fn window(&self, began: Timestamp, at: Timestamp) -> Option<Window> {
        let (first, day) = (utc_day(began), utc_day(at.max(began)));
        let (start, end) = match self.alignment {
            Alignment::Consent => self.since(first, day)?,
            Alignment::Calendar => self.of_calendar(day)?,
        };
        let max_amount = if start < first { self.share(start, first, end)? } else { self.max_amount };
        Some(Window { start: utc_midnight(start.max(first))?, end: utc_midnight(end)?, max_amount })
    }

    /// Period of `day`, counted from `first`.
    fn since(&self, first: Date, day: Date) -> Option<(Date, Date)> {
        let passed = match self.days() {
            Some(length) => first.until(day).ok()?.get_days().checked_div(length)?,
            None => months_between(first, day)?.checked_div(self.months())?,
        };
        let begin = |index: i32| match self.days() {
            Some(length) => first.checked_add(length.checked_mul(index)?.days()).ok(),
            None => first.checked_add(self.months().checked_mul(index)?.months()).ok(),
        };
        // A month that is shorter than the day of `first` begins earlier than its number says.
        let index = if begin(passed)? > day { passed.checked_sub(1)? } else { passed };
        Some((begin(index)?, begin(index.checked_add(1)?)?))
    }

    /// Period of `day` in the calendar.
    fn of_calendar(&self, day: Date) -> Option<(Date, Date)> {
        let start = match self.period {
            Period::Day => day,
            // Excluded by the constructor; a week is what a calendar comes nearest with.
            Period::Week | Period::Fortnight => {
                day.checked_sub(i32::from(day.weekday().to_monday_zero_offset()).days()).ok()?
            }
            Period::Month => day.first_of_month(),
            Period::HalfYear => Date::new(day.year(), if day.month() < 7 { 1 } else { 7 }, 1).ok()?,
            Period::Year => day.first_of_year(),
        };
        let end = match self.days() {
            Some(length) => start.checked_add(length.days()),
            None => start.checked_add(self.months().months()),
        };
        Some((start, end.ok()?))
    }

    /// Days of a period that is the same number of days always.
    fn days(&self) -> Option<i32> {
        match self.period {
            Period::Day => Some(1),
            Period::Week => Some(7),
            Period::Fortnight => Some(14),
            Period::Month | Period::HalfYear | Period::Year => None,
        }
    }

    /// Months of any other.
    fn months(&self) -> i32 {
        match self.period {
            Period::Year => 12,
            Period::HalfYear => 6,
            Period::Day | Period::Week | Period::Fortnight | Period::Month => 1,
        }
    }

    fn share(&self, start: Date, first: Date, end: Date) -> Option<Money> {
        let days = |from: Date| Some(Decimal::from(from.until(end).ok()?.get_days()));
        let currency = self.max_amount.currency();
        let share = self.max_amount.amount().checked_mul(days(first)?)?.checked_div(days(start)?)?;
        let share = share.round_dp_with_strategy(currency.places(), RoundingStrategy::ToZero);
        Money::new(share, currency).ok()
    }
}

/// The day of an instant in UTC.
#[must_use]
pub fn utc_day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The first instant of a day in UTC; `None` beyond the end of the calendar.
#[must_use]
pub fn utc_midnight(day: Date) -> Option<Timestamp> {
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Months from the month of one day to that of another.
fn months_between(from: Date, to: Date) -> Option<i32> {
    let years = i32::from(to.year()).checked_sub(i32::from(from.year()))?;
    let months = i32::from(to.month()).checked_sub(i32::from(from.month()))?;
    years.checked_mul(12)?.checked_add(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("{day}T15:30:00Z").parse().unwrap()
    }

    fn limit(period: Period, alignment: Alignment, amount: &str) -> PeriodicLimit {
        PeriodicLimit::new(period, alignment, Money::parse(amount, "GBP".parse().unwrap()).unwrap()).unwrap()
    }

    /// First day, last day and most of the window.
    fn window(limit: PeriodicLimit, began: &str, day: &str) -> (String, String, String) {
        let window = limit.window(at(began), at(day)).unwrap();
        let last = utc_day(window.end).yesterday().unwrap();
        (utc_day(window.start).to_string(), last.to_string(), window.max_amount.amount_text())
    }

    fn is(first: &str, last: &str, most: &str) -> (String, String, String) {
        (first.to_owned(), last.to_owned(), most.to_owned())
    }

    /// The examples of periodic limits in "Domestic VRP consents".
    #[test]
    fn the_examples_of_the_standard_come_out() {
        let month = limit(Period::Month, Alignment::Calendar, "300.00");
        assert_eq!(window(month, "2021-06-06", "2021-06-06"), is("2021-06-06", "2021-06-30", "250.00"));
        assert_eq!(window(month, "2021-06-06", "2021-07-31"), is("2021-07-01", "2021-07-31", "300.00"));
        let month = limit(Period::Month, Alignment::Consent, "500.00");
        assert_eq!(window(month, "2021-06-05", "2021-07-04"), is("2021-06-05", "2021-07-04", "500.00"));
        assert_eq!(window(month, "2021-06-05", "2021-07-05"), is("2021-07-05", "2021-08-04", "500.00"));
        let year = limit(Period::Year, Alignment::Calendar, "500.00");
        assert_eq!(window(year, "2021-06-06", "2021-12-31"), is("2021-06-06", "2021-12-31", "286.30"));
        assert_eq!(window(year, "2021-06-06", "2022-01-01"), is("2022-01-01", "2022-12-31", "500.00"));
        let year = limit(Period::Year, Alignment::Consent, "500.00");
        assert_eq!(window(year, "2021-06-05", "2023-06-04"), is("2022-06-05", "2023-06-04", "500.00"));
    }

    #[test]
    fn every_period_begins_where_its_alignment_says() {
        let consent = |period| window(limit(period, Alignment::Consent, "10.00"), "2026-01-14", "2026-03-20");
        assert_eq!(consent(Period::Day), is("2026-03-20", "2026-03-20", "10.00"));
        assert_eq!(consent(Period::Week), is("2026-03-18", "2026-03-24", "10.00"));
        assert_eq!(consent(Period::Fortnight), is("2026-03-11", "2026-03-24", "10.00"));
        assert_eq!(consent(Period::Month), is("2026-03-14", "2026-04-13", "10.00"));
        assert_eq!(consent(Period::HalfYear), is("2026-01-14", "2026-07-13", "10.00"));
        assert_eq!(consent(Period::Year), is("2026-01-14", "2027-01-13", "10.00"));
        let calendar =
            |period| window(limit(period, Alignment::Calendar, "10.00"), "2025-01-01", "2026-11-26");
        assert_eq!(calendar(Period::Day), is("2026-11-26", "2026-11-26", "10.00"));
        assert_eq!(calendar(Period::Week), is("2026-11-23", "2026-11-29", "10.00"));
        assert_eq!(calendar(Period::Month), is("2026-11-01", "2026-11-30", "10.00"));
        assert_eq!(calendar(Period::HalfYear), is("2026-07-01", "2026-12-31", "10.00"));
        assert_eq!(calendar(Period::Year), is("2026-01-01", "2026-12-31", "10.00"));
    }

    #[test]
    fn the_31st_comes_back_after_a_short_month() {
        let month = limit(Period::Month, Alignment::Consent, "10.00");
        for (day, first, last) in [
            ("2026-09-29", "2026-08-31", "2026-09-29"),
            ("2026-09-30", "2026-09-30", "2026-10-30"),
            ("2026-10-31", "2026-10-31", "2026-11-29"),
            ("2027-02-28", "2027-02-28", "2027-03-30"),
        ] {
            assert_eq!(window(month, "2026-08-31", day), is(first, last, "10.00"), "{day}");
        }
        let year = limit(Period::Year, Alignment::Consent, "10.00");
        assert_eq!(window(year, "2024-02-29", "2025-02-28"), is("2025-02-28", "2026-02-27", "10.00"));
        assert_eq!(window(year, "2024-02-29", "2028-02-29"), is("2028-02-29", "2029-02-27", "10.00"));
    }

    #[test]
    fn a_first_window_never_has_more_than_its_share() {
        let week = limit(Period::Week, Alignment::Calendar, "100.00");
        // A Sunday: one day of seven, and the part of a penny is not given.
        assert_eq!(window(week, "2026-11-29", "2026-11-29"), is("2026-11-29", "2026-11-29", "14.28"));
        // A Monday has all of it.
        assert_eq!(window(week, "2026-11-23", "2026-11-29"), is("2026-11-23", "2026-11-29", "100.00"));
        let half = limit(Period::HalfYear, Alignment::Calendar, "181.00");
        assert_eq!(window(half, "2026-06-30", "2026-06-30"), is("2026-06-30", "2026-06-30", "1.00"));
    }

    /// Every day of six years, in every period: windows lie end to end, and each
    /// day is in the one that it is given.
    #[test]
    fn windows_cover_every_day_once() {
        for began in ["2024-01-31", "2024-02-29", "2025-08-30", "2026-11-26"] {
            for period in Period::ALL {
                for alignment in Alignment::ALL {
                    let money = Money::parse("10.00", "GBP".parse().unwrap()).unwrap();
                    let Ok(limit) = PeriodicLimit::new(*period, *alignment, money) else {
                        assert_eq!((*period, *alignment), (Period::Fortnight, Alignment::Calendar));
                        continue;
                    };
                    let mut before: Option<Window> = None;
                    for days in 0..2_200_i64 {
                        let day = at(began) + jiff::SignedDuration::from_hours(24 * days);
                        let window = limit.window(at(began), day).unwrap();
                        assert!(window.start <= day && day < window.end, "{period} {alignment} {day}");
                        let follows =
                            before.is_none_or(|before| before == window || before.end == window.start);
                        assert!(follows, "{period} {alignment} {day}");
                        before = Some(window);
                    }
                }
            }
        }
    }

    #[test]
    fn what_lies_before_the_mandate_counts_as_its_first_day() {
        let day = limit(Period::Day, Alignment::Consent, "10.00");
        assert_eq!(window(day, "2026-11-26", "2026-11-20"), is("2026-11-26", "2026-11-26", "10.00"));
    }
}
