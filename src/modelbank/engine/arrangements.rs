//! What repeats, is to come, or is stored with an account, made from the same
//! life that the entries come from.

use domain::{Date, Timestamp};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use rust_decimal::Decimal;

use super::history::place;
use super::people::{Account, Product};

/// A payment every month.
#[derive(Clone, Debug)]
pub(crate) struct Monthly {
    pub(crate) id: String,
    /// Who is paid, or collects.
    pub(crate) name: &'static str,
    pub(crate) account: String,
    /// Day of the month.
    pub(crate) day: i8,
    /// Without a sign.
    pub(crate) amount: Decimal,
    pub(crate) previous: Date,
    pub(crate) next: Date,
}

/// A payee the customer has stored.
#[derive(Clone, Debug)]
pub(crate) struct Payee {
    pub(crate) id: String,
    pub(crate) name: &'static str,
    pub(crate) account: String,
    /// Paid without authentication.
    pub(crate) trusted: bool,
}

/// A single payment to come.
#[derive(Clone, Debug)]
pub(crate) struct ToCome {
    pub(crate) id: String,
    pub(crate) payee: Payee,
    pub(crate) amount: Decimal,
    pub(crate) on: Date,
}

/// A calendar month with a statement.
#[derive(Clone, Debug)]
pub(crate) struct Month {
    pub(crate) id: String,
    pub(crate) number: String,
    pub(crate) first: Date,
    pub(crate) last: Date,
}

fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The last and the next time that a day of the month comes round.
fn around(today: Date, day: i8) -> (Date, Date) {
    let this = Date::new(today.year(), today.month(), day).unwrap_or(today);
    let moved = |span: Span| this.checked_add(span).unwrap_or(this);
    if this <= today { (this, moved(1.month())) } else { (moved((-1).month()), this) }
}

/// An account number at another bank, in the account's country, checksum right.
fn number(account: &Account, nth: usize) -> String {
    let numbers = match account.iban.get(..2) {
        Some("GB") => ["20000055779911", "20000044447777"],
        Some("FR") => ["FR1420041010050500013M02606", "FR7630006000011234567890189"],
        _ => ["DE89370400440532013000", "DE02120300000000202051"],
    };
    numbers.get(nth).copied().unwrap_or_default().to_owned()
}

/// Payees, the landlord first.
pub(crate) fn payees(account: &Account) -> Vec<Payee> {
    if account.product != Product::Current {
        return Vec::new();
    }
    let friend = match account.iban.get(..2) {
        Some("GB") => "Casey Morgan",
        Some("FR") => "Camille Roux",
        _ => "Jonas Weber",
    };
    [(place(account).landlord, false), (friend, true)]
        .into_iter()
        .enumerate()
        .map(|(nth, (name, trusted))| Payee {
            id: format!("{}-payee-{nth}", account.id),
            name,
            account: number(account, nth),
            trusted,
        })
        .collect()
}

/// The rent.
pub(crate) fn standing_orders(account: &Account, now: Timestamp) -> Vec<Monthly> {
    if account.product != Product::Current {
        return Vec::new();
    }
    let place = place(account);
    let (previous, next) = around(today(now), 1);
    vec![Monthly {
        id: format!("{}-rent", account.id),
        name: place.landlord,
        account: number(account, 0),
        day: 1,
        amount: Decimal::new(place.rent, 2).abs(),
        previous,
        next,
    }]
}

/// Who collects.
pub(crate) fn direct_debits(account: &Account, now: Timestamp) -> Vec<Monthly> {
    if account.product != Product::Current {
        return Vec::new();
    }
    let regular = place(account).regular.iter();
    regular
        .map(|(day, name, cents)| {
            let (previous, next) = around(today(now), *day);
            Monthly {
                id: format!("{}-mandate-{day}", account.id),
                name,
                account: String::new(),
                day: *day,
                amount: Decimal::new(*cents, 2).abs(),
                previous,
                next,
            }
        })
        .collect()
}

/// One payment in ten days.
pub(crate) fn to_come(account: &Account, now: Timestamp) -> Vec<ToCome> {
    let on = today(now).checked_add(10.days()).unwrap_or_else(|_| today(now));
    payees(account)
        .into_iter()
        .skip(1)
        .map(|payee| ToCome { id: format!("{}-{on}", account.id), payee, amount: Decimal::new(4_500, 2), on })
        .collect()
}

/// The last three months that are over.
pub(crate) fn months(account: &Account, now: Timestamp) -> Vec<Month> {
    let this = today(now).first_of_month();
    (1..=3_i32)
        .filter_map(|back| {
            let first = this.checked_sub(back.months()).ok()?;
            let number = format!("{}-{:02}", first.year(), first.month());
            Some(Month { id: format!("{}-{number}", account.id), number, first, last: first.last_of_month() })
        })
        .collect()
}
