use connect::{BankErrorKind, Profile};
use uuid::Uuid;

use super::*;

fn read<T>(what: impl FnOnce(&Reading<'_>) -> Read<T>) -> Read<T> {
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
    what(&Reading::of(&cx))
}

fn entry() -> wit::Transaction {
    wit::Transaction {
        transaction_id: Some(" t-1 ".into()),
        entry_reference: None,
        end_to_end_id: Some(" ".into()),
        mandate_id: None,
        status: wit::BookingStatus::Booked,
        amount: "-12.30".into(),
        currency: "EUR".into(),
        booking_date: Some("2026-01-02".into()),
        value_date: None,
        booked_at: Some("2026-01-02T03:04:05+01:00".into()),
        creditor_name: Some("Anna".into()),
        creditor_account: Some(wit::AccountNumber::Iban("DE75512108001245126199".into())),
        debtor_name: None,
        debtor_account: None,
        remittance: vec!["".into(), "Rent".into()],
        references: Vec::new(),
        bank_transaction_code: None,
        proprietary_code: None,
        merchant_category_code: None,
        balance_after: Some("-0.01".into()),
    }
}

fn account(number: wit::AccountNumber) -> wit::Account {
    wit::Account {
        resource_id: "1".into(),
        numbers: vec![number],
        currency: Some("EUR".into()),
        display_name: None,
        product: None,
        holders: Vec::new(),
        cash_account_type: None,
        usage: wit::Usage::Personal,
        status: wit::AccountStatus::Enabled,
        bic: None,
        balances: Vec::new(),
    }
}

fn transactions(entry: wit::Transaction) -> Read<Transaction> {
    let page = wit::TransactionsPage { transactions: vec![entry], next: None };
    read(|reading| reading.transactions(wit::Answer::Transactions(page)))
        .map(|(mut found, _)| found.remove(0))
}

/// Amount and direction come from the sign; blank texts are none.
#[test]
fn an_entry_is_read_into_what_we_know() {
    let entry = transactions(entry()).unwrap();
    assert_eq!((entry.amount.amount_text().as_str(), entry.direction), ("12.30", CreditDebit::Debit));
    assert_eq!(entry.bank_transaction_id.as_deref(), Some("t-1"));
    assert_eq!((entry.end_to_end_id, entry.remittance), (None, vec!["Rent".into()]));
    assert_eq!(entry.booked_at.unwrap().to_string(), "2026-01-02T02:04:05Z");
    let (after, direction) = entry.balance_after.unwrap();
    assert_eq!((after.amount_text().as_str(), direction), ("0.01", CreditDebit::Debit));
}

/// Every text that stands for something is that or ends the answer.
#[test]
fn what_is_no_day_amount_or_account_is_refused_with_its_place() {
    type Change = fn(&mut wit::Transaction);
    let changes: [(&str, Change); 8] = [
        ("booking-date", |entry| entry.booking_date = Some("02.01.2026".into())),
        ("value-date", |entry| entry.value_date = Some("2026-02-30".into())),
        ("value-date", |entry| entry.value_date = Some("2026-01-02T00:00:00Z".into())),
        ("booked-at", |entry| entry.booked_at = Some("2026-01-02T03:04:05".into())),
        ("amount", |entry| entry.amount = String::new()),
        ("balance-after", |entry| entry.balance_after = Some("∞".into())),
        ("currency", |entry| entry.currency = "eur ".into()),
        ("creditor-account", |entry| {
            entry.creditor_account = Some(wit::AccountNumber::Iban("DE00512108001245126199".into()));
        }),
    ];
    for (field, change) in changes {
        let mut wrong = entry();
        change(&mut wrong);
        let error = transactions(wrong).err().unwrap();
        assert_eq!(error.kind, BankErrorKind::PluginFailed);
        assert_eq!(error.field, Some(format!("transactions[0].{field}")));
    }
}

/// A card number in clear is not kept, and an account must have a name to ask it by.
#[test]
fn a_number_is_what_the_plugin_calls_it_or_refused() {
    use wit::AccountNumber as N;
    let number = |number| {
        let page = wit::AccountsPage { accounts: vec![account(number)], next: None };
        read(|reading| reading.accounts(wit::Answer::Accounts(page)))
            .map(|(mut found, _)| found.remove(0).identifications.remove(0))
    };
    assert_eq!(number(N::SortCode("40478470872490".into())).unwrap().normalised(), "scan:40478470872490");
    assert!(number(N::MaskedPan("5409 05** **** 5409".into())).is_ok());
    for wrong in [
        N::MaskedPan("5409 0500 0000 5409".into()),
        N::SortCode("404784".into()),
        N::SortCode("ä0478470872490".into()),
        N::Bban(" ".into()),
        N::Other(wit::OtherNumber { number: "1".into(), scheme: String::new() }),
    ] {
        assert_eq!(number(wrong).err().unwrap().field.as_deref(), Some("accounts[0].numbers"));
    }
    let nameless = wit::Account { resource_id: "..".into(), ..account(N::Bban("1".into())) };
    let page = wit::AccountsPage { accounts: vec![nameless], next: None };
    let error = read(|reading| reading.accounts(wit::Answer::Accounts(page))).err().unwrap();
    assert_eq!(error.field.as_deref(), Some("accounts[0].resource-id"));
}
