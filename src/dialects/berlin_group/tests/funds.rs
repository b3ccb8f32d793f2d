//! Confirmation of funds (XS2A 10).

use connect::{Consents, FundsQuestion};
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

/// Confirmation of Funds Consent 2.0: where the profile says where, a consent is lodged for
/// one account, authorised, asked about and ended there, and named with every question.
#[test]
fn a_consent_to_confirmation_of_funds_is_lodged_where_the_profile_says() {
    let mut profile = profile();
    profile.funds_api.clone_from(&profile.accounts_api);
    profile.berlin_group.funds_consents = Some("https://xs2a.bank.example/v2".parse().unwrap());
    let cx = context(&profile);
    let handling = BerlinGroup.handling(&profile).unwrap();
    let Consents::Lodged(lodging) = handling.consents else { panic!("consents are lodged") };
    let account = account("DE89370400440532013000");
    let mut order = ConsentOrder {
        accounts: vec![account.clone()],
        valid_until: Some("2026-09-01".parse().unwrap()),
        ..wanted(&[])
    };
    let request = lodging.lodge(&cx, &order).unwrap();
    let place = "https://xs2a.bank.example/v2/consents/confirmation-of-funds";
    assert_eq!((request.url.as_str(), request.effect), (place, Effect::Write));
    assert_eq!(sent(&request), json!({ "account": { "iban": "DE89370400440532013000" } }));
    assert_eq!(request.header_text("tpp-redirect-uri"), Some("https://gateway.example/callback"));
    order.accounts.clear();
    assert_eq!(lodging.lodge(&cx, &order).unwrap_err().kind, BankErrorKind::Unsupported);

    let links = json!({ "startAuthorisation": { "href": "https://elsewhere.example/x" } });
    let body = json!({ "consentStatus": "received", "consentId": "cof-1", "_links": links });
    let lodged = lodging.lodged(&cx, &answer(201, &[], &body)).unwrap();
    let ScaStart::Explicit { link } = &lodged.sca else { panic!("it is begun by a request") };
    assert_eq!(link.as_str(), format!("{place}/cof-1/authorisations"), "built by us, not believed");

    let cx = CallContext { bank_consent_id: Some("cof-1"), ..cx };
    let start = handling.explicit_start.unwrap();
    let begun = start.authorised(&cx, link, &answer(201, &[("aspsp-sca-approach", "OAUTH")], &json!({})));
    let Ok(ScaStart::OAuth { scope, .. }) = begun else { panic!("the bank named OAuth") };
    assert_eq!(scope, "PIIS:cof-1");
    let (asked, over) = (handling.inquiry.unwrap(), handling.revocation.unwrap());
    assert_eq!(asked.status(&cx).unwrap().url.as_str(), format!("{place}/cof-1/status"));
    let valid = answer(200, &[], &json!({ "consentStatus": "valid" }));
    assert_eq!(asked.status_read(&cx, &valid).unwrap(), BankConsentStatus::Authorised);
    let request = over.revoke(&cx).unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("DELETE", &*format!("{place}/cof-1")));

    let amount = Money::parse("150", "EUR".parse().unwrap()).unwrap();
    let question = FundsQuestion { account: &account, amount, reference: "order 7" };
    let request = BerlinGroup.ask(&cx, &question).unwrap();
    assert_eq!(request.header_text("consent-id"), Some("cof-1"));
}
