use connect::{BankErrorKind, Profile};
use uuid::Uuid;

use super::*;

fn read(asked: AccountResource, entries: told::Entries) -> Read<Vec<ResourceEntry>> {
    let profile = Profile::blank("xx-bank".parse().unwrap(), "Bank", "eu".parse().unwrap(), "plugin:test");
    let cx = CallContext {
        profile: &profile,
        request_id: Uuid::nil(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: None,
        bank_consent_id: None,
    };
    Reading::of(&cx).resource(asked, entries)
}

fn payee() -> told::Payee {
    let account = Some(wit::AccountNumber::Iban("DE75512108001245126199".into()));
    told::Payee { name: Some(" Anna ".into()), account, bic: None }
}

fn money(amount: &str) -> told::Money {
    told::Money { amount: amount.into(), currency: "EUR".into() }
}

fn scheduled(day: &str, amount: &str) -> told::Entries {
    told::Entries::ScheduledPayments(vec![told::ScheduledPayment {
        bank_id: Some("1".into()),
        day: day.into(),
        arrives: false,
        amount: money(amount),
        payee: payee(),
        reference: Some(String::new()),
    }])
}

fn standing(day: Option<u8>, next: &str) -> told::Entries {
    let next = told::Occurrence { day: Some(next.into()), amount: Some(money("12.30")) };
    told::Entries::StandingOrders(vec![told::StandingOrder {
        bank_id: None,
        status: told::OrderStatus::Active,
        frequency: told::Frequency::Fortnightly,
        day,
        first: None,
        next: Some(next),
        previous: None,
        last: None,
        remaining: Some(3),
        payee: payee(),
        reference: None,
    }])
}

#[test]
fn entries_are_read_into_what_we_know() {
    let entries = read(AccountResource::ScheduledPayments, scheduled("2026-02-28", "12.30")).unwrap();
    let [ResourceEntry::ScheduledPayment(found)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(
        (found.date.to_string().as_str(), found.amount.amount_text().as_str()),
        ("2026-02-28", "12.30")
    );
    assert_eq!((found.payee.name.as_deref(), &found.reference), (Some("Anna"), &None));
    let entries = read(AccountResource::StandingOrders, standing(Some(31), "2026-02-28")).unwrap();
    let [ResourceEntry::StandingOrder(found)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((found.frequency, found.status), (Frequency::Fortnightly, OrderStatus::Active));
    assert_eq!(found.next.as_ref().unwrap().date.unwrap().to_string(), "2026-02-28");
}

/// One piece that cannot be ends the answer, and the error names its place.
#[test]
fn what_cannot_be_is_refused_with_its_place() {
    use AccountResource as R;
    for (asked, entries, place) in [
        (R::ScheduledPayments, scheduled("2026-02-30", "1"), "scheduled-payments[0].day"),
        (R::ScheduledPayments, scheduled("2026-02-28", "-1"), "scheduled-payments[0].amount"),
        (R::ScheduledPayments, scheduled("2026-02-28", "1,5"), "scheduled-payments[0].amount"),
        (R::StandingOrders, standing(Some(32), "2026-02-28"), "standing-orders[0].day"),
        (R::StandingOrders, standing(None, "28.02.2026"), "standing-orders[0].next.day"),
        (R::Parties, scheduled("2026-02-28", "1"), "entries"),
    ] {
        let error = read(asked, entries).err().unwrap();
        assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::PluginFailed, Some(place)));
    }
}
