//! Confirmation of Payee.

use connect::{PayeeQuestion, PayeeVerification};
use domain::{PayeeMatch, PayeeUnverified};

use super::super::payees::UkPayees;
use super::*;

fn bank() -> Profile {
    let mut profile = profile("4.0");
    profile.payees.address =
        Some("https://api.bank.example/open-banking/v4.0/confirmation-payee".parse().unwrap());
    profile
}

/// `OBNameVerificationRequest1`: sort code and account number in one, whether the account was
/// named so or by its IBAN; signed.
#[test]
fn a_question_about_a_payee_names_sort_code_account_and_name() {
    let (profile, token) = (bank(), SecretString::from("t"));
    let cx = context(&profile, &token);
    let iban = AccountIdentification::Iban("GB29NWBK60161331926819".parse().unwrap());
    let named = AccountIdentification::SortCode(SortCodeAccount::new("60-16-13", "31926819").unwrap());
    for account in [&iban, &named] {
        let question = PayeeQuestion { name: "Anna Whitfield", account };
        let request = UkPayees.ask(&cx, &question).unwrap();
        let place = "https://api.bank.example/open-banking/v4.0/confirmation-payee/name-verification";
        assert_eq!((request.url.as_str(), request.signature), (place, Signature::DetachedJws));
        let expected = json!({ "Data": {
            "SchemeName": "SortCodeAccountNumber",
            "AccountType": "Personal",
            "Identification": "60161331926819",
            "Name": "Anna Whitfield",
        } });
        assert_eq!(sent(&request), expected);
    }
    let german = AccountIdentification::Iban("DE02120300000000202051".parse().unwrap());
    let question = PayeeQuestion { name: "Anna Whitfield", account: &german };
    let refused = UkPayees.ask(&cx, &question).unwrap_err();
    assert_eq!(refused.kind, BankErrorKind::Unsupported);
    let scope = UkOpenBanking.token_for(&profile, Operation::Payees);
    assert_eq!(scope, TokenKind::Client("name-verification"));
}

#[test]
fn every_reason_of_the_standard_is_understood_and_no_name_leaks() {
    use PayeeUnverified::{AccountMoved, AccountNotCovered, AccountUnknown, ReferenceNeeded};
    let (profile, token) = (bank(), SecretString::from("t"));
    let cx = context(&profile, &token);
    let read = |report: serde_json::Value| {
        let body = json!({ "Data": { "VerificationReport": report } });
        UkPayees.answer(&cx, &answer(200, &body))
    };
    assert_eq!(read(json!({ "Matched": true })).unwrap(), PayeeMatch::Match);
    let unmatched =
        |code: &str| read(json!({ "Matched": false, "ReasonCode": code, "Name": "Anna Whitfield" })).unwrap();
    for code in ["BANM", "PANM"] {
        assert_eq!(unmatched(code), PayeeMatch::Match, "{code}");
    }
    for code in ["MBAM", "BAMM", "PAMM"] {
        assert_eq!(unmatched(code).name(), Some("Anna Whitfield"), "{code}");
    }
    assert_eq!(unmatched("ANNM"), PayeeMatch::NoMatch);
    for (code, reason) in [
        ("AC01", AccountUnknown),
        ("SCNS", AccountUnknown),
        ("CASS", AccountMoved),
        ("ACNS", AccountNotCovered),
        ("OPTO", AccountNotCovered),
        ("IVCR", ReferenceNeeded),
    ] {
        assert_eq!(unmatched(code), PayeeMatch::NotPossible { reason }, "{code}");
    }
    for wrong in [
        json!({}),
        json!({ "Matched": false }),
        json!({ "Matched": false, "ReasonCode": "XXXX" }),
        json!({ "Matched": false, "ReasonCode": "MBAM" }),
    ] {
        assert_eq!(read(wrong).unwrap_err().kind, BankErrorKind::MalformedResponse);
    }
}
