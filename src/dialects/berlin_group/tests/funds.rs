//! Confirmation of funds (XS2A 10).

use connect::FundsQuestion;
use domain::Money;

use super::*;
use crate::world::psu;

fn account(text: &str) -> AccountIdentification {
    AccountIdentification::Iban(text.parse().unwrap())
}

/// XS2A 10.1: account and amount, signed, and nothing of the PSU; the consent is the
/// bank's affair.
#[test]
fn a_question_about_funds_names_account_and_amount_and_no_consent() {
    let mut profile = profile();
    profile.funds_api.clone_from(&profile.accounts_api);
    let psu = psu();
    let cx = CallContext { psu: Some(&psu), psu_id: Some("psu-1"), ..context(&profile) };
    let account = account("DE89370400440532013000");
    let amount = Money::parse("150", "EUR".parse().unwrap()).unwrap();
    let question = FundsQuestion { account: &account, amount, reference: "order 7" };
    assert!(BerlinGroup.handling(&profile).is_none());
    let request = BerlinGroup.ask(&cx, &question).unwrap();
    assert_eq!(request.url.as_str(), "https://xs2a.bank.example/v1/funds-confirmations");
    assert_eq!((request.effect, request.signature), (Effect::Read, Signature::DigestAndSignature));
    let amount = json!({ "currency": "EUR", "amount": "150.00" });
    let body = json!({ "account": { "iban": "DE89370400440532013000" }, "instructedAmount": amount });
    assert_eq!(sent(&request), body);
    for absent in ["consent-id", "authorization", "psu-ip-address", "psu-id"] {
        assert_eq!(request.header_text(absent), None, "{absent}");
    }

    let read = |status, body: Value| BerlinGroup.answer(&cx, &question, &answer(status, &[], &body));
    for available in [true, false] {
        let told = read(200, json!({ "fundsAvailable": available })).unwrap();
        assert_eq!((told.available, told.reliable, told.bank_reference), (available, true, None));
    }
    assert_eq!(read(200, json!({})).unwrap_err().kind, BankErrorKind::MalformedResponse);
    let messages = json!([{ "category": "ERROR", "code": "NO_PIIS_ACTIVATION" }]);
    let refused = read(400, json!({ "tppMessages": messages })).unwrap_err();
    assert_eq!(refused.kind, BankErrorKind::ConsentMissing);
}
