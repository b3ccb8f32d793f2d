use connect::{
    ApiBase, BankConsentStatus, BankPaymentIds, ConsentByAuthorization, ConsentOrder, ConsentRevocation,
    Consents, Echo, FundsQuestion, Outcome, ScaStart, TransactionQuery,
};
use domain::{
    AccountIdentification, AccountResource, BalanceType, BookingStatus, CreditDebit, IsoPaymentStatus, Money,
    PaymentScheme, Permission, ResourceEntry,
};
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::world::{answer, context, order, psu, raw, redirects, sent, wanted};

fn profile() -> Profile {
    let (id, region) = ("fr-examplebank".parse().unwrap(), "eu".parse().unwrap());
    let mut profile = Profile::blank(id, "Example Bank", region, "stet");
    let url: Url = "https://api.bank.example/stet/psd2/v1.4".parse().unwrap();
    profile.accounts_api = Some(ApiBase { url: url.clone(), version: "1.4".into() });
    profile.payments_api = Some(ApiBase { url, version: "1.4".into() });
    profile.signing =
        Signing::DigestSignatureByUrl { key_url: "https://tpp.example/qseal_{sha256}.pem".into() };
    profile.client_id = Some("PSDFR-ACPR-100001".into());
    profile.max_consent_days = Some(180);
    profile
}

fn token() -> SecretString {
    "token-1".to_owned().into()
}

#[test]
fn a_consent_is_known_at_once_and_authorised_by_oauth() {
    let profile = profile();
    let cx = context(&profile);
    let order = wanted(&[Permission::ReadBalances]);
    assert!(matches!(Stet.consents(), Consents::Authorized(_)) && Stet.inquiry().is_none());
    let consent = Stet.begin(&cx, &order).unwrap();
    assert_eq!(consent.bank_id, cx.request_id.to_string());
    assert!(
        consent.sca == ScaStart::OAuth { scope: "aisp".into(), intent_id: None, metadata: None }
            && consent.status == BankConsentStatus::AwaitingAuthorisation
    );
    assert_eq!(consent.valid_until, Some("2026-11-28".parse().unwrap()));
    let old = ConsentOrder { transactions_from: Some("2026-03-02".parse().unwrap()), ..order };
    let scope = "aisp extended_transaction_history".into();
    let history = ScaStart::OAuth { scope, intent_id: None, metadata: None };
    assert!(Stet.begin(&cx, &old).unwrap().sca == history);
}

/// STET 1.4: `/end-user-identity` and `/trusted-beneficiaries`.
#[test]
fn the_psu_and_whom_she_trusts_are_read() {
    let (mut profile, token) = (profile(), token());
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    assert_eq!(Stet.offered(&profile), [AccountResource::Parties, AccountResource::Beneficiaries]);
    let read = |resource, body: serde_json::Value| {
        let asked = Stet.resource(&cx, resource, "a-1").unwrap();
        Stet.resource_read(&cx, resource, &asked, &answer(200, &[], &body)).map(|page| page.items)
    };
    let asked = Stet.resource(&cx, AccountResource::Parties, "a-1").unwrap();
    assert_eq!(asked.url.path(), "/stet/psd2/v1.4/end-user-identity");
    let who = read(AccountResource::Parties, json!({ "connectedPsu": "Mme Anne Moreau" })).unwrap();
    let [ResourceEntry::Party(party)] = &who[..] else { panic!("{who:?}") };
    assert_eq!(party.name.as_deref(), Some("Mme Anne Moreau"));
    assert_eq!(read(AccountResource::Parties, json!({})).unwrap(), []);

    let asked = Stet.resource(&cx, AccountResource::Beneficiaries, "a-1").unwrap();
    assert_eq!(asked.url.path(), "/stet/psd2/v1.4/trusted-beneficiaries");
    let listed = json!({ "beneficiaries": [
        { "id": "b-1", "isTrusted": false, "creditor": { "name": "Le Bailleur" },
          "creditorAgent": { "bicFi": "EXAMFRPP" },
          "creditorAccount": { "iban": "FR1420041010050500013M02606" } },
        { "creditor": { "name": "Camille Roux" } },
    ] });
    let list = read(AccountResource::Beneficiaries, listed).unwrap();
    let [ResourceEntry::Beneficiary(first), ResourceEntry::Beneficiary(second)] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(
        (first.bank_id.as_deref(), first.trusted, second.trusted),
        (Some("b-1"), Some(false), Some(true))
    );
    assert_eq!(first.payee.bic.as_deref(), Some("EXAMFRPP"));
    assert!(
        matches!(first.payee.account, Some(AccountIdentification::Iban(_))) && second.payee.account.is_none()
    );
    let error = read(AccountResource::Beneficiaries, json!({ "_links": {} })).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("/beneficiaries"));

    let error = Stet.resource(&cx, AccountResource::DirectDebits, "a-1").unwrap_err();
    assert_eq!(error.kind, BankErrorKind::Unsupported);
    profile.absent_paths = vec!["/end-user-identity".into()];
    assert_eq!(Stet.offered(&profile), [AccountResource::Beneficiaries]);
}

