//! When an order is carried out: at once, on a day, or again and again. Days are those
//! of UTC, and an order is due when its day begins.

use domain::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Days after which no further occurrence is looked for: more than the longest interval.
const HORIZON_DAYS: usize = 1_500;

/// When an order is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    /// As soon as it may be.
    #[default]
    AtOnce,
    /// On this day.
    On(Date),
    /// Again and again.
    Repeating(Rhythm),
}

/// The days of an order that repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rhythm {
    /// No occurrence is before this day.
    pub(crate) first: Date,
    /// If so, the first occurrence is on the first day whatever the rhythm, and the others
    /// are on this day or later.
    #[serde(default)]
    pub(crate) then: Option<Date>,
    /// No occurrence is after this day.
    pub(crate) last: Option<Date>,
    /// There are no more occurrences than these.
    pub(crate) most: Option<usize>,
    pub(crate) every: Every,
    pub(crate) off_day: OffDay,
    /// What the first occurrence moves, if it is another amount.
    pub(crate) first_amount: Option<Decimal>,
    /// What the last occurrence moves, if it is another amount.
    pub(crate) last_amount: Option<Decimal>,
}

/// How often an order repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Every {
    /// So many days.
    Days(u16),
    /// From Monday to Friday.
    Workday,
    /// So many weeks, on a weekday (Monday is 1) or that of the first day.
    Weeks(u16, Option<i8>),
    /// So many months, on a day or that of the first; -1 is the last day, and a day that a
    /// month lacks is its last.
    Months(u16, Option<i8>),
    /// On the weekday of that number in the month; the fifth is the last.
    WeekdayOfMonth(u8, i8),
    /// These days of the year: month and day; a day that a month lacks is its last.
    YearDays(Vec<(i8, i8)>),
}

/// What becomes of an occurrence on a weekend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OffDay {
    /// It stays there.
    #[default]
    Stays,
    Preceding,
    Following,
}

impl Plan {
    /// On the day, unless it has begun: then at once.
    pub(crate) fn on(day: Option<Date>, today: Date) -> Self {
        day.filter(|day| *day > today).map_or(Self::AtOnce, Self::On)
    }

    /// When an order is due that was ready `since` then and has been carried out `done` times.
    pub(crate) fn due(&self, done: usize, since: Timestamp) -> Option<Timestamp> {
        let once = done == 0;
        match self {
            Self::AtOnce => once.then_some(since),
            Self::On(day) => once.then(|| begins(*day).max(since)),
            Self::Repeating(rhythm) => Some(begins(rhythm.day(done)?).max(since)),
        }
    }

    /// The rhythm of an order that repeats.
    pub(crate) fn rhythm(&self) -> Option<&Rhythm> {
        match self {
            Self::Repeating(rhythm) => Some(rhythm),
            Self::AtOnce | Self::On(_) => None,
        }
    }

    /// What an occurrence moves, where it is usually `amount`.
    pub(crate) fn amount(&self, done: usize, amount: Decimal) -> Decimal {
        let Some(rhythm) = self.rhythm() else { return amount };
        let first = rhythm.first_amount.filter(|_| done == 0);
        let last = rhythm.last_amount.filter(|_| rhythm.day(done.saturating_add(1)).is_none());
        first.or(last).unwrap_or(amount)
    }

    /// The plan as a customer reads it.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::AtOnce => Vec::new(),
            Self::On(day) => vec![("On", in_words(*day))],
            Self::Repeating(rhythm) => rhythm.facts(),
        }
    }
}

impl Rhythm {
    /// One without end, with the same amount each time.
    pub(crate) fn from(first: Date, every: Every) -> Self {
        Self {
            first,
            then: None,
            last: None,
            most: None,
            every,
            off_day: OffDay::Stays,
            first_amount: None,
            last_amount: None,
        }
    }

