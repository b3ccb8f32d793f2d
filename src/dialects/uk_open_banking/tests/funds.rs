//! Confirmation of funds: the messages of the Read/Write API.

use connect::{ConsentHandling, Consents, FundsQuestion};

use super::*;

const REFERENCE: &str = "0197f0c2a7c07d3e8a3b5d1f20c4e6a8";

fn account() -> AccountIdentification {
    AccountIdentification::SortCode(SortCodeAccount::new("20-00-00", "55779911").unwrap())
}

fn question(account: &AccountIdentification) -> FundsQuestion<'_> {
    let amount = Money::parse("10.5", "GBP".parse().unwrap()).unwrap();
    FundsQuestion { account, amount, reference: REFERENCE }
}

fn handling(profile: &Profile) -> ConsentHandling<'_> {
    UkOpenBanking.handling(profile).unwrap()
}

/// Confirmation of Funds API 4.0, `OBFundsConfirmationConsent1`: one account, no risk
/// block, and an end.
#[test]
fn a_consent_to_questions_about_funds_names_its_account_and_its_end() {
    let (profile, token) = (profile("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let Consents::Lodged(lodging) = handling(&profile).consents else { panic!("it is lodged") };
    let mut order = ConsentOrder {
        permissions: Vec::new(),
        accounts: vec![account()],
        valid_until: Some("2026-08-30".parse().unwrap()),
        recurring: true,
        frequency_per_day: 1,
        transactions_from: None,
        redirects: redirects(),
    };
    let request = lodging.lodge(&cx, &order).unwrap();
    let url = "https://api.bank.example/open-banking/v4.0/cbpii/funds-confirmation-consents";
    assert_eq!((request.url.as_str(), request.signature), (url, Signature::None));
    let account =
        json!({ "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20000055779911" });
    let data = json!({ "DebtorAccount": account, "ExpirationDateTime": "2026-08-30T23:59:59+00:00" });
    assert_eq!(sent(&request), json!({ "Data": data }));
    order.accounts.clear();
    assert_eq!(lodging.lodge(&cx, &order).unwrap_err().kind, BankErrorKind::Unsupported);

    let made = json!({ "Data": { "ConsentId": "fcc-1", "Status": "AWAU", "DebtorAccount": account } });
    let lodged = lodging.lodged(&cx, &answer(201, &made)).unwrap();
    let ScaStart::OAuth { scope, intent_id, .. } = lodged.sca else { panic!("through OAuth") };
    assert_eq!((scope.as_str(), intent_id.as_deref()), ("openid fundsconfirmations", Some("fcc-1")));
}

#[test]
fn a_consent_to_questions_about_funds_is_asked_about_and_ended_at_its_own_place() {
    let (profile, token) = (profile("3.1"), SecretString::from("t"));
    let cx = CallContext { bank_consent_id: Some("fcc-1"), ..context(&profile, &token) };
    let handling = handling(&profile);
    let url = "https://api.bank.example/open-banking/v3.1/cbpii/funds-confirmation-consents/fcc-1";
    let inquiry = handling.inquiry.unwrap();
    let request = inquiry.status(&cx).unwrap();
    assert_eq!((request.method, request.url.as_str()), (Method::GET, url));
    let given = json!({ "Data": { "ConsentId": "fcc-1", "Status": "Authorised" } });
    assert_eq!(inquiry.status_read(&cx, &answer(200, &given)).unwrap(), BankConsentStatus::Authorised);
    let revocation = handling.revocation.unwrap();
    let request = revocation.revoke(&cx).unwrap();
    assert_eq!((request.method, request.url.as_str()), (Method::DELETE, url));
    revocation.revoked(&cx, &answer(204, &json!({}))).unwrap();
    assert_eq!(
        UkOpenBanking.token_for(&profile, handling.operation),
        TokenKind::Client("fundsconfirmations")
    );
}

/// Confirmation of Funds API 4.0, `OBFundsConfirmation1`: what comes back must be about
/// this question, and say yes or no.
#[test]
fn a_question_about_funds_is_answered_yes_or_no_or_is_an_error() {
    let (mut profile, token) = (profile("4.0"), SecretString::from("t"));
    let account = account();
    let question = question(&account);
    let cx = CallContext { bank_consent_id: Some("fcc-1"), ..context(&profile, &token) };
    let request = UkOpenBanking.ask(&cx, &question).unwrap();
    assert_eq!(request.url.path(), "/open-banking/v4.0/cbpii/funds-confirmations");
    let amount = json!({ "Amount": "10.50", "Currency": "GBP" });
    let data = json!({ "ConsentId": "fcc-1", "Reference": REFERENCE, "InstructedAmount": amount });
    assert_eq!(sent(&request), json!({ "Data": data }));

    let with = |pointer: &str, value: Value| {
        let mut body = json!({ "Data": {
            "FundsConfirmationId": "f-1",
            "ConsentId": "fcc-1",
            "CreationDateTime": "2026-06-01T10:00:00Z",
            "FundsAvailable": true,
            "Reference": REFERENCE,
            "InstructedAmount": amount,
        } });
        *body.pointer_mut(pointer).unwrap() = value;
        answer(201, &body)
    };
    let yes = UkOpenBanking.answer(&cx, &question, &with("/Data/FundsAvailable", json!(true))).unwrap();
    assert_eq!((yes.available, yes.reliable, yes.bank_reference.as_deref()), (true, true, Some("f-1")));
    assert!(
        !UkOpenBanking.answer(&cx, &question, &with("/Data/FundsAvailable", json!(false))).unwrap().available
    );
    for (pointer, value, kind) in [
        ("/Data/FundsAvailable", json!(null), BankErrorKind::MalformedResponse),
        ("/Data/FundsAvailable", json!("perhaps"), BankErrorKind::MalformedResponse),
        ("/Data/Reference", json!("another"), BankErrorKind::EchoMismatch),
        ("/Data/InstructedAmount/Amount", json!("1.50"), BankErrorKind::EchoMismatch),
        ("/Data/InstructedAmount/Currency", json!("EUR"), BankErrorKind::EchoMismatch),
    ] {
        let refused = UkOpenBanking.answer(&cx, &question, &with(pointer, value)).unwrap_err();
        assert_eq!((refused.kind, refused.field.as_deref()), (kind, Some(pointer)));
    }
    let absent = with("/Data/FundsAvailable", json!(null));
    let name = QuirkName::FundsAnswerUnreliable;
    let at = vec!["cbpii.funds_confirmation".to_owned()];
    let quirk = Quirk { name, at, versions: Vec::new(), parameters: Default::default() };
    profile.quirks = Quirks::new(vec![quirk]);
    let cx = CallContext { bank_consent_id: Some("fcc-1"), ..context(&profile, &token) };
    let told = UkOpenBanking.answer(&cx, &question, &absent).unwrap();
    assert_eq!((told.available, told.reliable), (false, false));
}