#[test]
fn a_request_carries_token_and_psu_and_is_signed() {
    let profile = profile();
    let token = token();
    let psu = psu();
    let cx = CallContext { psu: Some(&psu), access_token: Some(&token), ..context(&profile) };
    let query = TransactionQuery { from: Some("2026-03-01".parse().unwrap()), ..TransactionQuery::default() };
    let request = Stet.transactions(&cx, "../1", &query).unwrap();
    assert_eq!(
        request.url.as_str(),
        "https://api.bank.example/stet/psd2/v1.4/accounts/..%2F1/transactions?dateFrom=2026-03-01"
    );
    assert_eq!(request.signature, Signature::DigestAndSignatureByUrl);
    for (name, value) in [
        ("authorization", "Bearer token-1"),
        ("accept", "application/hal+json; charset=utf-8"),
        ("psu-ip-address", "192.0.2.1"),
        ("psu-date", "Mon, 01 Jun 2026 10:00:00 GMT"),
    ] {
        assert_eq!(request.header_text(name), Some(value), "{name}");
    }
    let without = AccountInformation::accounts(&Stet, &context(&profile)).unwrap_err();
    assert_eq!(without.kind, BankErrorKind::TokenInvalid);
}

#[test]
fn accounts_and_balances_are_read() {
    let profile = profile();
    let cx = context(&profile);
    let body = json!({ "accounts": [{
        "resourceId": "Alias1", "bicFi": "BNKAFRPP",
        "accountId": { "iban": "FR7699901000010001000001722", "currency": "EUR" },
        "name": "Compte courant", "usage": "PRIV", "cashAccountType": "CACC",
        "_links": { "balances": { "href": "/accounts/Alias1/balances" } },
    }, {
        "resourceId": "Carte", "name": "Carte", "cashAccountType": "CARD",
        "accountId": { "other": { "identification": "4970101122334455", "schemeName": "CPAN" } },
    }], "_links": { "self": { "href": "/accounts" } } });
    let page = Stet.accounts_read(&cx, &answer(200, &[], &body)).ok().unwrap();
    assert!(page.next.is_none());
    let iban = "FR7699901000010001000001722".parse().unwrap();
    assert_eq!(page.items[0].identifications, [domain::AccountIdentification::Iban(iban)]);
    assert_eq!(page.items[0].currency, Some("EUR".parse().unwrap()));
    assert!(page.items[1].identifications.is_empty(), "a card number in clear is never kept");
    assert!(Stet.accounts_read(&cx, &raw(204, &[], Vec::new())).ok().unwrap().items.is_empty());

    let body = json!({ "balances": [
        { "name": "Solde", "balanceAmount": { "currency": "EUR", "amount": "-12.50" }, "balanceType": "CLBD",
          "referenceDate": "2026-05-31" },
    ] });
    let balances = Stet.balances_read(&cx, &answer(200, &[], &body)).unwrap();
    assert_eq!((balances[0].kind, balances[0].direction), (BalanceType::ClosingBooked, CreditDebit::Debit));
}