    /// The day of an occurrence; the first has the number 0.
    pub(crate) fn day(&self, number: usize) -> Option<Date> {
        if self.most.is_some_and(|most| number >= most) {
            return None;
        }
        let mut day = match self.then {
            Some(_) => self.first,
            None => self.starting(self.first)?,
        };
        for _ in 0..number {
            let next = day.tomorrow().ok()?;
            day = self.starting(self.then.map_or(next, |then| next.max(then)))?;
        }
        Some(self.off_day.moved(day))
    }

    /// The first occurrence of a day or later.
    fn starting(&self, day: Date) -> Option<Date> {
        let within = |day: &Date| self.last.is_none_or(|last| *day <= last);
        let days = day.series(1.day()).take(HORIZON_DAYS);
        days.take_while(within).find(|day| self.falls_on(*day))
    }

    fn falls_on(&self, day: Date) -> bool {
        match &self.every {
            Every::Days(every) => self.days_to(day).is_some_and(|days| fits(days, *every)),
            Every::Workday => !is_off(day),
            Every::Weeks(every, weekday) => {
                let wanted = weekday.unwrap_or(number(self.first));
                let weeks = self.days_to(day).and_then(|days| days.checked_div(7));
                number(day) == wanted && weeks.is_some_and(|weeks| fits(weeks, *every))
            }
            Every::Months(every, wanted) => {
                let wanted = wanted.unwrap_or(self.first.day());
                let length = day.days_in_month();
                let wanted =
                    if wanted < 0 { length.saturating_add(wanted).saturating_add(1) } else { wanted };
                day.day() == wanted.min(length) && fits(self.months_to(day), *every)
            }
            Every::WeekdayOfMonth(week, weekday) => {
                let week = i8::try_from(*week).unwrap_or(i8::MAX);
                let nth = if week >= 5 { -1 } else { week };
                let weekday = Weekday::from_monday_one_offset(*weekday);
                let found = weekday.and_then(|weekday| day.nth_weekday_of_month(nth, weekday));
                found.is_ok_and(|found| found == day)
            }
            Every::YearDays(days) => {
                let length = day.days_in_month();
                days.iter().any(|(month, wanted)| (day.month(), day.day()) == (*month, *wanted.min(&length)))
            }
        }
    }

    fn days_to(&self, day: Date) -> Option<i32> {
        self.anchor().until(day).ok().map(|span| span.get_days())
    }

    fn months_to(&self, day: Date) -> i32 {
        let months =
            |day: Date| i32::from(day.year()).saturating_mul(12).saturating_add(i32::from(day.month()));
        months(day).saturating_sub(months(self.anchor()))
    }

    /// The day that intervals are counted from.
    fn anchor(&self) -> Date {
        self.then.unwrap_or(self.first)
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let first = self.day(0).unwrap_or(self.first);
        let mut facts = vec![("Repeats", self.every.to_string()), ("First on", in_words(first))];
        match (self.last, self.most) {
            (Some(last), _) => facts.push(("Last until", in_words(last))),
            (None, Some(most)) => facts.push(("Payments", most.to_string())),
            (None, None) => facts.push(("Last until", "you end it".to_owned())),
        }
        let amounts = [("First amount", self.first_amount), ("Last amount", self.last_amount)];
        facts.extend(amounts.into_iter().filter_map(|(name, amount)| Some((name, amount?.to_string()))));
        facts
    }
}

impl std::fmt::Display for Every {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Days(1) => write!(f, "every day"),
            Self::Days(every) => write!(f, "every {every} days"),
            Self::Workday => write!(f, "every working day"),
            Self::Weeks(1, _) => write!(f, "every week"),
            Self::Weeks(every, _) => write!(f, "every {every} weeks"),
            Self::Months(1, _) | Self::WeekdayOfMonth(..) => write!(f, "every month"),
            Self::Months(3, _) | Self::YearDays(_) => write!(f, "every quarter"),
            Self::Months(12, _) => write!(f, "every year"),
            Self::Months(every, _) => write!(f, "every {every} months"),
        }
    }
}

impl OffDay {
    fn moved(self, day: Date) -> Date {
        let step = match self {
            Self::Stays => return day,
            Self::Preceding => -1,
            Self::Following => 1,
        };
        day.series(step.days()).find(|day| !is_off(*day)).unwrap_or(day)
    }
}

