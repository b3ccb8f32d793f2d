use domain::{CreditDebit, Money};

use super::*;

struct Written<'a> {
    id: u128,
    status: BookingStatus,
    amount: &'a str,
    day: Option<&'a str>,
    creditor: Option<&'a str>,
    text: &'a str,
    reference: Option<&'a str>,
}

const PLAIN: Written<'static> = Written {
    id: 1,
    status: BookingStatus::Booked,
    amount: "5.00",
    day: Some("2026-01-10"),
    creditor: Some("Shop"),
    text: "Card",
    reference: None,
};

fn mark(written: &Written<'_>) -> Mark {
    let entry = Transaction {
        bank_transaction_id: None,
        entry_reference: None,
        end_to_end_id: written.reference.map(str::to_owned).map(Pii::from),
        mandate_id: None,
        status: written.status,
        amount: Money::parse(written.amount, "EUR".parse().unwrap()).unwrap(),
        direction: CreditDebit::Debit,
        booking_date: written.day.map(|day| day.parse().unwrap()),
        value_date: None,
        booked_at: None,
        creditor_name: written.creditor.map(str::to_owned).map(Pii::from),
        creditor_account: None,
        debtor_name: None,
        debtor_account: None,
        remittance: vec![written.text.to_owned().into()],
        references: Vec::new(),
        bank_transaction_code: None,
        proprietary_code: None,
        merchant_category_code: None,
        balance_after: None,
    };
    let id = TransactionId::from_uuid("eu".parse().unwrap(), Uuid::from_u128(written.id));
    Mark::of(&IdKey::new([3; 32]), id, &entry)
}

fn pending(id: u128) -> Written<'static> {
    Written { id, status: BookingStatus::Pending, day: None, ..PLAIN }
}

#[test]
fn marks_survive_being_written_and_hold_no_text() {
    let marks = [mark(&PLAIN), mark(&pending(2))];
    let written = text(&marks);
    assert_eq!(parse(&written).unwrap(), marks);
    assert!(!written.contains("Shop"));
    assert_eq!(parse(&written[4..]), None);
    assert_eq!(parse("").unwrap(), []);
}

#[test]
fn an_entry_is_new_changed_or_gone() {
    let before = [
        mark(&PLAIN),
        mark(&Written { id: 2, ..PLAIN }),
        mark(&Written { id: 3, day: Some("2026-01-11"), ..PLAIN }),
    ];
    let now = [
        mark(&PLAIN),
        mark(&Written { id: 2, text: "Card, corrected", ..PLAIN }),
        mark(&Written { id: 4, ..PLAIN }),
    ];
    let difference = compare(&before, &now);
    assert!(matches!(difference.of(&now[0]), Change::None));
    assert!(matches!(difference.of(&now[1]), Change::Modified));
    assert!(matches!(difference.of(&now[2]), Change::Added(None)));
    assert_eq!(difference.removed, [before[2]]);
}

/// A bank gives the last 90 days: what falls out of them has not been taken back.
#[test]
fn what_is_too_old_to_be_given_is_not_removed() {
    let before = [mark(&Written { id: 2, day: Some("2025-10-01"), ..PLAIN }), mark(&PLAIN)];
    let difference = compare(&before, &[mark(&PLAIN)]);
    assert_eq!(difference.removed, []);
    assert_eq!(compare(&before, &[]).removed, []);
}

#[test]
fn a_booked_entry_names_the_pending_one_that_it_was_and_how_sure_that_is() {
    let same_reference = Written { reference: Some("E2E"), ..pending(10) };
    let other_text = Written { id: 11, text: "Vorgemerkt", ..pending(11) };
    let bare = Written { id: 12, amount: "9.00", creditor: None, text: "", ..pending(12) };
    let before = [mark(&same_reference), mark(&other_text), mark(&bare)];
    let now = [
        mark(&Written { id: 20, reference: Some("E2E"), creditor: Some("SHOP GMBH"), text: "x", ..PLAIN }),
        mark(&Written { id: 21, ..PLAIN }),
        mark(&Written { id: 22, amount: "9.00", ..PLAIN }),
        mark(&Written { id: 23, amount: "7.00", ..PLAIN }),
    ];
    let difference = compare(&before, &now);
    let found: Vec<_> = now
        .iter()
        .map(|mark| match difference.of(mark) {
            Change::Added(Some((old, confidence))) => Some((old.id, confidence)),
            Change::Added(None) | Change::None | Change::Modified => None,
        })
        .collect();
    let was = |written: &Written<'_>, confidence| Some((mark(written).id, confidence));
    assert_eq!(
        found,
        [
            was(&same_reference, Confidence::Exact),
            was(&other_text, Confidence::High),
            was(&bare, Confidence::Low),
            None,
        ]
    );
    assert_eq!(difference.removed.len(), 3);
}

#[test]
fn two_equal_entries_replace_one_pending_entry_each_and_never_the_same() {
    let before = [mark(&pending(10)), mark(&pending(11))];
    let now = [
        mark(&Written { id: 20, ..PLAIN }),
        mark(&Written { id: 21, ..PLAIN }),
        mark(&Written { id: 22, ..PLAIN }),
    ];
    let difference = compare(&before, &now);
    assert_eq!(difference.replaced.len(), 2);
    let old: HashSet<_> = difference.replaced.values().map(|(old, _)| old.id).collect();
    assert_eq!(old.len(), 2);
}