#[test]
fn transactions_are_read_and_their_pages_guarded() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let asked = Stet.transactions(&cx, "Alias1", &TransactionQuery::default()).unwrap();
    let read = |remittance: Value, next: &str| {
        let body = json!({ "transactions": [{
            "resourceId": "t1", "entryReference": "AF5T2", "creditDebitIndicator": "DBIT", "status": "BOOK",
            "transactionAmount": { "currency": "EUR", "amount": "12.25" },
            "bookingDate": "2026-05-30", "valueDate": "2026-05-31",
            "bankTransactionCode": { "domain": "PMNT", "family": "ICDT", "subFamily": "ESCT" },
            "remittanceInformation": remittance,
        }], "_links": { "next": { "href": next } } });
        Stet.transactions_read(&cx, &asked, &answer(200, &[], &body))
    };
    let structured = json!({
        "unstructured": ["Facture"],
        "structured": [{ "creditorReferenceInformation": { "reference": "RF18" } }],
    });
    let page = read(structured, "/stet/psd2/v1.4/accounts/Alias1/transactions?page=2").ok().unwrap();
    let entry = &page.items[0];
    assert_eq!((entry.status, entry.direction), (BookingStatus::Booked, CreditDebit::Debit));
    assert_eq!(entry.bank_transaction_code.as_deref(), Some("PMNT-ICDT-ESCT"));
    assert_eq!(
        (&entry.remittance[..], &entry.references[..]),
        (&["Facture".into()][..], &["RF18".into()][..])
    );
    let next = Stet.next_page(&cx, &page.next.unwrap()).unwrap();
    assert!(next.url.as_str().ends_with("/transactions?page=2"));
    let page = read(json!(["SEPA CREDIT TRANSFER"]), "?page=3").ok().unwrap();
    assert_eq!(page.items[0].remittance, ["SEPA CREDIT TRANSFER"]);
    let error = read(json!([]), "https://evil.example/accounts").err().unwrap();
    assert_eq!(error.field.as_deref(), Some("/_links/next/href"));
}

#[test]
fn a_consent_is_ended_by_leaving_nothing_of_it() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let request = Stet.revoke(&cx).unwrap();
    assert_eq!((request.method.as_str(), request.effect), ("PUT", Effect::Write));
    assert!(request.url.path().ends_with("/consents"));
    assert_eq!(sent(&request)["balances"], json!([]));
    for status in [201, 204, 401, 403] {
        assert!(Stet.revoked(&cx, &raw(status, &[], Vec::new())).is_ok(), "{status}");
    }
    assert_eq!(Stet.revoked(&cx, &raw(500, &[], Vec::new())).unwrap_err().outcome, Outcome::Unknown);
}

#[test]
fn a_payment_request_is_what_the_standard_wants() {
    let profile = profile();
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let request = Stet.lodge(&cx, &order(), &redirects()).unwrap();
    let body = sent(&request);
    assert_eq!(body["paymentTypeInformation"]["localInstrument"], "INST");
    assert_eq!(body["beneficiary"]["creditorAccount"]["iban"], "DE02120300000000202051");
    assert_eq!(
        body["creditTransferTransaction"][0]["instructedAmount"],
        json!({ "currency": "EUR", "amount": "123.50" })
    );
    assert_eq!(body["supplementaryData"]["successfulReportUrl"], "https://gateway.example/callback");
    let fps = domain::PaymentOrder { scheme: PaymentScheme::FasterPayments, ..order() };
    assert_eq!(Stet.lodge(&cx, &fps, &redirects()).unwrap_err().kind, BankErrorKind::Unsupported);
}

#[test]
fn a_payment_is_named_by_its_location_and_approved_at_the_bank() {
    let profile = profile();
    let cx = context(&profile);
    let body = |approach: &str| {
        let links = json!({ "consentApproval": { "href": "https://bank.example/approve?id=1" } });
        json!({ "appliedAuthenticationApproach": approach, "_links": links })
    };
    let lodged = |location: &'static str, approach: &str| {
        Stet.lodged(&cx, &order(), &answer(201, &[("location", location)], &body(approach)))
    };
    let payment = lodged("/stet/psd2/v1.4/payment-requests/pr-1", "REDIRECT").ok().unwrap();
    assert!(payment.bank_id == "pr-1");
    assert!(payment.sca == ScaStart::Redirect("https://bank.example/approve?id=1".parse().unwrap()));
    assert!(lodged("pr-1", "DECOUPLED").ok().unwrap().sca == ScaStart::Decoupled { message: None });
    assert!(lodged("pr-1", "EMBEDDED-1-FACTOR").ok().unwrap().sca == ScaStart::Unsupported);
    for location in ["/payment-requests/", "/payment-requests/a%2Fb", "::"] {
        let error = lodged(location, "REDIRECT").err().unwrap();
        assert_eq!(
            (error.field.as_deref(), error.outcome),
            (Some("location"), Outcome::Unknown),
            "{location}"
        );
    }
}

