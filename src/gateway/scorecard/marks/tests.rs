//! Each mark with a bank that is as it should be, and with one that is not.

use domain::{AccountIdentification, AccountStatus, AccountUsage, CreditDebit, Money};

use super::*;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn account(id: &str) -> Account {
    Account {
        resource_id: id.into(),
        identifications: vec![AccountIdentification::Bban("1234".into())],
        currency: None,
        display_name: None,
        product: None,
        holders: Vec::new(),
        cash_account_type: None,
        usage: AccountUsage::Unknown,
        status: AccountStatus::Unknown,
        bic: None,
        balances: Vec::new(),
    }
}

fn entry(id: Option<&str>, on: &str, text: &str) -> Transaction {
    Transaction {
        bank_transaction_id: id.map(str::to_owned),
        entry_reference: None,
        end_to_end_id: None,
        mandate_id: None,
        status: BookingStatus::Booked,
        amount: Money::parse("5.00", "EUR".parse().unwrap()).unwrap(),
        direction: CreditDebit::Debit,
        booking_date: Some(day(on)),
        value_date: None,
        booked_at: None,
        creditor_name: None,
        creditor_account: None,
        debtor_name: None,
        debtor_account: None,
        remittance: vec![text.into()],
        references: Vec::new(),
        bank_transaction_code: None,
        proprietary_code: None,
        merchant_category_code: None,
        balance_after: None,
    }
}

fn listing(entries: &[Transaction]) -> Listing {
    Listing { entries: entries.to_vec(), pages: 2, trouble: None }
}

/// One account of a bank that does everything right.
fn right() -> Seen {
    let (old, new) = (entry(Some("1"), "2026-01-10", "old"), entry(Some("2"), "2026-03-01", "new"));
    let whole = listing(&[old.clone(), new]);
    Seen {
        accounts: vec![vec![account("a")], vec![account("a")]],
        balances: vec![None],
        histories: vec![History {
            days: Days { from: day("2026-01-01"), to: day("2026-03-31") },
            again: whole.clone(),
            whole,
            older: listing(&[old]),
            older_to: day("2026-02-14"),
        }],
        refusal: Some(Ok("resource-unknown".into())),
        ended: Some(true),
    }
}

fn wrong(change: impl FnOnce(&mut Seen)) -> Vec<&'static str> {
    let mut seen = right();
    change(&mut seen);
    seen.marks().iter().filter(|mark| mark.verdict == Verdict::No).map(|mark| mark.name).collect()
}

#[test]
fn a_bank_that_does_everything_right_has_every_mark() {
    assert!(right().marks().iter().all(|mark| mark.verdict == Verdict::Yes), "{:?}", right().marks());
}

#[test]
fn what_was_not_seen_is_no_mark_against_a_bank() {
    let marks = Seen::default().marks();
    assert!(marks.iter().all(|mark| mark.verdict == Verdict::Unseen), "{marks:?}");
}

#[test]
fn every_fault_costs_its_own_mark() {
    type Change = fn(&mut Seen);
    fn first(seen: &mut Seen) -> &mut History {
        seen.histories.first_mut().unwrap()
    }
    let faults: [(&[&str], Change); 15] = [
        (&["account-ids-stable"], |seen| seen.accounts[1] = vec![account("b")]),
        (&["account-numbers-given"], |seen| seen.accounts[0][0].identifications.clear()),
        (&["balances-readable"], |seen| seen.balances.push(Some("malformed-response".into()))),
        (&["transactions-readable", "paging-ends"], |seen| {
            first(seen).again.trouble = Some("malformed-response at next page".into());
        }),
        (&["entries-once"], |seen| {
            let repeated = first(seen).whole.entries[0].clone();
            first(seen).whole.entries.push(repeated);
        }),
        (&["transaction-ids-given"], |seen| first(seen).whole.entries[0].bank_transaction_id = None),
        (&["transaction-ids-unique", "transaction-ids-stable"], |seen| {
            first(seen).whole.entries[1].bank_transaction_id = Some("1".into());
        }),
        (&["transaction-ids-stable"], |seen| {
            first(seen).again.entries[0].bank_transaction_id = Some("9".into());
        }),
        (&["booking-days-right"], |seen| first(seen).whole.entries[1].booking_date = None),
        (&["booking-days-right"], |seen| {
            first(seen).whole.entries[1].booking_date = Some(day("2026-04-01"));
        }),
        (&["days-kept"], |seen| {
            let new = first(seen).whole.entries[1].clone();
            first(seen).older.entries.push(new);
        }),
        (&["history-whole"], |seen| {
            first(seen).whole.entries.remove(0);
        }),
        (&["history-whole"], |seen| {
            // Two equal entries, of which the long list has one.
            let old = first(seen).older.entries[0].clone();
            first(seen).older.entries.push(old);
        }),
        (&["errors-in-form"], |seen| seen.refusal = Some(Err("told of".into()))),
        (&["consent-ends"], |seen| seen.ended = Some(false)),
    ];
    for (names, change) in faults {
        assert_eq!(wrong(change), names);
    }
}
