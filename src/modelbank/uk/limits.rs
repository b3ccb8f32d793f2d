//! The limits of a VRP consent, as the bank holds its customers' money to them.

use domain::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use crate::engine::{Book, Consent, OrderState};

/// Whether one more payment of `amount` at `now` keeps to every limit of the
/// consent.
pub(super) fn keeps(book: &Book, consent: &Consent, amount: Decimal, now: Timestamp) -> bool {
    let parameters = consent.body.pointer("/Data/ControlParameters");
    let most = parameters.and_then(|found| decimal(found.pointer("/MaximumIndividualAmount/Amount")));
    let from = parameters.and_then(|found| found.get("ValidFromDateTime")?.as_str()?.parse().ok());
    let early = from.is_some_and(|from: Timestamp| now < from);
    let limits = parameters.and_then(|found| found.get("PeriodicLimits")?.as_array());
    let within = |limit: &Value| fits(book, consent, limit, amount, now).unwrap_or_default();
    most.is_some_and(|most| amount <= most) && !early && limits.is_some_and(|all| all.iter().all(within))
}

fn fits(book: &Book, consent: &Consent, limit: &Value, amount: Decimal, now: Timestamp) -> Option<bool> {
    let (today, created) = (day(now), day(consent.created));
    let period = limit.get("PeriodType")?.as_str()?;
    let calendar = limit.get("PeriodAlignment")?.as_str()? == "Calendar";
    let (first, next) = if calendar { on_calendar(period, today)? } else { counted(period, created, today)? };
    let mut most = decimal(limit.get("Amount"))?;
    if calendar && first < created {
        let days = |from: Date| Some(Decimal::from(from.until(next).ok()?.get_days()));
        most = most.checked_mul(days(created)?)?.checked_div(days(first)?)?;
        most = most.round_dp_with_strategy(2, RoundingStrategy::ToZero);
    }
    let counts = |at: Timestamp| (first..next).contains(&day(at));
    let spent = book
        .orders
        .values()
        .filter(|order| order.consent.as_deref() == Some(&consent.id) && counts(order.created))
        .filter(|order| !matches!(order.state, OrderState::Rejected(..)))
        .fold(Decimal::ZERO, |sum, order| sum.saturating_add(order.total()));
    Some(spent.saturating_add(amount) <= most)
}

/// The calendar's period around a day: its first day, and the first of the next.
fn on_calendar(period: &str, today: Date) -> Option<(Date, Date)> {
    let month = today.first_of_month();
    let back = |months: i32| month.checked_sub(months.months()).ok();
    let first = match period {
        "Day" => today,
        "Week" => today.checked_sub(i32::from(today.weekday().to_monday_zero_offset()).days()).ok()?,
        "Month" => month,
        "Half-year" => back(i32::from(today.month()).checked_sub(1)?.checked_rem(6)?)?,
        "Year" => back(i32::from(today.month()).checked_sub(1)?)?,
        _ => return None,
    };
    Some((first, first.checked_add(length(period, 1)?).ok()?))
}

/// The period around a day, counted on from the day of the consent.
fn counted(period: &str, created: Date, today: Date) -> Option<(Date, Date)> {
    let mut first = created;
    for number in 1.. {
        let next = created.checked_add(length(period, number)?).ok()?;
        if today < next {
            return Some((first, next));
        }
        first = next;
    }
    None
}

fn length(period: &str, number: i32) -> Option<Span> {
    Some(match period {
        "Day" => number.days(),
        "Week" => number.checked_mul(7)?.days(),
        "Fortnight" => number.checked_mul(14)?.days(),
        "Month" => number.months(),
        "Half-year" => number.checked_mul(6)?.months(),
        "Year" => number.checked_mul(12)?.months(),
        _ => return None,
    })
}

fn decimal(found: Option<&Value>) -> Option<Decimal> {
    found?.as_str()?.parse().ok()
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