/// STET 1.4: a status before the confirmation is that of the request, not of an order.
#[test]
fn a_status_is_of_the_approval_first_and_of_the_order_after_the_confirmation() {
    let profile = profile();
    let cx = context(&profile);
    let report = |payment: Option<&str>, status: &str, amount: &str| {
        let body = json!({ "paymentRequest": {
            "paymentInformationStatus": status, "statusReasonInformation": "AM04",
            "beneficiary": { "creditorAccount": { "iban": "DE02120300000000202051" } },
            "creditTransferTransaction": [
                { "instructedAmount": { "currency": "EUR", "amount": amount }, "transactionStatus": status },
            ],
        } });
        let ids = BankPaymentIds { lodged: "pr-1".into(), payment: payment.map(str::to_owned) };
        Stet.status_read(&cx, &ids, &order(), &answer(200, &[], &body))
    };
    let waiting = report(None, "ACTC", "123.50").unwrap();
    assert_eq!((waiting.status, waiting.consent), (None, Some(BankConsentStatus::AwaitingAuthorisation)));
    let approved = report(None, "ACCP", "123.50").unwrap();
    assert_eq!((approved.consent, approved.echo), (Some(BankConsentStatus::Authorised), Echo::Same));
    let refused = report(None, "RJCT", "123.50").unwrap();
    assert_eq!(
        (refused.status, refused.iso_reason.as_deref()),
        (Some(IsoPaymentStatus::Rejected), Some("AM04"))
    );
    let taken = report(Some("pr-1"), "ACTC", "123.50").unwrap();
    assert_eq!(taken.status, Some(IsoPaymentStatus::AcceptedTechnical));
    let mismatch = report(Some("pr-1"), "ACSC", "123.51").unwrap_err();
    assert_eq!(mismatch.kind, BankErrorKind::EchoMismatch);
}

#[test]
fn a_bank_failure_is_typed_and_keeps_no_free_text() {
    let profile = profile();
    let cx = context(&profile);
    for (status, kind) in [
        (401, BankErrorKind::TokenInvalid),
        (403, BankErrorKind::ConsentRevoked),
        (404, BankErrorKind::ResourceUnknown),
        (429, BankErrorKind::QuotaExceeded),
        (503, BankErrorKind::BankUnavailable),
    ] {
        let body =
            json!({ "status": status, "error": "FORBIDDEN", "message": "Jane Doe", "path": "/accounts" });
        let error = Stet.accounts_read(&cx, &answer(status, &[], &body)).err().unwrap();
        assert_eq!((error.kind, error.bank_code.as_deref()), (kind, Some("FORBIDDEN")));
        assert!(!error.to_string().contains("Jane"));
    }
}

/// STET 1.4 section 4.7: the PSU authorises a scope, and its token asks.
#[test]
fn a_question_about_funds_is_asked_with_the_token_of_its_own_scope() {
    let mut profile = profile();
    profile.funds_api.clone_from(&profile.accounts_api);
    let token = token();
    let cx = CallContext { access_token: Some(&token), ..context(&profile) };
    let handling = Stet.handling(&profile).unwrap();
    assert!(handling.inquiry.is_none() && handling.revocation.is_none());
    let Consents::Authorized(authorization) = handling.consents else { panic!("it is authorised") };
    let order = ConsentOrder { frequency_per_day: 1, ..wanted(&[]) };
    let begun = authorization.begin(&cx, &order).unwrap();
    assert!(begun.sca == ScaStart::OAuth { scope: "cbpii".into(), intent_id: None, metadata: None });

    let account = AccountIdentification::Iban("FR7630006000011234567890189".parse().unwrap());
    let amount = Money::parse("12.5", "EUR".parse().unwrap()).unwrap();
    let question = FundsQuestion { account: &account, amount, reference: "order 7" };
    let request = Stet.ask(&cx, &question).unwrap();
    assert_eq!(request.url.path(), "/stet/psd2/v1.4/funds-confirmations");
    let asked = json!({
        "paymentCoverageRequestId": "order 7",
        "instructedAmount": { "currency": "EUR", "amount": "12.50" },
        "accountId": { "iban": "FR7630006000011234567890189" },
    });
    assert_eq!(sent(&request), asked);
    let read = |request: &Value, result: Value| {
        let body = json!({ "request": request, "result": result, "_links": {} });
        Stet.answer(&cx, &question, &answer(200, &[], &body))
    };
    assert!(read(&asked, json!(true)).unwrap().available);
    assert!(!read(&asked, json!(false)).unwrap().available);
    assert_eq!(read(&asked, json!(null)).unwrap_err().kind, BankErrorKind::MalformedResponse);
    let mut other = asked.clone();
    other["instructedAmount"]["amount"] = json!("1.25");
    assert_eq!(read(&other, json!(true)).unwrap_err().kind, BankErrorKind::EchoMismatch);
    let mut other = asked.clone();
    other["paymentCoverageRequestId"] = json!("order 8");
    assert_eq!(read(&other, json!(true)).unwrap_err().kind, BankErrorKind::EchoMismatch);
}
