//! One transaction, asked for by the bank's identifier.

use connect::TransactionDetails;
use domain::Transaction;

use super::*;

fn entry() -> Value {
    json!({
        "transactionId": "t/1",
        "transactionAmount": { "amount": "-12.00", "currency": "EUR" },
        "bookingDate": "2026-05-31",
    })
}

fn details() -> &'static dyn TransactionDetails {
    BerlinGroup.details().unwrap()
}

fn listed(entry: &Value) -> Transaction {
    let body = answer(200, &[], &json!({ "transactions": { "booked": [entry] } }));
    transactions_of(&profile(), &body).unwrap().items.remove(0)
}

/// XS2A 6.5.4: below the account, by `transactionId`; cards have no such request.
#[test]
fn one_transaction_is_asked_for_below_its_account_where_the_bank_has_that() {
    let mut profile = profile();
    assert!(!details().offered(&profile));
    profile.berlin_group.transaction_details = true;
    assert!(details().offered(&profile));
    let cx = CallContext { bank_consent_id: Some("c-1"), ..context(&profile) };
    let asked = details().detail(&cx, "a 1", &listed(&entry())).unwrap().unwrap();
    let place = "https://xs2a.bank.example/v1/accounts/a%201/transactions/t%2F1";
    assert_eq!((asked.method.as_str(), asked.url.as_str()), ("GET", place));
    assert_eq!(asked.header_text("consent-id"), Some("c-1"));
    assert!(details().detail(&cx, "card-accounts/k", &listed(&entry())).is_none());
    let nameless = Transaction { bank_transaction_id: None, ..listed(&entry()) };
    assert!(details().detail(&cx, "a 1", &nameless).is_none());
}

/// The text of XS2A 6.5.4 wraps the entry twice, its example once: both are met.
#[test]
fn what_is_told_of_one_transaction_completes_what_was_listed() {
    let listed = listed(&entry());
    let mut told = entry();
    told["mandateId"] = "M-1".into();
    told["bookingDate"] = Value::Null;
    let profile = profile();
    let once = json!({ "transactionsDetails": told });
    let twice = json!({ "transactionsDetails": { "transactionDetails": told } });
    for body in [once, twice] {
        let told = details().detail_read(&context(&profile), &listed, &answer(200, &[], &body)).unwrap();
        let whole = listed.clone().completed_by(told);
        assert_eq!(whole.mandate_id.as_deref(), Some("M-1"));
        assert_eq!((whole.booking_date, whole.status), (listed.booking_date, BookingStatus::Booked));
        assert_eq!(whole.bank_transaction_id.as_deref(), Some("t/1"));
    }
}