/// When a day begins.
fn begins(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |day| day.timestamp())
}

fn fits(passed: i32, every: u16) -> bool {
    passed.checked_rem(i32::from(every)) == Some(0)
}

/// The number of a weekday; Monday is 1.
fn number(day: Date) -> i8 {
    day.weekday().to_monday_one_offset()
}

fn is_off(day: Date) -> bool {
    number(day) > 5
}

fn in_words(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(every: Every, first: &str, off_day: OffDay) -> Vec<String> {
        let rhythm = Rhythm { off_day, ..Rhythm::from(first.parse().unwrap(), every) };
        (0..4).filter_map(|number| rhythm.day(number)).map(|day| day.to_string()).collect()
    }

    #[test]
    fn every_rhythm_falls_on_its_days() {
        let quarters = vec![(3, 25), (6, 24), (9, 29), (12, 25)];
        let cases = [
            (Every::Days(1), "2026-01-30", "2026-01-30 2026-01-31 2026-02-01 2026-02-02"),
            (Every::Workday, "2026-01-30", "2026-01-30 2026-02-02 2026-02-03 2026-02-04"),
            (Every::Weeks(2, None), "2026-01-01", "2026-01-01 2026-01-15 2026-01-29 2026-02-12"),
            (Every::Weeks(1, Some(3)), "2026-01-01", "2026-01-07 2026-01-14 2026-01-21 2026-01-28"),
            (Every::Months(1, None), "2026-01-31", "2026-01-31 2026-02-28 2026-03-31 2026-04-30"),
            (Every::Months(3, Some(-1)), "2026-01-10", "2026-01-31 2026-04-30 2026-07-31 2026-10-31"),
            (Every::Months(12, None), "2028-02-29", "2028-02-29 2029-02-28 2030-02-28 2031-02-28"),
            (Every::WeekdayOfMonth(2, 3), "2026-01-01", "2026-01-14 2026-02-11 2026-03-11 2026-04-08"),
            (Every::YearDays(quarters), "2026-04-01", "2026-06-24 2026-09-29 2026-12-25 2027-03-25"),
            (
                Every::YearDays(vec![(2, 31), (4, 31)]),
                "2026-01-01",
                "2026-02-28 2026-04-30 2027-02-28 2027-04-30",
            ),
        ];
        for (every, first, expected) in cases {
            let shown = format!("{every:?}");
            assert_eq!(days(every, first, OffDay::Stays).join(" "), expected, "{shown}");
        }
    }

    #[test]
    fn an_occurrence_on_a_weekend_moves_as_the_rule_says() {
        let monthly = || Every::Months(1, Some(31));
        let expected = "2026-01-30 2026-02-27 2026-03-31 2026-04-30";
        assert_eq!(days(monthly(), "2026-01-01", OffDay::Preceding).join(" "), expected);
        let expected = "2026-02-02 2026-03-02 2026-03-31 2026-04-30";
        assert_eq!(days(monthly(), "2026-01-01", OffDay::Following).join(" "), expected);
    }

    #[test]
    fn an_end_or_a_number_ends_a_rhythm_and_its_ends_may_have_other_amounts() {
        let first: Date = "2026-01-15".parse().unwrap();
        let monthly = Rhythm::from(first, Every::Months(1, None));
        let by_day = Rhythm { last: "2026-03-15".parse().ok(), ..monthly.clone() };
        let by_number = Rhythm { most: Some(3), last_amount: Some(Decimal::TWO), ..monthly };
        for rhythm in [&by_day, &by_number] {
            assert_eq!(rhythm.day(2), "2026-03-15".parse().ok());
            assert_eq!(rhythm.day(3), None);
        }
        let plan = Plan::Repeating(Rhythm { first_amount: Some(Decimal::TEN), ..by_number });
        let amounts = [0, 1, 2].map(|done| plan.amount(done, Decimal::ONE));
        assert_eq!(amounts, [Decimal::TEN, Decimal::ONE, Decimal::TWO]);
    }
}
