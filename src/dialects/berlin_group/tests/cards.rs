//! Card accounts: found beside the accounts, asked for where they lie.

use connect::TransactionSelection;
use domain::{AccountResource, CreditDebit};

use super::*;

fn bank() -> Profile {
    let mut profile = profile();
    profile.berlin_group.card_accounts = true;
    profile
}

fn card() -> Value {
    json!({
        "resourceId": "k/1",
        "maskedPan": "525412******0033",
        "currency": "EUR",
        "name": "Credit card",
        "ownerName": "Anna Leitner",
        "debitAccounting": true,
        "status": "enabled",
        "balances": [{
            "balanceType": "interimBooked",
            "balanceAmount": { "amount": "12.00", "currency": "EUR" },
        }],
    })
}

/// XS2A 6.5.5: a list of their own, which is asked for after the last page of accounts.
#[test]
fn cards_are_listed_after_the_accounts_where_the_bank_has_them() {
    let mut account = card();
    account["iban"] = "DE89370400440532013000".into();
    let accounts = |links: Value| answer(200, &[], &json!({ "accounts": [account], "_links": links }));
    let more = json!({ "next": { "href": "/v1/accounts?page=2" } });
    let next = |profile: &Profile, links: Value| {
        let page = BerlinGroup.accounts_read(&context(profile), &accounts(links)).unwrap();
        page.next.map(|next| next.url().as_str().to_owned())
    };
    let bank = bank();
    let list = "https://xs2a.bank.example/v1/card-accounts";
    assert_eq!(next(&bank, more).unwrap(), "https://xs2a.bank.example/v1/accounts?page=2");
    assert_eq!(next(&bank, json!({})).unwrap(), list);
    assert_eq!(next(&profile(), json!({})), None, "a bank without cards is not asked for them");
    let cards = answer(200, &[], &json!({ "cardAccounts": [card()] }));
    let page = BerlinGroup.accounts_read(&context(&bank), &cards).unwrap();
    assert!(page.next.is_none(), "cards are the last");
    let [account] = &page.items[..] else { panic!("one card") };
    assert_eq!(account.identifications, [AccountIdentification::MaskedPan("525412******0033".into())]);
    assert_eq!(account.cash_account_type.as_deref(), Some("CARD"));
    assert_eq!(account.balances[0].direction, CreditDebit::Debit, "what is owed is a debit");
    let cx = CallContext { bank_consent_id: Some("c-1"), ..context(&bank) };
    let balances = BerlinGroup.balances(&cx, &account.resource_id).unwrap();
    assert_eq!(balances.url.as_str(), format!("{list}/k%2F1/balances"));
    let query = TransactionQuery { status: TransactionSelection::Pending, ..TransactionQuery::default() };
    let transactions = BerlinGroup.transactions(&cx, &account.resource_id, &query).unwrap();
    assert_eq!(transactions.url.as_str(), format!("{list}/k%2F1/transactions?bookingStatus=pending"));
    let holder = BerlinGroup.resource(&cx, AccountResource::Parties, &account.resource_id).unwrap();
    assert_eq!(holder.url.as_str(), format!("{list}/k%2F1"));
    for none in [AccountResource::Beneficiaries, AccountResource::StandingOrders] {
        let refused = BerlinGroup.resource(&cx, none, &account.resource_id).unwrap_err();
        assert_eq!(refused.kind, BankErrorKind::Unsupported);
    }
    let details = answer(200, &[], &json!({ "cardAccount": card() }));
    let page = BerlinGroup.resource_read(&cx, AccountResource::Parties, &holder, &details).unwrap();
    let [domain::ResourceEntry::Party(party)] = &page.items[..] else { panic!("one holder") };
    assert_eq!(party.name.as_deref(), Some("Anna Leitner"));
}

/// `debitAccounting`: where it is true, debits are quoted positive, and so are balances
/// that are owed; where not, they are signed as on any account.
#[test]
fn what_a_card_was_used_for_is_a_debit_however_the_bank_quotes_it() {
    let bank = bank();
    let entry = |amount: &str| {
        json!({
            "cardTransactionId": "t-1",
            "transactionDate": "2026-03-01",
            "bookingDate": "2026-03-02",
            "transactionAmount": { "amount": amount, "currency": "EUR" },
            "transactionDetails": "Corner Bookshop",
            "merchantCategoryCode": "5942",
        })
    };
    for (positive, bought, refunded) in
        [(json!(true), "9.90", "-5.00"), (json!(false), "-9.90", "5.00"), (json!(null), "-9.90", "5.00")]
    {
        let body = json!({
            "debitAccounting": positive,
            "cardTransactions": { "booked": [entry(bought), entry(refunded)], "pending": [entry("0.00")] },
        });
        let page = transactions_of(&bank, &answer(200, &[], &body)).unwrap();
        let told: Vec<_> =
            page.items.iter().map(|entry| (entry.amount.amount_text(), entry.direction)).collect();
        let expected = [
            ("9.90".into(), CreditDebit::Debit),
            ("5.00".into(), CreditDebit::Credit),
            ("0.00".into(), CreditDebit::Credit),
        ];
        assert_eq!(told, expected, "{positive}");
        let first = &page.items[0];
        assert_eq!((first.status, page.items[2].status), (BookingStatus::Booked, BookingStatus::Pending));
        assert_eq!(first.remittance, ["Corner Bookshop"]);
        assert_eq!(first.value_date.unwrap().to_string(), "2026-03-01");
        assert_eq!(first.merchant_category_code.as_deref(), Some("5942"));
        let balance = json!({
            "debitAccounting": positive,
            "balances": [{ "balanceType": "interimBooked",
                "balanceAmount": { "amount": bought, "currency": "EUR" } }],
        });
        let balances = BerlinGroup.balances_read(&context(&bank), &answer(200, &[], &balance)).unwrap();
        assert_eq!(balances[0].direction, CreditDebit::Debit, "{positive}");
    }
}
